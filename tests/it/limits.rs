//! What a crowd, a greedy client and a client that loops get.

use std::time::{Duration, Instant};

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::raw::{frame, has_close};
use crate::harness::{Browser, Django, Gateway, PATIENCE, eventually_some, json};

const FULL: &str = r#"gatepost_handshakes_total{outcome="address_full"}"#;
const FAST: &str = r#"gatepost_handshakes_total{outcome="too_fast"}"#;
const CROWDED: &str = r#"gatepost_handshakes_total{outcome="user_full"}"#;

/// How long a handshake of this browser waits for its close 4001.
async fn turned_away(browser: &Browser) -> Duration {
    let mut socket = browser.socket(NOTIFICATIONS).await;
    let opened = Instant::now();
    socket.expect_close(4001).await;
    opened.elapsed()
}

#[tokio::test]
async fn a_user_has_no_more_connections_than_allowed_and_others_are_not_concerned() {
    let django = Django::start().await;
    django.signs_in("phone", "42");
    django.signs_in("laptop", "42");
    django.signs_in("bobs", "7");
    let setup = Gateway::in_front_of(&django).set("limits.connections_per_user", 2);
    let gateway = setup.start().await;
    let (phone, laptop) = (gateway.browser_of("phone"), gateway.browser_of("laptop"));
    let first = phone.socket(NOTIFICATIONS).await;
    let mut second = laptop.socket(NOTIFICATIONS).await;

    let mut third = phone.socket(NOTIFICATIONS).await;
    let closed = third.expect_close(1008).await;
    assert_eq!(closed.reason, "too many connections");
    let bob = gateway.browser_of("bobs");
    bob.socket(NOTIFICATIONS).await.expect_nothing().await;
    second.expect_nothing().await;

    first.close().await;
    gateway.api().connected("42", 1).await;
    phone.socket(NOTIFICATIONS).await.expect_nothing().await;
    assert!(gateway.api().metric(CROWDED).await >= 1.0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_crowd_of_one_user_gets_exactly_as_many_connections_as_allowed() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let setup = Gateway::in_front_of(&django).set("limits.connections_per_user", 3);
    let gateway = setup.start().await;
    let ann = gateway.browser_of("anns-session");
    let crowd = (0..12).map(|_| ann.socket(NOTIFICATIONS));
    let sockets = futures_util::future::join_all(crowd).await;
    gateway.api().connected("42", 3).await;
    eventually_some(PATIENCE, async || {
        (gateway.api().metric(CROWDED).await >= 9.0).then_some(())
    })
    .await;
    assert_eq!(gateway.api().connections("42").await.len(), 3);
    drop(sockets);
    gateway.stop().await;
}

#[tokio::test]
async fn an_address_that_has_its_connections_gets_429_before_the_upgrade() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let setup = Gateway::in_front_of(&django).set("limits.connections_per_address", 2);
    let gateway = setup.start().await;
    let ann = gateway.browser_of("anns-session");
    let first = ann.socket(NOTIFICATIONS).await;
    let _second = ann.socket(NOTIFICATIONS).await;

    let refusal = gateway.browser().handshake(NOTIFICATIONS).refused().await;

    assert_eq!(refusal.status(), 429);
    assert_eq!(refusal.json()["code"], "address_full");
    assert_eq!(refusal.header("retry-after").unwrap(), "30");
    assert!(gateway.api().metric(FULL).await >= 1.0);
    first.close().await;
    gateway.api().connected("42", 1).await;
    ann.socket(NOTIFICATIONS).await.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn handshakes_that_come_too_fast_get_429_and_cost_django_nothing() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let setup = Gateway::in_front_of(&django).set("limits.handshakes_per_address", "1/s");
    let gateway = setup.start().await;
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;

    let refusal = eventually_some(PATIENCE, async || {
        ann.handshake(NOTIFICATIONS).send().await.err()
    })
    .await;

    assert_eq!(refusal.status(), 429);
    assert_eq!(refusal.json()["code"], "too_fast");
    assert_eq!(refusal.header("retry-after").unwrap(), "1");
    assert!(gateway.api().metric(FAST).await >= 1.0);
    let calls = django.auth_calls().len();
    ann.handshake(NOTIFICATIONS).refused().await;
    assert_eq!(django.auth_calls().len(), calls);
    // Pages are not handshakes, and the rate comes back.
    assert_eq!(ann.get("/page/").await.status, 200);
    eventually_some(PATIENCE, async || {
        ann.handshake(NOTIFICATIONS).send().await.ok()
    })
    .await;
    socket.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn without_limits_nobody_is_refused() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let setup = Gateway::in_front_of(&django)
        .set("limits.connections_per_user", 0)
        .set("limits.handshakes_per_address", "0/s");
    let gateway = setup.start().await;
    let ann = gateway.browser_of("anns-session");
    let crowd = (0..60).map(|_| ann.socket(NOTIFICATIONS));
    let sockets = futures_util::future::join_all(crowd).await;
    gateway.api().connected("42", 60).await;
    drop(sockets);
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_loops_on_4001_waits_longer_and_longer_and_nobody_else_does() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django).start().await;
    let (looping, other) = (gateway.browser(), gateway.browser_of("unknown"));
    for _ in 0..5 {
        turned_away(&looping).await;
    }
    assert!(gateway.api().metric("gatepost_slowed_total").await < 1.0);

    for expected in [250, 500, 1000] {
        let waited = turned_away(&looping).await;
        assert!(waited >= Duration::from_millis(expected - 50), "{waited:?}");
    }

    assert!(django.auth_calls().is_empty());
    assert!(gateway.api().metric("gatepost_slowed_total").await >= 3.0);
    turned_away(&other).await;
    let ann = gateway.browser_of("anns-session");
    ann.socket(NOTIFICATIONS).await.expect_nothing().await;
    assert!(gateway.api().metric("gatepost_slowed_total").await < 4.0);
    gateway.stop().await;
}

#[tokio::test]
async fn who_waits_for_a_close_holds_nothing_up() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let looping = gateway.browser();
    for _ in 0..5 {
        turned_away(&looping).await;
    }
    let crowd = (0..6).map(|_| looping.socket(NOTIFICATIONS));
    let mut crowd = futures_util::future::join_all(crowd).await;
    // One leaves before its close, the others wait for seconds when the gateway goes away.
    crowd.pop().unwrap().close().await;
    let began = Instant::now();
    let mut gateway = gateway;
    let stopping = gateway.begin_to_stop();
    for socket in &mut crowd {
        socket.closed().await;
    }
    assert_eq!(stopping.end().await, 0);
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn who_floods_while_its_close_is_waited_for_is_not_read() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let looping = gateway.browser();
    for _ in 0..6 {
        turned_away(&looping).await;
    }
    let handshake = looping.handshake(NOTIFICATIONS).send_raw().await;
    let (mut wire, _) = handshake.unwrap();
    let pings = frame(0x89, b"").repeat(1024);
    let (sent, said) = wire.flood(&pings, 64 * 1024).await;
    assert!(
        has_close(&said, 4001),
        "no close 4001 in {} bytes",
        said.len()
    );
    // Besides what was read, what the kernel and TLS hold.
    assert!(sent < 16 << 20, "{sent} bytes were taken");
    gateway.stop().await;
}

#[tokio::test]
async fn who_loops_with_a_session_that_has_ended_is_slowed_too() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let session = gateway.api().connected("42", 1).await[0]["session"].clone();
    let logout = json!({"session": session, "code": 4001, "reason": "logged out"});
    gateway.api().revoke(&logout).await;
    socket.expect_close(4001).await;
    let calls = django.auth_calls().len();

    for _ in 0..6 {
        turned_away(&ann).await;
    }

    assert!(gateway.api().metric("gatepost_slowed_total").await >= 1.0);
    assert_eq!(django.auth_calls().len(), calls);
    gateway.stop().await;
}
