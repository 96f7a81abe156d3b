//! What a collector gets of requests, and how they are sent.

use std::time::{Duration, Instant};

use http::Version;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::harness::collector::Collector;
use crate::harness::{
    Answer, Django, Gate, Gateway, PATIENCE, Process, eventually, eventually_some,
};

/// Sampled, and its trace's id is random.
const CLIENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03";
const NOT_SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
const COOKIE: &str = "c00kie9f2anns-session";
const QUERY: &str = "qu3ry7d1value";
const TOKEN: &str = "b34rer55token";

async fn django() -> Django {
    let django = Django::start().await;
    django.answers_everything(Answer::ok("x"));
    django
}

async fn counted(gateway: &Process, outcome: &str) -> f64 {
    let name = format!("gatepost_spans_total{{outcome=\"{outcome}\"}}");
    gateway.api().metric(&name).await
}

/// Waits until so many have come to this.
async fn counts(gateway: &Process, outcome: &str, least: f64) {
    let enough = async || (counted(gateway, outcome).await >= least).then_some(());
    eventually_some(PATIENCE, enough).await;
}

#[tokio::test]
async fn a_request_is_a_span_in_which_django_s_own_spans_are() {
    let (django, collector) = (django().await, Collector::start().await);
    let gateway = collector.gateway(Gateway::in_front_of(&django), &[]).await;
    for (version, path, spoken) in [
        (Version::HTTP_11, "/1/", "1.1"),
        (Version::HTTP_2, "/2/", "2"),
    ] {
        let browser = gateway.browser_of(COOKIE);
        let asked = browser.ask_over(version, &format!("{path}?next={QUERY}"));
        let asked = asked.header("traceparent", CLIENT);
        let asked = asked.header("authorization", &format!("Bearer {TOKEN}"));
        assert_eq!(asked.send().await.status, 200);

        let request = collector.request(path).await;
        assert_eq!(request.name, "GET");
        assert_eq!(request.trace, &CLIENT[3..35]);
        assert_eq!(request.parent, &CLIENT[36..52]);
        for (name, value) in [
            ("http.request.method", "GET"),
            ("http.response.status_code", "200"),
            ("network.protocol.version", spoken),
            ("server.address", "localhost"),
            ("url.scheme", "https"),
            ("gatepost.upstream", "django"),
        ] {
            assert_eq!(request.get(name), value, "{name}");
        }
        assert!(!request.is_error);
        assert_eq!(request.resource["service.name"], "gatepost");

        let call = collector.inside(&request, "GET").await;
        assert_eq!(call.kind, SpanKind::Client);
        assert_eq!(call.get("http.response.status_code"), "200");
        let sent = django.only_request_to(path);
        assert_eq!(sent.header("traceparent"), Some(call.place()));
        assert_eq!(call.flags, 3);
        assert_eq!(
            sent.header("x-request-id").as_deref(),
            Some(request.get("gatepost.request_id"))
        );
    }
    for secret in [COOKIE, QUERY, TOKEN] {
        assert!(!collector.text().contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn a_request_without_a_trace_begins_one() {
    let (django, collector) = (django().await, Collector::start().await);
    let name = ("OTEL_SERVICE_NAME", "edge of the shop");
    let gateway = collector
        .gateway(Gateway::in_front_of(&django), &[name])
        .await;
    gateway.browser().get("/").await;
    let request = collector.request("/").await;
    assert_eq!(request.parent, "");
    assert_eq!(request.resource["service.name"], name.1);
    let sent = django.only_request_to("/").header("traceparent").unwrap();
    assert_eq!(sent[3..35], request.trace);
}

#[tokio::test]
async fn what_is_not_sampled_is_not_sent_and_django_is_told_so() {
    let (django, collector) = (django().await, Collector::start().await);
    let gateway = collector.gateway(Gateway::in_front_of(&django), &[]).await;
    let browser = gateway.browser();
    let asked = browser.ask_over(Version::HTTP_11, "/unsampled/");
    asked.header("traceparent", NOT_SAMPLED).send().await;
    let sent = django
        .only_request_to("/unsampled/")
        .header("traceparent")
        .unwrap();
    assert_eq!((&sent[3..35], &sent[53..]), (&CLIENT[3..35], "00"));
    // Sent in order: when this one has come, the other would have.
    browser.get("/sampled/").await;
    collector.request("/sampled/").await;
    let paths: Vec<_> = collector
        .spans()
        .iter()
        .map(|span| span.get("url.path").to_owned())
        .collect();
    assert!(!paths.contains(&"/unsampled/".to_owned()), "{paths:?}");
}

#[tokio::test]
async fn an_upstream_that_fails_marks_its_call_and_the_request() {
    let (django, collector) = (django().await, Collector::start().await);
    django.answers("/broken/", Answer::garbage());
    let gateway = collector.gateway(Gateway::in_front_of(&django), &[]).await;
    assert_eq!(gateway.browser().get("/broken/").await.status, 502);
    let request = collector.request("/broken/").await;
    assert_eq!((request.get("error.type"), request.is_error), ("502", true));
    let call = collector.inside(&request, "GET").await;
    assert_eq!(
        (call.get("error.type"), call.is_error),
        ("upstream_not_http", true)
    );
}

#[tokio::test]
async fn no_request_waits_for_a_collector_that_hangs_and_the_queue_has_an_end() {
    let (django, collector) = (django().await, Collector::start().await);
    let gate = Gate::closed();
    collector
        .server()
        .answers_everything(Answer::ok("").after(&gate));
    let queue = [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "4"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2"),
    ];
    let gateway = collector
        .gateway(Gateway::in_front_of(&django), &queue)
        .await;
    let browser = gateway.browser();
    browser.get("/first/").await;
    eventually(PATIENCE, || collector.server().under_way("/v1/traces") == 1).await;
    for _ in 0..10 {
        assert_eq!(browser.get("/").await.status, 200);
    }
    counts(&gateway, "dropped", 10.0).await;
    assert!(counted(&gateway, "exported").await < 1.0);
    gate.open();
    counts(&gateway, "exported", 2.0).await;
}

#[tokio::test]
async fn a_collector_that_is_away_is_said_once_and_counted() {
    let (django, collector) = (django().await, Collector::start().await);
    collector
        .server()
        .answers_everything(Answer::status(400, QUERY));
    let gateway = collector.gateway(Gateway::in_front_of(&django), &[]).await;
    let browser = gateway.browser();
    for least in [1.0, 2.0, 3.0] {
        browser.get("/").await;
        counts(&gateway, "failed", least).await;
    }
    let log = gateway.log();
    let said: Vec<_> = log
        .lines()
        .filter(|line| line.contains("spans could not be sent"))
        .collect();
    assert_eq!(said.len(), 1, "{log}");
    assert!(said[0].contains("400") && !log.contains(QUERY), "{log}");
}

#[tokio::test]
async fn the_last_spans_are_sent_at_the_end_and_not_waited_for_too_long() {
    let (django, collector) = (django().await, Collector::start().await);
    let late = [("OTEL_BSP_SCHEDULE_DELAY", "600000")];
    let gateway = collector
        .gateway(Gateway::in_front_of(&django), &late)
        .await;
    gateway.browser().get("/last/").await;
    assert!(collector.spans().is_empty());
    gateway.terminate();
    assert!(gateway.exit().await.success());
    assert!(
        collector
            .spans()
            .iter()
            .any(|span| span.get("url.path") == "/last/")
    );

    let gate = Gate::closed();
    collector
        .server()
        .answers_everything(Answer::ok("").after(&gate));
    let gateway = collector
        .gateway(Gateway::in_front_of(&django), &late)
        .await;
    gateway.browser().get("/lost/").await;
    let told = Instant::now();
    gateway.terminate();
    assert!(gateway.exit().await.success());
    assert!(
        told.elapsed() < Duration::from_secs(8),
        "{:?}",
        told.elapsed()
    );
    assert!(gateway.log().contains("the last spans were not sent"));
}

#[tokio::test]
async fn a_reload_keeps_the_way_to_the_collector() {
    let (django, collector) = (django().await, Collector::start().await);
    let gateway = collector.gateway(Gateway::in_front_of(&django), &[]).await;
    assert_eq!(gateway.api().post("/v1/reload", "").await.status(), 200);
    gateway.browser().get("/after/").await;
    collector.request("/after/").await;
}

#[tokio::test]
async fn where_no_collector_is_named_or_none_that_can_be_spoken_to_nothing_is_sent() {
    let (django, collector) = (django().await, Collector::start().await);
    let url = collector.server().url();
    for (name, value, said) in [
        ("OTEL_TRACES_EXPORTER", "none", None),
        ("OTEL_SDK_DISABLED", "true", None),
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "grpc",
            Some("http/protobuf alone"),
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "not a url",
            Some("spans cannot be sent"),
        ),
    ] {
        let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*url), (name, value)];
        let gateway = Process::start_knowing(Gateway::in_front_of(&django), &variables).await;
        let made = format!("/{name}/");
        assert_eq!(gateway.browser().get(&made).await.status, 200);
        gateway.terminate();
        assert!(gateway.exit().await.success());
        let log = gateway.log();
        let warnings: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
        match said {
            None => assert!(warnings.is_empty(), "{name}: {warnings:?}"),
            Some(said) => assert!(
                warnings.len() == 1 && warnings[0].contains(said),
                "{name}: {log}"
            ),
        }
    }
    assert!(collector.spans().is_empty());
}
