//! A client that reads too slowly costs a bounded number of bytes, learns why it is closed, and
//! disturbs nobody.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::harness::gateway::{NOTIFICATIONS, Setup};
use crate::harness::raw::Raw;
use crate::harness::{Django, Gateway, PATIENCE, eventually_some, json};

/// Bytes of a large frame.
const LARGE: usize = 32 * 1024;
const TOO_SLOW: &str = r#"gatepost_closes_total{code="1013"}"#;
/// More than this never fits between gateway and client: outbox, codec, TLS and both kernels.
const MORE_THAN_ANY_BUFFER: usize = 24 * 1024 * 1024;

async fn stage(change: impl FnOnce(Setup) -> Setup) -> (Django, Gateway) {
    let django = Django::start().await;
    django.signs_in("slow", "1");
    django.signs_in("brisk", "2");
    let setup = Gateway::in_front_of(&django)
        .set("delivery.outbox_size", "256KiB")
        .set("limits.write_timeout", "10s");
    let gateway = change(setup).start().await;
    (django, gateway)
}

/// A client that does not read until it is told to.
async fn slow(gateway: &Gateway) -> Raw<TlsStream<TcpStream>> {
    let browser = gateway.browser_of("slow").with_small_receive_buffer();
    let opened = browser.handshake(NOTIFICATIONS).send_raw().await;
    gateway.api().connected("1", 1).await;
    opened.unwrap().0
}

fn large(n: usize) -> Value {
    json!({"n": n, "fill": "x".repeat(LARGE)})
}

/// Publishes large frames until `stop` says so of a receipt; returns how many there were.
async fn publish_until(
    gateway: &Gateway,
    to: &Value,
    mut stop: impl AsyncFnMut(&Value) -> bool,
) -> usize {
    for n in 0..MORE_THAN_ANY_BUFFER / LARGE {
        let publication = json!({"to": to, "frame": large(n)});
        let asked = Instant::now();
        let receipt = gateway.api().publish(&publication).await;
        let took = asked.elapsed();
        assert!(
            took < Duration::from_secs(2),
            "the publisher waited {took:?}"
        );
        if stop(&receipt).await {
            return n + 1;
        }
    }
    panic!("{MORE_THAN_ANY_BUFFER} bytes were taken for a client that reads nothing");
}

async fn queued(gateway: &Gateway, user: &str) -> u64 {
    let connections = gateway.api().connections(user).await;
    let connection = connections.first().expect("a connection");
    connection["queued"].as_u64().unwrap()
}

#[tokio::test]
async fn a_client_that_stops_reading_is_closed_1013_and_nobody_else_notices() {
    let (_django, gateway) = stage(|setup| setup).await;
    let mut slow = slow(&gateway).await;
    let brisk = gateway.browser_of("brisk");
    let mut brisk = brisk.socket(NOTIFICATIONS).await;
    let (counted, mut count) = tokio::sync::watch::channel(0);
    let reading = tokio::spawn(async move {
        loop {
            let frame = brisk.json().await;
            if frame == json!("end") {
                return brisk;
            }
            assert_eq!(frame["n"], *counted.borrow());
            counted.send_modify(|n| *n += 1);
        }
    });
    let everyone = json!({"everyone": true});
    let mut sent = 0;
    let published = publish_until(&gateway, &everyone, async |receipt| {
        sent += 1;
        // Waits for the brisk one, so that it is never the slow one by accident.
        count.wait_for(|n| *n >= sent).await.unwrap();
        receipt["sockets"] == 1
    })
    .await;
    gateway
        .api()
        .publish(&json!({"to": everyone, "frame": "end"}))
        .await;
    reading.await.unwrap().close().await;

    // What was on its way still arrives in order and without a hole; then the reason.
    let mut received = 0;
    let closed = loop {
        let frame = slow.frame().await.expect("a close frame before the end");
        if frame.first == 0x88 {
            break frame.payload;
        }
        let frame: Value = serde_json::from_slice(&frame.payload).unwrap();
        assert_eq!(frame["n"], received);
        received += 1;
    };
    assert!(received < published);
    assert_eq!(u16::from_be_bytes([closed[0], closed[1]]), 1013);
    slow.expect_end().await;
    drop(slow);
    gateway.stop().await;
}

#[tokio::test]
async fn an_overflow_closes_at_once_and_not_when_the_write_under_way_is_given_up() {
    let (_django, gateway) = stage(|setup| setup.set("limits.write_timeout", "1h")).await;
    let slow = slow(&gateway).await;
    let user = json!({"user": "1"});
    publish_until(&gateway, &user, async |receipt| receipt["sockets"] == 0).await;
    eventually_some(PATIENCE, async || {
        let closed = gateway.api().metric(TOO_SLOW).await;
        (closed >= 1.0).then_some(())
    })
    .await;
    assert!(gateway.api().connections("1").await.is_empty());
    drop(slow);
    gateway.stop().await;
}

#[tokio::test]
async fn the_number_of_waiting_frames_is_bounded_too() {
    let (_django, gateway) = stage(|setup| setup.set("delivery.outbox_frames", 8)).await;
    let mut slow = slow(&gateway).await;
    let user = json!({"user": "1"});
    publish_until(&gateway, &user, async |_| queued(&gateway, "1").await > 0).await;
    let mut taken = 0;
    while gateway
        .api()
        .publish(&json!({"to": user, "frame": 1}))
        .await["sockets"]
        == 1
    {
        taken += 1;
        assert!(taken <= 8, "more than outbox_frames wait");
    }
    assert_eq!(slow.closed().await.code, 1013);
    drop(slow);
    gateway.stop().await;
}

#[tokio::test]
async fn of_a_key_a_slow_client_keeps_only_the_newest() {
    let (_django, gateway) = stage(|setup| setup).await;
    let mut slow = slow(&gateway).await;
    let user = json!({"user": "1"});
    let before = publish_until(&gateway, &user, async |_| queued(&gateway, "1").await > 0).await;
    // Together far more than the outbox takes.
    for n in 0..40 {
        let publication = json!({"to": user, "frame": large(1000 + n), "key": "position"});
        let receipt = gateway.api().publish(&publication).await;
        assert_eq!(receipt["sockets"], 1);
    }
    let publication = json!({"to": user, "frame": "end"});
    gateway.api().publish(&publication).await;
    let mut numbers = Vec::new();
    loop {
        let frame = slow.frame().await.unwrap();
        assert_eq!(
            frame.first,
            0x81,
            "{:?}",
            String::from_utf8_lossy(&frame.payload)
        );
        match serde_json::from_slice::<Value>(&frame.payload).unwrap() {
            Value::String(end) if end == "end" => break,
            frame => numbers.push(frame["n"].as_u64().unwrap()),
        }
    }
    let (plain, keyed): (Vec<u64>, Vec<u64>) = numbers.iter().partition(|n| **n < 1000);
    assert_eq!(plain, (0..before as u64).collect::<Vec<_>>());
    assert_eq!(keyed.last(), Some(&1039));
    assert!(keyed.len() < 10, "{keyed:?}");
    drop(slow);
    gateway.stop().await;
}

#[tokio::test]
async fn what_takes_the_place_of_an_older_frame_has_its_own_id_and_a_place_by_it() {
    let (_django, gateway) = stage(|setup| setup.set("delivery.history", 10_000)).await;
    let browser = gateway.browser_of("slow").with_small_receive_buffer();
    let offered = |path: &str| browser.handshake(path).protocol("gatepost.v1");
    let (mut slow, _) = offered(NOTIFICATIONS).send_raw().await.unwrap();
    gateway.api().connected("1", 1).await;
    let user = json!({"user": "1"});
    publish_until(&gateway, &user, async |_| queued(&gateway, "1").await > 0).await;
    let mut ids = Vec::new();
    for (frame, key) in [("a", "k"), ("b", "other"), ("c", "k"), ("d", "more")] {
        let publication = json!({"to": user, "frame": frame, "key": key});
        let receipt = gateway.api().publish(&publication).await;
        assert_eq!(receipt["sockets"], 1);
        ids.push(receipt["position"].clone());
    }
    // "a" waited; where it did, "c" has taken its place, but not in the order.
    let mut got = Vec::new();
    while got.last().is_none_or(|(_, frame)| frame != "d") {
        let frame = slow.frame().await.unwrap();
        let object: Value = serde_json::from_slice(&frame.payload).unwrap();
        if object["data"].is_string() {
            got.push((object["id"].clone(), object["data"].clone()));
        }
    }
    let expected = [(&ids[1], "b"), (&ids[2], "c"), (&ids[3], "d")];
    let expected = expected.map(|(id, frame)| (id.clone(), json!(frame)));
    assert_eq!(got, expected);
    drop(slow);
    // Whichever of them was the last that it got, it gets the rest.
    for at in 0..expected.len() {
        let path = format!("{NOTIFICATIONS}?position={}", ids[at].as_str().unwrap());
        let mut back = offered(&path).send().await.unwrap();
        assert_eq!(back.json().await["recovered"], true);
        for (id, frame) in &expected[at..] {
            let object = back.json().await;
            assert_eq!((&object["id"], &object["data"]), (id, frame));
        }
        back.expect_nothing().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_slow_client_that_says_where_it_is_loses_nothing_by_being_closed() {
    let (_django, gateway) = stage(|setup| {
        let setup = setup.set("delivery.history", 10_000);
        setup.set("delivery.history_size", "64MiB")
    })
    .await;
    let browser = gateway.browser_of("slow").with_small_receive_buffer();
    let offered = |path: &str| browser.handshake(path).protocol("gatepost.v1");
    let (mut slow, _) = offered(NOTIFICATIONS).send_raw().await.unwrap();
    gateway.api().connected("1", 1).await;
    let user = json!({"user": "1"});
    let published =
        publish_until(&gateway, &user, async |receipt| receipt["sockets"] == 0).await as u64;
    let (mut last, mut numbers) = (Value::Null, Vec::new());
    loop {
        let frame = slow.frame().await.expect("a close frame before the end");
        if frame.first == 0x88 {
            let code = u16::from_be_bytes([frame.payload[0], frame.payload[1]]);
            assert_eq!(code, 1013);
            break;
        }
        let object: Value = serde_json::from_slice(&frame.payload).unwrap();
        if object["id"].is_string() {
            last = object["id"].clone();
            numbers.push(object["data"]["n"].as_u64().unwrap());
        }
    }
    drop(slow);
    let path = format!("{NOTIFICATIONS}?position={}", last.as_str().unwrap());
    let mut back = offered(&path).send().await.unwrap();
    assert_eq!(back.json().await["recovered"], true);
    while numbers.len() < usize::try_from(published).unwrap() {
        let object = back.json().await;
        numbers.extend(object["data"]["n"].as_u64());
    }
    assert_eq!(numbers, (0..published).collect::<Vec<_>>());
    gateway.stop().await;
}

/// The outbox's limits are what a stalled client costs: frames are kept once for all of them.
#[tokio::test]
async fn stalled_clients_are_closed_within_their_limits_while_a_publisher_goes_on() {
    const STALLED: usize = 60;
    const OUTBOX: u64 = 256 * 1024;
    let (_django, gateway) = stage(|setup| setup.set("limits.connections_per_user", 200)).await;
    let browser = gateway.browser_of("slow").with_small_receive_buffer();
    let mut stalled = Vec::new();
    for n in 0..STALLED {
        let handshake = browser.handshake(NOTIFICATIONS);
        let handshake = if n % 2 == 0 {
            handshake.protocol("gatepost.v1")
        } else {
            handshake
        };
        stalled.push(handshake.send_raw().await.unwrap().0);
    }
    gateway.api().connected("1", STALLED).await;
    let user = json!({"user": "1"});
    publish_until(&gateway, &user, async |receipt| {
        for connection in gateway.api().connections("1").await {
            let queued = connection["queued"].as_u64().unwrap();
            assert!(queued * LARGE as u64 <= OUTBOX, "{connection}");
        }
        receipt["sockets"] == 0
    })
    .await;
    for mut one in stalled {
        assert_eq!(one.closed().await.code, 1013);
    }
    let slow = gateway.api().metric(TOO_SLOW).await;
    assert!(slow > 59.0, "{slow}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_frame_whose_time_is_over_is_not_sent() {
    let (_django, gateway) = stage(|setup| setup).await;
    let mut slow = slow(&gateway).await;
    let user = json!({"user": "1"});
    publish_until(&gateway, &user, async |_| queued(&gateway, "1").await > 0).await;
    let asked = Instant::now();
    let publication = json!({"to": user, "frame": "stale", "ttl": "1s"});
    gateway.api().publish(&publication).await;
    let publication = json!({"to": user, "frame": "end"});
    gateway.api().publish(&publication).await;
    eventually_some(PATIENCE, async || {
        (asked.elapsed() > Duration::from_millis(1100)).then_some(())
    })
    .await;
    loop {
        let frame = slow.frame().await.unwrap();
        match serde_json::from_slice::<Value>(&frame.payload).unwrap() {
            Value::String(text) if text == "end" => break,
            frame => assert!(frame["n"].is_u64(), "{frame}"),
        }
    }
    drop(slow);
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_never_reads_again_is_cut_after_the_write_timeout() {
    let (_django, gateway) = stage(|setup| setup.set("limits.write_timeout", "1s")).await;
    let slow = slow(&gateway).await;
    let user = json!({"user": "1"});
    publish_until(&gateway, &user, async |receipt| receipt["sockets"] == 0).await;
    eventually_some(PATIENCE, async || {
        let open = gateway.api().metric("gatepost_connections").await;
        (open == 0.0).then_some(())
    })
    .await;
    drop(slow);
    assert_eq!(gateway.stop().await, 0, "its task is gone before the drain");
}

#[tokio::test]
async fn a_client_that_reads_again_after_the_write_timeout_learns_why_it_was_closed() {
    let (_django, gateway) = stage(|setup| setup.set("limits.write_timeout", "500ms")).await;
    let mut slow = slow(&gateway).await;
    let user = json!({"user": "1"});
    publish_until(&gateway, &user, async |_| queued(&gateway, "1").await > 0).await;
    gateway.api().connected("1", 0).await;
    assert_eq!(slow.closed().await.code, 1013);
    slow.expect_end().await;
    gateway.stop().await;
}
