//! Which cookie has the session: its name is what Django says, its value what Django reads.

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::server::Received;
use crate::harness::signature::session_digest;
use crate::harness::{Answer, Django, Gateway, json};

const NAMED: &str = "__Secure-sessionid";

/// A Django whose package says that its session cookie has another name, and knows Ann's.
async fn django() -> Django {
    let django = Django::start().await;
    django.calls_its_cookie("__Secure-sessionid; Path=/");
    django.judges_everybody(Answer::of_request(|request| {
        let session = request.cookie(NAMED);
        session.map_or_else(Answer::anonymous, |_| Answer::user("42"))
    }));
    django
}

#[tokio::test]
async fn a_page_has_told_the_name_before_its_socket_opens() {
    let django = django().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = gateway.browser().with_cookie(NAMED, "anns-session");
    ann.get("/").await;
    ann.socket(NOTIFICATIONS).await.expect_nothing().await;
    let call = django.only_auth_call();
    assert_eq!(
        call.header("cookie").unwrap(),
        "__Secure-sessionid=anns-session"
    );
    // Nobody else has it; the gateway knows that without Django.
    let bob = gateway.browser_of("sessionid-of-something-else");
    bob.socket(NOTIFICATIONS).await.expect_close(4001).await;
    assert_eq!(django.auth_calls().len(), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn a_socket_that_comes_first_is_judged_again_by_the_cookie_that_django_names() {
    // Before its 101, and on an open WebSocket.
    for patience in ["5s", "1ms"] {
        for other in ["csrftoken", "sessionid"] {
            let django = django().await;
            let gateway = Gateway::in_front_of(&django)
                .set("auth.accept_after", patience)
                .start()
                .await;
            let ann = gateway
                .browser()
                .with_cookie(other, "x")
                .with_cookie(NAMED, "anns-session");
            ann.socket(NOTIFICATIONS).await.expect_nothing().await;
            let session = |call: &Received| call.cookie(NAMED);
            let asked: Vec<_> = django.auth_calls().iter().map(session).collect();
            assert_eq!(asked, [None, Some("anns-session".to_owned())], "{other}");
            gateway.stop().await;
        }
    }
}

#[tokio::test]
async fn of_a_crowd_that_comes_first_nobody_has_to_come_back_and_strangers_log_in() {
    let django = django().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let open = |n: usize| {
        let browser = gateway.browser().with_cookie("csrftoken", "x");
        async move {
            if n == 0 {
                browser.socket(NOTIFICATIONS).await.expect_close(4001).await;
                return;
            }
            let browser = browser.with_cookie(NAMED, &format!("session-{n}"));
            browser.socket(NOTIFICATIONS).await.expect_nothing().await;
        }
    };
    futures_util::future::join_all((0..20).map(open)).await;
    let calls = django.auth_calls();
    let nameless = calls.iter().filter(|call| call.cookie(NAMED).is_none());
    assert_eq!((calls.len(), nameless.count()), (20, 1));
    gateway.stop().await;
}

#[tokio::test]
async fn after_a_restart_the_name_is_known_with_the_leases() {
    let django = django().await;
    let visits = async |gateway: &Gateway| {
        // A lease is of one origin: each gateway is visited as if it had the same port.
        let ann = gateway.browser().with_cookie(NAMED, "anns-session");
        let handshake = ann
            .handshake(NOTIFICATIONS)
            .with("Host", "localhost:8443")
            .origin("https://localhost:8443");
        let mut socket = handshake.send().await.unwrap();
        socket.expect_nothing().await;
    };
    let mut gateway = Gateway::in_front_of(&django).start().await;
    visits(&gateway).await;
    let calls = django.auth_calls().len();
    for _ in 0..2 {
        let file = gateway.folder().join(".gatepost/leases");
        gateway.begin_to_stop().end().await;
        let left = std::fs::read(file).unwrap();
        gateway = Gateway::in_front_of(&django)
            .file(".gatepost/leases", left)
            .start()
            .await;
        visits(&gateway).await;
        assert_eq!(django.auth_calls().len(), calls, "nothing is to be asked");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_name_from_before_the_restart_that_is_wrong_by_now_turns_nobody_away() {
    let old = django().await;
    let gateway = Gateway::in_front_of(&old).start().await;
    let ann = gateway.browser().with_cookie(NAMED, "anns-session");
    ann.socket(NOTIFICATIONS).await.expect_nothing().await;
    let mut gateway = gateway;
    let file = gateway.folder().join(".gatepost/leases");
    gateway.begin_to_stop().end().await;
    let left = std::fs::read(file).unwrap();

    // The project names another now, or has an auth view of its own, which names none.
    for said in [Some("sessionid; Path=/"), None] {
        let django = Django::start().await;
        if let Some(said) = said {
            django.calls_its_cookie(said);
        }
        django.signs_in("anns-session", "42");
        let gateway = Gateway::in_front_of(&django)
            .file(".gatepost/leases", &left[..])
            .start()
            .await;
        let ann = gateway
            .browser_of("anns-session")
            .with_cookie(NAMED, "an-old-one");
        ann.socket(NOTIFICATIONS).await.expect_nothing().await;
        gateway.stop().await;
    }
}

#[tokio::test]
async fn while_django_is_away_a_missing_cookie_does_not_mean_to_log_in() {
    let django = Django::not_running().await;
    let gateway = Gateway::in_front_of(&django)
        .set("django.hold", "0s")
        .start()
        .await;
    let ann = gateway.browser().with_cookie(NAMED, "anns-session");
    ann.socket(NOTIFICATIONS).await.expect_close(1013).await;
    gateway.stop().await;
}

#[tokio::test]
async fn where_gateway_toml_names_another_cookie_its_absence_is_a_diagnosis() {
    let django = django().await;
    let setup = Gateway::in_front_of(&django).set("django.session_cookie", "sessionid");
    let gateway = setup.start().await;
    gateway.browser().get("/").await;
    let ann = gateway.browser().with_cookie(NAMED, "anns-session");
    ann.socket(NOTIFICATIONS).await.expect_nothing().await;
    for stranger in [gateway.browser(), gateway.browser_of("old")] {
        let closed = stranger
            .socket(NOTIFICATIONS)
            .await
            .expect_close(1011)
            .await;
        assert_eq!(
            closed.reason,
            "gateway.toml calls the session cookie sessionid, Django __Secure-sessionid"
        );
    }
    let metrics = gateway.api().get("/metrics").await.text();
    assert!(
        metrics.contains(r#"gatepost_diagnoses_total{kind="cookie_name"} 2"#),
        "{metrics}"
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_value_in_quotes_is_the_session_that_django_reads() {
    let django = Django::start().await;
    django.calls_its_cookie("sessionid; Path=/");
    django.signs_in("\"gAAA-_==\"", "42");
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = gateway.browser_of("\"gAAA-_==\"");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    socket.expect_nothing().await;
    let call = django.only_auth_call();
    assert_eq!(call.header("cookie").unwrap(), "sessionid=\"gAAA-_==\"");
    let digest = session_digest("gAAA-_==");
    let publication = json!({"to": {"session": digest}, "frame": 1});
    gateway.api().publish(&publication).await;
    socket.expect_frame("1").await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_value_that_cannot_be_read_is_said() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    for value in [r#""a\012b""#, "caf\u{e9}"] {
        let mut socket = gateway.browser_of(value).socket(NOTIFICATIONS).await;
        let closed = socket.expect_close(1011).await;
        assert!(
            closed
                .reason
                .contains("bytes that a session cookie cannot have"),
            "{closed:?}"
        );
    }
    let large = gateway.browser_of(&"x".repeat(9000));
    large.socket(NOTIFICATIONS).await.expect_close(1011).await;
    assert!(django.auth_calls().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn nobody_is_kept_and_told_to_the_browser_where_the_view_takes_the_dead_session_away() {
    let django = Django::start().await;
    let deleted = "sessionid=\"\"; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/";
    for status in [200, 401] {
        let said = if status == 200 {
            Answer::anonymous()
        } else {
            Answer::status(401, "")
        };
        let session = format!("dead-{status}");
        django.judges(&session, said.header("Set-Cookie", deleted));
        let gateway = Gateway::in_front_of(&django)
            .set("auth.lease", "10s")
            .start()
            .await;
        let calls = django.auth_calls().len();
        let mut first = gateway.browser_of(&session).socket(NOTIFICATIONS).await;
        assert_eq!(first.response.head.all("set-cookie"), [deleted]);
        first.expect_close(4001).await;
        for _ in 0..4 {
            let mut socket = gateway.browser_of(&session).socket(NOTIFICATIONS).await;
            assert!(socket.response.head.all("set-cookie").is_empty());
            socket.expect_close(4001).await;
        }
        assert_eq!(django.auth_calls().len(), calls + 1);
        gateway.stop().await;
    }
}
