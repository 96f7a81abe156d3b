//! What a collector gets of handshakes, and of the calls that ask Django about them.

use futures_util::future::join_all;
use http::Version;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::harness::collector::{Collector, ReceivedSpan};
use crate::harness::events::{Events, asking};
use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::{Answer, Django, Gateway};

const CLIENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const COOKIE: &str = "c00kie9f2anns-session";
const USER: &str = "us3r-ann-4711";

#[tokio::test]
async fn a_handshake_is_inside_of_its_request_and_the_call_about_it_inside_of_that() {
    let (django, collector) = (Django::start().await, Collector::start().await);
    django.signs_in(COOKIE, USER);
    let gateway = collector.gateway(Gateway::in_front_of(&django), &[]).await;
    let ann = gateway.browser_of(COOKIE);
    let handshake = ann.handshake(NOTIFICATIONS).with("traceparent", CLIENT);
    let socket = handshake.send().await.unwrap();

    // It has ended, though the socket has not.
    let request = collector.request(NOTIFICATIONS).await;
    assert_eq!(request.name, format!("GET {NOTIFICATIONS}"));
    assert_eq!(request.parent, &CLIENT[36..52]);
    assert_eq!(request.get("http.route"), NOTIFICATIONS);
    assert_eq!(request.get("http.response.status_code"), "101");
    let handshake = collector.inside(&request, "handshake").await;
    assert_eq!(handshake.get("gatepost.outcome"), "accepted");
    let call = collector.inside(&handshake, "auth call").await;
    assert_eq!(
        (call.kind, call.get("gatepost.outcome")),
        (SpanKind::Client, "user")
    );
    let asked = django.only_auth_call();
    assert_eq!(asked.header("traceparent"), Some(call.place()));
    for secret in [COOKIE, USER] {
        assert!(!collector.text().contains(secret), "{secret}");
    }
    drop(socket);
}

#[tokio::test]
async fn what_becomes_of_a_handshake_is_said_after_its_101_too() {
    let (django, collector) = (Django::start().await, Collector::start().await);
    let at_once = Gateway::in_front_of(&django).set("auth.accept_after", "0s");
    let gateway = collector.gateway(at_once, &[]).await;
    for (session, answer, outcome, code) in [
        ("nobody", Answer::anonymous(), "anonymous", "4001"),
        ("broken", Answer::status(500, "x"), "unreachable", "1013"),
    ] {
        django.judges(session, answer);
        let browser = gateway.browser_of(session);
        let mut socket = browser.socket(NOTIFICATIONS).await;
        socket.expect_close(code.parse().unwrap()).await;
        let is_it = |span: &ReceivedSpan| {
            span.name == "handshake" && span.get("gatepost.close_code") == code
        };
        let handshake = collector.span(is_it).await;
        assert_eq!(handshake.get("gatepost.outcome"), "closed");
        let call = collector.inside(&handshake, "auth call").await;
        assert_eq!(call.get("gatepost.outcome"), outcome);
        assert_eq!(call.is_error, outcome == "unreachable");
    }
}

#[tokio::test]
async fn a_batch_names_the_handshakes_that_it_is_about() {
    let (django, collector) = (Django::start().await, Collector::start().await);
    django.judges_batches();
    let setup = Gateway::in_front_of(&django).set("limits.handshakes_per_address", "1000/s");
    let gateway = collector.gateway(setup, &[]).await;
    let sessions: Vec<_> = (0..40).map(|number| format!("session-{number}")).collect();
    for session in &sessions {
        django.signs_in(session, USER);
    }
    let browsers: Vec<_> = sessions
        .iter()
        .map(|session| gateway.browser_of(session))
        .collect();
    let sockets = join_all(browsers.iter().map(|browser| browser.socket(NOTIFICATIONS))).await;
    let batch = collector.span(|span| span.name == "auth batch").await;
    assert_eq!((batch.kind, &*batch.parent), (SpanKind::Client, ""));
    assert_eq!(batch.get("gatepost.outcome"), "batch");
    assert_eq!(
        batch.get("gatepost.sessions"),
        batch.links.len().to_string()
    );
    let place = Some(batch.place());
    assert!(
        django
            .batch_calls()
            .iter()
            .any(|call| call.header("traceparent") == place)
    );
    for link in &batch.links {
        let handshake = collector.span(|span| span.id == *link).await;
        assert_eq!(handshake.name, "handshake");
    }
    drop(sockets);
}

#[tokio::test]
async fn the_span_of_a_stream_ends_with_its_head() {
    let (django, collector) = (Django::start().await, Collector::start().await);
    django.signs_in(COOKIE, USER);
    let gateway = collector.gateway(Gateway::in_front_of(&django), &[]).await;
    let ann = gateway.browser_of(COOKIE);
    let ask = asking(&ann, NOTIFICATIONS);
    let stream = Events::begin(&ann, Version::HTTP_2, ask).await;
    let stream = stream.unwrap_or_else(|page| panic!("{}", page.status));
    let request = collector.request(NOTIFICATIONS).await;
    assert_eq!(request.get("http.response.status_code"), "200");
    collector.inside(&request, "handshake").await;
    drop(stream);
}
