//! Bodies in both directions.

use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

async fn gateway_before(steps: &[Step]) -> (Scripted, SocketAddr) {
    let upstream = Scripted::start(&[steps]).await;
    let gateway = before(upstream.address).serve().await;
    (upstream, gateway)
}

#[tokio::test]
async fn a_chunked_body_arrives_with_its_length() {
    let (upstream, gateway) =
        gateway_before(&[Step::Read("hello"), Step::Send(OK), Step::Hang]).await;
    let mut client = Client::connect(gateway).await;
    client
        .send("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n")
        .await;
    client.send("3\r\nllo\r\n0\r\nX-Trailer: 1\r\n\r\n").await;
    assert!(
        client
            .until("ok")
            .await
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );
    let heard = upstream.heard().remove(0).to_lowercase();
    assert!(heard.contains("content-length: 5\r\n"), "{heard}");
    assert!(
        !heard.contains("transfer-encoding") && !heard.contains("trailer"),
        "{heard}"
    );
}

#[tokio::test]
async fn a_malformed_chunk_is_the_clients_fault_and_reaches_nobody() {
    let (upstream, gateway) = gateway_before(&[Step::ReadToEnd]).await;
    let mut client = Client::connect(gateway).await;
    client
        .send("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        .await;
    let answer = client.until("\r\n\r\n").await.unwrap().to_lowercase();
    assert!(
        answer.starts_with("http/1.1 400") && answer.contains("connection: close"),
        "{answer}"
    );
    assert!(upstream.heard().is_empty());
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_unread() {
    let (upstream, gateway) = gateway_before(&[Step::ReadToEnd]).await;
    let mut client = Client::connect(gateway).await;
    client
        .send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n")
        .await;
    assert!(
        client
            .until("\r\n\r\n")
            .await
            .unwrap()
            .starts_with("HTTP/1.1 413")
    );

    let mut client = Client::connect(gateway).await;
    client
        .send("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    let part = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
    for _ in 0..17 {
        client.send(&part).await;
    }
    assert!(
        client
            .until("\r\n\r\n")
            .await
            .unwrap()
            .starts_with("HTTP/1.1 413")
    );
    assert!(upstream.heard().is_empty());
}

#[tokio::test]
async fn who_sends_all_of_it_first_still_reads_that_it_is_too_large() {
    let (_upstream, gateway) = gateway_before(&[Step::ReadToEnd]).await;
    let mut client = Client::connect(gateway).await;
    client
        .send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 33554432\r\n\r\n")
        .await;
    let part = "a".repeat(1 << 20);
    for _ in 0..32 {
        client.send(&part).await;
    }
    let answer = client.until("\r\n\r\n").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn who_waits_for_100_continue_is_refused_at_once() {
    let (_upstream, gateway) = gateway_before(&[Step::ReadToEnd]).await;
    let mut client = Client::connect(gateway).await;
    client
        .send("POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n\r\n")
        .await;
    let answer = client.until("\r\n\r\n").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_body_that_stalls_is_a_408_small_or_large() {
    for length in [10, 200_000] {
        let upstream = Scripted::start(&[&[Step::ReadToEnd]]).await;
        let stall = Duration::from_millis(150);
        let gateway = Setup {
            body_timeout: stall,
            ..before(upstream.address)
        }
        .serve()
        .await;
        let mut client = Client::connect(gateway).await;
        client
            .send(&format!(
                "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\nabc"
            ))
            .await;
        let answer = client.until("\r\n\r\n").await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_gets_it() {
    let (_upstream, gateway) =
        gateway_before(&[Step::Read("hello"), Step::Send(OK), Step::Hang]).await;
    let mut client = Client::connect(gateway).await;
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").await;
    assert!(
        client
            .until("\r\n\r\n")
            .await
            .unwrap()
            .starts_with("HTTP/1.1 100")
    );
    client.send("hello").await;
    assert!(
        client
            .until("ok")
            .await
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );
}

#[tokio::test]
async fn a_body_without_a_length_is_passed_on_as_chunks() {
    let stream = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nstreamed";
    let (_upstream, gateway) = gateway_before(&[Step::Read("\r\n\r\n"), Step::Send(stream)]).await;
    let mut client = Client::connect(gateway).await;
    assert!(
        client
            .get("/")
            .await
            .to_lowercase()
            .contains("transfer-encoding: chunked")
    );
    assert_eq!(
        client.until("0\r\n\r\n").await.unwrap(),
        "8\r\nstreamed\r\n0\r\n\r\n"
    );
}

#[tokio::test]
async fn a_reset_in_the_middle_resets_the_client() {
    let broken = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    let (_upstream, gateway) =
        gateway_before(&[Step::Read("\r\n\r\n"), Step::Send(broken), Step::Reset]).await;
    let mut client = Client::connect(gateway).await;
    client
        .send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    let ended = client.until("0\r\n\r\n").await;
    assert!(ended.is_err(), "{ended:?}");
}

#[tokio::test]
async fn events_pass_as_they_come() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    let (_upstream, gateway) = gateway_before(&[
        Step::Read("\r\n\r\n"),
        Step::Send(head),
        Step::Send("data: 1\n\n"),
        Step::Hang,
    ])
    .await;
    let mut client = Client::connect(gateway).await;
    client.get("/").await;
    client.until("data: 1\n\n").await.unwrap();
}

#[tokio::test]
async fn statuses_without_a_body_get_none() {
    for (status, method) in [
        ("204 No Content", "GET"),
        ("304 Not Modified", "GET"),
        ("200 OK", "HEAD"),
    ] {
        let head: &'static str = Box::leak(
            format!("HTTP/1.1 {status}\r\nETag: \"x\"\r\nContent-Length: 7\r\n\r\n")
                .into_boxed_str(),
        );
        let (_upstream, gateway) =
            gateway_before(&[Step::Read("\r\n\r\n"), Step::Send(head), Step::Hang]).await;
        let mut client = Client::connect(gateway).await;
        client
            .send(&format!(
                "{method} / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            ))
            .await;
        let answer = client.until("nothing more").await.unwrap_err();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        assert_eq!(answer.contains("ength: 7"), method == "HEAD", "{answer}");
    }
}
