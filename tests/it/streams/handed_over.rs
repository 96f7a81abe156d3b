//! Responses that Django began, and the gateway goes on with.

use std::time::Duration;

use http::{Method, Version};
use serde_json::{Value, json};

use crate::harness::browser::Ask;
use crate::harness::events::Events;
use crate::harness::hand_over::HandOver;
use crate::harness::token::now_ms;
use crate::harness::{Answer, Browser, Django, Gate, Gateway, PATIENCE, eventually};

const EVENTS: &str = "/jobs/7/events/";
const JOB: &str = "shop.job:7";

async fn stage() -> (Django, Gateway, Browser) {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = gateway.browser_of("anns-session");
    (django, gateway, ann)
}

fn of_ann() -> HandOver {
    HandOver::of(&[JOB]).for_session("42", "anns-session")
}

fn asking(browser: &Browser) -> Ask<'_> {
    browser.ask(Method::GET, EVENTS)
}

async fn events(browser: &Browser) -> Events {
    let begun = Events::begin(browser, Version::HTTP_11, asking(browser)).await;
    begun.unwrap_or_else(|page| panic!("no events, but {page:?}"))
}

async fn publish(gateway: &Gateway, publication: Value) -> u64 {
    let receipt = gateway.api().publish(&publication).await;
    receipt["sockets"].as_u64().unwrap()
}

/// A moment, as Django writes it.
fn soon() -> Value {
    json!(Duration::from_millis(now_ms() + 1500).as_secs_f64())
}

#[tokio::test]
async fn django_is_done_and_the_gateway_goes_on() {
    let (django, gateway, ann) = stage().await;
    let first = json!([{"text": "<progress value=0>", "event": "progress"}, {"frame": {"n": 0}}]);
    let said = of_ann()
        .with("first", first)
        .field("Set-Cookie", "seen=1; Path=/")
        .field("Content-Security-Policy", "default-src 'self'")
        .field("ETag", "\"x\"");
    django.answers(EVENTS, said.answer());
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mut events = Events::begin(&ann, version, asking(&ann)).await.unwrap();
        assert_eq!(django.under_way(EVENTS), 0);
        assert_eq!(events.header("content-type"), Some("text/event-stream"));
        assert_eq!(events.header("cache-control"), Some("no-store"));
        assert_eq!(events.header("set-cookie"), Some("seen=1; Path=/"));
        let policy = events.header("content-security-policy");
        assert_eq!(policy, Some("default-src 'self'"));
        for gone in [
            "gatepost-stream",
            "content-length",
            "content-encoding",
            "etag",
        ] {
            assert_eq!(events.header(gone), None, "{gone}");
        }
        let progress = events.next().await.unwrap();
        assert_eq!(progress.name.as_deref(), Some("progress"));
        assert_eq!(progress.data.as_deref(), Some("<progress value=0>"));
        assert_eq!(events.data().await, r#"{"n":0}"#);

        // It hears its topics and nothing else.
        let everyone = json!({"to": {"everyone": true}, "frame": 1});
        assert_eq!(publish(&gateway, everyone).await, 0);
        assert_eq!(
            publish(&gateway, json!({"to": {"user": "42"}, "frame": 1})).await,
            0
        );
        let half =
            json!({"to": {"topic": JOB}, "text": "<progress value=.5>", "event": "progress"});
        assert_eq!(publish(&gateway, half).await, 1);
        let progress = events.next().await.unwrap();
        assert!(progress.id.is_some());
        assert_eq!(progress.data.as_deref(), Some("<progress value=.5>"));

        let listed = gateway.api().connected("42", 1).await;
        assert_eq!(listed[0]["transport"], "sse");
        assert_eq!(listed[0]["socket"], EVENTS);
        assert_eq!(listed[0]["topics"], json!([JOB]));

        let done = json!({"to": {"topic": JOB}, "text": "done", "end": true});
        assert_eq!(publish(&gateway, done).await, 1);
        assert_eq!(events.data().await, "done");
        let close = events.next().await.unwrap();
        assert_eq!(close.name.as_deref(), Some("close"));
        let data = close.data.unwrap();
        assert_eq!(data, r#"{"code":1000,"reason":"end"}"#);
        assert_eq!(events.next().await, None);
        gateway.api().connected("42", 0).await;
    }
    // The view was the judge.
    assert!(django.auth_calls().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn lines_of_json_are_one_value_each() {
    let (django, gateway, ann) = stage().await;
    let first = json!([{"text": "a\nb", "event": "x"}, {"frame": {"n": 0}}]);
    let said = of_ann().with("form", json!("ndjson")).with("first", first);
    django.answers(EVENTS, said.answer());
    let mut lines = events(&ann).await;
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    let position: Value = serde_json::from_str(&lines.line().await.unwrap()).unwrap();
    assert_eq!(position["control"], "position");
    let line = lines.line().await.unwrap();
    assert_eq!(line, r#"{"event":"x","text":"a\nb"}"#);
    assert_eq!(lines.line().await.unwrap(), r#"{"data":{"n":0}}"#);
    let pretty = format!(r#"{{"to":{{"topic":"{JOB}"}},"frame":{{{}"n":1}}}}"#, "\n");
    let receipt = gateway.api().publish_text(&pretty).await;
    let id = receipt["position"].as_str().unwrap();
    let line = lines.line().await.unwrap();
    let expected = format!(r#"{{"id":"{id}","topic":"{JOB}","data":{{ "n":1}}}}"#);
    assert_eq!(line, expected);
    gateway.api().revoke(&json!({"user": "42"})).await;
    let last = lines.line().await.unwrap();
    assert!(last.starts_with(r#"{"control":"close","code":"#), "{last}");
    assert_eq!(lines.line().await, None);
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_not_vouched_for_is_an_error_and_its_json_is_nobodys() {
    let (django, gateway, ann) = stage().await;
    let mut replayed = of_ann();
    replayed.request_id = Some("5b2f0e6c-0000002a".into());
    let mut elsewhere = of_ann();
    elsewhere.target = Some("/jobs/8/events/".into());
    let mut forged = of_ann();
    forged.secret = "somebody else's secret, 32 bytes long".into();
    let large = json!([{"text": "x".repeat(1024 * 1024)}]);
    let word = json!([{"frame": {"gatepost": "resync"}}]);
    let cases = [
        replayed,
        elsewhere,
        forged,
        of_ann().field("Gatepost-Stream", "v1,x"),
        of_ann().with("first", large),
        of_ann().with("first", word),
        of_ann().with("first", json!([{"text": "x", "event": "close"}])),
        of_ann().with("first", json!([{"text": "x", "frame": 1}])),
        of_ann().with("topics", json!(["not a topic"])),
        of_ann().with("form", json!("xml")),
        of_ann().with("session", json!("0".repeat(64))),
        HandOver::of(&[]).with("user", json!([])),
    ];
    for case in cases {
        django.answers(EVENTS, case.answer());
        let page = asking(&ann).send().await;
        assert_eq!(page.status, 502, "{page:?}");
        assert_eq!(page.json()["code"], "stream_refused");
        assert_eq!(page.header("gatepost-stream"), None);
        assert!(!page.text().contains(JOB), "{page:?}");
    }
    django.answers(EVENTS, Answer::ok("page").header("Gatepost-Stream", ""));
    assert_eq!(asking(&ann).send().await.status, 502);
    gateway.api().connected("42", 0).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_page_behind_the_same_middleware_keeps_the_turn_while_streams_are_open() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django)
        .set("django.concurrency", 1)
        .start()
        .await;
    let ann = gateway.browser_of("anns-session");
    django.answers(EVENTS, of_ann().answer());
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(events(&ann).await);
    }
    assert_eq!(ann.get("/page/").await.status, 200);
    for events in &mut open {
        publish(&gateway, json!({"to": {"topic": JOB}, "frame": 1})).await;
        assert_eq!(events.data().await, "1");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn it_ends_with_its_session() {
    let (django, gateway, ann) = stage().await;
    django.calls_its_cookie("sessionid; Path=/");
    django.answers(EVENTS, of_ann().answer());
    let mut events = events(&ann).await;
    let gone = "sessionid=\"\"; Path=/; Max-Age=0; expires=Thu, 01 Jan 1970 00:00:00 GMT";
    django.answers("/logout/", Answer::ok("bye").header("Set-Cookie", gone));
    ann.get("/logout/").await;
    let close = events.next().await.unwrap();
    assert_eq!(close.name.as_deref(), Some("close"));
    assert!(close.data.unwrap().starts_with(r#"{"code":4001,"#));
    assert_eq!(events.next().await, None);
    gateway.stop().await;
}

#[tokio::test]
async fn a_recheck_sends_the_browser_to_the_view_and_a_socket_stays() {
    let (django, gateway, ann) = stage().await;
    django.answers(EVENTS, of_ann().answer());
    let mut events = events(&ann).await;
    events.block().await.unwrap();
    let _socket = ann.socket(crate::harness::gateway::NOTIFICATIONS).await;
    let answered = gateway.api().post("/v1/recheck", r#"{"user":"42"}"#).await;
    assert_eq!(answered.json(), json!({"closed": 1}));
    let last = events.block().await.unwrap();
    assert!(last.retry.is_some() && last.data.is_none(), "{last:?}");
    assert_eq!(events.block().await, None);
    gateway.api().connected("42", 1).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_topic_that_is_revoked_is_the_end_of_a_stream_that_heard_nothing_else() {
    let (django, gateway, ann) = stage().await;
    django.answers(EVENTS, of_ann().answer());
    let mut one = events(&ann).await;
    django.answers(EVENTS, HandOver::of(&[JOB, "news"]).answer());
    let mut two = events(&ann).await;
    let later = json!({"topic": JOB, "at": now_ms(), "max_age": 60});
    gateway.api().revoke(&later).await;
    let lost = one.next().await.unwrap();
    assert_eq!(lost.name.as_deref(), Some("gatepost"));
    let close = one.next().await.unwrap();
    assert!(close.data.unwrap().starts_with(r#"{"code":4003,"#));
    assert_eq!(one.next().await, None);
    assert_eq!(two.next().await.unwrap().name.as_deref(), Some("gatepost"));
    assert_eq!(
        publish(&gateway, json!({"to": {"topic": "news"}, "frame": 1})).await,
        1
    );
    assert_eq!(two.data().await, "1");
    gateway.stop().await;
}

/// Django grants a stream when it is asked; what was taken away before its answer came is not granted by it.
#[tokio::test]
async fn what_is_revoked_while_django_answers_is_not_heard() {
    let (django, gateway, ann) = stage().await;
    let revocations = [
        (json!({"topic": JOB, "at": now_ms(), "max_age": 60}), 403),
        (json!({"user": "42", "code": 4001, "reason": "banned"}), 401),
    ];
    for (revocation, status) in revocations {
        let gate = Gate::closed();
        django.answers(EVENTS, of_ann().after(&gate).answer());
        let meanwhile = async {
            eventually(PATIENCE, || django.under_way(EVENTS) == 1).await;
            gateway.api().revoke(&revocation).await;
            gate.open();
        };
        let (page, ()) = tokio::join!(asking(&ann).send(), meanwhile);
        assert_eq!(page.status, status, "{page:?}");
        gateway.api().connected("42", 0).await;
    }
    // What Django says afterwards is newer.
    django.answers(EVENTS, of_ann().answer());
    let mut stream = events(&ann).await;
    assert_eq!(
        publish(&gateway, json!({"to": {"topic": JOB}, "frame": 1})).await,
        1
    );
    assert_eq!(stream.data().await, "1");
    gateway.stop().await;
}

#[tokio::test]
async fn a_view_says_until_when_and_a_user_may_have_no_session() {
    let (django, gateway, ann) = stage().await;
    let said = HandOver::of(&[JOB]).with("user", json!("42"));
    django.answers(EVENTS, said.clone().with("topics_expire", soon()).answer());
    let mut stream = events(&ann).await;
    stream.block().await.unwrap();
    let last = stream.block().await.unwrap();
    assert!(last.retry.is_some() && last.data.is_none(), "{last:?}");
    assert_eq!(stream.block().await, None);
    // Without a session Django's word of the user has an end of its own.
    django.answers(EVENTS, said.with("expires_at", soon()).answer());
    let mut stream = events(&ann).await;
    gateway.api().connected("42", 1).await;
    stream.block().await.unwrap();
    assert!(stream.block().await.unwrap().retry.is_some());
    gateway.stop().await;
}

#[tokio::test]
async fn visitors_count_where_visitors_do() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django)
        .set("limits.anonymous_per_address", 1)
        .start()
        .await;
    let visitor = gateway.browser();
    django.answers(EVENTS, HandOver::of(&[JOB]).answer());
    let mut stream = events(&visitor).await;
    let page = asking(&visitor).send().await;
    assert_eq!(page.status, 429);
    assert_eq!(
        publish(&gateway, json!({"to": {"topic": JOB}, "frame": 1})).await,
        1
    );
    assert_eq!(stream.data().await, "1");
    gateway.stop().await;
}

#[tokio::test]
async fn streams_end_with_the_gateway() {
    let (django, gateway, ann) = stage().await;
    django.answers(EVENTS, of_ann().answer());
    let mut stream = events(&ann).await;
    stream.block().await.unwrap();
    let left = tokio::time::timeout(Duration::from_secs(5), gateway.stop());
    assert_eq!(left.await.unwrap(), 0);
    assert!(stream.block().await.unwrap().retry.is_some());
    assert_eq!(stream.block().await, None);
}

#[tokio::test]
async fn a_post_is_handed_over_as_a_get_is_and_nothing_else() {
    let (django, gateway, ann) = stage().await;
    django.answers(EVENTS, of_ann().answer());
    let posted = ann
        .ask(Method::POST, EVENTS)
        .header("origin", &ann.origin())
        .body("a form");
    let mut stream = Events::begin(&ann, Version::HTTP_11, posted).await.unwrap();
    let said = json!({"to": {"topic": JOB}, "frame": 1});
    assert_eq!(publish(&gateway, said).await, 1);
    assert_eq!(stream.data().await, "1");
    // What Django refuses is a page as any other, whatever stands in it.
    let refused = Answer::status(403, "no").header("Gatepost-Stream", "v1,x");
    django.answers(EVENTS, refused);
    let page = asking(&ann).send().await;
    assert_eq!(page.status, 403);
    assert_eq!(page.text(), "no");
    assert_eq!(page.header("gatepost-stream"), None);
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_comes_back_gets_what_it_missed_or_is_told() {
    let (django, gateway, ann) = stage().await;
    let first = json!([{"text": "now", "event": "state"}]);
    let said = of_ann().with("topics", json!([JOB, "news"]));
    django.answers(EVENTS, said.clone().with("first", first).answer());
    let mut before = events(&ann).await;
    before.block().await.unwrap();
    assert_eq!(before.next().await.unwrap().data.as_deref(), Some("now"));
    let frame = |topic: &str, n: u64| json!({"to": {"topic": topic}, "frame": n});
    publish(&gateway, frame(JOB, 1)).await;
    let last = before.next().await.unwrap();
    assert_eq!(last.data.as_deref(), Some("1"));
    let id = last.id.unwrap();
    drop(before);
    gateway.api().connected("42", 0).await;
    publish(&gateway, frame("news", 2)).await;
    publish(&gateway, frame("shop.job:8", 3)).await;
    publish(&gateway, frame(JOB, 4)).await;

    // By the field that browsers send, or by what a page knows, of which the field counts.
    let query = |position: &str| format!("{EVENTS}?position={position}");
    let comes_back = [
        asking(&ann).header("last-event-id", &id),
        ann.ask(Method::GET, &query(&id)),
        ann.ask(Method::GET, &query("5b2f0e6c.1"))
            .header("last-event-id", &id),
    ];
    for (count, ask) in comes_back.into_iter().enumerate() {
        let mut stream = Events::begin(&ann, Version::HTTP_11, ask).await.unwrap();
        let begin = stream.block().await.unwrap();
        assert_eq!(begin.id.as_deref(), Some(&*id));
        assert_eq!(stream.next().await.unwrap().name.as_deref(), Some("state"));
        assert_eq!(stream.data().await, "2");
        assert_eq!(stream.data().await, "4");
        for n in 5..5 + count as u64 {
            assert_eq!(stream.data().await, n.to_string());
        }
        let next = 5 + count as u64;
        assert_eq!(publish(&gateway, frame(JOB, next)).await, 1);
        assert_eq!(stream.data().await, next.to_string());
        drop(stream);
        gateway.api().connected("42", 0).await;
    }

    let ask = asking(&ann).header("last-event-id", "5b2f0e6c.1");
    let mut strange = Events::begin(&ann, Version::HTTP_11, ask).await.unwrap();
    let word = strange.next().await.unwrap();
    assert_eq!(word.data.as_deref(), Some(r#"{"gatepost":"resync"}"#));
    assert_eq!(strange.data().await, "now");
    publish(&gateway, frame("news", 8)).await;
    assert_eq!(strange.data().await, "8");
    drop(strange);

    // The end may be among it.
    gateway.api().connected("42", 0).await;
    publish(
        &gateway,
        json!({"to": {"topic": JOB}, "frame": 9, "end": true}),
    )
    .await;
    let ask = asking(&ann).header("last-event-id", &id);
    let mut over = Events::begin(&ann, Version::HTTP_11, ask).await.unwrap();
    assert_eq!(over.data().await, "now");
    for n in ["2", "4", "5", "6", "7", "8", "9"] {
        assert_eq!(over.data().await, n);
    }
    let close = over.next().await.unwrap();
    assert_eq!(
        close.data.as_deref(),
        Some(r#"{"code":1000,"reason":"end"}"#)
    );
    assert_eq!(over.next().await, None);
    for (outcome, expected) in [("recovered", 4), ("lost", 1)] {
        let name = format!(r#"gatepost_resumes_total{{outcome="{outcome}"}}"#);
        let counted = gateway.api().metric(&name).await;
        assert!(
            (counted - f64::from(expected)).abs() < 0.5,
            "{name} is {counted}"
        );
    }
    gateway.stop().await;
}
