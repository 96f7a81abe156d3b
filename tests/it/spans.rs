//! At debug level each log line names the connection, the request and the socket that it is about.

use http::Version;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::{
    Answer, Django, Gate, Gateway, PATIENCE, Process, eventually, eventually_some, json,
};

const COOKIE: &str = "c00kie9f2anns-session";
const QUERY: &str = "qu3ry7d1value";

/// The first line with this message.
async fn line(gateway: &Process, message: &str) -> Value {
    eventually_some(PATIENCE, async || {
        let log = gateway.log();
        let mut lines = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["message"] == message)
    })
    .await
}

/// The span of this name around a line.
fn span<'a>(line: &'a Value, name: &str) -> &'a Value {
    let spans = line["spans"].as_array();
    let found = spans.and_then(|spans| spans.iter().find(|span| span["name"] == name));
    found.unwrap_or_else(|| panic!("no span `{name}` in {line}"))
}

async fn at_debug(django: &Django) -> Process {
    let setup = Gateway::in_front_of(django).set("log.level", "debug");
    setup.spawn().await
}

async fn ask(gateway: &Process, version: Version, path: &str) {
    let ann = gateway.browser_of(COOKIE);
    let path = format!("{path}?next={QUERY}");
    let asked = ann.ask_over(version, &path).try_send().await;
    drop(asked);
}

fn assert_nothing_leaked(gateway: &Process) {
    for secret in [COOKIE, QUERY] {
        let log = gateway.log();
        let found = log.lines().find(|line| line.contains(secret));
        assert!(found.is_none(), "{found:?}");
    }
}

#[tokio::test]
async fn a_warning_inside_of_a_request_names_request_upstream_and_connection() {
    let django = Django::start().await;
    django.answers("/broken/", Answer::garbage());
    let gateway = at_debug(&django).await;
    ask(&gateway, Version::HTTP_11, "/broken/").await;
    let warning = line(&gateway, "request was not answered").await;
    assert_eq!(warning["level"], "WARN");
    let request = span(&warning, "request");
    assert_eq!(request["request_id"], warning["request_id"]);
    assert_eq!(request["upstream"], "django");
    assert_eq!(request["method"], "GET");
    assert_eq!(request["path"], "/broken/");
    let connection = span(&warning, "connection");
    let peer = connection["peer"].as_str().unwrap();
    assert!(peer.starts_with("127.0.0.1:"), "{connection}");
    assert_eq!(connection["protocol"], "HTTP/1.1");
    assert!(connection["number"].is_u64(), "{connection}");
    assert_nothing_leaked(&gateway);
}

#[tokio::test]
async fn a_warning_inside_of_a_body_names_them_too_over_either_protocol() {
    let django = Django::start().await;
    django.answers("/short/", Answer::cut_short(100_000, "x"));
    for (version, spoken) in [(Version::HTTP_11, "HTTP/1.1"), (Version::HTTP_2, "HTTP/2")] {
        let gateway = at_debug(&django).await;
        ask(&gateway, version, "/short/").await;
        let warning = line(&gateway, "upstream broke off an answer").await;
        let request = span(&warning, "request");
        assert_eq!(request["request_id"], warning["request_id"]);
        assert_eq!(request["upstream"], "django");
        assert_eq!(span(&warning, "connection")["protocol"], spoken);
        assert_nothing_leaked(&gateway);
    }
}

#[tokio::test]
async fn an_answer_that_comes_when_its_browser_has_left_is_still_of_its_request() {
    let django = Django::start().await;
    let refused = Answer::ok("").header("Gatepost-Publish", "n0t-json");
    let gate = Gate::closed();
    django.answers("/slow/", refused.after(&gate));
    let gateway = at_debug(&django).await;
    let ann = gateway.browser_of(COOKIE);
    let mut raw = ann.raw().await;
    let host = ann.host();
    raw.send(format!("GET /slow/ HTTP/1.1\r\nHost: {host}\r\n\r\n"))
        .await;
    eventually(PATIENCE, || django.under_way("/slow/") == 1).await;
    drop(raw);
    gate.open();
    let refusal = line(
        &gateway,
        "refused what came on a response of Django; further ones at debug level",
    )
    .await;
    assert_eq!(span(&refusal, "request")["path"], "/slow/");
    assert_eq!(refusal["path"], "/slow/", "also where no span is shown");
}

#[tokio::test]
async fn what_a_websocket_logs_names_its_connection_and_its_user() {
    let django = Django::start().await;
    django.says_of(COOKIE, &json!({"user": "42", "name": "ann-by-name"}));
    let gateway = at_debug(&django).await;
    let ann = gateway.browser_of(COOKIE);
    let mut socket = ann.socket(NOTIFICATIONS).await;
    socket
        .try_send(Message::binary(b"x".to_vec()))
        .await
        .unwrap();
    socket.expect_close(1008).await;
    let end = line(&gateway, "connection ends").await;
    let of_socket = span(&end, "socket");
    assert_eq!(of_socket["user"], "42");
    assert_eq!(of_socket["connection"], end["connection"]);
    assert_eq!(span(&end, "request")["path"], NOTIFICATIONS);
    assert!(span(&end, "connection")["peer"].is_string());
    assert!(!gateway.log().contains("ann-by-name"));
    assert_nothing_leaked(&gateway);
}
