//! A session whose end comes nearer, as `request.session.set_expiry()` has it, ends to the second.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::signature::session_digest;
use crate::harness::{Answer, Django, Gateway, json};

const SESSION: &str = "anns-session";

fn seconds_from_now(seconds: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs() + seconds
}

/// What a page says that gives the session one second more: in its cookie, or in words of the package's.
fn pages() -> [Answer; 2] {
    let end = seconds_from_now(1);
    let said = json!({"user": "42", "expires_at": end, "session": session_digest(SESSION)});
    let said = URL_SAFE_NO_PAD.encode(said.to_string());
    let cookie = format!("sessionid={SESSION}; HttpOnly; Max-Age=1; Path=/");
    [
        Answer::ok("").header("Set-Cookie", &cookie),
        Answer::ok("").header("Gatepost-Identity", &said),
    ]
}

#[tokio::test]
async fn open_sockets_and_those_that_a_lease_admits_close_at_the_new_end() {
    for which in [0, 1] {
        let django = Django::start().await;
        django.calls_its_cookie("sessionid; Path=/");
        let later = seconds_from_now(3600);
        django.says_of(SESSION, &json!({"user": "42", "expires_at": later}));
        let gateway = Gateway::in_front_of(&django)
            .set("auth.lease", "1m")
            .start()
            .await;
        let ann = gateway.browser_of(SESSION);
        let mut before = ann.socket(NOTIFICATIONS).await;
        before.expect_nothing().await;
        django.answers("/", pages()[which].clone());
        ann.get("/").await;
        let mut after = ann.socket(NOTIFICATIONS).await;
        assert_eq!(django.auth_calls().len(), 1, "the lease admits it");
        django.judges(SESSION, Answer::anonymous());
        for socket in [&mut before, &mut after] {
            let closed = socket.expect_close(4001).await;
            assert_eq!(closed.reason, "session expired");
        }
        gateway.stop().await;
    }
}
