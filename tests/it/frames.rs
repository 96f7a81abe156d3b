//! Every breach of RFC 6455 is answered by a close frame that names it, never by a dropped connection.

use futures_util::future::join_all;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::raw::{Raw, frame, frame_head, has_close};
use crate::harness::{Browser, Django, Gateway};

type Wire = Raw<TlsStream<TcpStream>>;

async fn stage() -> (Django, Gateway, Browser) {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django)
        .element("sockets", toml::toml! { path = "/echo/" echo = true })
        .start()
        .await;
    let ann = gateway.browser_of("anns-session");
    (django, gateway, ann)
}

async fn open(browser: &Browser, path: &str) -> Wire {
    browser.handshake(path).send_raw().await.unwrap().0
}

/// The name of a breach, its bytes, and the codes that name it.
fn breaches() -> Vec<(&'static str, Vec<u8>, &'static [u16])> {
    let fragment = |pieces: &[(u8, &[u8])]| {
        let pieces = pieces.iter().map(|(first, payload)| frame(*first, payload));
        pieces.collect::<Vec<_>>().concat()
    };
    let close = |code: u16| frame(0x88, &code.to_be_bytes());
    let announced = |first, length| [&frame_head(first, length, true)[..], b"mask"].concat();
    let unmasked = [&frame_head(0x81, 5, false)[..], b"hello"].concat();
    vec![
        ("unmasked text", unmasked, &[1002]),
        ("unmasked ping", frame_head(0x89, 0, false), &[1002]),
        ("RSV1", frame(0xc1, b"x"), &[1002]),
        ("RSV2", frame(0xa1, b"x"), &[1002]),
        ("RSV3", frame(0x91, b"x"), &[1002]),
        ("RSV1 on a ping", frame(0xc9, b"x"), &[1002]),
        ("opcode 3", frame(0x83, b"x"), &[1002]),
        ("opcode 7", frame(0x87, b"x"), &[1002]),
        ("opcode 11", frame(0x8b, b""), &[1002]),
        ("opcode 15", frame(0x8f, b""), &[1002]),
        ("fragmented ping", frame(0x09, b"x"), &[1002]),
        (
            "fragmented close",
            frame(0x08, &1000u16.to_be_bytes()),
            &[1002],
        ),
        ("long ping", frame(0x89, &[b'x'; 126]), &[1002]),
        (
            "long close",
            frame(0x88, &[&[3, 232][..], &[b'x'; 124]].concat()),
            &[1002],
        ),
        ("continuation of nothing", frame(0x80, b"x"), &[1002]),
        (
            "text within a text",
            fragment(&[(0x01, b"a"), (0x81, b"b")]),
            &[1002],
        ),
        (
            "continuation after the end",
            fragment(&[(0x01, b"{"), (0x80, b"}"), (0x80, b"x")]),
            &[1002, 1008],
        ),
        ("bad UTF-8", frame(0x81, b"\xff\xfe"), &[1007]),
        ("surrogate", frame(0x81, b"\xed\xa0\x80"), &[1007]),
        ("overlong", frame(0x81, b"\xc0\xaf"), &[1007]),
        ("cut character", frame(0x81, b"\xe2\x82"), &[1007]),
        (
            "bad UTF-8 in fragments",
            fragment(&[(0x01, b"\xe2"), (0x80, b"\x28")]),
            &[1007],
        ),
        ("close with one byte", frame(0x88, &[3]), &[1002]),
        ("close 0", close(0), &[1002]),
        ("close 999", close(999), &[1002]),
        ("close 1004", close(1004), &[1002]),
        ("close 1005", close(1005), &[1002]),
        ("close 1006", close(1006), &[1002]),
        ("close 1015", close(1015), &[1002]),
        ("close 1016", close(1016), &[1002]),
        ("close 2999", close(2999), &[1002]),
        ("close 5000", close(5000), &[1002]),
        ("close 65535", close(65535), &[1002]),
        (
            "bad UTF-8 in a close",
            frame(0x88, b"\x03\xe8\xff"),
            &[1007, 1002],
        ),
        (
            "a frame of 64 KiB and a byte",
            frame(0x81, &vec![b'x'; 65_537]),
            &[1009],
        ),
        (
            "a frame of 1 MiB, announced",
            announced(0x81, 1 << 20),
            &[1009],
        ),
        (
            "a frame of 4 GiB, announced",
            announced(0x81, 1 << 32),
            &[1009],
        ),
        (
            "a frame of 2^62, announced",
            announced(0x82, 1 << 62),
            &[1009],
        ),
        (
            "a frame of 2^63, announced",
            announced(0x81, 1 << 63),
            &[1009, 1002],
        ),
        (
            "a frame of 2^64-1, announced",
            announced(0x81, u64::MAX),
            &[1009, 1002],
        ),
    ]
}

#[tokio::test]
async fn every_breach_gets_its_code_at_a_notification_socket() {
    let (_django, gateway, ann) = stage().await;
    for (name, bytes, codes) in breaches() {
        let mut wire = open(&ann, NOTIFICATIONS).await;
        wire.send(bytes).await;
        let closed = wire.closed().await;
        assert!(codes.contains(&closed.code), "{name}: {closed:?}");
        wire.expect_end().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn every_breach_gets_its_code_at_an_echo_route() {
    let (_django, gateway, ann) = stage().await;
    for (name, bytes, codes) in breaches() {
        if name == "continuation after the end" {
            continue;
        }
        let mut wire = open(&ann, "/echo/").await;
        wire.send(bytes).await;
        let closed = wire.closed().await;
        assert!(codes.contains(&closed.code), "{name}: {closed:?}");
        wire.expect_end().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn fragments_are_put_together_and_their_sum_is_bounded() {
    let (_django, gateway, ann) = stage().await;
    let mut wire = open(&ann, NOTIFICATIONS).await;
    for (first, payload) in [
        (0x01, r#"{"ty"#),
        (0x00, r#"pe":"#),
        (0x00, ""),
        (0x80, r#""ping"}"#),
    ] {
        wire.send_frame(first, payload.as_bytes()).await;
    }
    assert_eq!(wire.frame().await.unwrap().payload, br#"{"type":"pong"}"#);
    wire.send_frame(0x01, &vec![b'x'; 40_000]).await;
    wire.send_frame(0x00, &vec![b'x'; 40_000]).await;
    assert_eq!(wire.closed().await.code, 1009);
    gateway.stop().await;
}

#[tokio::test]
async fn fragments_without_an_end_are_bounded() {
    let (_django, gateway, ann) = stage().await;
    for path in [NOTIFICATIONS, "/echo/"] {
        let mut floods = vec![frame(0x00, b"")];
        if path == NOTIFICATIONS {
            // The pings are counted against the rate, and what is between them starts over.
            let with_ping = [vec![frame(0x00, b""); 50].concat(), frame(0x89, b"")].concat();
            floods.push(with_ping);
        }
        for flood in floods {
            let mut wire = open(&ann, path).await;
            wire.send_frame(0x01, b"").await;
            let chunk = flood.repeat(16 * 1024 / flood.len());
            let (sent, said) = wire.flood(&chunk, 4096).await;
            assert!(has_close(&said, 1008), "no close 1008 in {said:?}");
            // Besides what was read, what the kernel and TLS hold.
            assert!(sent < 16 << 20, "{sent} bytes were taken at {path}");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_goodbye_is_answered_with_its_own_code() {
    let (_django, gateway, ann) = stage().await;
    for code in [1000u16, 1001, 1011, 3000, 4999] {
        let mut wire = open(&ann, NOTIFICATIONS).await;
        wire.send_frame(0x88, &code.to_be_bytes()).await;
        assert_eq!(wire.closed().await.code, code);
        wire.expect_end().await;
    }
    let mut wire = open(&ann, NOTIFICATIONS).await;
    wire.send_frame(0x88, b"").await;
    assert_eq!(
        wire.closed().await.code,
        1005,
        "an empty close gets an empty close"
    );
    wire.expect_end().await;
    gateway.api().connected("42", 0).await;
    gateway.stop().await;
}

#[tokio::test]
async fn the_echo_route_wants_no_session_and_echoes_text_and_bytes() {
    let (django, gateway, _ann) = stage().await;
    let nobody = gateway.browser();
    let mut wire = open(&nobody, "/echo/").await;
    for (first, payload) in [(0x81, &b"\xc3\xbc"[..]), (0x82, b"\x00\xff"), (0x81, b"")] {
        wire.send_frame(first, payload).await;
        let echo = wire.frame().await.unwrap();
        assert_eq!((echo.first, &echo.payload[..]), (first, payload));
    }
    assert!(django.requests().is_empty());
    let foreign = nobody.handshake("/echo/").origin("https://evil.test");
    assert_eq!(foreign.refused().await.status(), 403);
    gateway.stop().await;
}

#[tokio::test]
async fn bytes_that_are_no_frames_do_not_disturb_a_neighbour() {
    let (_django, gateway, ann) = stage().await;
    let mut neighbour = ann.socket(NOTIFICATIONS).await;
    let hostile = (0..8u8).map(|seed| {
        let ann = &ann;
        async move {
            let mut wire = open(ann, NOTIFICATIONS).await;
            let noise: Vec<u8> = (0..20_000u32)
                .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3] ^ seed)
                .collect();
            wire.try_send(noise).await;
            wire.closed().await
        }
    });
    for closed in join_all(hostile).await {
        assert!(
            matches!(closed.code, 1002 | 1007 | 1008 | 1009),
            "{closed:?}"
        );
    }
    neighbour.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_flood_of_small_frames_is_closed_1008_however_they_are_answered() {
    let (_django, gateway, ann) = stage().await;
    let mut neighbour = ann.socket(NOTIFICATIONS).await;
    let floods = [
        ("pings", frame(0x89, b"flood")),
        ("pongs", frame(0x8a, b"flood")),
        ("heartbeats", frame(0x81, br#"{"type":"ping"}"#)),
        (
            "words",
            frame(0x81, br#"{"gatepost":"subscribe","topics":[]}"#),
        ),
        ("empty texts", frame(0x81, b"")),
        ("empty bytes", frame(0x82, b"")),
    ];
    for (name, flood) in floods {
        let mut wire = open(&ann, NOTIFICATIONS).await;
        let chunk = flood.repeat(16 * 1024 / flood.len());
        let (sent, said) = wire.flood(&chunk, 4096).await;
        assert!(has_close(&said, 1008), "{name}: {said:?}");
        // Besides what was read, what the kernel and TLS hold.
        assert!(sent < 16 << 20, "{name}: {sent} bytes were taken");
    }
    neighbour.expect_nothing().await;
    gateway.stop().await;
}
