//! WebSockets of others: the dev server's and a further upstream's.

use tokio_tungstenite::tungstenite::Message;

use crate::harness::server::Server;
use crate::harness::{
    Answer, Django, Frontend, Gateway, Http2, PATIENCE, eventually, eventually_some,
};

async fn stage(frontend: &Frontend) -> (Django, Gateway) {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django)
        .set("django.paths", vec!["/api/"])
        .set("server.websocket_over_http2", true)
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

#[tokio::test]
async fn a_client_of_http2_reaches_a_server_that_speaks_http1() {
    let frontend = Frontend::start().await;
    let (_django, gateway) = stage(&frontend).await;
    let browser = gateway.browser();
    let mut http2 = Http2::connect(&browser).await;
    let shake = || browser.handshake("/?token=abc").protocol("vite-hmr");
    let mut socket = http2.open(shake()).await.unwrap();
    let selected = socket.response.header("sec-websocket-protocol");
    assert_eq!(selected.as_deref(), Some("vite-hmr"));
    for name in ["sec-websocket-accept", "connection", "upgrade"] {
        assert_eq!(socket.response.header(name), None, "{name}");
    }
    socket.send(r#"{"type":"update"}"#).await;
    socket.expect_frame(r#"{"type":"update"}"#).await;
    let long = "x".repeat(300_000);
    socket.try_send(Message::text(long.clone())).await.unwrap();
    assert_eq!(socket.frame().await, long);
    let mut other = http2.open(shake()).await.unwrap();
    other.send("beside").await;
    other.expect_frame("beside").await;
    assert_eq!(http2.get(&browser, "/").await.status, 200);
    let [one, two] = &frontend.upgrades()[..] else {
        panic!("two were opened")
    };
    assert_eq!(one.method(), "GET");
    assert_eq!(one.target(), "/?token=abc");
    assert_eq!(one.all("connection"), ["Upgrade"]);
    assert_eq!(one.all("upgrade"), ["websocket"]);
    assert_eq!(one.all("sec-websocket-protocol"), ["vite-hmr"]);
    let keys = [one, two].map(|upgrade| upgrade.header("sec-websocket-key").unwrap());
    assert!(keys.iter().all(|key| key.len() == 24) && keys[0] != keys[1]);
    socket.close().await;
    other.send("goes on").await;
    other.expect_frame("goes on").await;
    drop(other);
    assert_eq!(gateway.stop().await, 0, "nothing had to be aborted");
}

#[tokio::test]
async fn over_http2_a_server_that_does_not_open_it_opens_nothing() {
    let (django, channels) = (Django::start().await, Server::start().await);
    let answer = |status, accept: &str| {
        let head = format!(
            "HTTP/1.1 {status} X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        Answer::raw(head).closing()
    };
    channels.answers(
        "/ws/chat/stale/",
        answer(101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    );
    channels.answers("/ws/chat/page/", Answer::html("<p>hello"));
    channels.answers("/ws/chat/nothing/", Answer::status(204, ""));
    channels.answers("/ws/chat/no/", Answer::status(403, "not you"));
    channels.answers("/ws/chat/login/", Answer::redirect("/login/"));
    let gateway = Gateway::in_front_of(&django)
        .set("server.websocket_over_http2", true)
        .upstream("/ws/chat/", &channels)
        .start()
        .await;
    let browser = gateway.browser();
    let http2 = Http2::connect(&browser).await;
    for (name, status, said) in [
        ("stale", 502, "upstream_not_upgraded"),
        ("page", 502, "upstream_not_upgraded"),
        ("nothing", 502, "upstream_not_upgraded"),
        ("no", 403, "not you"),
        ("login", 302, ""),
    ] {
        let handshake = browser.handshake(&format!("/ws/chat/{name}/"));
        let refused = http2.open(handshake).await;
        let refused = refused.err().unwrap_or_else(|| panic!("{name} is open"));
        assert_eq!(refused.status, status, "{name}");
        assert!(refused.text().contains(said), "{name}: {}", refused.text());
    }
    let foreign = browser
        .handshake("/ws/chat/no/")
        .origin("https://evil.test");
    assert_eq!(http2.open(foreign).await.err().unwrap().status, 403);
    assert_eq!(channels.requests_to("/ws/chat/no/").len(), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn over_http2_either_side_ends_a_tunnel() {
    let (django, channels) = (Django::start().await, Server::start().await);
    channels.answers_everything(Answer::websocket_echo(None));
    let gateway = Gateway::in_front_of(&django)
        .set("server.websocket_over_http2", true)
        .set("limits.idle_timeout", "300ms")
        .upstream("/ws/chat/", &channels)
        .start()
        .await;
    let browser = gateway.browser();
    let http2 = Http2::connect(&browser).await;
    let mut leaves = http2.socket(&browser, "/ws/chat/room/").await;
    leaves.send("x").await;
    leaves.expect_frame("x").await;
    let mut left = http2.socket(&browser, "/ws/chat/room/").await;
    left.send("x").await;
    left.expect_frame("x").await;
    assert_eq!(channels.under_way("/ws/chat/room/"), 2);
    drop(leaves);
    eventually(PATIENCE, || channels.under_way("/ws/chat/room/") == 1).await;
    channels.refuse().await;
    assert_eq!(left.event(PATIENCE).await, None);
    // Nothing of either keeps it.
    eventually(PATIENCE, || http2.is_closed()).await;
    gateway.stop().await;
}

#[tokio::test]
async fn over_http2_each_tunnel_counts_as_a_connection() {
    let (django, channels) = (Django::start().await, Server::start().await);
    channels.answers_everything(Answer::websocket_echo(None));
    let gateway = Gateway::in_front_of(&django)
        .set("server.websocket_over_http2", true)
        .set("limits.connections", 1)
        .upstream("/ws/chat/", &channels)
        .start()
        .await;
    let browser = gateway.browser();
    let http2 = Http2::connect(&browser).await;
    let mut open = Vec::new();
    let refused = loop {
        match http2.open(browser.handshake("/ws/chat/room/")).await {
            Ok(socket) => open.push(socket),
            Err(refused) => break refused,
        }
        assert!(open.len() < 70, "the one, and some to spare");
    };
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["code"]),
        (503, &"full".into())
    );
    assert_eq!(channels.under_way("/ws/chat/room/"), open.len());
    open.pop().unwrap().close().await;
    eventually_some(PATIENCE, async || {
        http2.open(browser.handshake("/ws/chat/room/")).await.ok()
    })
    .await;
    drop(open);
    gateway.stop().await;
}
