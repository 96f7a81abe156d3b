//! RFC 6455 section 4.2.1 to the letter: what is no handshake never becomes a socket.

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::raw::frame;
use crate::harness::socket::Handshake;
use crate::harness::{Browser, Django, Gateway};

async fn stage() -> (Django, Gateway, Browser) {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = gateway.browser_of("anns-session");
    (django, gateway, ann)
}

#[tokio::test]
async fn a_malformed_handshake_is_answered_and_never_upgraded() {
    let (django, gateway, ann) = stage().await;
    let shake = || ann.handshake(NOTIFICATIONS);
    let cases: Vec<(&str, &[u16], Handshake<'_>)> = vec![
        ("HTTP/1.0", &[400, 426, 505], shake().version("HTTP/1.0")),
        ("POST", &[400, 405], shake().method("POST")),
        ("PUT", &[400, 405], shake().method("PUT")),
        ("no key", &[400], shake().without("Sec-WebSocket-Key")),
        (
            "two keys",
            &[400],
            shake().and("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ),
        ("empty key", &[400], shake().with("Sec-WebSocket-Key", "")),
        (
            "short key",
            &[400],
            shake().with("Sec-WebSocket-Key", "c2hvcnQ="),
        ),
        (
            "long key",
            &[400],
            shake().with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==AAAA"),
        ),
        (
            "key that is no base64",
            &[400],
            shake().with("Sec-WebSocket-Key", "!!!!!!!!!!!!!!!!!!!!!!=="),
        ),
        (
            "no version",
            &[400, 426],
            shake().without("Sec-WebSocket-Version"),
        ),
        (
            "two versions",
            &[400, 426],
            shake().and("Sec-WebSocket-Version", "13"),
        ),
        (
            "version 8",
            &[426],
            shake().with("Sec-WebSocket-Version", "8"),
        ),
        (
            "version 99",
            &[426],
            shake().with("Sec-WebSocket-Version", "99"),
        ),
        (
            "version 013",
            &[400, 426],
            shake().with("Sec-WebSocket-Version", "013"),
        ),
        ("no connection", &[400, 426], shake().without("Connection")),
        (
            "keep-alive",
            &[400, 426],
            shake().with("Connection", "keep-alive"),
        ),
        (
            "upgraded",
            &[400, 426],
            shake().with("Connection", "upgraded"),
        ),
        ("no upgrade", &[400, 426], shake().without("Upgrade")),
        ("h2c", &[400, 426], shake().with("Upgrade", "h2c")),
        (
            "websockets",
            &[400, 426],
            shake().with("Upgrade", "websockets"),
        ),
        (
            "a length",
            &[400],
            shake().and("Content-Length", "5").followed_by("hello"),
        ),
        (
            "chunks",
            &[400],
            shake()
                .and("Transfer-Encoding", "chunked")
                .followed_by("0\r\n\r\n"),
        ),
    ];
    for (name, statuses, handshake) in cases {
        let status = handshake.refused().await.status();
        assert!(statuses.contains(&status), "{name}: {status}");
    }
    assert!(django.auth_calls().is_empty(), "{:?}", django.auth_calls());
    gateway.stop().await;
}

#[tokio::test]
async fn another_version_is_told_ours() {
    let (_django, gateway, ann) = stage().await;
    let handshake = ann
        .handshake(NOTIFICATIONS)
        .with("Sec-WebSocket-Version", "99");
    let refusal = handshake.refused().await;
    assert_eq!(refusal.status(), 426);
    assert_eq!(refusal.header("sec-websocket-version").unwrap(), "13");
    gateway.stop().await;
}

#[tokio::test]
async fn a_plain_get_of_a_socket_path_gets_426() {
    let (django, gateway, ann) = stage().await;
    let over_http1 = ann.get(NOTIFICATIONS).await;
    let over_http2 = ann.ask(http::Method::GET, NOTIFICATIONS).over_http2();
    let over_http2 = over_http2.send().await;
    assert_eq!(over_http1.status, 426);
    assert_eq!(over_http2.status, 426);
    assert!(over_http1.header("upgrade").unwrap().contains("websocket"));
    assert!(
        over_http2.header("upgrade").is_none(),
        "forbidden in HTTP/2"
    );
    assert!(django.requests().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn what_browsers_spell_differently_is_one_handshake() {
    let (_django, gateway, ann) = stage().await;
    let shake = || ann.handshake(NOTIFICATIONS);
    for handshake in [
        shake().with("Connection", "keep-alive, Upgrade"),
        shake()
            .with("Connection", "keep-alive")
            .and("Connection", "upgrade"),
        shake().with("Upgrade", "WebSocket"),
        shake().and("Content-Length", "0"),
        shake().and(
            "Sec-WebSocket-Extensions",
            "permessage-deflate; client_max_window_bits",
        ),
        ann.handshake("/ws/notifications/?since=1&x=%2F"),
        ann.handshake("/ws/%6eotifications/"),
    ] {
        let mut socket = handshake.send().await.unwrap();
        assert!(socket.response.header("sec-websocket-extensions").is_none());
        assert!(socket.response.header("sec-websocket-protocol").is_none());
        socket.expect_nothing().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn an_unknown_socket_path_is_an_ordinary_request_without_upgrade() {
    let (django, gateway, ann) = stage().await;
    for path in ["/ws/other/", "/ws/notifications", "/ws/notifications/x/"] {
        let answer = ann.handshake(path).refused().await;
        assert_eq!(answer.status(), 200, "{path}: {answer:?}");
        let request = django.only_request_to(path);
        assert!(request.all("upgrade").is_empty(), "{request:?}");
        let connection = request.all("connection").join(",").to_lowercase();
        assert!(!connection.contains("upgrade"), "{request:?}");
    }
    assert!(django.auth_calls().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn after_a_refusal_the_connection_is_still_in_step() {
    let (_django, gateway, ann) = stage().await;
    let mut raw = ann.raw().await;
    let refused = ann
        .handshake(NOTIFICATIONS)
        .with("Sec-WebSocket-Version", "99");
    raw.send(refused.bytes()).await;
    assert_eq!(raw.answer().await.status(), 426);
    let good = ann.handshake(NOTIFICATIONS).bytes();
    if raw.try_send(good).await
        && let Some(answer) = raw.try_answer().await
    {
        assert_eq!(answer.status(), 101);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_kept_connection_can_become_a_socket() {
    let (_django, gateway, ann) = stage().await;
    let host = ann.host();
    let ordinary = format!("GET /page/ HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes();
    let handshake = ann.handshake(NOTIFICATIONS).bytes();
    let ping = frame(0x81, br#"{"type":"ping"}"#);

    let mut one_by_one = ann.raw().await;
    one_by_one.send(&ordinary).await;
    assert_eq!(one_by_one.answer().await.status(), 200);
    one_by_one.send(&handshake).await;
    assert_eq!(one_by_one.answer().await.status(), 101);
    one_by_one.send(&ping).await;
    assert_eq!(
        one_by_one.frame().await.unwrap().payload,
        br#"{"type":"pong"}"#
    );

    let mut at_once = ann.raw().await;
    at_once.send([ordinary, handshake, ping].concat()).await;
    assert_eq!(at_once.answer().await.status(), 200);
    assert_eq!(at_once.answer().await.status(), 101);
    assert_eq!(
        at_once.frame().await.unwrap().payload,
        br#"{"type":"pong"}"#
    );
    drop((one_by_one, at_once));
    gateway.stop().await;
}

#[tokio::test]
async fn the_101_spells_its_names_as_the_rfc_does() {
    let (_django, gateway, ann) = stage().await;
    let mut raw = ann.raw().await;
    raw.send(ann.handshake(NOTIFICATIONS).bytes()).await;
    let lines = raw.head().await.lines();
    for name in ["Upgrade: ", "Connection: ", "Sec-WebSocket-Accept: "] {
        let is_there = lines.iter().any(|line| line.starts_with(name));
        assert!(is_there, "{name} in {lines:?}");
    }
    drop(raw);
    gateway.stop().await;
}
