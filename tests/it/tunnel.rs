//! WebSockets of others: the dev server's and a further upstream's.

use tokio_tungstenite::tungstenite::Message;

use crate::harness::server::Server;
use crate::harness::{Answer, Django, Frontend, Gateway};

async fn stage(frontend: &Frontend) -> (Django, Gateway) {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django)
        .set("django.paths", vec!["/api/"])
        .frontend(frontend)
        .start()
        .await;
    (django, gateway)
}

#[tokio::test]
async fn hmr_passes_through_to_a_dev_server_that_knows_only_its_own_name() {
    let frontend = Frontend::start().await;
    let (_django, gateway) = stage(&frontend).await;
    let browser = gateway.browser();
    let handshake = browser.handshake("/?token=abc").protocol("vite-hmr");
    let mut socket = handshake.send().await.unwrap();
    socket.send(r#"{"type":"update"}"#).await;
    socket.expect_frame(r#"{"type":"update"}"#).await;
    let long = "x".repeat(300_000);
    socket.try_send(Message::text(long.clone())).await.unwrap();
    assert_eq!(socket.frame().await, long);
    let upgrade = frontend.upgrades().remove(0);
    assert_eq!(upgrade.target(), "/?token=abc");
    assert_eq!(upgrade.all("sec-websocket-protocol"), ["vite-hmr"]);
    socket.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_foreign_page_reaches_no_socket_behind_the_gateway() {
    let frontend = Frontend::start().await;
    let (_django, gateway) = stage(&frontend).await;
    let browser = gateway.browser();
    let answer = browser
        .handshake("/")
        .protocol("vite-hmr")
        .origin("https://evil.test")
        .refused()
        .await;
    assert_eq!(answer.status(), 403);
    assert!(frontend.upgrades().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn a_further_upstream_keeps_host_and_origin() {
    let (django, channels) = (Django::start().await, Server::start().await);
    channels.answers_everything(Answer::websocket_echo(None));
    let gateway = Gateway::in_front_of(&django)
        .upstream("/ws/chat/", &channels)
        .start()
        .await;
    let browser = gateway.browser().signed_in("anns-session");
    let mut socket = browser.socket("/ws/chat/room/").await;
    socket.send("hello").await;
    socket.expect_frame("hello").await;
    let handshake = channels.only_request_to("/ws/chat/room/");
    assert_eq!(handshake.all("host"), [browser.host()]);
    assert_eq!(handshake.all("origin"), [browser.origin()]);
    assert_eq!(
        handshake.cookie("sessionid").as_deref(),
        Some("anns-session")
    );
    assert_eq!(handshake.all("x-forwarded-proto"), ["https"]);
    drop(socket);
    gateway.stop().await;
}

#[tokio::test]
async fn django_is_never_asked_to_upgrade() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let answer = gateway.browser().handshake("/some/view/").refused().await;
    assert_eq!(
        answer.status(),
        200,
        "an ordinary answer to an ordinary request"
    );
    let request = django.only_request_to("/some/view/");
    for name in ["upgrade", "connection"] {
        assert!(request.all(name).is_empty(), "{name}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn bytes_in_place_of_an_answer_are_explained() {
    let (django, next) = (Django::start().await, Server::start().await);
    next.answers_everything(Answer::raw("Unauthorized").closing());
    let gateway = Gateway::in_front_of(&django)
        .set("django.paths", vec!["/api/"])
        .frontend(&next)
        .start()
        .await;
    let answer = gateway.browser().handshake("/_next/hmr").refused().await;
    assert_eq!(answer.status(), 502);
    assert!(
        answer.text().contains("allowedDevOrigins"),
        "{}",
        answer.text()
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_tunnel_ends_when_the_gateway_does() {
    let frontend = Frontend::start().await;
    let (_django, gateway) = stage(&frontend).await;
    let browser = gateway.browser();
    let mut socket = browser
        .handshake("/")
        .protocol("vite-hmr")
        .send()
        .await
        .unwrap();
    socket.send("x").await;
    socket.expect_frame("x").await;
    assert_eq!(gateway.stop().await, 0, "nothing had to be aborted");
}
