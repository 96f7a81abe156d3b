//! Answers from behind the gateway, compressed on their way where that tells nobody a secret.

use std::fmt::Write as _;
use std::io::Read;

use http::{HeaderMap, Method, Version};
use http_body_util::BodyExt;

use crate::harness::{
    Answer, Browser, Django, Gateway, PATIENCE, Page, eventually, eventually_some, in_time,
};

const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];
const ENCODINGS: [&str; 3] = ["zstd", "br", "gzip"];
/// What Chromium sends.
const ALL: &str = "gzip, deflate, br, zstd";

/// A page of so many lines.
fn page(lines: usize) -> String {
    let mut text = String::from("<!doctype html>\n");
    for line in 0..lines {
        let _ = writeln!(text, "<li>{line} {}</li>", line * 7919 % 1009);
    }
    text
}

/// As much of it as can be read.
fn decoded(encoding: &str, bytes: &[u8]) -> String {
    let mut reader: Box<dyn Read> = match encoding {
        "zstd" => Box::new(zstd::stream::read::Decoder::new(bytes).unwrap()),
        "br" => Box::new(brotli::Decompressor::new(bytes, 4096)),
        "gzip" => Box::new(flate2::read::GzDecoder::new(bytes)),
        other => panic!("compressed as {other}"),
    };
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count) = reader.read(&mut buffer)
        && count > 0
    {
        text.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(text).unwrap()
}

async fn ask(browser: &Browser, path: &str, more: &[(&str, &str)]) -> Page {
    let mut ask = browser.ask(Method::GET, path);
    if more.iter().all(|(name, _)| *name != "Accept-Encoding") {
        ask = ask.header("Accept-Encoding", ALL);
    }
    for (name, value) in more {
        ask = ask.header(name, value);
    }
    ask.send().await
}

fn is_compressed(page: &Page) -> bool {
    page.header("content-encoding").is_some()
}

#[tokio::test]
async fn a_page_is_compressed_as_its_client_likes_best() {
    let django = Django::start().await;
    let text = page(3000);
    let answer = Answer::html(&text)
        .header("ETag", "\"1\"")
        .header("Accept-Ranges", "bytes");
    django.answers("/page/", answer.header("Vary", "Cookie"));
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    for version in BOTH {
        for encoding in ENCODINGS {
            let ask = browser
                .ask_over(version, "/page/")
                .header("Accept-Encoding", encoding);
            let page = ask.send().await;
            assert_eq!(page.header("content-encoding").as_deref(), Some(encoding));
            assert_eq!(page.all("vary"), ["Cookie", "Accept-Encoding"]);
            assert_eq!(page.header("etag").unwrap(), "W/\"1\"");
            assert_eq!(
                page.header("content-type").unwrap(),
                "text/html; charset=utf-8"
            );
            assert!(page.body.len() < text.len() / 3, "{}", page.body.len());
            for gone in ["content-length", "accept-ranges"] {
                assert_eq!(page.header(gone), None, "{gone}");
            }
            assert!(decoded(encoding, &page.body) == text);
        }
        for none in ["deflate", "identity", "gzip;q=0, br;q=0"] {
            let ask = browser
                .ask_over(version, "/page/")
                .header("Accept-Encoding", none);
            let page = ask.send().await;
            assert!(!is_compressed(&page) && page.text() == text);
            assert_eq!(page.all("vary"), ["Cookie", "Accept-Encoding"]);
            assert_eq!(page.header("etag").unwrap(), "\"1\"");
            assert_eq!(
                page.header("content-length").unwrap(),
                text.len().to_string()
            );
        }
    }
    let chosen = ask(&browser, "/page/", &[]).await;
    assert_eq!(chosen.header("content-encoding").unwrap(), "zstd");
    gateway.stop().await;
}

#[tokio::test]
async fn head_says_what_get_says() {
    let django = Django::start().await;
    let text = page(300);
    let length = text.len().to_string();
    django.rule(move |request| {
        let whole = Answer::html(&text).header("ETag", "\"1\"");
        let head = Answer::raw(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nETag: \"1\"\r\nContent-Length: {length}\r\n\r\n"
        ));
        Some(if request.method() == "HEAD" { head } else { whole })
    });
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    let fields = |page: &Page| -> HeaderMap {
        let mut fields = page.headers.clone();
        for of_this_answer in ["date", "transfer-encoding"] {
            fields.remove(of_this_answer);
        }
        fields
    };
    for accepted in [ALL, "identity"] {
        let ask = |method| {
            let ask = browser.ask(method, "/");
            ask.header("Accept-Encoding", accepted).send()
        };
        let (get, head) = (ask(Method::GET).await, ask(Method::HEAD).await);
        assert_eq!(fields(&get), fields(&head), "{accepted}");
        assert!(head.body.is_empty());
    }
    gateway.stop().await;
}

#[tokio::test]
async fn pages_of_somebody_are_compressed_only_where_the_project_says_all() {
    for (dynamic, theirs) in [("public", false), ("all", true)] {
        let django = Django::start().await;
        django.calls_its_cookie("shop_session; Path=/");
        let text = page(300);
        let html = || Answer::html(&text);
        django.answers("/page/", html());
        django.answers(
            "/login/",
            html().header("Set-Cookie", "csrftoken=x; Path=/"),
        );
        django.answers("/mine/", html().header("Cache-Control", "private"));
        let gateway = Gateway::in_front_of(&django)
            .set("compression.dynamic", dynamic)
            .start()
            .await;
        let (visitor, ann) = (
            gateway.browser(),
            gateway.browser().with_cookie("shop_session", "x"),
        );
        // Django says in this one what its cookie is called.
        ask(&visitor, "/page/", &[]).await;
        assert!(is_compressed(&ask(&visitor, "/page/", &[]).await));
        let other = gateway.browser().with_cookie("sessionid", "x");
        assert!(is_compressed(&ask(&other, "/page/", &[]).await));
        let token = [("Authorization", "Bearer x")];
        for page in [
            ask(&ann, "/page/", &[]).await,
            ask(&visitor, "/page/", &token).await,
            ask(&visitor, "/login/", &[]).await,
            ask(&visitor, "/mine/", &[]).await,
        ] {
            assert_eq!(is_compressed(&page), theirs, "{dynamic}");
            assert_eq!(page.all("vary"), ["Accept-Encoding"]);
        }
        gateway.stop().await;
    }
}

#[tokio::test]
async fn what_is_no_text_or_no_whole_or_made_to_be_heard_at_once_stays_as_it_is() {
    let django = Django::start().await;
    let text = page(300);
    let part = Answer::status(206, "abc")
        .header("Content-Type", "text/html")
        .header("Content-Range", "bytes 0-2/9000");
    django.answers("/part/", part);
    django.answers(
        "/gzip/",
        Answer::html(&text).header("Content-Encoding", "gzip"),
    );
    django.answers(
        "/picture/",
        Answer::ok(text.as_bytes()).header("Content-Type", "image/png"),
    );
    django.answers(
        "/raw/",
        Answer::html(&text).header("Cache-Control", "no-transform"),
    );
    django.answers(
        "/events/",
        Answer::chunks([text.as_bytes()]).header("Content-Type", "text/event-stream"),
    );
    django.answers(
        "/now/",
        Answer::html(&text).header("X-Accel-Buffering", "no"),
    );
    django.answers("/short/", Answer::html(&text[..1023]));
    let gateway = Gateway::in_front_of(&django)
        .set("compression.dynamic", "all")
        .start()
        .await;
    let browser = gateway.browser();
    for path in [
        "/part/",
        "/gzip/",
        "/picture/",
        "/raw/",
        "/events/",
        "/now/",
        "/short/",
    ] {
        let page = ask(&browser, path, &[("Range", "bytes=0-2")]).await;
        let said = page.header("content-encoding");
        assert_eq!(
            said.as_deref(),
            (path == "/gzip/").then_some("gzip"),
            "{path}"
        );
        assert_eq!(page.header("vary"), None, "{path}");
        assert!(text.starts_with(&page.text()) || path == "/part/", "{path}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_browser_that_has_the_compressed_page_is_told_so() {
    let django = Django::start().await;
    let text = page(300);
    // As Django compares: weakly.
    django.rule(move |request| {
        let held = request.header("if-none-match").unwrap_or_default();
        let (same, whole) = (
            Answer::raw("HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n"),
            Answer::html(&text),
        );
        Some(if held.contains("\"1\"") {
            same
        } else {
            whole.header("ETag", "\"1\"")
        })
    });
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    for (accepted, tag) in [(ALL, "W/\"1\""), ("identity", "\"1\"")] {
        let accepted = ("Accept-Encoding", accepted);
        let first = ask(&browser, "/page/", &[accepted]).await;
        assert_eq!(first.header("etag").unwrap(), tag);
        let again = ask(&browser, "/page/", &[accepted, ("If-None-Match", tag)]).await;
        assert_eq!(
            (again.status.as_u16(), again.header("etag").as_deref()),
            (304, Some(tag))
        );
        let asked = django.requests_to("/page/").pop().unwrap();
        assert_eq!(asked.header("if-none-match").unwrap(), tag);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn what_django_has_written_arrives_though_more_is_to_come() {
    let django = Django::start().await;
    let begun = Answer::unfinished_chunks([page(20)]).header("Content-Type", "text/html");
    django.answers("/stream/", begun.hanging());
    let known = Answer::stall_mid_body(900_000, page(20)).header("Content-Type", "text/html");
    django.answers("/known/", known);
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    for version in BOTH {
        for (path, encoding) in [
            ("/stream/", "zstd"),
            ("/stream/", "br"),
            ("/known/", "gzip"),
        ] {
            let mut link = browser.connect(version).await;
            let ask = browser
                .ask_over(version, path)
                .header("Accept-Encoding", encoding);
            let mut answer = link.send(ask.finish()).await.unwrap();
            let mut come = Vec::new();
            while decoded(encoding, &come) != page(20) {
                let frame = in_time("a piece", answer.frame()).await.unwrap().unwrap();
                come.extend_from_slice(frame.data_ref().unwrap());
            }
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_whole_one() {
    let django = Django::start().await;
    let broken = Answer::reset_mid_body(900_000, page(300)).header("Content-Type", "text/html");
    django.answers("/broken/", broken);
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    for version in BOTH {
        let ask = browser
            .ask_over(version, "/broken/")
            .header("Accept-Encoding", ALL);
        assert!(ask.try_send().await.is_err(), "{version:?}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn clients_that_take_nothing_leave_compression_to_others() {
    let django = Django::start().await;
    // So much that it is more than the sockets in between hold, compressed too.
    django.answers("/large/", Answer::html(&noise(3 << 20)));
    django.answers("/page/", Answer::html(&page(300)));
    let gateway = Gateway::in_front_of(&django)
        .set("buffering.memory", "512MiB")
        .set("buffering.disk", "2GiB")
        .start()
        .await;
    let slow = gateway.browser().with_small_receive_buffer();
    let mut links = Vec::new();
    // More than encoders there are.
    for _ in 0..32 {
        let mut link = slow.connect(Version::HTTP_11).await;
        let request = slow
            .ask(Method::GET, "/large/")
            .header("Accept-Encoding", "br")
            .finish();
        let answer = link.send(request).await.unwrap();
        links.push((link, answer));
    }
    eventually(PATIENCE, || django.under_way("/large/") == 0).await;
    let page = ask(&gateway.browser(), "/page/", &[("Accept-Encoding", "br")]).await;
    assert!(is_compressed(&page));
    drop(links);
    gateway.stop().await;
}

#[tokio::test]
async fn one_address_leaves_compression_to_others() {
    let django = Django::start().await;
    let begun = Answer::unfinished_chunks([page(20)]).header("Content-Type", "text/html");
    django.answers("/slow/", begun.hanging());
    django.answers("/page/", Answer::html(&page(300)));
    let gateway = Gateway::in_front_of(&django)
        .set("server.trusted_proxies", vec!["127.0.0.1"])
        .start()
        .await;
    let browser = gateway.browser();
    let greedy = [("Accept-Encoding", "br"), ("X-Forwarded-For", "192.0.2.1")];
    let other = [("Accept-Encoding", "br"), ("X-Forwarded-For", "192.0.2.2")];
    let mut links = Vec::new();
    // More than a quarter of the memory there is for it has room for.
    for _ in 0..8 {
        let mut link = browser.connect(Version::HTTP_11).await;
        let mut ask = browser.ask(Method::GET, "/slow/");
        for (name, value) in greedy {
            ask = ask.header(name, value);
        }
        let answer = link.send(ask.finish()).await.unwrap();
        links.push((link, answer));
    }
    let compressed = |answer: &http::Response<_>| answer.headers().contains_key("content-encoding");
    let of_greedy = links
        .iter()
        .filter(|(_, answer)| compressed(answer))
        .count();
    assert_eq!(of_greedy, 7);
    let plain = ask(&browser, "/page/", &greedy).await;
    assert!(!is_compressed(&plain) && plain.text() == page(300));
    assert_eq!(plain.all("vary"), ["Accept-Encoding"]);
    assert!(is_compressed(&ask(&browser, "/page/", &other).await));
    drop(links);
    eventually_some(PATIENCE, async || {
        is_compressed(&ask(&browser, "/page/", &greedy).await).then_some(())
    })
    .await;
    gateway.stop().await;
}

/// Text that does not get much shorter.
fn noise(length: usize) -> String {
    let mut state = 88_172_645_463_325_252_u64;
    let mut text = String::with_capacity(length);
    while text.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let _ = write!(text, "{state:016x}");
    }
    text
}

#[tokio::test]
async fn off_means_that_nothing_is_touched() {
    let django = Django::start().await;
    django.answers("/page/", Answer::html(&page(300)));
    let gateway = Gateway::in_front_of(&django)
        .set("compression.dynamic", "off")
        .start()
        .await;
    let page = ask(&gateway.browser(), "/page/", &[]).await;
    assert!(!is_compressed(&page));
    assert_eq!(page.header("vary"), None);
    gateway.stop().await;
}
