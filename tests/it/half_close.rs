//! Clients that say all they have to say, end their half, and wait for the answer; and those that
//! really left.

use std::time::Duration;

use serde_json::json;

use crate::harness::raw::Raw;
use crate::harness::{Answer, Django, Gate, Gateway, SECRET, eventually};

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
