//! Where Django can do only so much at once, people who are logged in come first.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use http::Version;
use serde_json::json;

use crate::harness::gateway::{NOTIFICATIONS, Setup};
use crate::harness::server::Received;
use crate::harness::signature::session_digest;
use crate::harness::{
    Answer, Browser, Django, Gate, Gateway, PATIENCE, Page, eventually, eventually_some,
};

const TIMEOUTS: &str = r#"gatepost_queue_timeouts_total{kind="anonymous"}"#;
const WAITING: &str = r#"gatepost_queue_waiting{kind="anonymous"}"#;
const FULL: &str = r#"gatepost_refused_total{reason="queue_full"}"#;

/// A gateway in front of a Django with one worker, whose `/slow/` waits for the gate.
fn one_worker(django: &Django, gate: &Gate) -> Setup {
    django.answers("/slow/", Answer::ok("slow").after(gate));
    Gateway::in_front_of(django)
        .set("django.concurrency", 1)
        .set("django.queue", 2)
        .set("django.queue_timeout", "10s")
}

/// A request that is under way from here on.
fn begin(browser: Browser, path: &str) -> BoxFuture<'static, Page> {
    let path = path.to_owned();
    let sent = tokio::spawn(async move { browser.get(&path).await });
    async move { sent.await.unwrap() }.boxed()
}

async fn waiting(gateway: &Gateway, [known, anonymous]: [u64; 2]) {
    let api = gateway.api();
    eventually_some(PATIENCE, async || {
        let status = api.get("/ready").await.json();
        let waiting = &status["queue"]["waiting"];
        (waiting == &json!({"known": known, "anonymous": anonymous})).then_some(())
    })
    .await;
}

/// A request that has the only place.
async fn taken(django: &Django, gateway: &Gateway) -> BoxFuture<'static, Page> {
    let holds = begin(gateway.browser(), "/slow/");
    eventually(PATIENCE, || django.under_way("/slow/") == 1).await;
    holds
}

#[tokio::test]
async fn a_session_with_a_socket_comes_before_who_waited_longer_and_an_invented_one_does_not() {
    let (django, gate) = (Django::start().await, Gate::closed());
    django.signs_in("anns-session", "42");
    let gateway = one_worker(&django, &gate).start().await;
    let ann = gateway.browser_of("anns-session");
    let socket = ann.socket(NOTIFICATIONS).await;
    let holds = taken(&django, &gateway).await;
    let invented = begin(gateway.browser_of("invented"), "/invented/");
    waiting(&gateway, [0, 1]).await;
    let page = begin(gateway.browser_of("anns-session"), "/page/");
    waiting(&gateway, [1, 1]).await;
    assert!(gateway.api().metric(WAITING).await >= 1.0);
    gate.open();
    for page in join_all([holds, invented, page]).await {
        assert_eq!(page.status, 200);
    }
    let asked = django.requests();
    let paths: Vec<_> = asked.iter().map(Received::path).collect();
    assert_eq!(paths[paths.len() - 2..], ["/page/", "/invented/"]);
    waiting(&gateway, [0, 0]).await;
    socket.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_session_that_a_page_named_is_known_until_it_logs_out() {
    let (django, gate) = (Django::start().await, Gate::closed());
    django.calls_its_cookie("sessionid; Path=/");
    let about = session_digest("anns-session");
    let said = json!({"user": "42", "session": about}).to_string();
    let names = Answer::ok("page").header("Gatepost-Identity", &URL_SAFE_NO_PAD.encode(said));
    django.answers("/named/", names);
    let ends = "sessionid=\"\"; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/";
    django.answers("/logout/", Answer::ok("").header("Set-Cookie", ends));
    let gateway = one_worker(&django, &gate).start().await;
    let ann = gateway.browser_of("anns-session");
    ann.get("/named/").await;
    let holds = taken(&django, &gateway).await;
    let page = begin(gateway.browser_of("anns-session"), "/page/");
    waiting(&gateway, [1, 0]).await;
    gate.let_one_pass();
    assert_eq!(
        (holds.await.status, page.await.status),
        (http::StatusCode::OK, http::StatusCode::OK)
    );
    ann.get("/logout/").await;

    let holds = taken(&django, &gateway).await;
    let page = begin(gateway.browser_of("anns-session"), "/page/");
    waiting(&gateway, [0, 1]).await;
    gate.open();
    drop((holds.await, page.await));
    gateway.stop().await;
}

#[tokio::test]
async fn where_the_queue_is_full_the_newest_anonymous_request_gets_503() {
    let (django, gate) = (Django::start().await, Gate::closed());
    django.signs_in("anns-session", "42");
    let gateway = one_worker(&django, &gate).start().await;
    let ann = gateway.browser_of("anns-session");
    let _socket = ann.socket(NOTIFICATIONS).await;
    let holds = taken(&django, &gateway).await;
    let first = begin(gateway.browser(), "/first/");
    waiting(&gateway, [0, 1]).await;
    let second = begin(gateway.browser(), "/second/");
    waiting(&gateway, [0, 2]).await;
    let third = gateway.browser().get("/third/").await;
    assert_eq!(
        (third.status.as_u16(), &third.json()["code"]),
        (503, &json!("queue_full"))
    );
    assert_eq!(third.header("retry-after").unwrap(), "5");
    let page = begin(gateway.browser_of("anns-session"), "/page/");
    let ousted = second.await;
    assert_eq!(ousted.json()["code"], "queue_full");
    assert!(gateway.api().metric(FULL).await > 1.5);
    // The gateway's own calls take no place.
    let calls = django.auth_calls().len();
    let _bob = gateway
        .browser_of("bobs")
        .handshake(NOTIFICATIONS)
        .send()
        .await;
    assert!(django.auth_calls().len() > calls);
    gate.open();
    for page in join_all([holds, first, page]).await {
        assert_eq!(page.status, 200);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn who_waits_too_long_gets_503_and_who_leaves_waits_no_more() {
    let (django, gate) = (Django::start().await, Gate::closed());
    let setup = one_worker(&django, &gate).set("django.queue_timeout", "300ms");
    let gateway = setup.start().await;
    let holds = taken(&django, &gateway).await;
    let late = gateway.browser().get("/late/").await;
    assert_eq!(
        (late.status.as_u16(), &late.json()["code"]),
        (503, &json!("queue_timeout"))
    );
    assert_eq!(late.header("retry-after").unwrap(), "5");
    assert!(gateway.api().metric(TIMEOUTS).await > 0.5);
    gate.open();
    assert_eq!(holds.await.status, 200);
    gateway.stop().await;

    let (django, gate) = (Django::start().await, Gate::closed());
    let gateway = one_worker(&django, &gate).start().await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let holds = taken(&django, &gateway).await;
        let browser = gateway.browser();
        let mut link = browser.connect(version).await;
        let request = browser.ask_over(version, "/left/").finish();
        let sent = tokio::spawn(async move { link.send(request).await.is_ok() });
        waiting(&gateway, [0, 1]).await;
        sent.abort();
        waiting(&gateway, [0, 0]).await;
        gate.let_one_pass();
        assert_eq!(holds.await.status, 200);
    }
    assert!(django.requests_to("/left/").is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn a_place_is_kept_until_the_answer_has_ended_unless_it_is_a_stream() {
    for (media, is_kept) in [("text/html", true), ("text/event-stream", false)] {
        let (django, gate) = (Django::start().await, Gate::closed());
        let begun = Answer::stall_mid_body(10, "x").header("Content-Type", media);
        django.answers("/begun/", begun);
        let gateway = one_worker(&django, &gate).start().await;
        let browser = gateway.browser();
        let mut link = browser.connect(Version::HTTP_2).await;
        let request = browser.ask_over(Version::HTTP_2, "/begun/").finish();
        let answer = link.send(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        let page = begin(gateway.browser(), "/page/");
        if is_kept {
            waiting(&gateway, [0, 1]).await;
            drop((answer, link));
        }
        assert_eq!(page.await.status, 200, "{media}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_request_whose_client_has_left_keeps_its_place_while_django_works() {
    let (django, gate) = (Django::start().await, Gate::closed());
    let gateway = one_worker(&django, &gate).start().await;
    let browser = gateway.browser();
    let mut link = browser.connect(Version::HTTP_2).await;
    let request = browser.ask_over(Version::HTTP_2, "/slow/").finish();
    let sent = tokio::spawn(async move { link.send(request).await });
    eventually(PATIENCE, || django.under_way("/slow/") == 1).await;
    sent.abort();
    let page = begin(gateway.browser(), "/page/");
    waiting(&gateway, [0, 1]).await;
    gate.open();
    assert_eq!(page.await.status, 200);
    gateway.stop().await;
}

#[tokio::test]
async fn an_answer_without_room_gives_its_place_up_to_who_waits_for_one() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let django = Django::start().await;
        // More than the sockets in between hold, and much more than there is room for.
        django.answers("/large/", Answer::huge(32 << 20));
        let gateway = Gateway::in_front_of(&django)
            .set("django.concurrency", 1)
            .set("buffering.memory", "1MiB")
            .set("buffering.disk", "4MiB")
            .set("limits.body_size", "1MiB")
            .start()
            .await;
        let slow = gateway.browser().with_small_receive_buffer();
        let mut link = slow.connect(version).await;
        let request = slow.ask_over(version, "/large/").finish();
        let answer = link.send(request).await.unwrap();

        let page = gateway.browser().get("/page/").await;

        assert_eq!(page.status, 200, "{version:?}: {}", page.text());
        assert!(Page::of(answer).await.is_err(), "it was cut off");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn django_never_has_more_at_once_than_it_can_do_and_each_is_served() {
    let django = Django::start().await;
    django.answers(
        "/work/",
        Answer::trickle(["a", "b"], Duration::from_millis(5)),
    );
    let setup = Gateway::in_front_of(&django).set("django.concurrency", 3);
    let gateway = setup.start().await;
    let browsers: Vec<_> = (0..60).map(|_| gateway.browser()).collect();
    let pages = join_all(browsers.iter().map(|browser| browser.get("/work/"))).await;
    assert!(pages.iter().all(|page| page.status == 200));
    assert!(django.peak("/work/") <= 3, "{}", django.peak("/work/"));
    gateway.stop().await;
}
