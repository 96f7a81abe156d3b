//! Slow clients take nothing away from others: Django gets requests when they are whole, and is rid of
//! answers when it has given them.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Method, Version};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use crate::harness::browser::RequestBody;
use crate::harness::{Answer, Browser, Django, Gate, Gateway, PATIENCE, Page, eventually, in_time};

const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];
/// More than the sockets in between hold.
const LARGE: usize = 32 << 20;

/// A body that begins and never goes on.
fn stalled() -> RequestBody {
    let first = stream::once(async { Ok(Frame::data(Bytes::from_static(b"one"))) });
    BodyExt::boxed(StreamBody::new(first.chain(stream::pending())))
}

fn stalled_upload(browser: &Browser) -> http::Request<RequestBody> {
    let ask = browser.ask(Method::POST, "/upload/").over_http2();
    ask.header("content-length", "1000000")
        .streams(stalled())
        .finish()
}

#[tokio::test]
async fn uploads_that_stall_take_no_turn_from_anybody() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    let mut links = Vec::new();
    let mut uploads = Vec::new();
    // More than all turns there are.
    for _ in 0..6 {
        let mut link = browser.connect(Version::HTTP_2).await;
        for _ in 0..100 {
            uploads.push(link.begin(stalled_upload(&browser)).await);
        }
        links.push(link);
    }
    for version in BOTH {
        let page = browser.ask_over(version, "/").send().await;
        assert_eq!(page.status, 200, "{version:?}");
    }
    assert!(django.requests_to("/upload/").is_empty());
    drop((uploads, links));
    gateway.stop().await;
}

/// Waits until Django has given this many answers of that path.
async fn given(django: &Django, path: &str, count: usize) {
    eventually(PATIENCE, || {
        django.requests_to(path).len() == count && django.under_way(path) == 0
    })
    .await;
}

#[tokio::test]
async fn answers_that_are_not_taken_do_not_hold_django() {
    for version in BOTH {
        let django = Django::start().await;
        django.answers("/large/", Answer::huge(LARGE));
        let gateway = Gateway::in_front_of(&django).start().await;
        let browser = gateway.browser().with_small_receive_buffer();
        let mut link = browser.connect(version).await;
        let request = browser.ask_over(version, "/large/").finish();
        let answer = in_time("a head", link.send(request)).await.unwrap();
        given(&django, "/large/", 1).await;
        assert_eq!(Page::of(answer).await.unwrap().body.len(), LARGE);
        gateway.stop().await;
    }
}

#[tokio::test]
async fn what_django_wants_unbuffered_waits_for_its_client() {
    let django = Django::start().await;
    let unbuffered = Answer::huge(LARGE).header("X-Accel-Buffering", "no");
    let events = Answer::huge(LARGE).header("Content-Type", "text/event-stream");
    django.answers("/unbuffered/", unbuffered);
    django.answers("/events/", events);
    django.answers("/large/", Answer::huge(LARGE));
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser().with_small_receive_buffer();
    let mut unread = Vec::new();
    for path in ["/unbuffered/", "/events/", "/large/"] {
        let mut raw = browser.raw().await;
        let host = browser.host();
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .await;
        raw.head().await;
        unread.push(raw);
    }
    given(&django, "/large/", 1).await;
    for path in ["/unbuffered/", "/events/"] {
        assert_eq!(django.under_way(path), 1, "{path}");
    }
    drop(unread);
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_a_kept_answer_gives_its_space_back() {
    let django = Django::start().await;
    django.answers("/large/", Answer::huge(LARGE));
    let gateway = Gateway::in_front_of(&django)
        .set("buffering.memory", "4MiB")
        .set("buffering.disk", "160MiB")
        .set("limits.body_size", "1MiB")
        .start()
        .await;
    // An address has room for one of them.
    for round in 1..4 {
        let browser = gateway.browser().with_small_receive_buffer();
        let mut raw = browser.raw().await;
        let head = format!("GET /large/ HTTP/1.1\r\nHost: {}\r\n\r\n", browser.host());
        raw.send(head).await;
        given(&django, "/large/", round).await;
        drop(raw);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn who_waits_for_100_continue_is_asked_for_what_is_allowed_alone() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django)
        .set("buffering.request", "1KiB")
        .set("buffering.memory", "4KiB")
        .set("buffering.disk", "4MiB")
        .set("limits.body_size", "1MiB")
        .start()
        .await;
    let browser = gateway.browser();
    let mut raw = browser.raw().await;
    raw.send(expecting(&browser, 2 << 20)).await;
    assert_eq!(raw.answer().await.status(), 413);
    let mut raw = browser.raw().await;
    raw.send(expecting(&browser, 500_000)).await;
    assert_eq!(raw.head().await.status(), 100);
    raw.send(vec![b'x'; 500_000]).await;
    assert_eq!(raw.answer().await.status(), 200);
    gateway.stop().await;
}

#[tokio::test]
async fn who_waits_for_100_continue_is_asked_where_bodies_are_streamed_too() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django)
        .set("buffering.unbuffered", vec!["/stream/"])
        .start()
        .await;
    let browser = gateway.browser();
    let mut raw = browser.raw().await;
    let head = expecting(&browser, 500_000);
    raw.send(head.replacen("POST /", "POST /stream/", 1)).await;
    assert_eq!(raw.head().await.status(), 100);
    raw.send(vec![b'x'; 500_000]).await;
    assert_eq!(raw.answer().await.status(), 200);
    let asked = django.only_request_to("/stream/");
    assert_eq!(asked.header("expect"), None);
    assert_eq!(asked.body.bytes.len(), 500_000);
    gateway.stop().await;
}

fn expecting(browser: &Browser, length: usize) -> String {
    let host = browser.host();
    format!(
        "POST / HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    )
}

#[tokio::test]
async fn connections_that_were_in_use_together_are_used_again() {
    const STREAMS: usize = 64;
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    let mut links = [
        browser.connect(Version::HTTP_2).await,
        browser.connect(Version::HTTP_2).await,
    ];
    for round in 1..4 {
        let gate = Gate::closed();
        let path = format!("/{round}/");
        django.answers(&path, Answer::ok("ok").after(&gate));
        let mut answers = Vec::new();
        for link in &mut links {
            for _ in 0..STREAMS {
                let request = browser.ask_over(Version::HTTP_2, &path).finish();
                answers.push(link.begin(request).await);
            }
        }
        let all = answers.len();
        eventually(PATIENCE, || django.requests_to(&path).len() == all).await;
        gate.open();
        for answer in answers {
            let answer = in_time("an answer", answer).await.unwrap();
            assert_eq!(Page::of(answer).await.unwrap().text(), "ok");
        }
    }
    assert_eq!(django.connections(), 2 * STREAMS);
    gateway.stop().await;
}
