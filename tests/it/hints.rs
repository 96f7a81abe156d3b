//! What would be silent otherwise: the log and the pages name it, and say what to write.

use std::time::Duration;

use http::{Method, Version};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::{Answer, Django, Gateway, eventually};

const LIMIT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_websocket_without_a_route_is_named_in_the_log_and_in_pages() {
    let django = Django::start().await;
    django.answers("/page/", Answer::html("<!doctype html><p>page</p>"));
    let gateway = Gateway::in_front_of(&django).spawn().await;
    let browser = gateway.browser();
    let page = || {
        browser
            .ask_over(Version::HTTP_11, "/page/")
            .header("Sec-Fetch-Dest", "document")
    };
    assert!(!page().send().await.text().contains("Gatepost"));
    for path in ["/ws/chat/1/", "/ws/chat/2/"] {
        browser.handshake(path).refused().await;
    }
    eventually(LIMIT, || gateway.log().contains("/ws/chat/1/")).await;
    let log = gateway.log();
    for told in ["[[upstreams]] path = ", &django.url()] {
        assert!(log.contains(told), "{told} in {log}");
    }
    assert!(!log.contains("/ws/chat/2/"), "{log}");
    let shown = page().send().await.text();
    assert!(shown.contains("a WebSocket has no route"), "{shown}");
    assert!(shown.contains("/ws/chat/2/"), "{shown}");
}

#[tokio::test]
async fn a_foreign_page_puts_nothing_into_ours() {
    let django = Django::start().await;
    django.answers("/page/", Answer::html("<!doctype html><p>page</p>"));
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    let foreign = browser.handshake("/ws/x/").origin("https://evil.test");
    assert_eq!(foreign.refused().await.status(), 403);
    let page = browser
        .ask(Method::GET, "/page/")
        .header("Sec-Fetch-Dest", "document");
    assert!(!page.send().await.text().contains("Gatepost"));
    gateway.stop().await;
}

#[tokio::test]
async fn a_heartbeat_of_another_library_is_told_ours_and_the_first_is_logged() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django).spawn().await;
    let ann = gateway.browser_of("anns-session");
    for (message, told) in [
        ("ping", "a heartbeat is {\"type\":\"ping\"}"),
        (
            "{\"type\":\"heartbeat\"}",
            "a heartbeat is {\"type\":\"ping\"}",
        ),
        (
            "{\"secret\":\"hunter2\"}",
            "only {\"type\":\"ping\"} is taken",
        ),
    ] {
        let mut socket = ann.socket(NOTIFICATIONS).await;
        socket.send(message).await;
        let closed = socket.expect_close(1008).await;
        assert!(closed.reason.contains(told), "{closed:?}");
    }
    let mut socket = ann.socket(NOTIFICATIONS).await;
    socket
        .try_send(Message::Binary(vec![1].into()))
        .await
        .unwrap();
    socket.expect_close(1008).await;
    let said = |what: &str| gateway.log().matches(what).count();
    eventually(LIMIT, || said("binary messages") == 1).await;
    assert_eq!(said("a heartbeat is"), 1, "{}", gateway.log());
    assert_eq!(said("is taken here"), 1, "{}", gateway.log());
    assert!(!gateway.log().contains("hunter2"));
}

#[tokio::test]
async fn a_subprotocol_that_is_offered_is_named_once_and_never_shown() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django).spawn().await;
    let ann = gateway.browser_of("anns-session");
    for _ in 0..2 {
        let handshake = ann
            .handshake(NOTIFICATIONS)
            .protocol("access_token.hunter2");
        handshake.send_raw().await.unwrap();
    }
    eventually(LIMIT, || gateway.log().contains("subprotocol")).await;
    let log = gateway.log();
    assert_eq!(log.matches("offers a subprotocol").count(), 1, "{log}");
    assert!(
        log.contains("new WebSocket") && !log.contains("hunter2"),
        "{log}"
    );
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_logged_with_its_upstream_and_its_request() {
    let django = Django::start().await;
    django.answers("/short/", Answer::cut_short(1000, "abc"));
    let gateway = Gateway::in_front_of(&django).spawn().await;
    let browser = gateway.browser();
    let got = browser
        .ask_over(Version::HTTP_11, "/short/")
        .try_send()
        .await;
    assert!(got.is_err(), "{got:?}");
    let warning = "upstream broke off an answer";
    eventually(LIMIT, || gateway.log().contains(warning)).await;
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains(warning)).unwrap();
    assert!(line.contains("`django` at "), "{line}");
    assert!(line.contains("request_id"), "{line}");
}
