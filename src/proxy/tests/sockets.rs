//! WebSockets of others, passed through.

use super::*;

const HANDSHAKE: &str = "GET /hmr?token=x HTTP/1.1\r\nHost: localhost:8443\r\nConnection: keep-alive, Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: vite-hmr\r\nOrigin: https://localhost:8443\r\n\r\n";
const ACCEPT: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: vite-hmr\r\n\r\nhello";

async fn dev_server(steps: &[Step]) -> (Scripted, SocketAddr) {
    let upstream = Scripted::start(&[steps]).await;
    let setup = Setup {
        kind: UpstreamKind::DevServer,
        ..before(upstream.address)
    };
    (upstream, setup.serve().await)
}

#[tokio::test]
async fn both_sides_are_joined_after_an_accepted_handshake() {
    let (upstream, gateway) = dev_server(&[
        Step::Read("\r\n\r\n"),
        Step::Send(ACCEPT),
        Step::Read("ping"),
        Step::Send("pong"),
        Step::ReadToEnd,
    ])
    .await;
    let mut client = Client::connect(gateway).await;
    client.send(HANDSHAKE).await;
    let answer = client.until("\r\n\r\n").await.unwrap().to_lowercase();
    assert!(answer.starts_with("http/1.1 101"), "{answer}");
    for field in [
        "upgrade: websocket",
        "connection: upgrade",
        "sec-websocket-accept: s3pplmbi",
    ] {
        assert!(answer.contains(field), "{field} in {answer}");
    }
    client.until("hello").await.unwrap();
    client.send("ping").await;
    client.until("pong").await.unwrap();
    drop(client);
    upstream.hears(0, |text| text.ends_with("<end>")).await;

    let heard = upstream.heard().remove(0).to_lowercase();
    let port = upstream.address.port();
    for line in [
        "connection: upgrade\r\n".to_owned(),
        "sec-websocket-protocol: vite-hmr\r\n".to_owned(),
        format!("host: localhost:{port}\r\n"),
        format!("origin: http://localhost:{port}\r\n"),
    ] {
        assert!(heard.contains(&line), "{line} in {heard}");
    }
}

#[tokio::test]
async fn a_handshake_without_an_origin_does_not_slip_past_the_dev_servers_token() {
    let (upstream, gateway) = dev_server(&[Step::Read("\r\n\r\n"), Step::ReadToEnd]).await;
    let mut client = Client::connect(gateway).await;
    client
        .send(&HANDSHAKE.replace("Origin: https://localhost:8443\r\n", ""))
        .await;
    let origin = format!("origin: http://localhost:{}\r\n", upstream.address.port());
    upstream
        .hears(0, |text| text.to_lowercase().contains(&origin))
        .await;
}

#[tokio::test]
async fn a_refused_handshake_is_passed_on() {
    let refusal = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno!";
    let (_upstream, gateway) = dev_server(&[Step::Read("\r\n\r\n"), Step::Send(refusal)]).await;
    let mut client = Client::connect(gateway).await;
    client.send(HANDSHAKE).await;
    assert!(
        client
            .until("no!")
            .await
            .unwrap()
            .starts_with("HTTP/1.1 400")
    );
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_explained() {
    let (_upstream, gateway) =
        dev_server(&[Step::Read("\r\n\r\n"), Step::Send("Unauthorized\r\n\r\n")]).await;
    let mut client = Client::connect(gateway).await;
    client.send(HANDSHAKE).await;
    let answer = client.until("}").await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 502") && answer.contains("allowedDevOrigins"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_handshake_nobody_answers_ends_in_time() {
    let (upstream, gateway) = dev_server(&[Step::Read("\r\n\r\n"), Step::ReadToEnd]).await;
    let mut client = Client::connect(gateway).await;
    client.send(HANDSHAKE).await;
    upstream.hears(0, |text| text.contains("\r\n\r\n")).await;
    tokio::time::pause();
    let answer = client.until("}").await;
    tokio::time::resume();
    let answer = answer.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 504") && answer.contains("/hmr"),
        "{answer}"
    );
}

#[tokio::test]
async fn django_never_sees_an_upgrade() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let upstream = Scripted::start(&[&[Step::Read("\r\n\r\n"), Step::Send(ok), Step::Hang]]).await;
    let gateway = before(upstream.address).serve().await;
    let mut client = Client::connect(gateway).await;
    client.send(HANDSHAKE).await;
    client.until("ok").await.unwrap();
    let heard = upstream.heard().remove(0).to_lowercase();
    assert!(!heard.contains("upgrade"), "{heard}");
}

#[tokio::test]
async fn a_handshake_with_a_body_is_refused() {
    let (upstream, gateway) = dev_server(&[Step::ReadToEnd]).await;
    let mut client = Client::connect(gateway).await;
    let smuggled = HANDSHAKE.replace("\r\nUpgrade:", "\r\nContent-Length: 5\r\nUpgrade:");
    client.send(&format!("{smuggled}GET /")).await;
    assert!(
        client
            .until("\r\n\r\n")
            .await
            .unwrap()
            .starts_with("HTTP/1.1 400")
    );
    assert!(upstream.heard().is_empty());
}
