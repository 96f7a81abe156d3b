//! What once went wrong, or nearly did, and has no better place.

use std::time::Duration;

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::raw::frame;
use crate::harness::{Answer, Django, Gate, Gateway, PATIENCE, eventually, eventually_some, json};

/// An auth answer with frames of about 32 KiB in all, as bytes.
fn greeting(count: usize, size: usize) -> Answer {
    let frames: Vec<_> = (0..count)
        .map(|n| json!({"greeting": n, "fill": "x".repeat(size)}))
        .collect();
    Answer::json(&json!({"user": "42", "groups": [], "expires_at": null, "frames": frames}))
}

#[tokio::test]
async fn what_is_published_meanwhile_comes_after_the_whole_greeting() {
    let django = Django::start().await;
    django.judges_everybody(greeting(60, 1000));
    let gateway = Gateway::in_front_of(&django).spawn().await;
    let api = gateway.api();
    let publication = json!({"to": {"user": "42"}, "frame": {"published": true}});
    for _ in 0..10 {
        let ann = gateway.browser_of("anns-session");
        // From before the handshake until after it, so that some fall into its midst.
        let publishing = async {
            while api.publish(&publication).await["sockets"] == 0 {}
            for _ in 0..5 {
                api.publish(&publication).await;
            }
        };
        let (mut socket, ()) = tokio::join!(ann.socket(NOTIFICATIONS), publishing);
        for n in 0..60 {
            assert_eq!(socket.json().await["greeting"], n);
        }
        for _ in 0..6 {
            assert_eq!(socket.json().await["published"], true);
        }
        socket.close().await;
        api.connected("42", 0).await;
    }
}

#[tokio::test]
async fn a_greeting_may_be_larger_than_every_limit_of_delivery() {
    let django = Django::start().await;
    django.judges_everybody(greeting(1, 60_000));
    let gateway = Gateway::in_front_of(&django)
        .set("delivery.outbox_size", "4KiB")
        .set("limits.message_size", "1KiB")
        .start()
        .await;
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    assert_eq!(socket.json().await["greeting"], 0);
    socket.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_session_that_ends_in_ages_is_no_trouble() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    for end in ["32503680000", "253402300799.5", "1e15"] {
        let answer = format!(r#"{{"user":"42","groups":[],"expires_at":{end}}}"#);
        let answer = Answer::ok(answer).header("Content-Type", "application/json");
        django.judges_everybody(answer);
        let ann = gateway.browser_of("anns-session");
        ann.socket(NOTIFICATIONS).await.expect_nothing().await;
    }
    for end in ["1e300", "-1", "\"2030-01-01\""] {
        let answer = format!(r#"{{"user":"42","groups":[],"expires_at":{end}}}"#);
        let answer = Answer::ok(answer).header("Content-Type", "application/json");
        django.judges_everybody(answer);
        let ann = gateway.browser_of("anns-session");
        ann.socket(NOTIFICATIONS).await.expect_close(1011).await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn one_connection_too_many_gets_503_and_room_is_made_again() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let setup = Gateway::in_front_of(&django).set("limits.connections", 2);
    let gateway = setup.start().await;
    let ann = gateway.browser_of("anns-session");
    let first = ann.socket(NOTIFICATIONS).await;
    let mut second = ann.socket(NOTIFICATIONS).await;
    let refusal = ann.handshake(NOTIFICATIONS).refused().await;
    assert_eq!(refusal.status(), 503);
    assert!(refusal.header("retry-after").is_some(), "{refusal:?}");
    assert_eq!(
        django.auth_calls().len(),
        2,
        "Django is not asked for nothing"
    );
    first.close().await;
    gateway.api().connected("42", 1).await;
    ann.socket(NOTIFICATIONS).await.expect_nothing().await;
    second.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_frame_sent_along_with_the_handshake_is_not_lost() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = gateway.browser_of("anns-session");
    let ping = frame(0x81, br#"{"type":"ping","hasty":1}"#);
    let hasty = ann.handshake(NOTIFICATIONS).followed_by(ping);
    let mut socket = hasty.send().await.unwrap();
    socket.expect_frame(r#"{"type":"pong","hasty":1}"#).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_during_the_judgement_leaves_nothing_behind() {
    let django = Django::start().await;
    let gate = Gate::closed();
    django.judges_everybody(Answer::user("42").after(&gate));
    let gateway = Gateway::in_front_of(&django)
        .set("auth.timeout", "10s")
        .start()
        .await;
    let ann = gateway.browser_of("anns-session");
    for n in 1..=5 {
        let mut raw = ann.raw().await;
        raw.send(ann.handshake(NOTIFICATIONS).bytes()).await;
        eventually(PATIENCE, || django.auth_calls().len() == n).await;
        drop(raw);
    }
    gate.open();
    let socket = ann.socket(NOTIFICATIONS).await;
    gateway.api().connected("42", 1).await;
    eventually_some(PATIENCE, async || {
        let open = gateway.api().metric("gatepost_connections").await;
        ((open - 1.0).abs() < 0.1).then_some(())
    })
    .await;
    socket.close().await;
    gateway.api().connected("42", 0).await;
    assert_eq!(gateway.stop().await, 0);
}

#[tokio::test]
async fn a_crowd_that_comes_at_once_is_served_without_a_miss() {
    let django = Django::start().await;
    django.judges_everybody(Answer::user("42"));
    let setup = Gateway::in_front_of(&django)
        .set("auth.timeout", "10s")
        .set("limits.connections_per_user", 0);
    let gateway = setup.start().await;
    let browsers: Vec<_> = (0..150)
        .map(|n| gateway.browser_of(&format!("session-{}", n % 15)))
        .collect();
    let crowd = browsers.iter().map(|browser| browser.socket(NOTIFICATIONS));
    let mut crowd = futures_util::future::join_all(crowd).await;
    let publication = json!({"to": {"everyone": true}, "frame": {"n": 1}});
    assert_eq!(gateway.api().publish(&publication).await["sockets"], 150);
    for socket in &mut crowd {
        socket.expect_frame(r#"{"n":1}"#).await;
    }
    assert!(django.peak("/_gatepost/auth/") <= 8);
    drop(crowd);
    gateway.api().connected("42", 0).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_request_that_waits_for_django_is_answered_when_it_comes_up() {
    let django = Django::not_running().await;
    let setup = Gateway::in_front_of(&django).set("django.hold", "10s");
    let gateway = setup.start().await;
    let browser = gateway.browser();
    let waiting = browser.post("/form/", "text/plain", "kept");
    let django_starts = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        django.listen();
    };
    let (page, ()) = tokio::join!(waiting, django_starts);
    assert_eq!(page.status, 200);
    assert_eq!(page.json()["body"], "kept");
    assert_eq!(django.requests().len(), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn a_large_batch_is_no_fault_of_a_client_that_reads() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django).spawn().await;
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let lines: Vec<_> = (0..5000)
        .map(|n| json!({"to": {"user": "42"}, "frame": {"n": n}}).to_string())
        .collect();
    let body = lines.join("\n");
    let api = gateway.api();
    let answer = api.call(
        "POST",
        "/v1/publish",
        "application/x-ndjson",
        body.as_bytes(),
    );
    assert_eq!(answer.await.status(), 202);
    for n in 0..5000 {
        socket.expect_frame(&json!({"n": n}).to_string()).await;
    }
}

#[tokio::test]
async fn limits_of_requests_do_not_concern_open_sockets() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django)
        .set("limits.idle_timeout", "200ms")
        .set("limits.header_timeout", "200ms")
        .set("limits.body_timeout", "200ms")
        .set("limits.write_timeout", "200ms")
        .set("limits.upstream_timeout", "200ms")
        .set("delivery.ping", "1s")
        .start()
        .await;
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    for _ in 0..2 {
        let ping = socket.control().await;
        assert!(ping.is_some_and(|message| message.is_ping()));
    }
    socket.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn of_several_djangos_one_may_be_down() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let dead = Django::not_running().await;
    let setup =
        Gateway::in_front_of(&django).set("django.upstream", vec![dead.url(), django.url()]);
    let gateway = setup.start().await;
    let ann = gateway.browser_of("anns-session");
    for _ in 0..6 {
        assert_eq!(ann.get("/").await.status, 200);
        ann.socket(NOTIFICATIONS).await.expect_nothing().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_request_that_failed_is_found_in_the_log_by_the_id_on_its_page() {
    let django = Django::start().await;
    django.answers("/crash/", Answer::reset());
    let setup = Gateway::in_front_of(&django).set("server.mode", "production");
    let gateway = setup.spawn().await;
    let page = gateway.browser().get("/crash/?token=t0ken").await;
    assert_eq!(page.status, 502);
    let id = page.header("x-request-id").unwrap();
    assert!(!page.text().contains(&django.address().to_string()));
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains(&id)).unwrap_or(&log);
    assert!(line.contains("was not answered"), "{line}");
    assert!(line.contains(&django.address().to_string()), "{line}");
    assert!(!log.contains("t0ken"), "{log}");
}
