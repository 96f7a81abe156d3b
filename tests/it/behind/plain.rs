//! The origin at `server.http`, for a trusted proxy that ended TLS; for all others the way to HTTPS.

use std::net::SocketAddr;
use std::path::Path;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use crate::harness::gateway::{NOTIFICATIONS, Setup};
use crate::harness::raw::{Answered, Raw};
use crate::harness::{Answer, Django, Gate, Gateway, PATIENCE, eventually, eventually_some, json};

const HTTPS: &str = "X-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.7\r\n";

fn behind_a_proxy(django: &Django) -> Setup {
    Gateway::in_front_of(django)
        .set("server.https", "")
        .set("server.http", "127.0.0.1:0")
        .set("server.trusted_proxies", vec!["127.0.0.1"])
}

async fn ask<S: AsyncRead + AsyncWrite + Send + Unpin>(
    raw: &mut Raw<S>,
    path: &str,
    fields: &str,
) -> Answered {
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    raw.send(head).await;
    raw.answer().await
}

async fn at(address: SocketAddr, fields: &str) -> Answered {
    ask(&mut Raw::tcp(address).await, "/a/?b=c", fields).await
}

#[tokio::test]
async fn the_origin_is_served_to_a_trusted_proxy_that_says_https() {
    let django = Django::start().await;
    let gateway = behind_a_proxy(&django).start().await;
    assert!(gateway.addresses.https.is_empty());
    assert!(
        !gateway.folder().join("certs").exists(),
        "a local CA is made for nobody"
    );
    let mut raw = Raw::tcp(gateway.http()).await;
    for _ in 0..2 {
        assert_eq!(ask(&mut raw, "/a/?b=c", HTTPS).await.status(), 200);
    }
    let request = django.requests().pop().unwrap();
    assert_eq!(request.target(), "/a/?b=c");
    assert_eq!(request.header("gatepost-address").unwrap(), "192.0.2.7");
    assert_eq!(request.header("x-forwarded-proto").unwrap(), "https");
    assert_eq!(request.header("host").unwrap(), "localhost");
    gateway.stop().await;
}

#[tokio::test]
async fn sockets_open_through_it_for_the_page_s_own_origin_alone() {
    let django = Django::start().await;
    django.signs_in("anns-session", "ann");
    let gateway = behind_a_proxy(&django).start().await;
    let handshake = |origin: &str| {
        format!(
            "{HTTPS}Origin: {origin}\r\nCookie: sessionid=anns-session\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        )
    };
    let mut raw = Raw::tcp(gateway.http()).await;
    let opened = ask(&mut raw, NOTIFICATIONS, &handshake("https://localhost")).await;
    assert_eq!(opened.status(), 101);
    let frame = json!({"to": {"user": "ann"}, "frame": {"n": 1}});
    assert_eq!(gateway.api().publish(&frame).await["sockets"], 1);
    for origin in [
        "http://localhost",
        "https://localhost:8443",
        "https://evil.test",
    ] {
        let mut other = Raw::tcp(gateway.http()).await;
        let refused = ask(&mut other, NOTIFICATIONS, &handshake(origin)).await;
        assert_eq!(refused.status(), 403, "{origin}");
    }
    drop(raw);
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_says_anything_else_is_redirected() {
    let django = Django::start().await;
    let gateway = behind_a_proxy(&django).start().await;
    for fields in [
        "",
        "X-Forwarded-Proto: http\r\n",
        "X-Forwarded-Proto: https, http\r\n",
        "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n",
        "X_Forwarded_Proto: https\r\n",
        "Forwarded: for=192.0.2.7;proto=https\r\n",
        "X-Forwarded-Ssl: on\r\nFront-End-Https: on\r\nX-Scheme: https\r\nX-Forwarded-Scheme: https\r\n",
        "X-Forwarded-Protocol: https\r\n",
    ] {
        let answer = at(gateway.http(), fields).await;
        assert_eq!(answer.status(), 308, "{fields}");
        let location = answer.header("location").unwrap();
        assert_eq!(location, "https://localhost/a/?b=c");
    }
    assert!(django.requests().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn who_is_not_trusted_is_redirected_whatever_it_says() {
    let django = Django::start().await;
    let setup = Gateway::in_front_of(&django)
        .set("server.http", "127.0.0.1:0")
        .set("server.trusted_proxies", vec!["10.0.0.0/8"]);
    let gateway = setup.start().await;
    let answer = at(gateway.http(), HTTPS).await;
    assert_eq!(answer.status(), 307);
    let port = gateway.https().port();
    assert_eq!(
        answer.header("location").unwrap(),
        format!("https://localhost:{port}/a/?b=c")
    );
    assert!(django.requests().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn a_unix_socket_is_a_proxy_s_own_door() {
    let django = Django::start().await;
    let setup = behind_a_proxy(&django)
        .set("server.http", vec!["unix:http.sock", "127.0.0.1:0"])
        .set("server.trusted_proxies", vec!["unix"]);
    let gateway = setup.start().await;
    let door = gateway.folder().join("http.sock");
    let through = |path: &Path| {
        let path = path.to_owned();
        async move { Raw::new(UnixStream::connect(path).await.unwrap()) }
    };
    let fields = "X-Forwarded-Proto: https\r\nX-Forwarded-For: 198.51.100.1, 192.0.2.7\r\n";
    assert_eq!(
        ask(&mut through(&door).await, "/", fields).await.status(),
        200
    );
    let request = django.requests().pop().unwrap();
    assert_eq!(request.header("gatepost-address").unwrap(), "192.0.2.7");
    // At the port nobody is trusted.
    assert_eq!(at(gateway.http(), fields).await.status(), 308);
    gateway.stop().await;
    assert!(!door.exists());
}

#[tokio::test]
async fn a_trusted_proxy_that_says_nothing_is_told_once_what_to_set() {
    let django = Django::start().await;
    let setup = Gateway::in_front_of(&django)
        .set("server.http", "unix:http.sock")
        .set("server.trusted_proxies", vec!["unix"]);
    let gateway = setup.spawn().await;
    let door = gateway.folder().join("http.sock");
    for _ in 0..3 {
        let mut raw = Raw::new(UnixStream::connect(&door).await.unwrap());
        assert_eq!(ask(&mut raw, "/", "").await.status(), 307);
    }
    let told = |words: &str| gateway.log().matches(words).count();
    eventually(PATIENCE, || told("does not say by which scheme") > 0).await;
    assert_eq!(told("does not say by which scheme"), 1);
    assert_eq!(told("X-Forwarded-Proto: https"), 1);
    gateway.terminate();
    gateway.exit().await;
}

#[tokio::test]
async fn a_proxy_that_ends_its_half_has_left_and_gives_up_its_turn() {
    let django = Django::start().await;
    let gate = Gate::closed();
    django.answers("/slow/", Answer::ok("slow").after(&gate));
    let gateway = behind_a_proxy(&django)
        .set("django.concurrency", 1)
        .start()
        .await;
    let api = gateway.api();
    let waiting = async |count: u64| {
        eventually_some(PATIENCE, async || {
            let status = api.get("/ready").await.json();
            (status["queue"]["waiting"]["anonymous"] == count).then_some(())
        })
        .await;
    };
    let slow = format!("GET /slow/ HTTP/1.1\r\nHost: localhost\r\n{HTTPS}\r\n");
    let mut holds = Raw::tcp(gateway.http()).await;
    holds.send(&slow).await;
    eventually(PATIENCE, || django.under_way("/slow/") == 1).await;
    let mut leaves = Raw::tcp(gateway.http()).await;
    leaves.send(slow.replace("/slow/", "/left/")).await;
    waiting(1).await;
    leaves.finish().await;
    waiting(0).await;
    leaves.expect_end().await;
    gate.open();
    assert_eq!(holds.answer().await.status(), 200);
    assert!(django.requests_to("/left/").is_empty());
    gateway.stop().await;
}
