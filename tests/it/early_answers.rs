//! Answers that are there before a client has sent all of its body: it still gets to read them.

use http::Method;

use crate::harness::gateway::Setup;
use crate::harness::http2::{
    DATA, END_HEADERS, END_STREAM, Frame, HEADERS, RST_STREAM, RawHttp2, frame, get, request,
    section,
};
use crate::harness::raw::Raw;
use crate::harness::{Browser, Django, Gateway};

/// More than the sockets in between hold.
const LENGTH: usize = 8 << 20;

/// What is refused before anybody would read a body: the target, further fields, and the status.
const REFUSED: [(&str, &str, u16); 4] = [
    ("/static/a.txt", "", 405),
    ("/_gatepost/auth/", "", 404),
    ("/a%00", "", 400),
    ("/a", "Expect: a miracle\r\n", 417),
];

fn with_static(django: &Django) -> Setup {
    Gateway::in_front_of(django)
        .set("server.http", "127.0.0.1:0")
        .element("files", toml::toml! { path = "/static/" root = "static" })
        .file("static/a.txt", "a")
}

fn post(browser: &Browser, target: &str, fields: &str) -> String {
    let host = browser.host();
    format!("POST {target} HTTP/1.1\r\nHost: {host}\r\n{fields}Content-Length: {LENGTH}\r\n\r\n")
}

#[tokio::test]
async fn who_sends_all_of_its_body_first_reads_why_it_was_refused() {
    let django = Django::start().await;
    let gateway = with_static(&django).start().await;
    let browser = gateway.browser();
    for (target, fields, status) in REFUSED {
        let mut raw = browser.raw().await;
        raw.send(post(&browser, target, fields)).await;
        raw.send(vec![b'x'; LENGTH]).await;
        assert_eq!(raw.answer().await.status(), status, "{target}");
    }
    let mut plain = Raw::tcp(gateway.http()).await;
    plain.send(post(&browser, "/", "")).await;
    plain.send(vec![b'x'; LENGTH]).await;
    assert_eq!(plain.answer().await.status(), 307);
    gateway.stop().await;
}

#[tokio::test]
async fn who_asks_too_often_reads_so_too() {
    let django = Django::start().await;
    let setup = with_static(&django)
        .set("limits.requests_per_address", "1/s")
        .set("limits.requests_burst", 1);
    let gateway = setup.start().await;
    let browser = gateway.browser();
    loop {
        let mut raw = browser.raw().await;
        raw.send(post(&browser, "/page/", "")).await;
        raw.send(vec![b'x'; LENGTH]).await;
        match raw.answer().await.status() {
            429 => break,
            // A second has passed since the last one.
            other => assert_eq!(other, 200),
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn who_waits_to_be_asked_for_its_body_is_not_asked_for_one_that_is_refused() {
    let django = Django::start().await;
    let gateway = with_static(&django).start().await;
    let browser = gateway.browser();
    for (target, status) in [("/static/a.txt", 405), ("/a%00", 400)] {
        let mut raw = browser.raw().await;
        let waits = "Expect: 100-continue\r\n";
        raw.send(post(&browser, target, waits)).await;
        assert_eq!(raw.head().await.status(), status, "{target}");
        raw.expect_end().await;
    }
    gateway.stop().await;
}

/// curl 7.88 takes a reset right behind an answer for a failure, even one that says that all is well.
#[tokio::test]
async fn over_http2_too_who_sends_on_is_not_reset() {
    let django = Django::start().await;
    let gateway = with_static(&django)
        .set("limits.body_size", "1KiB")
        .start()
        .await;
    let browser = gateway.browser();
    let part = frame(DATA, 0, 1, &[b'x'; 16_000]);
    for target in ["/static/a.txt", "/too-large"] {
        let mut http2 = RawHttp2::open(&browser).await;
        let fields = [("content-length", &b"48000"[..])];
        let head = section(&request("POST", target, browser.host(), &fields));
        http2.send(frame(HEADERS, END_HEADERS, 1, &head)).await;
        http2.send(&part).await;
        while !is_last(&http2.next().await.expect("the connection goes on"), 1) {}
        http2.send(&part).await;
        http2
            .send(frame(DATA, END_STREAM, 1, &[b'x'; 16_000]))
            .await;
        http2.send(get(3, "/page", browser.host())).await;
        loop {
            let next = http2.next().await.expect("the connection goes on");
            assert_ne!((next.stream, next.kind), (1, RST_STREAM), "{target}");
            if is_last(&next, 3) {
                break;
            }
        }
    }
    let page = browser.ask(Method::POST, "/too-large").over_http2();
    let page = page.body(vec![b'x'; LENGTH]).send().await;
    assert_eq!(page.status, 413);
    gateway.stop().await;
}

/// Whether it is the end of a stream.
fn is_last(frame: &Frame, stream: u32) -> bool {
    frame.stream == stream && matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0
}
