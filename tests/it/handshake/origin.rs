//! Who may open a socket: pages of this origin, origins that are allowed by name, and programs that
//! are no browsers and say nothing.

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::{Browser, Django, Gateway};

async fn ann(django: &Django, gateway: &Gateway) -> Browser {
    django.signs_in("anns-session", "42");
    gateway.browser_of("anns-session")
}

#[tokio::test]
async fn a_page_of_this_origin_opens_a_socket() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let mut socket = ann(&django, &gateway).await.socket(NOTIFICATIONS).await;
    socket.expect_nothing().await;
    socket.close().await;
    assert_eq!(gateway.stop().await, 0);
}

#[tokio::test]
async fn a_foreign_origin_gets_403_and_django_is_not_asked() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = ann(&django, &gateway).await;
    let port = gateway.https().port();
    let other_port = port ^ 1;
    let foreign = [
        "null".to_owned(),
        String::new(),
        "https://evil.test".to_owned(),
        format!("https://evil.test:{port}"),
        format!("http://localhost:{port}"),
        format!("wss://localhost:{port}"),
        "https://localhost".to_owned(),
        "https://localhost:443".to_owned(),
        format!("https://localhost:{other_port}"),
        format!("https://localhost:{port}0"),
        format!("https://localhost:0{port}"),
        format!("https://localhost:{port}/"),
        format!("https://localhost:{port}.evil.test"),
        format!("https://localhost.evil.test:{port}"),
        format!("https://localhost..:{port}"),
        format!("https://xlocalhost:{port}"),
        format!("https://user@localhost:{port}"),
        format!("https://localhost:{port}@evil.test"),
        format!("https://evil.test/https://localhost:{port}"),
        format!("https://evil.test#https://localhost:{port}"),
        format!("//localhost:{port}"),
        format!("localhost:{port}"),
        format!("https://127.0.0.1:{port}"),
        format!("https://[::1]:{port}"),
        format!("https://localhost:{port}, https://evil.test"),
        format!("https://localhost:{port} https://evil.test"),
        "file://".to_owned(),
        "chrome-extension://abcdefghijklmnop".to_owned(),
    ];
    for origin in &foreign {
        let refusal = ann.handshake(NOTIFICATIONS).origin(origin).refused().await;
        assert_eq!(refusal.status(), 403, "{origin:?}: {refusal:?}");
    }
    assert!(django.requests().is_empty(), "{:?}", django.requests());
    gateway.stop().await;
}

#[tokio::test]
async fn the_first_foreign_origin_is_logged_and_a_flood_of_them_is_not() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).spawn().await;
    let page = gateway.browser_of("anns-session");
    for origin in ["https://first.test", "https://second.test"] {
        let handshake = page.handshake(NOTIFICATIONS).origin(origin);
        assert_eq!(handshake.refused().await.status(), 403);
    }
    let log = gateway.log();
    for told in ["https://first.test", "allowed_origins"] {
        assert!(log.contains(told), "{told} in {log}");
    }
    assert!(!log.contains("https://second.test"), "{log}");
}

#[tokio::test]
async fn two_origins_are_refused_even_if_both_are_our_own() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = ann(&django, &gateway).await;
    for second in [ann.origin(), "https://evil.test".to_owned()] {
        let twice = ann.handshake(NOTIFICATIONS).and("Origin", &second);
        let status = twice.refused().await.status();
        assert!(matches!(status, 400 | 403), "{second}: {status}");
    }
    assert!(django.requests().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn a_forwarded_host_does_not_make_an_origin_ours() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = ann(&django, &gateway).await;
    let spoof = ann
        .handshake(NOTIFICATIONS)
        .origin("https://evil.test")
        .and("X-Forwarded-Host", "evil.test")
        .and("Forwarded", "host=evil.test;proto=https");
    assert_eq!(spoof.refused().await.status(), 403);
    gateway.stop().await;
}

#[tokio::test]
async fn a_program_without_origin_is_let_through_to_authentication() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = ann(&django, &gateway).await;
    let accepted = ann.handshake(NOTIFICATIONS).without_origin().send().await;
    accepted.unwrap().expect_nothing().await;
    let stranger = gateway.browser_of("nobodys-session");
    let accepted = stranger.handshake(NOTIFICATIONS).without_origin();
    accepted.send().await.unwrap().expect_close(4001).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_route_can_require_an_origin() {
    let django = Django::start().await;
    let setup = Gateway::in_front_of(&django).socket_setting("require_origin", true);
    let gateway = setup.start().await;
    let ann = ann(&django, &gateway).await;
    let refusal = ann
        .handshake(NOTIFICATIONS)
        .without_origin()
        .refused()
        .await;
    assert_eq!(refusal.status(), 403);
    assert!(django.requests().is_empty());
    ann.socket(NOTIFICATIONS).await.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn an_allowed_origin_is_one_origin_and_counts_besides_our_own() {
    let django = Django::start().await;
    let allowed = vec![
        "https://app.example.com",
        "http://localhost:3000",
        "capacitor://localhost",
        "chrome-extension://abcdefghijklmnop",
    ];
    let setup = Gateway::in_front_of(&django).socket_setting("allowed_origins", allowed.clone());
    let gateway = setup.start().await;
    let ann = ann(&django, &gateway).await;
    for origin in allowed {
        let accepted = ann.handshake(NOTIFICATIONS).origin(origin).send().await;
        accepted.unwrap().expect_nothing().await;
    }
    ann.socket(NOTIFICATIONS).await.expect_nothing().await;
    for origin in [
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.test",
        "https://www.app.example.com",
        "https://app.example.comx",
        "http://localhost:30000",
        "ionic://localhost",
        "null",
        "https://localhost:3000",
        "*",
    ] {
        let refusal = ann.handshake(NOTIFICATIONS).origin(origin).refused().await;
        assert_eq!(refusal.status(), 403, "{origin}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn each_name_of_the_origin_is_an_origin_of_its_own() {
    let django = Django::start().await;
    let names = vec!["localhost", "app.test"];
    let setup = Gateway::in_front_of(&django).set("server.hosts", names);
    let gateway = setup.start().await;
    let ann = ann(&django, &gateway).await;
    let at_app = gateway
        .browser_calling("app.test")
        .signed_in("anns-session");
    at_app.socket(NOTIFICATIONS).await.expect_nothing().await;
    // The cookie of one name is not the other's: a page of `localhost` is foreign to `app.test`.
    let crossed = at_app.handshake(NOTIFICATIONS).origin(&ann.origin());
    assert_eq!(crossed.refused().await.status(), 403);
    gateway.stop().await;
}

#[tokio::test]
async fn a_host_that_is_not_ours_gets_421_whatever_the_origin() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = ann(&django, &gateway).await;
    let rebound = ann
        .handshake(NOTIFICATIONS)
        .with("Host", "evil.test")
        .origin("https://evil.test");
    assert_eq!(rebound.refused().await.status(), 421);
    assert!(django.requests().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn a_host_without_port_belongs_to_an_origin_without_port() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = ann(&django, &gateway).await;
    let at_443 = |origin: &str| {
        ann.handshake(NOTIFICATIONS)
            .with("Host", "localhost")
            .origin(origin)
    };
    let accepted = at_443("https://localhost").send().await;
    accepted.unwrap().expect_nothing().await;
    assert_eq!(django.only_auth_call().header("host").unwrap(), "localhost");
    let accepted = at_443("https://localhost:443").send().await;
    accepted.unwrap().expect_nothing().await;
    let refusal = at_443("https://localhost:80").refused().await;
    assert_eq!(refusal.status(), 403);
    gateway.stop().await;
}
