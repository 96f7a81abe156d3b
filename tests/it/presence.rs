//! Who is here: those who listen to a topic are told how many they are, at routes that say so.

use serde_json::{Value, json};

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::socket::Socket;
use crate::harness::token::{Token, in_query, now_ms};
use crate::harness::{Browser, Django, Gateway};

const ORDER: &str = "shop.order:17";
const QUIET: &str = "/ws/quiet/";

async fn stage() -> (Django, Gateway) {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    django.signs_in("bens-session", "43");
    let gateway = Gateway::in_front_of(&django)
        .socket_setting("presence", true)
        .socket_setting("anonymous", true)
        .element("sockets", toml::toml! { path = "/ws/quiet/" })
        .start()
        .await;
    (django, gateway)
}

async fn listen(browser: &Browser, path: &str, user: &str) -> Socket {
    let token = in_query(&Token::of(user, ORDER).text());
    browser.socket(&format!("{path}?topic={token}")).await
}

fn present(users: usize, connections: usize) -> Value {
    json!({"gatepost": "presence", "topic": ORDER, "users": users, "connections": connections})
}

/// Reads on until these numbers are told; until then others may be, since all is told at most once a second.
async fn told(socket: &mut Socket, users: usize, connections: usize) {
    loop {
        let word = socket.json().await;
        assert_eq!(
            (&word["gatepost"], &word["topic"]),
            (&json!("presence"), &json!(ORDER))
        );
        if word == present(users, connections) {
            return;
        }
    }
}

#[tokio::test]
async fn listeners_are_told_how_many_they_are_when_that_changes() {
    let (_django, gateway) = stage().await;
    let (ann, ben) = (
        gateway.browser_of("anns-session"),
        gateway.browser_of("bens-session"),
    );
    let mut first = listen(&ann, NOTIFICATIONS, "42").await;
    let text = format!(r#"{{"gatepost":"presence","topic":"{ORDER}","users":1,"connections":1}}"#);
    first.expect_frame(&text).await;
    let mut second = listen(&ann, NOTIFICATIONS, "42").await;
    let mut third = listen(&ben, NOTIFICATIONS, "43").await;
    let visitor = gateway.browser();
    let mut visitor = listen(&visitor, NOTIFICATIONS, "").await;
    for socket in [&mut first, &mut second, &mut third, &mut visitor] {
        told(socket, 2, 4).await;
    }
    second.close().await;
    told(&mut first, 2, 3).await;
    third
        .send(&json!({"gatepost": "unsubscribe", "topics": [ORDER]}).to_string())
        .await;
    told(&mut first, 1, 2).await;
    told(&mut visitor, 1, 2).await;
    let revocation = json!({"topic": ORDER, "user": "42", "at": now_ms(), "max_age": 60});
    gateway
        .api()
        .post("/v1/revoke", &revocation.to_string())
        .await;
    told(&mut visitor, 0, 1).await;
    let words = gateway.api().metric("gatepost_presence_total").await;
    assert!((4.0..=7.0).contains(&words), "{words}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_route_that_does_not_say_so_neither_counts_nor_tells() {
    let (_django, gateway) = stage().await;
    let (ann, ben) = (
        gateway.browser_of("anns-session"),
        gateway.browser_of("bens-session"),
    );
    let mut quiet = listen(&ben, QUIET, "43").await;
    let mut first = listen(&ann, NOTIFICATIONS, "42").await;
    told(&mut first, 1, 1).await;
    let frame = json!({"to": {"topic": ORDER}, "frame": 1});
    gateway.api().publish(&frame).await;
    quiet.expect_frame("1").await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_page_that_is_loaded_anew_is_told_though_the_numbers_are_what_they_were() {
    let (_django, gateway) = stage().await;
    let ann = gateway.browser_of("anns-session");
    let mut stays = listen(&ann, NOTIFICATIONS, "42").await;
    told(&mut stays, 1, 1).await;
    let left = listen(&ann, NOTIFICATIONS, "42").await;
    told(&mut stays, 1, 2).await;
    left.close().await;
    let mut anew = listen(&ann, NOTIFICATIONS, "42").await;
    told(&mut anew, 1, 2).await;
    gateway.stop().await;
}

#[tokio::test]
async fn who_asks_later_is_told_after_the_answer() {
    let (_django, gateway) = stage().await;
    let ann = gateway.browser_of("anns-session");
    let opened = ann.handshake(NOTIFICATIONS).protocol("gatepost.v1").send();
    let mut socket = opened.await.unwrap();
    let token = Token::of("42", ORDER).text();
    let subscribe = json!({"gatepost": "subscribe", "topics": [token]});
    socket.send(&subscribe.to_string()).await;
    let mut told = Vec::new();
    while told.last() != Some(&json!("presence")) {
        told.push(socket.json().await["control"].clone());
    }
    assert_eq!(told, ["welcome", "subscribed", "presence"]);
    gateway.stop().await;
}
