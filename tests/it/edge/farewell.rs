//! A session that ends is silent at once, and its sockets close when the browser has the response that ends it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, Version};
use http_body_util::BodyExt;

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::{Answer, Browser, Django, Gateway, json};

const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];
const DELETED: &str = "sessionid=\"\"; Max-Age=0; Path=/";

/// A response that never comes to its end.
fn streams() -> Answer {
    Answer::stall_mid_body(100, "Logged")
}

/// How a response ends the session of its browser.
fn endings() -> [(&'static str, String); 2] {
    let revocation = json!([{"user": "42", "code": 4001, "reason": "logged out"}]).to_string();
    [
        ("Set-Cookie", DELETED.to_owned()),
        ("Gatepost-Revoke", URL_SAFE_NO_PAD.encode(revocation)),
    ]
}

async fn stage() -> (Django, Gateway) {
    let django = Django::start().await;
    django.calls_its_cookie("sessionid; Path=/");
    let gateway = Gateway::in_front_of(&django).start().await;
    (django, gateway)
}

/// A browser with a session of its own, all of the same user.
fn ann(django: &Django, gateway: &Gateway, session: &str) -> Browser {
    let session: String = session
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    django.signs_in(&session, "42");
    gateway.browser_of(&session)
}

#[tokio::test]
async fn while_the_response_is_on_its_way_sockets_are_silent_and_stay() {
    let (django, gateway) = stage().await;
    for version in BOTH {
        for (field, value) in endings() {
            django.answers("/logout/", streams().header(field, &value));
            let ann = ann(&django, &gateway, &format!("{version:?}{field}"));
            let mut tabs = [
                ann.socket(NOTIFICATIONS).await,
                ann.socket(NOTIFICATIONS).await,
            ];
            let mut link = ann.connect(version).await;
            let request = ann.ask_over(version, "/logout/").finish();
            let response = link.send(request).await.unwrap();
            let frame = json!({"to": {"user": "42"}, "frame": 1});
            assert_eq!(gateway.api().publish(&frame).await["sockets"], 0);
            for tab in &mut tabs {
                tab.expect_nothing().await;
            }
            if field == "Set-Cookie" {
                ann.socket(NOTIFICATIONS).await.expect_close(4001).await;
            }
            // The client leaves before the end.
            drop((response, link));
            for tab in &mut tabs {
                assert_eq!(tab.expect_close(4001).await.reason, "logged out");
            }
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_response_that_streams_on_does_not_keep_them_for_long() {
    let (django, gateway) = stage().await;
    django.answers("/logout/", streams().header("Set-Cookie", DELETED));
    for version in BOTH {
        let ann = ann(&django, &gateway, &format!("{version:?}"));
        let mut tab = ann.socket(NOTIFICATIONS).await;
        let mut link = ann.connect(version).await;
        let request = ann.ask_over(version, "/logout/").finish();
        let mut response = link.send(request).await.unwrap();
        response.frame().await.unwrap().unwrap();
        tab.expect_close(4001).await;
        let more = tokio::time::timeout(Duration::from_millis(1), response.frame()).await;
        assert!(more.is_err(), "the response has ended");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn whatever_the_response_is_they_close_behind_it() {
    let (django, gateway) = stage().await;
    for (method, answer) in [
        (Method::POST, Answer::ok("Logged out")),
        (Method::POST, Answer::chunks(["Logged", " out"])),
        (Method::HEAD, Answer::ok("Logged out")),
        (Method::GET, Answer::status(204, "")),
        (Method::GET, Answer::redirect("/")),
        (Method::GET, Answer::until_close("Logged out")),
    ] {
        django.answers("/logout/", answer.header("Set-Cookie", DELETED));
        for version in BOTH {
            let ann = ann(&django, &gateway, &format!("{version:?}{method}"));
            let mut tab = ann.socket(NOTIFICATIONS).await;
            let ask = ann.ask(method.clone(), "/logout/");
            let ask = if version == Version::HTTP_2 {
                ask.over_http2()
            } else {
                ask
            };
            ask.send().await;
            tab.expect_close(4001).await;
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_page_that_is_left_keeps_its_socket_until_the_next_page_is_there() {
    let (django, gateway) = stage().await;
    let logs_out = Answer::redirect("/bye/").header("Set-Cookie", DELETED);
    django.answers("/logout/", logs_out);
    for (field, value) in [
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-mode", "same-origin"),
        ("accept", "text/html,application/xhtml+xml"),
    ] {
        let ann = ann(&django, &gateway, &format!("{field}{value}"));
        let (mut left, mut other) = (
            ann.socket(NOTIFICATIONS).await,
            ann.socket(NOTIFICATIONS).await,
        );
        let ask = ann.ask(Method::POST, "/logout/").header(field, value);
        ask.send().await;
        left.expect_nothing().await;
        other.expect_nothing().await;
        left.close().await;
        other.expect_close(4001).await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn sockets_of_other_browsers_do_not_wait_for_a_response_that_is_not_theirs() {
    let (django, gateway) = stage().await;
    django.signs_in("bobs-session", "7");
    let revocation = json!([{"user": "42", "code": 4002}]).to_string();
    let answer = streams().header("Gatepost-Revoke", &URL_SAFE_NO_PAD.encode(revocation));
    django.answers("/ban/", answer);
    let (ann, bob) = (
        ann(&django, &gateway, "anns"),
        gateway.browser_of("bobs-session"),
    );
    let mut anns = ann.socket(NOTIFICATIONS).await;
    let mut bobs = bob.socket(NOTIFICATIONS).await;
    let mut link = bob.connect(Version::HTTP_11).await;
    let request = bob.ask_over(Version::HTTP_11, "/ban/").finish();
    let response = link.send(request).await.unwrap();
    anns.expect_close(4002).await;
    bobs.expect_nothing().await;
    drop(response);
    gateway.stop().await;
}

#[tokio::test]
async fn a_call_of_the_api_closes_at_once() {
    let (django, gateway) = stage().await;
    django.answers("/page/", streams());
    let ann = ann(&django, &gateway, "anns");
    let mut tab = ann.socket(NOTIFICATIONS).await;
    let mut link = ann.connect(Version::HTTP_11).await;
    let request = ann.ask_over(Version::HTTP_11, "/page/").finish();
    let mut response = link.send(request).await.unwrap();
    gateway.api().revoke(&json!({"user": "42"})).await;
    tab.expect_close(4001).await;
    response.frame().await.unwrap().unwrap();
    gateway.stop().await;
}
