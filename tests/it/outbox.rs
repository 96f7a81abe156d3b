//! The transactional outbox, against a scripted Django: what the gateway makes of its answers.
//! `e2e/test_outbox.py` has the real Django, databases and processes that are killed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::api::Api;
use crate::harness::gateway::{NOTIFICATIONS, Setup};
use crate::harness::signature::assert_signed;
use crate::harness::socket::Socket;
use crate::harness::{Answer, Django, Gateway, PATIENCE, Process, eventually, eventually_some};

const OUTBOX: &str = "/_gatepost/outbox/";
const RESYNC: &str = r#"{"gatepost":"resync"}"#;

/// What Django has stored, and how it hands it out.
struct Outbox {
    django: Django,
    items: Arc<Mutex<Vec<Value>>>,
    /// What it answers first, whatever is asked.
    scripted: Arc<Mutex<VecDeque<Answer>>>,
    cursor: TempDir,
}

impl Outbox {
    async fn start() -> Self {
        let django = Django::start().await;
        django.signs_in("anns-session", "42");
        let items: Arc<Mutex<Vec<Value>>> = Arc::default();
        let scripted: Arc<Mutex<VecDeque<Answer>>> = Arc::default();
        let (stored, next) = (Arc::clone(&items), Arc::clone(&scripted));
        django.rule(move |request| {
            if request.path() != OUTBOX {
                return None;
            }
            let scripted = next.lock().unwrap().pop_front();
            Some(
                scripted.unwrap_or_else(|| page(&stored.lock().unwrap(), after(&request.target()))),
            )
        });
        let cursor = TempDir::new().unwrap();
        Self {
            django,
            items,
            scripted,
            cursor,
        }
    }

    /// A gateway that pulls when it is woken.
    fn gateway(&self) -> Setup {
        let cursor = self.cursor.path().join("cursor");
        Gateway::in_front_of(&self.django)
            .set("outbox.url", OUTBOX)
            .set("outbox.poll", "1h")
            .set("outbox.settle", "0s")
            .set("outbox.cursor", cursor.to_str().unwrap())
    }

    fn store(&self, seq: u64, kind: &str, body: &Value) {
        let item = json!({"seq": seq, "uid": format!("u{seq}"), "at": 1, kind: body});
        self.items.lock().unwrap().push(item);
    }

    fn publish(&self, seq: u64) {
        self.store(
            seq,
            "publication",
            &json!({"to": {"user": "42"}, "frame": seq}),
        );
    }

    /// The numbers that were asked for.
    fn asked(&self) -> Vec<Option<u64>> {
        let requests = self.django.requests_to(OUTBOX);
        requests.iter().map(|one| after(&one.target())).collect()
    }
}

fn after(target: &str) -> Option<u64> {
    let (_, rest) = target.split_once("after=")?;
    rest.split('&').next().unwrap().parse().ok()
}

fn page(items: &[Value], after: Option<u64>) -> Answer {
    let last = items.last().map_or(0, |item| item["seq"].as_u64().unwrap());
    let Some(after) = after else {
        return Answer::json(
            &json!({"epoch": "e", "next": 0, "uid": "", "items": [], "more": last > 0}),
        );
    };
    let left: Vec<_> = items
        .iter()
        .filter(|item| item["seq"].as_u64() > Some(after))
        .collect();
    let next = left
        .last()
        .map_or(after, |item| item["seq"].as_u64().unwrap());
    let uid = format!("u{next}");
    Answer::json(&json!({"epoch": "e", "next": next, "uid": uid, "items": left}))
}

#[expect(clippy::cast_possible_truncation, reason = "these metrics count")]
fn whole(metric: f64) -> i64 {
    metric as i64
}

async fn ann(gateway: &Gateway) -> Socket {
    let browser = gateway.browser_of("anns-session");
    let socket = browser.handshake(NOTIFICATIONS).send().await.unwrap();
    gateway.api().connected("42", 1).await;
    socket
}

async fn wake(gateway: &Gateway) {
    wake_by(&gateway.api()).await;
}

async fn wake_by(api: &Api) {
    let answer = api.post("/v1/wake", "{}").await;
    assert_eq!(answer.status(), 202, "{}", answer.text());
}

/// The gateway has begun, and waits.
async fn begun(outbox: &Outbox) {
    eventually(PATIENCE, || !outbox.asked().is_empty()).await;
}

#[tokio::test]
async fn what_is_stored_is_delivered_in_order_and_once() {
    let outbox = Outbox::start().await;
    let gateway = outbox.gateway().start().await;
    let mut ann = ann(&gateway).await;
    begun(&outbox).await;
    for seq in 1..=3 {
        outbox.publish(seq);
    }
    wake(&gateway).await;
    for seq in ["1", "2", "3"] {
        ann.expect_frame(seq).await;
    }
    outbox.publish(4);
    wake(&gateway).await;
    ann.expect_frame("4").await;
    ann.expect_nothing().await;
    assert_eq!(outbox.asked(), [None, Some(0), Some(3)]);
    let api = gateway.api();
    let published = "gatepost_outbox_items_total{outcome=\"published\"}";
    assert_eq!(whole(api.metric(published).await), 4);
    assert_eq!(whole(api.metric("gatepost_outbox_position").await), 4);
    assert!(api.metric("gatepost_outbox_lag_seconds").await > 1e6);
    gateway.stop().await;
}

#[tokio::test]
async fn a_new_program_pulls_on_while_the_old_one_still_has_sockets() {
    let outbox = Outbox::start().await;
    // Longer than this test: the old one is there to its end.
    let setup = outbox.gateway().set("limits.drain_timeout", "2m");
    let setup = setup.set("limits.drain_spread", "1m");
    let gateway = Process::start_replaceable(setup).await;
    let ann = gateway.browser_of("anns-session");
    let mut old = ann.socket(NOTIFICATIONS).await;
    begun(&outbox).await;
    outbox.publish(1);
    wake_by(&gateway.api()).await;
    old.expect_frame("1").await;

    gateway.upgrade().await;
    let mut new = ann.socket(NOTIFICATIONS).await;
    outbox.publish(2);
    wake_by(&gateway.api()).await;

    new.expect_frame("2").await;
    new.expect_nothing().await;
    let asked = outbox.asked();
    let of_each = asked.iter().filter(|after| **after == Some(0)).count();
    assert_eq!(of_each, 1, "nothing is pulled twice: {asked:?}");
}

#[tokio::test]
async fn the_pull_is_signed_and_names_the_origin() {
    let outbox = Outbox::start().await;
    let gateway = outbox.gateway().start().await;
    begun(&outbox).await;
    let request = outbox.django.requests_to(OUTBOX).remove(0);
    assert_eq!(request.method(), "GET");
    assert_eq!(request.header("host").unwrap(), "localhost");
    assert_eq!(request.header("x-forwarded-proto").unwrap(), "https");
    assert_signed(&request);
    assert_eq!(request.header("cookie"), None);
    gateway.stop().await;
}

#[tokio::test]
async fn a_gateway_without_an_outbox_says_so_to_who_wakes_it() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let answer = gateway.api().post("/v1/wake", "{}").await;
    assert_eq!(answer.status(), 409);
    assert!(answer.text().contains("[outbox]"), "{}", answer.text());
    let stranger = gateway.api().without_secret().post("/v1/wake", "{}").await;
    assert_eq!(stranger.status(), 401);
    gateway.stop().await;
}

#[tokio::test]
async fn an_item_that_makes_no_sense_is_in_nobodys_way() {
    let outbox = Outbox::start().await;
    let gateway = outbox.gateway().start().await;
    let mut ann = ann(&gateway).await;
    outbox.store(1, "publication", &json!({"to": "nobody"}));
    outbox.store(2, "telegram", &json!({}));
    outbox.store(3, "skipped", &json!("expired"));
    outbox.store(4, "revocation", &json!({"user": "42", "code": 1006}));
    outbox.publish(5);
    wake(&gateway).await;
    ann.expect_frame("5").await;
    let api = gateway.api();
    for (outcome, count) in [("refused", 2), ("unknown", 1), ("skipped", 1)] {
        let name = format!("gatepost_outbox_items_total{{outcome=\"{outcome}\"}}");
        assert_eq!(whole(api.metric(&name).await), count, "{outcome}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_stored_revocation_keeps_its_place() {
    let outbox = Outbox::start().await;
    let gateway = outbox.gateway().start().await;
    let mut ann = ann(&gateway).await;
    outbox.publish(1);
    outbox.store(2, "revocation", &json!({"user": "42", "reason": "banned"}));
    outbox.publish(3);
    wake(&gateway).await;
    ann.expect_frame("1").await;
    assert_eq!(ann.expect_close(4001).await.reason, "banned");
    gateway.stop().await;
}

#[tokio::test]
async fn missing_numbers_are_told_to_the_clients() {
    let outbox = Outbox::start().await;
    let gateway = outbox.gateway().start().await;
    let mut ann = ann(&gateway).await;
    outbox.publish(1);
    outbox.publish(3);
    wake(&gateway).await;
    for frame in ["1", RESYNC, "3"] {
        ann.expect_frame(frame).await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn where_django_cannot_go_on_the_clients_are_told_and_the_gateway_jumps() {
    let outbox = Outbox::start().await;
    let gateway = outbox.gateway().start().await;
    let mut ann = ann(&gateway).await;
    begun(&outbox).await;
    let reset =
        json!({"epoch": "f", "next": 7, "uid": "u7", "items": [], "reset": "another-epoch"});
    outbox
        .scripted
        .lock()
        .unwrap()
        .push_back(Answer::json(&reset));
    wake(&gateway).await;
    ann.expect_frame(RESYNC).await;
    outbox.publish(8);
    wake(&gateway).await;
    ann.expect_frame("8").await;
    assert_eq!(outbox.asked().last(), Some(&Some(7)));
    gateway.stop().await;
}

#[tokio::test]
async fn a_gateway_that_comes_back_goes_on_where_it_was_when_its_clients_are_back() {
    let outbox = Outbox::start().await;
    let gateway = outbox.gateway().start().await;
    begun(&outbox).await;
    outbox.publish(1);
    wake(&gateway).await;
    eventually_some(PATIENCE, async || {
        (whole(gateway.api().metric("gatepost_outbox_position").await) == 1).then_some(())
    })
    .await;
    gateway.stop().await;
    outbox.publish(2);

    let gateway = outbox.gateway().set("outbox.settle", "2s").start().await;
    let mut ann = ann(&gateway).await;
    ann.expect_frame("2").await;
    assert_eq!(outbox.asked().last(), Some(&Some(1)));
    gateway.stop().await;
}

#[tokio::test]
async fn a_django_that_fails_is_asked_again() {
    let outbox = Outbox::start().await;
    let answers = [
        Answer::status(503, "busy"),
        Answer::garbage(),
        Answer::ok("<html>"),
        Answer::redirect("/login/"),
    ];
    outbox.scripted.lock().unwrap().extend(answers);
    let gateway = outbox.gateway().set("outbox.poll", "10ms").start().await;
    let mut ann = ann(&gateway).await;
    outbox.publish(1);
    ann.expect_frame("1").await;
    gateway.stop().await;
}
