//! Clients that say all they have to say, end their half, and wait for the answer; and those that
//! really left.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::raw::Raw;
use crate::harness::{Answer, Browser, Django, Gate, Gateway, SECRET, eventually};

#[tokio::test]
async fn the_redirect_answers_who_has_ended_its_half() {
    let django = Django::start().await;
    let setup = Gateway::in_front_of(&django).set("server.http", "127.0.0.1:0");
    let gateway = setup.start().await;
    for _ in 0..20 {
        let mut raw = Raw::tcp(gateway.http()).await;
        raw.send("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        raw.finish().await;
        assert_eq!(raw.answer().await.status(), 307);
        raw.expect_end().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_publication_of_who_has_ended_its_half_is_taken_and_answered() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let body = json!({"to": {"everyone": true}, "frame": {}}).to_string();
    let head = format!(
        "POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {SECRET}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    for _ in 0..20 {
        let mut raw = Raw::tcp(gateway.addresses.internal.unwrap()).await;
        raw.send(format!("{head}{body}")).await;
        raw.finish().await;
        assert_eq!(raw.answer().await.status(), 202);
        raw.expect_end().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn over_tls_too_the_answer_comes_whole_when_django_took_its_time() {
    let django = Django::start().await;
    let gate = Gate::closed();
    django.answers("/slow/", Answer::huge(3_000_000).after(&gate));
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    let mut raw = browser.raw().await;
    let host = browser.host();
    raw.send(format!("GET /slow/ HTTP/1.1\r\nHost: {host}\r\n\r\n"))
        .await;
    raw.finish().await;
    eventually(Duration::from_secs(5), || !django.requests().is_empty()).await;
    gate.open();
    let answer = raw.answer().await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.body.bytes.len(), 3_000_000);
    raw.expect_end().await;
    gateway.stop().await;
}

#[tokio::test]
async fn one_that_ended_its_half_and_takes_nothing_is_gone_after_the_write_time() {
    let django = Django::start().await;
    let gate = Gate::closed();
    django.answers("/slow/", Answer::huge(10).after(&gate));
    let gateway = Gateway::in_front_of(&django)
        .set("limits.write_timeout", "200ms")
        .start()
        .await;
    let browser = gateway.browser();
    let mut raw = browser.raw().await;
    let host = browser.host();
    raw.send(format!("GET /slow/ HTTP/1.1\r\nHost: {host}\r\n\r\n"))
        .await;
    raw.finish().await;
    raw.expect_end().await;
    gate.open();
    gateway.stop().await;
}

/// What a client says that ends its half after so much of its body.
fn half_a_body(browser: &Browser, framing: &str, sent: &str) -> String {
    let host = browser.host();
    format!("POST /upload/ HTTP/1.1\r\nHost: {host}\r\n{framing}\r\n\r\n{sent}")
}

#[tokio::test]
async fn a_body_that_can_no_longer_come_is_malformed_at_once() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    let large = "x".repeat(40_000);
    let began = Instant::now();
    for (framing, sent) in [
        ("Content-Length: 100", "x"),
        ("Content-Length: 100", ""),
        ("Content-Length: 100000", &large),
        ("Transfer-Encoding: chunked", "1\r\nx\r\n"),
        ("Transfer-Encoding: chunked", "5\r\nx"),
    ] {
        let mut raw = browser.raw().await;
        raw.send(half_a_body(&browser, framing, sent)).await;
        raw.finish().await;
        assert_eq!(raw.answer().await.status(), 400, "{framing} {}", sent.len());
        raw.expect_end().await;
    }
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(django.requests().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn so_is_one_on_the_internal_listener_and_one_that_streams() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django)
        .set("buffering.unbuffered", vec!["/upload/"])
        .start()
        .await;
    let browser = gateway.browser();
    let began = Instant::now();
    let mut raw = browser.raw().await;
    let (framing, sent) = ("Content-Length: 100000", "x".repeat(70_000));
    raw.send(half_a_body(&browser, framing, &sent)).await;
    raw.finish().await;
    assert_eq!(raw.answer().await.status(), 400);

    let mut raw = Raw::tcp(gateway.addresses.internal.unwrap()).await;
    raw.send(format!(
        "POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {SECRET}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{\"to\":"
    ))
    .await;
    raw.finish().await;
    assert_eq!(raw.answer().await.status(), 400);
    assert!(began.elapsed() < Duration::from_secs(5));
    gateway.stop().await;
}

#[tokio::test]
async fn who_ends_its_half_behind_a_whole_body_is_answered() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    let large = "x".repeat(300_000);
    for _ in 0..10 {
        for (framing, sent) in [
            ("Content-Length: 1", "x"),
            ("Content-Length: 300000", &*large),
            (
                "Transfer-Encoding: chunked",
                "1\r\nx\r\n1\r\ny\r\n0\r\n\r\n",
            ),
        ] {
            let mut raw = browser.raw().await;
            raw.send(half_a_body(&browser, framing, sent)).await;
            raw.finish().await;
            assert_eq!(raw.answer().await.status(), 200, "{framing}");
            raw.expect_end().await;
        }
    }
    gateway.stop().await;
}
