//! What load balancers ask, and the time that they get to hear of an end.

use std::time::Duration;

use http::{Method, Version};

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::raw::Raw;
use crate::harness::{Django, Gateway, PATIENCE, eventually};

#[tokio::test]
async fn health_is_answered_at_every_listener_for_any_host() {
    let django = Django::start().await;
    let setup = Gateway::in_front_of(&django)
        .set("server.http", "127.0.0.1:0")
        .set("server.health", "/healthz");
    let gateway = setup.start().await;
    let browser = gateway.browser();
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let page = browser.ask_over(version, "/healthz?from=lb").send().await;
        assert_eq!((page.status.as_u16(), page.text()), (200, "ok".to_owned()));
        assert_eq!(page.header("cache-control").unwrap(), "no-store");
    }
    assert_eq!(
        browser.ask(Method::HEAD, "/healthz").send().await.status,
        200
    );
    assert_eq!(
        browser.ask(Method::POST, "/healthz").send().await.status,
        405
    );
    for request in [
        "GET /healthz HTTP/1.1\r\nHost: 10.1.2.3\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: evil.test\r\nX-Forwarded-Proto: http\r\n\r\n",
        "GET /healthz HTTP/1.0\r\n\r\n",
    ] {
        let mut raw = Raw::tcp(gateway.http()).await;
        raw.send(request).await;
        let answer = raw.answer().await;
        assert_eq!((answer.status(), answer.text()), (200, "ok".to_owned()));
    }
    assert!(django.requests().is_empty());
    // Anything else is Django's.
    browser.get("/healthz/").await;
    assert_eq!(django.requests().len(), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn health_says_so_before_the_first_connection_closes() {
    let django = Django::start().await;
    django.signs_in("anns-session", "ann");
    let setup = Gateway::in_front_of(&django)
        .set("server.health", "/healthz")
        .set("server.shutdown_delay", "1s");
    let mut gateway = setup.start().await;
    let browser = gateway.browser_of("anns-session");
    let mut socket = browser.socket(NOTIFICATIONS).await;
    let begun = std::time::Instant::now();
    let api = gateway.api();
    let stopping = gateway.begin_to_stop();
    loop {
        // New connections, too.
        match browser.get("/healthz").await.status.as_u16() {
            503 => break,
            other => assert_eq!(other, 200),
        }
    }
    assert_eq!(api.get("/ready").await.status(), 503);
    assert_eq!(browser.get("/").await.status, 200);
    assert!(begun.elapsed() < Duration::from_secs(1), "too slow to tell");
    assert_eq!(socket.closed().await.code, 1001);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    eventually(PATIENCE, || stopping.has_ended()).await;
    assert_eq!(stopping.end().await, 0);
    drop(gateway);
}
