//! Slow clients hold neither an upstream's connection nor its turn.

use std::fmt::Write as _;

use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// More than all sockets in between hold.
const LARGE: usize = 14 << 20;

fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// Lines of eight bytes, each another.
fn numbered(lines: usize) -> String {
    let mut text = String::with_capacity(lines * 8);
    for line in 0..lines {
        let _ = writeln!(text, "{line:07}");
    }
    text
}

/// An answer that declares so much and has so much, of recognisable bytes.
fn large(declared: usize, sent: usize) -> (&'static str, Vec<u8>) {
    let body = numbered(sent / 8);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {declared}\r\n\r\n");
    (leaked(head + &body), body.into_bytes())
}

/// Asks again and again until the upstream's only connection is free.
async fn until_answered(gateway: SocketAddr, path: &str) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while ask(gateway, get(path)).await != (200, "ok".to_owned()) {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_upstream_hears_of_an_upload_when_it_is_whole() {
    let script: &[Step] = &[Step::Read("END"), Step::Send(OK), Step::Hang];
    let page: &[Step] = &[Step::Read("GET"), Step::Send(OK)];
    let upstream = Scripted::start(&[page, script]).await;
    let gateway = before(upstream.address).serve().await;
    let mut client = Client::connect(gateway).await;
    client
        .send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000003\r\n\r\n")
        .await;
    client.send(&"a".repeat(500_000)).await;
    assert_eq!(ask(gateway, get("/")).await, (200, "ok".into()));
    client.send(&"b".repeat(500_000)).await;
    client.send("END").await;
    client.until("ok").await.unwrap();
    let heard = upstream.heard().remove(1);
    let (fields, body) = heard.split_once("\r\n\r\n").unwrap();
    assert!(fields.contains("content-length: 1000003"), "{fields}");
    assert!(*body == "a".repeat(500_000) + &"b".repeat(500_000) + "END");
}

#[tokio::test]
async fn where_streaming_was_asked_for_a_large_body_streams_while_it_comes() {
    let script: &[Step] = &[Step::Read("END"), Step::Send(OK), Step::Hang];
    let upstream = Scripted::start(&[script]).await;
    let mut setup = before(upstream.address);
    setup.buffering.unbuffered = vec!["/upload/".to_owned()];
    let gateway = setup.serve().await;
    let mut client = Client::connect(gateway).await;
    client
        .send("POST /upload/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100003\r\n\r\n")
        .await;
    client.send(&"a".repeat(50_000)).await;
    upstream
        .hears(0, |text| text.ends_with('a') && text.len() > 50_000)
        .await;
    client.send(&"b".repeat(50_000)).await;
    client.send("END").await;
    let answer = client.until("ok").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(upstream.heard()[0].contains("content-length: 100003\r\n"));
}

#[tokio::test]
async fn an_upload_of_several_files_arrives_whole_through_little_memory() {
    let script: &[Step] = &[Step::Read("END"), Step::Send(OK), Step::Hang];
    let upstream = Scripted::start(&[script]).await;
    let mut setup = before(upstream.address);
    setup.buffering.request = 100_000;
    let gateway = setup.serve().await;
    let body = numbered(100_000) + "END";
    assert_eq!(ask(gateway, post(&body)).await, (200, "ok".into()));
    let heard = upstream.heard().remove(0);
    assert!(heard.split_once("\r\n\r\n").unwrap().1 == body);
}

#[tokio::test]
async fn an_upload_without_room_is_a_503_and_a_smaller_one_still_passes() {
    let page: &[Step] = &[Step::Read("small"), Step::Send(OK)];
    let upstream = Scripted::start(&[page]).await;
    let mut setup = before(upstream.address);
    setup.buffering.request = 1000;
    setup.buffering.disk = 1000;
    let gateway = setup.serve().await;
    let (status, text) = ask(gateway, post(&"a".repeat(500_000))).await;
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("no_room_for_body"), "{text}");
    assert_eq!(ask(gateway, post("small")).await, (200, "ok".into()));
}

#[tokio::test]
async fn a_client_that_takes_nothing_does_not_hold_the_upstream() {
    let (answer, body) = large(LARGE, LARGE);
    let script: &[Step] = &[
        Step::Read("\r\n\r\n"),
        Step::Send(answer),
        Step::Read("GET /second"),
        Step::Send(OK),
        Step::Hang,
    ];
    let upstream = Scripted::start(&[script]).await;
    let gateway = before(upstream.address).serve().await;
    let mut slow = Client::connect(gateway).await;
    slow.get("/").await;
    until_answered(gateway, "/second").await;
    assert!(slow.rest(LARGE).await.unwrap() == body);
}

#[tokio::test]
async fn without_room_an_answer_waits_for_its_client_and_comes_whole() {
    let (answer, body) = large(LARGE, LARGE);
    let script: &[Step] = &[Step::Read("\r\n\r\n"), Step::Send(answer), Step::Hang];
    let upstream = Scripted::start(&[script]).await;
    let mut setup = before(upstream.address);
    setup.buffering.memory = 400_000;
    setup.buffering.disk = 4 << 20;
    setup.body_size = 1 << 20;
    let gateway = setup.serve().await;
    let mut slow = Client::connect(gateway).await;
    slow.get("/").await;
    // Long enough to be found slow; nobody can tell that nothing more is kept.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(slow.rest(LARGE).await.unwrap() == body);
}

#[tokio::test]
async fn what_breaks_off_behind_what_was_kept_is_cut_off_for_the_client_too() {
    let (answer, body) = large(LARGE + 8, LARGE);
    let script: &[Step] = &[Step::Read("\r\n\r\n"), Step::Send(answer)];
    let page: &[Step] = &[Step::Read("GET"), Step::Send(OK)];
    let upstream = Scripted::start(&[script, page]).await;
    let gateway = before(upstream.address).serve().await;
    let mut slow = Client::connect(gateway).await;
    slow.get("/").await;
    assert_eq!(ask(gateway, get("/")).await, (200, "ok".into()));
    assert_eq!(slow.rest(LARGE + 8).await, Err(body.len()));
}
