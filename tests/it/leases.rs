//! What Django said is relied upon for a while, and never longer than it may be.

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::{Answer, Browser, Django, Gateway, json};

async fn opens(browser: &Browser) {
    browser.socket(NOTIFICATIONS).await.expect_nothing().await;
}

async fn is_closed(browser: &Browser, code: u16) {
    let mut socket = browser.socket(NOTIFICATIONS).await;
    socket.expect_close(code).await;
}

#[tokio::test]
async fn an_answer_is_relied_upon_for_the_next_handshakes_of_the_same_cookies() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    django.signs_in("bobs-session", "43");
    let setup = Gateway::in_front_of(&django)
        .set("auth.lease", "1m")
        .set("auth.cookies", vec!["device"]);
    let gateway = setup.start().await;
    for _ in 0..3 {
        opens(&gateway.browser_of("anns-session")).await;
    }
    assert_eq!(django.auth_calls().len(), 1);
    opens(&gateway.browser_of("bobs-session")).await;
    let other_device = gateway
        .browser_of("anns-session")
        .with_cookie("device", "d");
    opens(&other_device).await;
    let twice = gateway.browser_of("bobs-session").signed_in("anns-session");
    opens(&twice).await;
    assert_eq!(django.auth_calls().len(), 4);
    gateway.stop().await;
}

#[tokio::test]
async fn nobody_is_an_answer_too_and_a_fault_is_none() {
    let django = Django::start().await;
    let setup = Gateway::in_front_of(&django).set("auth.lease", "1m");
    let gateway = setup.start().await;
    for _ in 0..3 {
        is_closed(&gateway.browser_of("stranger"), 4001).await;
    }
    assert_eq!(django.auth_calls().len(), 1);
    django.judges("broken", Answer::status(500, "oops"));
    is_closed(&gateway.browser_of("broken"), 1011).await;
    is_closed(&gateway.browser_of("broken"), 1011).await;
    assert_eq!(django.auth_calls().len(), 3);
    gateway.stop().await;
}

#[tokio::test]
async fn the_answers_own_lease_wins() {
    let django = Django::start().await;
    django.says_of("never", &json!({"user": "1", "lease": 0}));
    django.says_of("long", &json!({"user": "2", "lease": 60}));
    for (lease, never, long) in [("1m", 2, 1), ("0s", 4, 2)] {
        let setup = Gateway::in_front_of(&django).set("auth.lease", lease);
        let gateway = setup.start().await;
        for session in ["never", "never", "long", "long"] {
            opens(&gateway.browser_of(session)).await;
        }
        let calls = django.auth_calls();
        let of = |session: &str| {
            let cookie = |call: &&crate::harness::server::Received| {
                call.cookie("sessionid").as_deref() == Some(session)
            };
            calls.iter().filter(cookie).count()
        };
        assert_eq!((of("never"), of("long")), (never, long), "{lease}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn frames_of_an_answer_are_not_given_again_unless_it_says_so() {
    let django = Django::start().await;
    let unread = json!([{"unread": 3}]);
    django.says_of("fresh", &json!({"user": "1", "frames": unread}));
    django.says_of("kept", &json!({"user": "2", "frames": unread, "lease": 60}));
    let setup = Gateway::in_front_of(&django).set("auth.lease", "1m");
    let gateway = setup.start().await;
    for session in ["fresh", "fresh", "kept", "kept"] {
        let browser = gateway.browser_of(session);
        let mut socket = browser.socket(NOTIFICATIONS).await;
        socket.expect_frame(r#"{"unread":3}"#).await;
    }
    assert_eq!(django.auth_calls().len(), 3);
    gateway.stop().await;
}

#[tokio::test]
async fn a_lease_never_outlives_a_revocation_of_its_session_user_or_group() {
    let django = Django::start().await;
    django.signs_in_with_groups("anns-session", "42", &["staff"]);
    let setup = Gateway::in_front_of(&django).set("auth.lease", "1m");
    let gateway = setup.start().await;
    let ann = gateway.browser_of("anns-session");
    opens(&ann).await;
    for revoked in [json!({"user": "42"}), json!({"group": "staff"})] {
        opens(&ann).await;
        let calls = django.auth_calls().len();
        gateway.api().revoke(&revoked).await;
        opens(&ann).await;
        assert_eq!(django.auth_calls().len(), calls + 1, "{revoked}");
    }
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let session = gateway.api().connected("42", 1).await[0]["session"].clone();
    gateway.api().revoke(&json!({"session": session})).await;
    socket.expect_close(4001).await;
    is_closed(&ann, 4001).await;
    django.judges("anns-session", Answer::anonymous());
    is_closed(&ann, 4001).await;
    gateway.stop().await;
}
