//! WebSockets over HTTP/2 (RFC 8441): many on one connection, judged and bounded like those that have one each.

use futures_util::future::join_all;
use http::{Method, Request};
use hyper::ext::Protocol;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::browser::whole;
use crate::harness::gateway::{NOTIFICATIONS, Setup};
use crate::harness::http2::{
    END_HEADERS, HEADERS, Outcome, RST_STREAM, RawHttp2, frame, get, request, section,
};
use crate::harness::http2_sockets::connect;
use crate::harness::socket::Handshake;
use crate::harness::{Browser, Django, Gateway, Http2, PATIENCE, eventually, in_time, json};

/// `PROTOCOL_ERROR` and `CANCEL` (RFC 9113 section 7).
const PROTOCOL_ERROR: u32 = 1;
const CANCEL: u32 = 8;

/// What makes a handshake wrong.
type Bend = fn(Handshake<'_>) -> Handshake<'_>;

fn setup(django: &Django) -> Setup {
    Gateway::in_front_of(django).set("server.websocket_over_http2", true)
}

async fn stage(change: impl FnOnce(Setup) -> Setup) -> (Django, Gateway) {
    let django = Django::start().await;
    django.signs_in("anns", "42");
    let gateway = change(setup(&django)).start().await;
    (django, gateway)
}

/// Ann's browser, and its connection.
async fn ann(gateway: &Gateway) -> (Browser, Http2) {
    let browser = gateway.browser_of("anns");
    let http2 = Http2::connect(&browser).await;
    (browser, http2)
}

/// A client of an h2 library that sends this `CONNECT` whatever the gateway offers.
fn raw_connect(stream: u32, browser: &Browser, protocol: Option<&str>) -> Vec<u8> {
    let session = [("cookie", &b"sessionid=anns"[..])];
    let version = [("sec-websocket-version", &b"13"[..])];
    let host = browser.host();
    let mut fields = match protocol {
        Some(_) => request("CONNECT", NOTIFICATIONS, host, &[]),
        None => vec![
            (":method", &b"CONNECT"[..]),
            (":authority", host.as_bytes()),
        ],
    };
    fields.extend(protocol.map(|protocol| (":protocol", protocol.as_bytes())));
    fields.extend(session.iter().chain(&version));
    frame(HEADERS, END_HEADERS, stream, &section(&fields))
}

fn to_ann(n: usize) -> serde_json::Value {
    json!({"to": {"user": "42"}, "frame": {"n": n}})
}

#[tokio::test]
async fn sockets_and_requests_share_one_connection() {
    let (_django, gateway) = stage(|setup| setup).await;
    let (browser, mut http2) = ann(&gateway).await;
    assert!(http2.offers_websockets());
    let mut one = http2.socket(&browser, NOTIFICATIONS).await;
    let mut two = http2.socket(&browser, NOTIFICATIONS).await;
    gateway.api().publish(&to_ann(1)).await;
    one.expect_frame(r#"{"n":1}"#).await;
    two.expect_frame(r#"{"n":1}"#).await;
    assert_eq!(http2.get(&browser, "/page/").await.status, 200);
    one.expect_nothing().await;
    for name in [
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-protocol",
        "content-length",
        "connection",
        "upgrade",
    ] {
        assert_eq!(two.response.header(name), None, "{name}");
    }
    one.close().await;
    gateway.api().publish(&to_ann(2)).await;
    two.expect_frame(r#"{"n":2}"#).await;
    drop(two);
    gateway.stop().await;
}

#[tokio::test]
async fn a_handshake_is_judged_as_over_http1() {
    let (_django, gateway) = stage(|setup| setup.socket_setting("require_origin", true)).await;
    let (browser, http2) = ann(&gateway).await;
    let cases: [(&str, u16, Bend); 8] = [
        ("a foreign page", 403, |shake| {
            shake.origin("https://evil.test")
        }),
        ("no page", 403, |shake| shake.without_origin()),
        ("two pages", 403, |shake| {
            shake.and("Origin", "https://evil.test")
        }),
        ("another version", 426, |shake| {
            shake.with("Sec-WebSocket-Version", "8")
        }),
        ("no version", 426, |shake| {
            shake.without("Sec-WebSocket-Version")
        }),
        ("two versions", 400, |shake| {
            shake.and("Sec-WebSocket-Version", "13")
        }),
        ("another host", 421, |shake| {
            shake.with("Host", "other.test")
        }),
        ("an expectation", 417, |shake| shake.and("Expect", "tea")),
    ];
    for (name, status, bend) in cases {
        let over_http1 = bend(browser.handshake(NOTIFICATIONS)).refused().await;
        assert_eq!(over_http1.status(), status, "{name}");
        let over_http2 = http2.open(bend(browser.handshake(NOTIFICATIONS))).await;
        let refused = over_http2
            .err()
            .unwrap_or_else(|| panic!("{name} is let in"));
        assert_eq!(refused.status.as_u16(), status, "{name}");
        assert_eq!(refused.json()["code"], over_http1.json()["code"], "{name}");
    }
    http2.socket(&browser, NOTIFICATIONS).await.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn who_is_not_logged_in_is_let_in_and_told_4001() {
    let (django, gateway) = stage(|setup| setup).await;
    let nobody = gateway.browser();
    let http2 = Http2::connect(&nobody).await;
    let mut socket = http2.socket(&nobody, NOTIFICATIONS).await;
    assert_eq!(socket.expect_close(4001).await.reason, "not logged in");
    assert!(django.auth_calls().is_empty());
    let stranger = gateway.browser_of("unknown");
    http2
        .socket(&stranger, NOTIFICATIONS)
        .await
        .expect_close(4001)
        .await;
    let (browser, http2) = ann(&gateway).await;
    let mut socket = http2.socket(&browser, NOTIFICATIONS).await;
    socket.expect_nothing().await;
    let revoked = json!({"user": "42", "code": 4001, "reason": "logged out"});
    assert_eq!(gateway.api().revoke(&revoked).await, 1);
    assert_eq!(socket.expect_close(4001).await.reason, "logged out");
    assert!(!http2.is_closed());
    gateway.stop().await;
}

#[tokio::test]
async fn the_subprotocol_is_selected_and_the_query_read() {
    let (_django, gateway) = stage(|setup| setup).await;
    let (browser, http2) = ann(&gateway).await;
    let handshake = browser.handshake(NOTIFICATIONS).protocol("a, gatepost.v1");
    let mut socket = http2.open(handshake).await.unwrap();
    let selected = socket.response.header("sec-websocket-protocol");
    assert_eq!(selected.as_deref(), Some("gatepost.v1"));
    let welcome = socket.json().await;
    assert_eq!(welcome["control"], "welcome");
    let position = welcome["position"].as_str().unwrap();
    gateway.api().publish(&to_ann(1)).await;
    assert_eq!(socket.json().await["data"]["n"], 1);
    let path = format!("{NOTIFICATIONS}?position={position}");
    let mut again = http2.socket(&browser, &path).await;
    again.expect_frame(r#"{"n":1}"#).await;
    gateway.stop().await;
}

#[tokio::test]
async fn connect_for_anything_else_is_refused_in_words() {
    let folder = |setup: Setup| {
        let static_files = toml::toml! {
            path = "/static/"
            root = "static"
        };
        setup
            .element("files", static_files)
            .file("static/a.txt", "a")
    };
    let (django, gateway) = stage(folder).await;
    let (browser, mut http2) = ann(&gateway).await;
    let asked = |path: &str, protocol: &'static str| {
        let mut request = connect(&browser.handshake(path));
        let protocol = Protocol::from_static(protocol);
        request.extensions_mut().insert(protocol);
        request
    };
    let plain = Request::builder()
        .method(Method::CONNECT)
        .uri("example.com:443")
        .body(whole(bytes::Bytes::new()))
        .unwrap();
    for (request, status, code) in [
        (plain, 405, "method_not_allowed"),
        (asked(NOTIFICATIONS, "connect-udp"), 501, "protocol_unknown"),
        (asked("/some/view/", "websocket"), 404, "no_websocket"),
        (asked("/static/a.txt", "websocket"), 404, "no_websocket"),
        (asked("/_gatepost/auth/", "websocket"), 404, "not_found"),
    ] {
        let what = format!("{request:?}");
        let answer = http2.send(request).await.unwrap();
        let page = crate::harness::Page::of(answer).await.unwrap();
        assert_eq!(page.status, status, "{what}");
        assert_eq!(page.json()["code"], code, "{what}");
    }
    let plain_get = http2.get(&browser, NOTIFICATIONS).await;
    assert_eq!(plain_get.status, 426);
    assert!(django.requests().is_empty(), "{:?}", django.requests());
    gateway.stop().await;
}

#[tokio::test]
async fn only_what_is_offered_is_taken_and_a_reload_changes_the_offer() {
    let django = Django::start().await;
    django.signs_in("anns", "42");
    let on = setup(&django);
    let off = setup(&django).set("server.websocket_over_http2", false);
    let gateway = off.start().await;
    let browser = gateway.browser_of("anns");
    let before = Http2::connect(&browser).await;
    assert!(!before.offers_websockets());
    let mut raw = RawHttp2::open(&browser).await;
    raw.send(raw_connect(1, &browser, Some("websocket"))).await;
    assert_eq!(raw.outcome(1).await, Outcome::Reset(PROTOCOL_ERROR));
    gateway.reloaded(&on).await;
    let after = Http2::connect(&browser).await;
    assert!(after.offers_websockets() && !before.offers_websockets());
    let mut socket = after.socket(&browser, NOTIFICATIONS).await;
    let off = setup(&django).set("server.websocket_over_http2", false);
    gateway.reloaded(&off).await;
    assert!(!Http2::connect(&browser).await.offers_websockets());
    socket.expect_nothing().await;
    socket.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn the_limits_of_messages_end_one_socket_alone() {
    let (_django, gateway) = stage(|setup| {
        setup
            .set("limits.message_size", "4KiB")
            .set("limits.message_rate", "5/s")
    })
    .await;
    let (browser, http2) = ann(&gateway).await;
    let mut calm = http2.socket(&browser, NOTIFICATIONS).await;
    let mut large = http2.socket(&browser, NOTIFICATIONS).await;
    let message = Message::text("x".repeat(5000));
    large.try_send(message).await.unwrap();
    large.expect_close(1009).await;
    let mut many = http2.socket(&browser, NOTIFICATIONS).await;
    for _ in 0..40 {
        let _ = many.try_send(Message::text(r#"{"type":"ping"}"#)).await;
    }
    assert_eq!(many.closed().await.code, 1008);
    let mut binary = http2.socket(&browser, NOTIFICATIONS).await;
    binary.try_send(Message::binary(vec![1])).await.unwrap();
    binary.expect_close(1008).await;
    calm.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn each_counts_as_a_connection_of_its_address_and_of_all() {
    let (_django, gateway) = stage(|setup| setup.set("limits.connections_per_address", 2)).await;
    let (browser, http2) = ann(&gateway).await;
    let one = http2.socket(&browser, NOTIFICATIONS).await;
    let _two = http2.socket(&browser, NOTIFICATIONS).await;
    let handshake = || http2.open(browser.handshake(NOTIFICATIONS));
    assert_eq!(handshake().await.err().unwrap().status, 429);
    one.close().await;
    gateway.api().connected("42", 1).await;
    crate::harness::eventually_some(PATIENCE, async || handshake().await.ok()).await;
    gateway.stop().await;
}

#[tokio::test]
async fn of_a_hundred_sockets_one_that_stalls_is_closed_and_all_others_go_on() {
    let (_django, gateway) = stage(|setup| {
        setup
            .set("limits.connections_per_user", 200)
            .set("limits.handshakes_per_address", "0/s")
            .set("limits.write_timeout", "1s")
    })
    .await;
    let (browser, mut http2) = ann(&gateway).await;
    let stalled = http2.open_raw(browser.handshake(NOTIFICATIONS)).await;
    let (mut stalled, _) = stalled.unwrap();
    let mut others = Vec::new();
    for _ in 0..99 {
        others.push(http2.socket(&browser, NOTIFICATIONS).await);
    }
    gateway.api().connected("42", 100).await;
    // Fills the stream's window and all that waits behind it.
    let large = "x".repeat(30_000);
    for n in 0..20 {
        let publication = json!({"to": {"user": "42"}, "frame": {"n": n, "fill": large}});
        gateway.api().publish(&publication).await;
        join_all(others.iter_mut().map(async |socket| {
            assert_eq!(socket.json().await["n"], n);
        }))
        .await;
    }
    gateway.api().connected("42", 99).await;
    let closes = r#"gatepost_closes_total{code="1013"}"#;
    assert!((gateway.api().metric(closes).await - 1.0).abs() < 0.1);
    assert_eq!(http2.get(&browser, "/page/").await.status, 200);
    // What was on its way still comes, and then the reason.
    assert_eq!(stalled.closed().await.code, 1013);
    for socket in &mut others {
        socket.expect_nothing().await;
    }
    drop(others);
    gateway.stop().await;
}

#[tokio::test]
async fn what_waits_for_a_socket_that_stalls_is_bounded_whatever_the_window() {
    let (_django, gateway) = stage(|setup| setup.set("limits.write_timeout", "15s")).await;
    let (browser, http2) = ann(&gateway).await;
    let stalled = http2.open_raw(browser.handshake(NOTIFICATIONS)).await;
    let (mut stalled, _) = stalled.unwrap();
    gateway.api().connected("42", 1).await;
    let mut published = 0;
    let fill = "x".repeat(120_000);
    let publication = json!({"to": {"user": "42"}, "frame": fill});
    while gateway.api().publish(&publication).await["sockets"] == 1 {
        published += fill.len();
        assert!(published < 600_000, "window, codec and outbox hold no more");
        // It takes what it can before the next comes.
        let is_stuck = async || {
            let connections = gateway.api().connections("42").await;
            connections.first().is_none_or(|one| one["queued"] != 0)
        };
        for _ in 0..20 {
            if is_stuck().await {
                break;
            }
        }
    }
    assert_eq!(stalled.closed().await.code, 1013);
    gateway.stop().await;
}

#[tokio::test]
async fn nothing_is_left_of_a_socket_whose_client_never_opens_its_window() {
    let (_django, gateway) = stage(|setup| setup.set("limits.write_timeout", "500ms")).await;
    let browser = gateway.browser_of("anns");
    let mut raw = RawHttp2::open(&browser).await;
    raw.send(raw_connect(1, &browser, Some("websocket"))).await;
    assert_eq!(raw.outcome(1).await, Outcome::Ok);
    gateway.api().connected("42", 1).await;
    let large = "x".repeat(100_000);
    for n in 0..5 {
        let publication = json!({"to": {"user": "42"}, "frame": {"n": n, "fill": large}});
        gateway.api().publish(&publication).await;
    }
    let reset = loop {
        let frame = raw.next().await.expect("the connection goes on");
        if frame.kind == RST_STREAM {
            break frame;
        }
    };
    assert_eq!(
        (reset.stream, reset.payload),
        (1, CANCEL.to_be_bytes().to_vec())
    );
    raw.send(get(3, "/page/", browser.host())).await;
    assert_eq!(raw.outcome(3).await, Outcome::Ok);
    gateway.stop().await;
}

#[tokio::test]
async fn a_stream_that_is_reset_and_a_connection_that_ends_are_the_ends_of_their_sockets() {
    let (_django, gateway) = stage(|setup| setup).await;
    let browser = gateway.browser_of("anns");
    let mut raw = RawHttp2::open(&browser).await;
    for stream in [1, 3, 5] {
        let connect = raw_connect(stream, &browser, Some("websocket"));
        raw.send(connect).await;
        assert_eq!(raw.outcome(stream).await, Outcome::Ok);
    }
    gateway.api().connected("42", 3).await;
    for code in [CANCEL, PROTOCOL_ERROR] {
        let stream = if code == CANCEL { 1 } else { 3 };
        raw.send(frame(RST_STREAM, 0, stream, &code.to_be_bytes()))
            .await;
    }
    gateway.api().connected("42", 1).await;
    drop(raw);
    gateway.api().connected("42", 0).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_drain_tells_sockets_to_come_back_and_then_ends_their_connection() {
    let (_django, mut gateway) = stage(|setup| {
        setup
            .set("limits.drain_spread", "1s")
            .set("limits.write_timeout", "500ms")
    })
    .await;
    let (browser, http2) = ann(&gateway).await;
    let mut sockets = Vec::new();
    for _ in 0..10 {
        sockets.push(http2.socket(&browser, NOTIFICATIONS).await);
    }
    gateway.api().connected("42", 10).await;
    let stopping = gateway.begin_to_stop();
    join_all(sockets.iter_mut().map(async |socket| {
        let closed = socket.expect_close(1001).await;
        closed
            .reason
            .parse::<u32>()
            .expect("a delay in milliseconds");
    }))
    .await;
    drop(sockets);
    assert_eq!(stopping.end().await, 0, "nothing had to be aborted");
    eventually(PATIENCE, || http2.is_closed()).await;
}

#[tokio::test]
async fn a_connection_lasts_as_long_as_its_sockets_and_then_idles_away() {
    let (_django, gateway) = stage(|setup| {
        setup
            .set("limits.idle_timeout", "300ms")
            .set("limits.header_timeout", "300ms")
            .set("limits.write_timeout", "300ms")
    })
    .await;
    let (browser, http2) = ann(&gateway).await;
    let idle = Http2::connect(&browser).await;
    let mut socket = http2.socket(&browser, NOTIFICATIONS).await;
    eventually(PATIENCE, || idle.is_closed()).await;
    // Another that begins to idle now is gone before this one's socket is asked.
    let idle = Http2::connect(&browser).await;
    eventually(PATIENCE, || idle.is_closed()).await;
    socket.expect_nothing().await;
    assert!(!http2.is_closed());
    socket.close().await;
    eventually(PATIENCE, || http2.is_closed()).await;
    gateway.stop().await;
}

#[tokio::test]
async fn pages_that_come_and_go_are_no_flood() {
    let (_django, gateway) = stage(|setup| setup.set("limits.handshakes_per_address", "0/s")).await;
    let (browser, http2) = ann(&gateway).await;
    let mut stays = http2.socket(&browser, NOTIFICATIONS).await;
    for round in 0..150 {
        let mut socket = http2.socket(&browser, NOTIFICATIONS).await;
        if round % 3 == 0 {
            socket.expect_nothing().await;
            socket.close().await;
        }
    }
    stays.expect_nothing().await;
    assert!(!http2.is_closed());
    gateway.api().connected("42", 1).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_frame_of_any_length_comes_whole() {
    let (_django, gateway) = stage(|setup| setup).await;
    let (browser, http2) = ann(&gateway).await;
    let mut socket = http2.socket(&browser, NOTIFICATIONS).await;
    for length in [0, 1, 125, 126, 16_383, 16_384, 16_385, 65_536, 250_000] {
        let text = "x".repeat(length);
        let publication = json!({"to": {"user": "42"}, "frame": text});
        gateway.api().publish(&publication).await;
        let frame = in_time("a frame", socket.frame()).await;
        assert_eq!(frame.len(), length + 2);
    }
    gateway.stop().await;
}
