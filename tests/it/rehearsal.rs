//! The scripted peers themselves: a test is worth what its props are worth.

use std::io::ErrorKind;

use tokio::net::TcpStream;

use crate::harness::raw::{Raw, frame};
use crate::harness::server::Server;
use crate::harness::signature::Signed;
use crate::harness::socket::KEY;
use crate::harness::{Answer, Django, Frontend, Gate, Gateway, PATIENCE, eventually, json};

const GET: &str = "GET /a?b=c HTTP/1.1\r\nHost: x\r\nCookie: sessionid=s1\r\n\r\n";

#[tokio::test]
async fn a_request_is_kept_byte_for_byte_and_echoed() {
    let server = Server::start().await;
    let mut client = Raw::tcp(server.address()).await;
    client
        .send("POST /a?b=c HTTP/1.1\r\nHoSt:  x \r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    client.send("3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n").await;
    assert_eq!(client.answer().await.json()["body"], "abcde");
    let request = server.only_request_to("/a");
    assert!(
        request
            .head
            .raw
            .starts_with(b"POST /a?b=c HTTP/1.1\r\nHoSt:  x \r\n")
    );
    assert_eq!(request.body.raw, b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n");
    assert!(request.body.complete);
    client.send(GET).await;
    assert_eq!(client.answer().await.json()["method"], "GET");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_stopped_server_refuses_and_comes_back_at_the_same_port() {
    let server = Server::start().await;
    let mut open = Raw::tcp(server.address()).await;
    open.send(GET).await;
    open.answer().await;
    server.refuse().await;
    open.expect_end().await;
    let refused = TcpStream::connect(server.address()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    server.listen();
    let mut client = Raw::tcp(server.address()).await;
    client.send(GET).await;
    assert_eq!(client.answer().await.status(), 200);
}

#[tokio::test]
async fn a_script_can_be_bad_in_every_way() {
    let server = Server::start().await;
    let ask = async |answer: Answer| {
        server.answers("/a", answer);
        let mut client = Raw::tcp(server.address()).await;
        client.send(GET).await;
        client.try_answer().await
    };
    assert!(ask(Answer::reset()).await.is_none());
    assert!(ask(Answer::close()).await.is_none());
    let short = ask(Answer::cut_short(10, "abc")).await.unwrap();
    assert_eq!((short.text().as_str(), short.body.complete), ("abc", false));
    let reset = ask(Answer::reset_mid_body(10, "abc")).await.unwrap();
    assert!(!reset.body.complete);
    let unfinished = ask(Answer::unfinished_chunks(["abc"])).await.unwrap();
    assert!(!unfinished.body.complete);
    let chunks = ask(Answer::chunks(["abc", "de"])).await.unwrap();
    assert_eq!(
        (chunks.text().as_str(), chunks.body.complete),
        ("abcde", true)
    );
    let open_end = ask(Answer::until_close("abc")).await.unwrap();
    assert_eq!(open_end.text(), "abc");
    let huge = ask(Answer::huge(3_000_000)).await.unwrap();
    assert_eq!(huge.body.bytes.len(), 3_000_000);
    let redirect = ask(Answer::redirect("/there")).await.unwrap();
    assert_eq!(redirect.header("location").unwrap(), "/there");
}

#[tokio::test]
async fn a_gate_holds_answers_back_and_the_peak_is_seen() {
    let server = Server::start().await;
    let gate = Gate::closed();
    server.answers("/a", Answer::ok("late").after(&gate));
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Raw::tcp(server.address()).await;
        client.send(GET).await;
        clients.push(client);
    }
    eventually(PATIENCE, || server.peak("/a") == 3).await;
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer().await.text(), "late");
    }
    clients[0].send(GET).await;
    clients[0].answer().await;
    assert_eq!(server.peak("/a"), 3);
}

#[tokio::test]
async fn django_judges_by_the_last_session_cookie() {
    let django = Django::start().await;
    django.signs_in("s1", "42");
    let mut client = Raw::tcp(django.address()).await;
    let ask = |cookie| format!("GET /_gatepost/auth/ HTTP/1.1\r\nCookie: {cookie}\r\n\r\n");
    client.send(ask("sessionid=s0; sessionid=s1")).await;
    assert_eq!(client.answer().await.json()["user"], "42");
    client.send(ask("sessionid=s1; sessionid=s0")).await;
    assert_eq!(client.answer().await.json()["user"], json!(null));
    assert_eq!(django.auth_calls().len(), 2);
}

#[tokio::test]
async fn the_dev_server_wants_its_own_name_and_echoes_frames() {
    let frontend = Frontend::start().await;
    let own = frontend.address().to_string();
    let upgrade = |host: &str, origin: &str| {
        format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{origin}\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Protocol: vite-hmr\r\n\r\n"
        )
    };
    let mut client = Raw::tcp(frontend.address()).await;
    client.send(upgrade("localhost:1", &own)).await;
    assert_eq!(client.answer().await.status(), 403);
    client.send(upgrade(&own, "localhost:1")).await;
    assert_eq!(client.answer().await.status(), 403);
    client.send(upgrade(&own, &own)).await;
    let accepted = client.answer().await;
    assert_eq!(accepted.status(), 101);
    assert_eq!(
        accepted.header("sec-websocket-protocol").unwrap(),
        "vite-hmr"
    );
    client.send(frame(0x81, b"hello")).await;
    assert_eq!(client.frame().await.unwrap().payload, b"hello");
}

#[test]
fn the_signature_is_the_one_of_the_published_vectors() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/python/tests/signature_vectors.json"
    );
    let vectors = std::fs::read_to_string(path).unwrap();
    let vectors: serde_json::Value = serde_json::from_str(&vectors).unwrap();
    let vectors = vectors["signatures"].as_array().unwrap();
    assert!(vectors.len() >= 3);
    for vector in vectors {
        let text = |name: &str| vector[name].as_str().unwrap();
        let signed = Signed {
            method: text("method"),
            target: text("target"),
            host: text("host"),
            address: text("address"),
            scheme: text("scheme"),
            nonce: text("nonce"),
            body: vector["body"].as_str().map(str::as_bytes),
        };
        let time = vector["t"].as_u64().unwrap();
        assert_eq!(
            signed.at(time, text("secret")),
            text("header"),
            "{}",
            text("name")
        );
    }
}

#[tokio::test]
#[should_panic(expected = "the test leaks its gateway")]
async fn a_gateway_that_nobody_stops_is_noticed() {
    let django = Django::start().await;
    drop(Gateway::in_front_of(&django).start().await);
}
