//! Cookies and secrets pass through the gateway and stay nowhere: not in its log, not on its pages.

use http::Method;
use serde_json::Value;

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::{Answer, Django, Gateway, Process, SECRET, json};

const COOKIE: &str = "k3ksqz8mcookiek3ksqz8mcookie";
const FRESH_COOKIE: &str = "fresh5v1pcookiefresh5v1pcookie";
const TOKEN: &str = "t0ken9f2atokent0ken9f2atoken";

async fn busy_life(django: &Django, gateway: &Process) {
    let ann = gateway.browser_of(COOKIE).with_cookie("device", TOKEN);
    let api = gateway.api();
    let mut socket = ann.socket(NOTIFICATIONS).await;
    socket.expect_nothing().await;
    api.publish(&json!({"to": {"user": "42"}, "frame": {"text": TOKEN}}))
        .await;
    socket.frame().await;
    api.connections("42").await;
    for wrong in [
        api.clone().with_bearer(TOKEN),
        api.clone().signing_with(TOKEN),
    ] {
        let refused = wrong.post("/v1/publish", "{}").await;
        assert!(matches!(refused.status(), 401 | 403));
        assert!(!refused.text().contains(TOKEN));
    }
    let malformed = format!(r#"{{"to":{{"user":"42"}},"frame":{{"text":"{TOKEN}"}}"#);
    assert_eq!(api.post("/v1/publish", &malformed).await.status(), 400);
    let authorised = ann.ask(Method::POST, "/api/").body(TOKEN);
    authorised
        .header("authorization", &format!("Bearer {TOKEN}"))
        .header("x-csrftoken", TOKEN)
        .send()
        .await;
    let mut faults = vec![
        Answer::status(500, TOKEN),
        Answer::garbage(),
        Answer::reset(),
    ];
    faults.push(Answer::ok(format!(r#"{{"user":{{"x":"{TOKEN}"}}}}"#)));
    for fault in faults {
        django.judges_everybody(fault.header("Set-Cookie", &format!("sessionid={FRESH_COOKIE}")));
        let closed = gateway
            .browser_of(COOKIE)
            .socket(NOTIFICATIONS)
            .await
            .closed()
            .await;
        assert!(!closed.reason.contains(TOKEN), "{closed:?}");
    }
    for path in ["/bad\\path", "/a%00b", "/x/../y"] {
        let mut raw = ann.raw().await;
        let cookie = format!("Cookie: sessionid={COOKIE}\r\n");
        raw.send(format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\n{cookie}\r\n",
            ann.host()
        ))
        .await;
        raw.try_answer().await;
    }
    django.refuse().await;
    let page = ann.get("/").await;
    assert_eq!(page.status, 502);
    for secret in [COOKIE, TOKEN, SECRET] {
        assert!(!page.text().contains(secret), "{}", page.text());
    }
    let metrics = api.get("/metrics").await.text();
    for secret in [COOKIE, TOKEN, SECRET] {
        assert!(!metrics.contains(secret), "{metrics}");
    }
}

#[tokio::test]
async fn the_log_of_a_busy_life_holds_neither_cookie_nor_secret() {
    let django = Django::start().await;
    let answer = Answer::user("42").header("Set-Cookie", &format!("sessionid={FRESH_COOKIE}"));
    django.judges(COOKIE, answer);
    django.signs_in(FRESH_COOKIE, "42");
    let gateway = Gateway::in_front_of(&django)
        .set("auth.cookies", vec!["device"])
        .set("log.level", "debug")
        .set("log.access", "json")
        .spawn()
        .await;
    busy_life(&django, &gateway).await;
    gateway.terminate();
    assert_eq!(gateway.exit().await.code(), Some(0));
    let log = gateway.log();
    assert!(log.lines().count() > 10, "debug logs say something:\n{log}");
    for secret in [COOKIE, FRESH_COOKIE, TOKEN, SECRET] {
        let found = log.lines().find(|line| line.contains(secret));
        assert!(found.is_none(), "{found:?}");
    }
    for line in log.lines() {
        let json = serde_json::from_str::<Value>(line);
        assert!(json.is_ok(), "a line that is no JSON: {line}");
    }
}

#[tokio::test]
async fn a_log_line_cannot_be_forged() {
    let django = Django::start().await;
    let setup = Gateway::in_front_of(&django).set("log.level", "debug");
    let gateway = setup.set("log.access", "json").spawn().await;
    let browser = gateway.browser();
    let mut raw = browser.raw().await;
    let host = browser.host();
    raw.send(format!(
        "GET /%0d%0a%7b%22forged%22:1%7d?%1b[31m HTTP/1.1\r\nHost: {host}\r\n\
         User-Agent: \u{1b}[2J{{\"forged\":1}}\r\n\r\n"
    ))
    .await;
    raw.try_answer().await;
    gateway.terminate();
    gateway.exit().await;
    let log = gateway.log();
    for line in log.lines() {
        let json: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(json.get("forged").is_none(), "{line}");
        assert!(!line.contains('\u{1b}'), "{line:?}");
    }
}
