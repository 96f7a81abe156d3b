//! The PROXY protocol: a proxy that does not read HTTP introduces its client.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::harness::gateway::Setup;
use crate::harness::raw::{Answered, Raw};
use crate::harness::{Django, Gateway, PATIENCE, eventually};

/// Between two bytes: so that no header is whole within the time for it, and none of its pauses is as long.
const DRIP: Duration = Duration::from_millis(25);

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n";
const V1_UNKNOWN: &[u8] = b"PROXY UNKNOWN\r\n";
const V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x01\x12\x67\x01\xbb";
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

fn introduced(django: &Django) -> Setup {
    Gateway::in_front_of(django)
        .set("server.http", "127.0.0.1:0")
        .set("server.trusted_proxies", vec!["127.0.0.1"])
        .set("server.proxy_protocol", true)
}

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n";

/// Over TLS, behind these bytes.
async fn over_tls(gateway: &Gateway, header: &[u8], fields: &str) -> Option<Answered> {
    let mut stream = TcpStream::connect(gateway.https()).await.unwrap();
    stream.write_all(header).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::clone(&gateway.tls()));
    let mut raw = Raw::new(connector.connect(name, stream).await.ok()?);
    raw.send(format!("{GET}{fields}\r\n")).await;
    raw.try_answer().await
}

/// Over plain HTTP, behind these bytes.
async fn plainly(gateway: &Gateway, header: &[u8], fields: &str) -> Option<Answered> {
    let mut raw = Raw::tcp(gateway.http()).await;
    let bytes = [header, GET.as_bytes(), fields.as_bytes(), b"\r\n"].concat();
    raw.try_send(bytes).await;
    raw.try_answer().await
}

#[tokio::test]
async fn the_client_is_whom_the_header_names_in_both_versions() {
    let django = Django::start().await;
    let gateway = introduced(&django).start().await;
    for (header, address) in [
        (V1, "192.0.2.7"),
        (V2, "192.0.2.7"),
        (V1_UNKNOWN, "127.0.0.1"),
        (V2_LOCAL, "127.0.0.1"),
    ] {
        // Who is introduced is not trusted: its own words do not count.
        let claims = if address == "127.0.0.1" {
            ""
        } else {
            "X-Forwarded-For: 192.0.2.66\r\n"
        };
        assert_eq!(
            over_tls(&gateway, header, claims).await.unwrap().status(),
            200
        );
        let request = django.requests().pop().unwrap();
        assert_eq!(request.header("gatepost-address").unwrap(), address);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_proxy_behind_the_introducing_one_is_believed_if_it_is_trusted() {
    let django = Django::start().await;
    let setup = introduced(&django).set("server.trusted_proxies", vec!["127.0.0.1", "192.0.2.7"]);
    let gateway = setup.start().await;
    let fields = "X-Forwarded-Proto: https\r\nX-Forwarded-For: 203.0.113.9\r\n";
    for header in [V1, V2] {
        assert_eq!(
            plainly(&gateway, header, fields).await.unwrap().status(),
            200
        );
        let request = django.requests().pop().unwrap();
        assert_eq!(request.header("gatepost-address").unwrap(), "203.0.113.9");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_trusted_proxy_without_a_header_is_closed_and_its_client_gets_nothing() {
    let django = Django::start().await;
    let gateway = introduced(&django).start().await;
    for header in [
        &b""[..],
        b"PROXY TCP4 evil\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x20\x00",
    ] {
        assert!(over_tls(&gateway, header, "").await.is_none());
        assert!(plainly(&gateway, header, "").await.is_none());
    }
    assert!(django.requests().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn of_anybody_else_a_header_is_an_error_and_none_is_needed() {
    let django = Django::start().await;
    let elsewhere = introduced(&django).set("server.trusted_proxies", vec!["10.0.0.0/8"]);
    let off = introduced(&django).set("server.proxy_protocol", false);
    for (round, setup) in [elsewhere, off].into_iter().enumerate() {
        let gateway = setup.start().await;
        for header in [V1, V2] {
            assert!(over_tls(&gateway, header, "").await.is_none());
            let answer = plainly(&gateway, header, "").await;
            assert!(answer.is_none_or(|answer| answer.status() == 400));
        }
        assert_eq!(django.requests().len(), round);
        assert_eq!(over_tls(&gateway, b"", "").await.unwrap().status(), 200);
        let request = django.requests().pop().unwrap();
        assert_eq!(request.header("gatepost-address").unwrap(), "127.0.0.1");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn who_says_nothing_is_closed_in_time() {
    let django = Django::start().await;
    let setup = introduced(&django).set("limits.tls_timeout", "200ms");
    let gateway = setup.start().await;
    for address in [gateway.https(), gateway.http()] {
        let mut raw = Raw::tcp(address).await;
        raw.send(&V2[..13]).await;
        raw.expect_end().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_header_that_drips_has_no_more_time_than_one_that_stalls() {
    let django = Django::start().await;
    let setup = introduced(&django).set("limits.tls_timeout", "200ms");
    let gateway = setup.start().await;
    for (address, header) in [(gateway.https(), V1), (gateway.http(), V2)] {
        let mut raw = Raw::tcp(address).await;
        let begun = Instant::now();
        for byte in header {
            // As long as the gateway takes them.
            if !raw.try_send([*byte]).await {
                break;
            }
            tokio::time::sleep(DRIP).await;
        }
        raw.expect_end().await;
        assert!(begun.elapsed() < DRIP * u32::try_from(header.len()).unwrap() * 2);
    }
    assert!(django.requests().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_the_trust_stands_in_the_log_once() {
    let django = Django::start().await;
    let setup = introduced(&django).set("server.trusted_proxies", vec!["0.0.0.0/0"]);
    let gateway = setup.spawn().await;
    for _ in 0..3 {
        let mut raw = Raw::tcp(gateway.https()).await;
        raw.send("GET / HTTP/1.1\r\n\r\n").await;
        raw.expect_end().await;
    }
    let told = |words: &str| gateway.log().matches(words).count();
    eventually(PATIENCE, || told("have it send the PROXY protocol") > 0).await;
    assert_eq!(told("have it send the PROXY protocol"), 1);
    assert_eq!(told("server.trusted_proxies is the whole Internet"), 1);
    gateway.terminate();
    gateway.exit().await;
}
