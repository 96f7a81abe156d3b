//! What a collector gets of publications: how far they got, not to whom, and not what they say.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::Value;

use crate::harness::collector::{Collector, ReceivedSpan};
use crate::harness::gateway::{NOTIFICATIONS, Setup};
use crate::harness::{Answer, Django, Gateway, json};

const VIEW: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const USER: &str = "us3r-ann-4711";
const TEXT: &str = "pr1vate-t3xt";
const OUTBOX: &str = "/_gatepost/outbox/";

fn publication() -> Value {
    json!({"to": {"user": USER}, "frame": {"text": TEXT}})
}

async fn stage() -> (Django, Collector) {
    let (django, collector) = (Django::start().await, Collector::start().await);
    django.signs_in("anns-session", USER);
    (django, collector)
}

/// The span of what was published from there.
async fn published(collector: &Collector, source: &str) -> ReceivedSpan {
    let is_it =
        |span: &ReceivedSpan| span.name == "publish" && span.get("gatepost.source") == source;
    collector.span(is_it).await
}

fn assert_counts(span: &ReceivedSpan, counts: [(&str, &str); 5]) {
    for (name, count) in counts {
        assert_eq!(span.get(&format!("gatepost.{name}")), count, "{name}");
    }
}

#[tokio::test]
async fn a_call_says_how_far_its_publications_got() {
    let (django, collector) = stage().await;
    let gateway = collector.gateway(Gateway::in_front_of(&django), &[]).await;
    let mut socket = gateway
        .browser_of("anns-session")
        .socket(NOTIFICATIONS)
        .await;
    let nobody = json!({"to": {"user": "nobody"}, "frame": 1});
    let again = json!({"id": "a", "to": {"user": USER}, "frame": 2});
    let lines = [
        publication(),
        nobody,
        again.clone(),
        again,
        json!({"to": 1}),
    ];
    let body = lines.map(|line| line.to_string()).join("\n");
    let traced = format!("application/x-ndjson\r\ntraceparent: {VIEW}");
    let answer = gateway
        .api()
        .call("POST", "/v1/publish", &traced, body.as_bytes())
        .await;
    assert_eq!(answer.status(), 202, "{}", answer.text());
    socket.frame().await;

    let span = published(&collector, "call").await;
    assert_eq!(span.kind, SpanKind::Server);
    assert_eq!((&*span.trace, &*span.parent), (&VIEW[3..35], &VIEW[36..52]));
    assert_counts(
        &span,
        [
            ("publications", "3"),
            ("duplicates", "1"),
            ("refused", "1"),
            ("sockets", "2"),
            ("offline", "1"),
        ],
    );
    for secret in [USER, TEXT] {
        assert!(!collector.text().contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn what_comes_on_an_answer_is_inside_of_its_request() {
    let (django, collector) = stage().await;
    let field = URL_SAFE_NO_PAD.encode(json!([publication()]).to_string());
    django.answers("/save/", Answer::ok("").header("Gatepost-Publish", &field));
    let gateway = collector.gateway(Gateway::in_front_of(&django), &[]).await;
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    ann.get("/save/").await;
    socket.frame().await;
    let request = collector.request("/save/").await;
    let span = collector.inside(&request, "publish").await;
    assert_eq!(span.get("gatepost.source"), "answer");
    assert_eq!(span.get("gatepost.sockets"), "1");
}

fn pulling(django: &Django) -> Setup {
    let item = json!({"seq": 1, "uid": "u1", "at": 1, "publication": publication()});
    django.rule(move |request| {
        let is_first = !request.target().contains("after=");
        let items = if request.target().contains("after=0") { vec![item.clone()] } else { vec![] };
        let next = i32::from(!is_first);
        let page = json!({"epoch": "e", "next": next, "uid": format!("u{next}"), "items": items, "more": is_first});
        (request.path() == OUTBOX).then(|| Answer::json(&page))
    });
    let setup = Gateway::in_front_of(django).set("outbox.url", OUTBOX);
    setup.set("outbox.settle", "0s").set("outbox.poll", "20ms")
}

#[tokio::test]
async fn a_page_of_the_transactional_outbox_is_a_trace_of_its_own() {
    let (django, collector) = stage().await;
    let gateway = collector.gateway(pulling(&django), &[]).await;
    let span = published(&collector, "outbox").await;
    assert_eq!((span.kind, &*span.parent), (SpanKind::Internal, ""));
    assert_eq!(span.get("gatepost.publications"), "1");
    assert_eq!(span.get("gatepost.offline"), "1");
    drop(gateway);
}
