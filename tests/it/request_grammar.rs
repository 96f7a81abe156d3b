//! Only requests that have one reading reach Django, whoever wrote them.

use http::Version;

use crate::harness::raw::Answered;
use crate::harness::{Browser, Django, Gateway};

async fn stage() -> (Django, Gateway, Browser) {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    (django, gateway, browser)
}

async fn exchange(browser: &Browser, bytes: &str) -> Option<Answered> {
    let mut raw = browser.raw().await;
    raw.try_send(bytes).await;
    raw.try_answer().await
}

async fn status(browser: &Browser, bytes: &str) -> u16 {
    exchange(browser, bytes)
        .await
        .map_or(0, |answer| answer.status())
}

#[tokio::test]
async fn hosts_are_ours_and_alone() {
    let (django, gateway, browser) = stage().await;
    let host = browser.host();
    for (lines, expected) in [
        (String::new(), 400),
        (format!("Host: {host}\r\nHost: {host}\r\n"), 400),
        (format!("Host: {host}, {host}\r\n"), 400),
        ("Host: \r\n".into(), 400),
        ("Host: localhost:\r\n".into(), 400),
        ("Host: localhost:99999\r\n".into(), 400),
        ("Host: user@localhost\r\n".into(), 400),
        ("Host: localhost/x\r\n".into(), 400),
        ("Host: local host\r\n".into(), 400),
        ("Host: evil.test\r\n".into(), 421),
        ("Host: localhost..\r\n".into(), 421),
        ("Host: localhost.evil.test\r\n".into(), 421),
        ("Host: 169.254.169.254\r\n".into(), 421),
    ] {
        let seen = status(&browser, &format!("GET / HTTP/1.1\r\n{lines}\r\n")).await;
        assert_eq!(seen, expected, "{lines:?}");
    }
    assert!(django.requests().is_empty());
    assert_eq!(
        status(&browser, "GET / HTTP/1.1\r\nHost: LOCALHOST\r\n\r\n").await,
        200
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_host_that_is_not_ours_is_explained_to_developers_alone() {
    for (mode, told) in [("dev", true), ("production", false)] {
        let django = Django::start().await;
        let setup = Gateway::in_front_of(&django).set("server.mode", mode);
        let gateway = setup.start().await;
        let ask = "GET / HTTP/1.1\r\nHost: shop.test\r\nAccept: text/html\r\n\r\n";
        let page = exchange(&gateway.browser(), ask).await.unwrap();
        assert_eq!(page.status(), 421);
        assert!(page.header("x-request-id").is_some(), "as in the log");
        assert_eq!(
            page.text().contains("gateway.toml"),
            told,
            "{}",
            page.text()
        );
        gateway.stop().await;
    }
}

#[tokio::test]
async fn absolute_targets_must_agree_with_host() {
    let (django, gateway, browser) = stage().await;
    let host = browser.host();
    for (target, expected) in [
        (format!("https://{host}/abs?q"), 200),
        ("https://evil.test/".into(), 400),
        ("http://169.254.169.254/latest/".into(), 400),
        (format!("ftp://{host}/"), 400),
        (format!("https://user@{host}/"), 400),
    ] {
        let seen = status(
            &browser,
            &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        )
        .await;
        assert_eq!(seen, expected, "{target}");
    }
    assert_eq!(django.requests()[0].target(), "/abs?q");
    assert_eq!(django.requests().len(), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn methods_that_open_tunnels_are_refused_and_the_connection_ends() {
    let (django, gateway, browser) = stage().await;
    let host = browser.host();
    for first in [
        format!("CONNECT {host} HTTP/1.1"),
        "CONNECT evil.test:443 HTTP/1.1".into(),
        "TRACE / HTTP/1.1".into(),
    ] {
        let mut raw = browser.raw().await;
        raw.send(format!("{first}\r\nHost: {host}\r\n\r\n")).await;
        let answer = raw.answer().await;
        assert!(
            matches!(answer.status(), 400 | 405 | 501),
            "{first}: {}",
            answer.status()
        );
        raw.expect_end().await;
    }
    assert!(django.requests().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn paths_have_one_spelling() {
    let (django, gateway, browser) = stage().await;
    let host = browser.host();
    for path in [
        "//internal/",
        "/x/../internal/",
        "/x/%2e%2e/internal/",
        "/x/.%2E/",
        "/./x",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a\\b",
        "/a%00b",
        "/a%",
        "/a%zz",
        "/\u{e9}",
        "*",
    ] {
        let seen = status(
            &browser,
            &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        )
        .await;
        assert_eq!(seen, 400, "{path}");
    }
    assert!(django.requests().is_empty());
    for path in [
        "/a%20b",
        "/caf%C3%A9/",
        "/%69nternal",
        "/a;b=c/",
        "/a..b",
        "/a//b",
        "/a%252fb",
    ] {
        let seen = status(
            &browser,
            &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        )
        .await;
        assert_eq!(seen, 200, "{path}");
        assert_eq!(
            django.requests().pop().unwrap().target(),
            path,
            "as it was written"
        );
    }
    gateway.stop().await;
}

#[tokio::test]
async fn long_targets_and_many_fields_are_refused() {
    let (django, gateway, browser) = stage().await;
    let host = browser.host();
    let long = "a".repeat(9000);
    assert_eq!(
        status(
            &browser,
            &format!("GET /{long} HTTP/1.1\r\nHost: {host}\r\n\r\n")
        )
        .await,
        414
    );
    let fields = (0..120).fold(String::new(), |text, n| format!("{text}X-{n}: 1\r\n"));
    assert_eq!(
        status(
            &browser,
            &format!("GET / HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n")
        )
        .await,
        431
    );
    assert!(django.requests().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn only_100_continue_can_be_expected() {
    let (django, gateway, browser) = stage().await;
    let host = browser.host();
    let lines = format!("Host: {host}\r\nExpect: cookies\r\n\r\n");
    assert_eq!(
        status(&browser, &format!("GET / HTTP/1.1\r\n{lines}")).await,
        417
    );
    let mut raw = browser.raw().await;
    raw.send(format!(
        "POST / HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    ))
    .await;
    assert_eq!(raw.head().await.status(), 100);
    raw.send("hello").await;
    assert_eq!(raw.answer().await.status(), 200);
    assert!(django.only_request_to("/").all("expect").is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn http_1_0_is_served_but_not_with_chunks() {
    let (_django, gateway, browser) = stage().await;
    let host = browser.host();
    assert_eq!(
        status(&browser, &format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n")).await,
        200
    );
    assert_eq!(status(&browser, "GET / HTTP/1.0\r\n\r\n").await, 400);
    let chunked =
        format!("POST / HTTP/1.0\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    let seen = status(&browser, &chunked).await;
    assert_eq!(seen, 400);
    gateway.stop().await;
}

#[tokio::test]
async fn http_2_is_held_to_the_same_rules() {
    let (django, gateway, browser) = stage().await;
    let ask = |path: &str| browser.ask_over(Version::HTTP_2, path);
    for path in ["//internal/", "/x/%2e%2e/y", "/a%2fb", "/a%00"] {
        let page = ask(path).send().await;
        assert_eq!(page.status, 400, "{path}");
        assert!(page.all("connection").is_empty());
    }
    let disagreeing = ask("/").header("host", "evil.test").try_send().await;
    assert!(disagreeing.is_err() || disagreeing.unwrap().status == 400);
    assert!(django.requests().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn a_request_hidden_behind_another_is_never_forwarded() {
    let (django, gateway, browser) = stage().await;
    let host = browser.host();
    let hidden = format!("GET /hidden/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
    for lines in [
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 0\r\nContent-Length: 45\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 5, 5\r\n",
    ] {
        let mut raw = browser.raw().await;
        raw.try_send(format!(
            "POST / HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n{hidden}"
        ))
        .await;
        raw.try_answer().await;
        raw.expect_end().await;
    }
    assert!(django.requests_to("/hidden/").is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_answered_in_words() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    let host = browser.host();
    for (line, fields, code) in [
        ("GET /?q=\"a\" HTTP/1.1", "", "malformed_request"),
        ("GET /<x> HTTP/1.1", "", "malformed_request"),
        ("GET / HTTP/1.1", "a b: c\r\n", "malformed_request"),
        (
            "POST / HTTP/1.1",
            "Content-Length: 2, 2\r\n",
            "malformed_request",
        ),
    ] {
        let mut raw = browser.raw().await;
        raw.send(format!("{line}\r\nHost: {host}\r\n{fields}\r\n"))
            .await;
        let answer = raw.answer().await;
        assert_eq!(answer.status(), 400, "{line}");
        assert_eq!(answer.json()["code"], code, "{line}");
        raw.expect_end().await;
    }
    assert!(django.requests().is_empty());
    gateway.stop().await;
}
