//! What Django said is relied upon for a while, and never longer than it may be.

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::socket::Socket;
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
    django.judges("broken", Answer::status(405, "oops"));
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

#[tokio::test]
async fn leases_survive_a_restart_once_and_only_with_the_same_secret() {
    let django = Django::start().await;
    django.signs_in_with_groups("anns-session", "42", &["staff"]);
    django.signs_in("bobs-session", "43");
    let gateway = Gateway::in_front_of(&django).start().await;
    let mut sockets = [
        visits(&gateway, "anns-session").await,
        visits(&gateway, "bobs-session").await,
    ];
    gateway.api().revoke(&json!({"user": "43"})).await;
    sockets[1].expect_close(4001).await;
    let written = stopped(gateway).await;
    assert_eq!(django.auth_calls().len(), 2);
    assert!(
        !written
            .windows(4)
            .any(|bytes| bytes == b"anns" || bytes == b"user")
    );

    let again = |bytes: &[u8]| Gateway::in_front_of(&django).file(".gatepost/leases", bytes);
    let gateway = again(&written).start().await;
    let left = gateway.folder().join(".gatepost/leases");
    assert!(!left.exists(), "used once");
    let mut socket = visits(&gateway, "anns-session").await;
    let publication = json!({"to": {"group": "staff"}, "frame": {"n": 1}});
    gateway.api().publish(&publication).await;
    socket.expect_frame(r#"{"n":1}"#).await;
    assert_eq!(django.auth_calls().len(), 2, "nobody was asked for ann");
    visits(&gateway, "bobs-session")
        .await
        .expect_nothing()
        .await;
    assert_eq!(django.auth_calls().len(), 3, "bob was revoked");
    gateway.stop().await;

    let mut forged = written.clone();
    *forged.last_mut().unwrap() ^= 1;
    for bytes in [
        &forged[..],
        &written[..40],
        b"",
        b"gatepost leases 1\n",
        &[0; 100],
    ] {
        let calls = django.auth_calls().len();
        let gateway = again(bytes).start().await;
        visits(&gateway, "anns-session")
            .await
            .expect_nothing()
            .await;
        assert_eq!(django.auth_calls().len(), calls + 1);
        gateway.stop().await;
    }
}

#[tokio::test]
async fn where_new_connections_get_frames_a_restart_asks_for_them() {
    let django = Django::start().await;
    django.says_of(
        "anns-session",
        &json!({"user": "1", "frames": [{"unread": 3}]}),
    );
    let gateway = Gateway::in_front_of(&django).start().await;
    opens_with_frame(&gateway).await;
    let written = stopped(gateway).await;
    let gateway = Gateway::in_front_of(&django)
        .file(".gatepost/leases", written)
        .start()
        .await;
    opens_with_frame(&gateway).await;
    assert_eq!(django.auth_calls().len(), 2);
    gateway.stop().await;
}

async fn opens_with_frame(gateway: &Gateway) {
    let mut socket = visits(gateway, "anns-session").await;
    socket.expect_frame(r#"{"unread":3}"#).await;
}

/// A lease is of one origin: each gateway is visited as if it had the same port.
async fn visits(gateway: &Gateway, session: &str) -> Socket {
    let browser = gateway.browser_of(session);
    let handshake = browser
        .handshake(NOTIFICATIONS)
        .with("Host", "localhost:8443")
        .origin("https://localhost:8443");
    handshake.send().await.unwrap()
}

/// What a gateway leaves behind.
async fn stopped(mut gateway: Gateway) -> Vec<u8> {
    let file = gateway.folder().join(".gatepost/leases");
    gateway.begin_to_stop().end().await;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    std::fs::read(file).unwrap()
}
