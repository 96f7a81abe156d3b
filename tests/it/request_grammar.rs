//! Only requests that have one reading reach Django, from any client.

use http::Version;

use crate::harness::raw::Answered;
use crate::harness::server::Received;
use crate::harness::{Answer, Browser, Django, Gateway};

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
        "/a%0d%0aSet-Cookie:%20x=1",
        "/a%0A",
        "/%09",
        "/a%1b%5b31m",
        "/a%7F",
        "/a%c2%85b",
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
        "/a%250d%250a",
        "/?text=two%0D%0Alines",
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
    for path in [
        "//internal/",
        "/x/%2e%2e/y",
        "/a%2fb",
        "/a%00",
        "/a%0d%0ab",
        "/a%7f",
    ] {
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

/// What Django may get: one framing, one host, names that are tokens, and no byte that ends a line early.
fn assert_clean(request: &Received) {
    let head = &request.head;
    for line in head.raw.split_inclusive(|byte| *byte == b'\n') {
        let line = line
            .strip_suffix(b"\r\n")
            .unwrap_or_else(|| panic!("{head:?}"));
        assert!(
            !line.iter().any(|byte| b"\r\n\0".contains(byte)),
            "{head:?}"
        );
    }
    for (name, _) in head.fields() {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^`|~".contains(&byte);
        assert!(!name.is_empty() && name.bytes().all(token), "{head:?}");
    }
    let framings = request.all("content-length").len() + request.all("transfer-encoding").len();
    assert!(framings <= 1, "{head:?}");
    assert_eq!(request.all("host").len(), 1, "{head:?}");
    assert!(head.first_line().ends_with(" HTTP/1.1"), "{head:?}");
    for name in ["trailer", "te", "upgrade", "x-injected", "expect"] {
        assert!(request.all(name).is_empty(), "{head:?}");
    }
}

#[tokio::test]
async fn what_two_readers_take_differently_is_refused_or_written_anew() {
    let (django, gateway, browser) = stage().await;
    let host = browser.host();
    let get = |line: &str, fields: &str| format!("{line}\r\nHost: {host}\r\n{fields}\r\n");
    let refused = [
        get("GET / HTTP/1.2", ""),
        get("GET / HTTP/2.0", ""),
        get("GET / HTTP/9.9", ""),
        get("GET / http/1.1", ""),
        get("GET / HTTP/1.1 x", ""),
        get("GET  /  HTTP/1.1", ""),
        get("GET\t/\tHTTP/1.1", ""),
        get("GET / HTTP/1.1", " X-Folded: 1\r\n"),
        get("GET / HTTP/1.1", "X-A: 1\r\n folded: 2\r\n"),
        get("GET / HTTP/1.1", "X-A : 1\r\n"),
        get("GET / HTTP/1.1", "X-A\r\n"),
        get("GET / HTTP/1.1", ": 1\r\n"),
        get("GET / HTTP/1.1", "X\tA: 1\r\n"),
        get("GET / HTTP/1.1", "X-A: a\0b\r\n"),
        get("GET / HTTP/1.1", "X-A: a\rX-Injected: 1\r\n"),
        get("GET / HTTP/1.1", "X-A: \u{7f}\r\n"),
        get("GET / HTTP/1.1", "X\u{e9}: 1\r\n"),
        get("G(T / HTTP/1.1", ""),
        get("GET /#fragment HTTP/1.1\r\nHost: evil.test", ""),
        "GET /\r\n".to_owned(),
        "\0\r\n\r\n".to_owned(),
    ];
    for bytes in &refused {
        let status = status(&browser, bytes).await;
        assert!(matches!(status, 0 | 400 | 501 | 505), "{bytes:?}: {status}");
    }
    assert!(django.requests().is_empty(), "{:?}", django.requests());
    let post =
        |fields: &str, body: &str| format!("POST / HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n{body}");
    let hidden = format!("GET /hidden/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let chunked = "Transfer-Encoding: chunked\r\n";
    for bytes in [
        format!("GET / HTTP/1.1\nHost: {host}\n\n"),
        get("GET /#fragment HTTP/1.1", ""),
        get(
            "GET / HTTP/1.0",
            "Connection: keep-alive\r\nContent-Length: 0\r\n",
        ),
        get(
            "GET / HTTP/1.1",
            "Content-Length: 5\r\nExpect: 100-continue\r\n",
        ),
        post(chunked, "3;a=\"b\"\r\nabc\r\n0\r\n\r\n"),
        post(
            chunked,
            &format!("2;\nxx\r\n45\r\n0\r\n\r\n{hidden}\r\n0\r\n\r\n"),
        ),
        post(chunked, &format!("5\r\nAAAAA{hidden}0\r\n\r\n")),
        post(chunked, &format!("0003\r\nabc\r\n0\r\n\r\n{hidden}")),
        post(chunked, "3 \r\nabc\r\n0\r\n\r\n"),
        post(chunked, "3\nabc\n0\n\n"),
        post(
            chunked,
            "3\r\nabc\r\n0\r\nX-Injected: 1\r\nContent-Length: 9\r\n\r\n",
        ),
        post(
            "Trailer: X-Injected\r\nTE: trailers\r\nContent-Length: 1\r\n",
            "x",
        ),
        post(
            "Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 2\r\n",
            "xx",
        ),
        post(
            "Connection: Content-Length, Host, Cookie\r\nContent-Length: 1\r\n",
            "x",
        ),
        post("Content-Length: 1\r\n", &format!("x{hidden}")),
    ] {
        let mut raw = browser.raw().await;
        raw.try_send(&bytes).await;
        raw.finish().await;
        while raw.try_answer().await.is_some() {}
    }
    for request in django.requests() {
        assert_clean(&request);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn what_django_says_cannot_split_an_answer() {
    let (django, gateway, browser) = stage().await;
    for (name, field) in [
        ("a bare line feed", "X-A: b\nSet-Cookie: x=1"),
        ("a bare carriage return", "X-A: b\rSet-Cookie: x=1"),
        ("NUL", "X-A: a\0b"),
        ("a folded line", "X-A: b\r\n Set-Cookie: x=1"),
        ("a space before the colon", "X-A : b"),
        ("no colon", "X-A"),
        ("a name with a space", "X A: b"),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\n{field}\r\nContent-Length: 2\r\n\r\nok");
        django.answers("/split/", Answer::raw(head));
        let mut raw = browser.raw().await;
        let ask = format!("GET /split/ HTTP/1.1\r\nHost: {}\r\n\r\n", browser.host());
        raw.send(ask).await;
        let answer = raw.answer().await;
        let head = String::from_utf8_lossy(&answer.head.raw).replace("\r\n", "");
        assert!(!head.contains(['\r', '\n', '\0']), "{name}: {answer:?}");
        for (field, _) in answer.head.fields() {
            assert!(!field.contains([' ', '\t']), "{name}: {answer:?}");
        }
        let page = browser.ask_over(Version::HTTP_2, "/split/").send().await;
        assert_eq!(page.status.as_u16(), answer.status(), "{name}");
    }
    gateway.stop().await;
}
