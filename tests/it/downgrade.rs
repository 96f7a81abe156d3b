//! What HTTP/2 can say and HTTP/1.1 cannot is refused, and never written into a request to Django.

use crate::harness::http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Field, HEADERS, Outcome, RawHttp2, SETTINGS,
    WINDOW_UPDATE, frame, get, integer, request, section,
};
use crate::harness::{Browser, Django, Gateway};

async fn stage() -> (Django, Gateway, Browser) {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    (django, gateway, browser)
}

async fn ask(browser: &Browser, fields: &[Field<'_>]) -> Outcome {
    let mut client = RawHttp2::open(browser).await;
    let head = section(fields);
    client
        .send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &head))
        .await;
    client.outcome(1).await
}

#[tokio::test]
async fn nothing_is_injected_through_a_field() {
    let (django, gateway, browser) = stage().await;
    let hostile: &[Field<'_>] = &[
        ("x-a", b"b\r\nx-injected: 1"),
        ("x-a", b"b\nx-injected: 1"),
        ("x-a", b"b\rx-injected: 1"),
        ("x-a", b"b\0c"),
        ("x-a\r\nx-injected", b"1"),
        ("x-a: b\r\nx-injected", b"1"),
        ("x-a\nx", b"1"),
        ("x a", b"1"),
        ("x-a:", b"1"),
        ("X-Upper", b"1"),
        ("", b"1"),
        ("x\0", b"1"),
        ("x\u{e9}", b"1"),
        ("connection", b"keep-alive"),
        ("connection", b"x-forwarded-for"),
        ("transfer-encoding", b"chunked"),
        ("te", b"gzip"),
        ("upgrade", b"websocket"),
        ("keep-alive", b"timeout=9"),
        ("proxy-connection", b"keep-alive"),
        ("host", b"evil.test"),
        ("content-length", b"5"),
        ("content-length", b"0, 0"),
        ("content-length", b"+0"),
        (":status", b"200"),
        (":protocol", b"websocket"),
        (":x", b"1"),
        (":path", b"/again/"),
        (":authority", b"evil.test"),
    ];
    for field in hostile {
        let fields = request("GET", "/", browser.host(), &[*field]);
        let outcome = ask(&browser, &fields).await;
        let shown = String::from_utf8_lossy(field.1);
        assert_ne!(outcome, Outcome::Ok, "{:?}: {shown:?}", field.0);
        assert!(django.requests().is_empty(), "{:?}: {shown:?}", field.0);
    }
    let fields = request("GET", "/", browser.host(), &[("te", b"trailers")]);
    assert_eq!(ask(&browser, &fields).await, Outcome::Ok);
    assert!(django.only_request_to("/").all("te").is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn nothing_is_injected_through_a_request_line() {
    let (django, gateway, browser) = stage().await;
    let host = browser.host();
    for (method, path, authority) in [
        ("GET", "/ HTTP/1.1\r\nx-injected: 1\r\n", host),
        ("GET", "/a b", host),
        ("GET", "/\u{e9}", host),
        ("GET", "", host),
        ("GET", "*", host),
        ("GET", "a", host),
        ("GET", "https://evil.test/", host),
        ("GET", "//evil.test/", host),
        ("GET", "/a\0", host),
        ("GET", "/a%0d%0ax-injected:%201", host),
        ("GET / HTTP/1.1\r\nx-injected: 1\r\n", "/", host),
        ("GET ", "/", host),
        ("G(T", "/", host),
        ("get", "/", host),
        ("", "/", host),
        ("CONNECT", "/", host),
        ("TRACE", "/", host),
        ("GET", "/", "evil.test"),
        ("GET", "/", "user@localhost"),
        ("GET", "/", "localhost\r\nx-injected: 1"),
        ("GET", "/", "localhost, evil.test"),
        ("GET", "/", "localhost/x"),
        ("GET", "/", ""),
    ] {
        let outcome = ask(&browser, &request(method, path, authority, &[])).await;
        let line = (method, path, authority);
        assert_ne!(outcome, Outcome::Ok, "{line:?}");
        assert!(django.requests().is_empty(), "{line:?}");
    }
    let whole = request("GET", "/", host, &[]);
    for missing in [":method", ":scheme", ":path"] {
        let mut fields = whole.clone();
        fields.retain(|(name, _)| *name != missing);
        assert_ne!(ask(&browser, &fields).await, Outcome::Ok, "{missing}");
    }
    let mut late = whole.clone();
    late.rotate_left(1);
    late.insert(2, ("x-a", b"1"));
    assert_ne!(ask(&browser, &late).await, Outcome::Ok, "a late :method");
    assert!(django.requests().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn a_body_is_as_long_as_it_was_said_to_be_and_trailers_end_here() {
    let (django, gateway, browser) = stage().await;
    let post = |fields: &[Field<'_>]| section(&request("POST", "/", browser.host(), fields));
    for (said, sent) in [("3", "four"), ("9", "four"), ("0", "x"), ("4, 4", "four")] {
        let mut client = RawHttp2::open(&browser).await;
        let head = post(&[("content-length", said.as_bytes())]);
        let head = frame(HEADERS, END_HEADERS, 1, &head);
        let body = frame(DATA, END_STREAM, 1, sent.as_bytes());
        client.send([head, body].concat()).await;
        assert_ne!(client.outcome(1).await, Outcome::Ok, "{said} for {sent}");
        assert!(django.requests().is_empty(), "{said} for {sent}");
    }
    let trailers = section(&[("x-injected", b"1"), ("content-length", b"0")]);
    let mut client = RawHttp2::open(&browser).await;
    client
        .send(
            [
                frame(HEADERS, END_HEADERS, 1, &post(&[])),
                frame(DATA, 0, 1, b"four"),
                frame(HEADERS, END_STREAM | END_HEADERS, 1, &trailers),
            ]
            .concat(),
        )
        .await;
    client.outcome(1).await;
    for request in django.requests() {
        assert_eq!(request.all("content-length"), ["4"], "{request:?}");
        for name in ["x-injected", "trailer", "transfer-encoding"] {
            assert!(request.all(name).is_empty(), "{name}: {request:?}");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn the_bytes_of_cookies_are_django_s_affair() {
    let (django, gateway, browser) = stage().await;
    let cookies = [
        &b"$Version=1"[..],
        b"sessionid=a",
        b"sessionid=b",
        b"__Host-x=1",
        "\u{2000}__Host-x=2".as_bytes(),
        b"a=\"b;c\"",
        b"=; ;;d",
        b"e=\xff",
    ];
    let whole = cookies.join(&b"; "[..]);
    let crumbs: Vec<_> = cookies.iter().map(|crumb| ("cookie", *crumb)).collect();
    let fields = request("GET", "/crumbs/", browser.host(), &crumbs);
    assert_eq!(ask(&browser, &fields).await, Outcome::Ok);
    let mut raw = browser.raw().await;
    let head = format!("GET /line/ HTTP/1.1\r\nHost: {}\r\n", browser.host());
    raw.send([head.as_bytes(), b"Cookie: ", &whole, b"\r\n\r\n"].concat())
        .await;
    assert_eq!(raw.answer().await.status(), 200);
    for path in ["/crumbs/", "/line/"] {
        let head = django.only_request_to(path).head;
        let line = [&b"\r\ncookie: "[..], &whole, b"\r\n"].concat();
        let found = head
            .raw
            .windows(line.len())
            .filter(|part| part.eq_ignore_ascii_case(&line));
        assert_eq!(found.count(), 1, "{path}: {head:?}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn breaches_of_framing_end_the_connection_and_reach_nobody() {
    let (django, gateway, browser) = stage().await;
    let host = browser.host();
    let head = section(&request("GET", "/", host, &[]));
    let mut beyond = Vec::new();
    integer(&mut beyond, 0x80, 7, 4000);
    let mut table = Vec::new();
    integer(&mut table, 0x20, 5, 1 << 20);
    for (name, bytes) in [
        ("headers on stream 0", frame(HEADERS, 5, 0, &head)),
        ("headers on an even stream", frame(HEADERS, 5, 2, &head)),
        ("data on stream 0", frame(DATA, 1, 0, b"x")),
        ("data on an idle stream", frame(DATA, 1, 1, b"x")),
        (
            "a continuation of nothing",
            frame(CONTINUATION, 4, 1, &head),
        ),
        (
            "another frame within a section",
            [frame(HEADERS, 1, 1, &head), frame(DATA, 1, 1, b"x")].concat(),
        ),
        (
            "a section that is never finished",
            [frame(HEADERS, 1, 1, &head), frame(HEADERS, 5, 3, &head)].concat(),
        ),
        ("a push promise", frame(0x5, 4, 1, &[0, 0, 0, 2])),
        (
            "an acknowledgement with settings",
            frame(SETTINGS, 1, 0, &[0; 6]),
        ),
        ("half a setting", frame(SETTINGS, 0, 0, &[0; 5])),
        ("settings of a stream", frame(SETTINGS, 0, 1, b"")),
        ("a window of no bytes", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        (
            "a window beyond all bounds",
            frame(WINDOW_UPDATE, 0, 0, &[0x7f, 255, 255, 255]),
        ),
        (
            "a frame that is too large",
            frame(DATA, 0, 1, &vec![0; 16_385]),
        ),
        (
            "padding longer than the frame",
            frame(HEADERS, 0xd, 1, &[200, 0x82]),
        ),
        ("an index of no field", frame(HEADERS, 5, 1, &beyond)),
        ("a table larger than allowed", frame(HEADERS, 5, 1, &table)),
        ("an integer without end", frame(HEADERS, 5, 1, &[0xff; 32])),
        (
            "HTTP/1.1",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        ),
    ] {
        let mut client = RawHttp2::open(&browser).await;
        client.send(bytes).await;
        // Who is not cut off for it would be answered now.
        client.send(get(101, "/after/", host)).await;
        let outcome = client.outcome(101).await;
        assert!(matches!(outcome, Outcome::Over(_)), "{name}: {outcome:?}");
    }
    let reached = django.requests();
    assert!(reached.is_empty(), "{reached:?}");
    gateway.stop().await;
}
