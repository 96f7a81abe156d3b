//! Traces (W3C Trace Context): which one a request is a part of, as Django, the access log and the log have it.

use std::collections::HashSet;
use std::fs::read_to_string;

use http::Version;
use serde_json::Value;

use crate::harness::browser::Browser;
use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::{Answer, Django, Gateway, PATIENCE, Process, eventually_some};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const STATE: &str = "congo=t61rcWkgMzE";

fn parent() -> String {
    format!("00-{TRACE}-00f067aa0ba902b7-01")
}

async fn traced(django: &Django) -> Process {
    let setup = Gateway::in_front_of(django).set("log.access", "json");
    let setup = setup.set("log.access_file", "access.log");
    setup.set("log.level", "debug").spawn().await
}

async fn ask(browser: &Browser, version: Version, path: &str, fields: &[(&str, &str)]) {
    let mut asked = browser.ask_over(version, path);
    for (name, value) in fields {
        asked = asked.header(name, value);
    }
    assert_eq!(asked.send().await.status, 200);
}

/// The trace in a line of the access log.
async fn logged(gateway: &Process, path: &str) -> Value {
    eventually_some(PATIENCE, async || {
        let text = read_to_string(gateway.folder().join("access.log")).unwrap();
        let whole = text.lines().filter(|_| text.ends_with('\n'));
        let mut lines = whole.map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.find(|line| line["path"] == path)
    })
    .await["trace"]
        .clone()
}

/// The trace of a `traceparent`.
fn trace_of(parent: &str) -> &str {
    &parent[3..35]
}

#[tokio::test]
async fn a_client_s_trace_goes_on_and_its_baggage_does_not() {
    let django = Django::start().await;
    django.answers_everything(Answer::ok("x"));
    let gateway = traced(&django).await;
    for (version, path) in [(Version::HTTP_11, "/1/"), (Version::HTTP_2, "/2/")] {
        let parent = parent();
        let fields = [
            ("traceparent", &*parent),
            ("tracestate", STATE),
            ("baggage", "user=ann"),
        ];
        ask(&gateway.browser(), version, path, &fields).await;
        let sent = django.only_request_to(path);
        assert_eq!(sent.header("traceparent"), Some(parent));
        assert_eq!(sent.header("tracestate").as_deref(), Some(STATE));
        assert_eq!(sent.header("baggage"), None);
        assert_eq!(logged(&gateway, path).await, TRACE);
    }
}

#[tokio::test]
async fn where_there_is_none_that_is_valid_one_is_made() {
    let django = Django::start().await;
    django.answers_everything(Answer::ok("x"));
    let gateway = traced(&django).await;
    let browser = gateway.browser();
    let (valid, zero) = (
        parent(),
        format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
    );
    let cases: [&[(&str, &str)]; 4] = [
        &[],
        &[("traceparent", &zero)],
        &[("traceparent", &valid), ("traceparent", &valid)],
        &[("traceparent", "'; drop table")],
    ];
    let mut made = HashSet::new();
    for (number, fields) in cases.iter().enumerate() {
        let path = format!("/{number}/");
        let fields = [fields, &[("tracestate", STATE)][..]].concat();
        ask(&browser, Version::HTTP_11, &path, &fields).await;
        let sent = django.only_request_to(&path);
        let parent = sent.header("traceparent").unwrap();
        assert!(parent.len() == 55 && parent.ends_with("-01"), "{parent}");
        assert_eq!(sent.header("tracestate"), None);
        assert_eq!(logged(&gateway, &path).await, trace_of(&parent));
        made.insert(trace_of(&parent).to_owned());
    }
    assert!(
        made.len() == cases.len() && !made.contains(TRACE),
        "{made:?}"
    );

    let fields = [("traceparent", &*valid), ("connection", "traceparent")];
    ask(&browser, Version::HTTP_11, "/last/", &fields).await;
    let sent = django.only_request_to("/last/");
    assert_eq!(
        sent.header("traceparent"),
        Some(valid),
        "no client can take it away"
    );
}

#[tokio::test]
async fn the_call_about_a_handshake_is_in_the_handshake_s_trace() {
    let django = Django::start().await;
    django.signs_in("ann", "42");
    let gateway = traced(&django).await;
    let ann = gateway.browser_of("ann");
    let handshake = ann.handshake(NOTIFICATIONS).with("traceparent", &parent());
    let socket = handshake.send().await.unwrap();
    let call = django.only_auth_call();
    assert_eq!(call.header("traceparent"), Some(parent()));
    assert_eq!(logged(&gateway, NOTIFICATIONS).await, TRACE);
    drop(socket);
}

#[tokio::test]
async fn a_log_line_inside_of_a_request_names_its_trace() {
    let django = Django::start().await;
    django.answers("/broken/", Answer::garbage());
    let gateway = traced(&django).await;
    let browser = gateway.browser();
    let asked = browser.ask_over(Version::HTTP_11, "/broken/");
    asked.header("traceparent", &parent()).send().await;
    let line = eventually_some(PATIENCE, async || {
        let log = gateway.log();
        let line = log
            .lines()
            .find(|line| line.contains("request was not answered"))?;
        Some(line.to_owned())
    })
    .await;
    let line: Value = serde_json::from_str(&line).unwrap();
    let spans = line["spans"].as_array().unwrap();
    assert!(spans.iter().any(|span| span["trace"] == TRACE), "{line}");
}
