//! `gatepost.v1`: objects that say where they are, and what a client is told of where it is.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::socket::Socket;
use crate::harness::token::{Token, in_query, now_ms};
use crate::harness::{Browser, Django, Gateway, PATIENCE};

const V1: &str = "gatepost.v1";
const ORDER: &str = "shop.order:17";

async fn stage() -> (Django, Gateway, Browser) {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django)
        .set("delivery.ping", "1s")
        .start()
        .await;
    let ann = gateway.browser_of("anns-session");
    (django, gateway, ann)
}

async fn open(browser: &Browser, path: &str) -> Socket {
    let opened = browser.handshake(path).protocol(V1).send().await;
    let socket = opened.unwrap_or_else(|refused| panic!("refused: {}", refused.text()));
    let selected = socket.response.header("sec-websocket-protocol");
    assert_eq!(selected.as_deref(), Some(V1));
    socket
}

/// The next object but for positions, which come when they will.
async fn object(socket: &mut Socket) -> Value {
    loop {
        let object = socket.json().await;
        if object["control"] != "position" {
            return object;
        }
    }
}

/// Opens a socket and gives what it is told first.
async fn welcome(browser: &Browser, path: &str) -> (Socket, Value) {
    let mut socket = open(browser, path).await;
    let welcome = socket.json().await;
    assert_eq!(welcome["control"], "welcome", "{welcome}");
    (socket, welcome)
}

async fn publish(gateway: &Gateway, publication: Value) -> String {
    let receipt = gateway.api().publish(&publication).await;
    receipt["position"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn everything_says_where_it_is_and_who_speaks() {
    let (django, gateway, ann) = stage().await;
    let before = publish(&gateway, json!({"to": {"user": "7"}, "frame": 0})).await;
    let answer = json!({"user": "42", "frames": [{"hello": "ann"}]});
    django.says_of("anns-session", &answer);
    let token = Token::of("42", ORDER).text();
    let path = format!(
        "{NOTIFICATIONS}?topic={}&topic=x~1~2~{}",
        in_query(&token),
        "A".repeat(43)
    );
    let (mut ann, welcome) = welcome(&ann, &path).await;
    let connection = gateway.api().connected("42", 1).await[0]["connection"].clone();
    let expected = json!({"control": "welcome", "connection": connection, "position": before, "recovered": true});
    assert_eq!(welcome, expected);
    let refused = json!({"control": "refused", "topics": ["x"], "reason": "not_allowed"});
    assert_eq!(object(&mut ann).await, refused);
    let first = json!({"id": before, "data": {"hello": "ann"}});
    assert_eq!(object(&mut ann).await, first);

    let id = publish(&gateway, json!({"to": {"user": "42"}, "frame": {"n": 1}})).await;
    assert_eq!(object(&mut ann).await, json!({"id": id, "data": {"n": 1}}));
    let text = json!({"to": {"topic": ORDER}, "text": "<li>\n\"é\"", "event": "row"});
    let id = publish(&gateway, text).await;
    let expected = json!({"id": id, "topic": ORDER, "event": "row", "text": "<li>\n\"é\""});
    assert_eq!(object(&mut ann).await, expected);
    publish(&gateway, json!({"to": {"topic": ORDER}, "end": true})).await;

    ann.send(r#"{"type":"ping","n":7}"#).await;
    assert_eq!(object(&mut ann).await, json!({"type": "pong", "n": 7}));
    let news = Token::of("42", "news").text();
    let subscribe = json!({"gatepost": "subscribe", "topics": [news], "id": "a"});
    ann.send(&subscribe.to_string()).await;
    let subscribed = object(&mut ann).await;
    assert_eq!(subscribed["control"], "subscribed", "{subscribed}");
    assert_eq!(
        (&subscribed["topics"], &subscribed["id"]),
        (&json!(["news"]), &json!("a"))
    );
    ann.send(r#"{"gatepost":"unsubscribe","topics":["news"]}"#)
        .await;
    let ended = json!({"control": "unsubscribed", "topics": ["news"], "reason": "asked"});
    assert_eq!(object(&mut ann).await, ended);
    let revocation = json!({"topic": ORDER, "at": now_ms(), "max_age": 60}).to_string();
    gateway.api().post("/v1/revoke", &revocation).await;
    let ended = json!({"control": "unsubscribed", "topics": [ORDER], "reason": "revoked"});
    assert_eq!(object(&mut ann).await, ended);
    gateway.stop().await;
}

#[tokio::test]
async fn who_comes_back_gets_what_was_missed_by_its_last_id_or_is_told_that_it_cannot() {
    let (_django, gateway, ann) = stage().await;
    let to_ann = |n: u64| publish(&gateway, json!({"to": {"user": "42"}, "frame": n}));
    let (mut socket, _) = welcome(&ann, NOTIFICATIONS).await;
    to_ann(1).await;
    let id = object(&mut socket).await["id"].as_str().unwrap().to_owned();
    socket.close().await;
    let (second, third) = (to_ann(2).await, to_ann(3).await);
    let path = format!("{NOTIFICATIONS}?position={id}");
    let (mut socket, came_back) = welcome(&ann, &path).await;
    assert_eq!(came_back["recovered"], true);
    // A client that breaks off here, and comes back with this, gets all of it.
    assert_eq!(came_back["position"], id);
    assert_eq!(object(&mut socket).await, json!({"id": second, "data": 2}));
    assert_eq!(object(&mut socket).await, json!({"id": third, "data": 3}));
    let path = format!("{NOTIFICATIONS}?position=00000000.1");
    let (mut socket, lost) = welcome(&ann, &path).await;
    assert_eq!(
        (&lost["recovered"], &lost["position"]),
        (&json!(false), &json!(third))
    );
    let fourth = to_ann(4).await;
    assert_eq!(object(&mut socket).await, json!({"id": fourth, "data": 4}));
    gateway.stop().await;
}

#[tokio::test]
async fn a_quiet_client_is_told_where_it_is_within_each_ping() {
    let (_django, gateway, ann) = stage().await;
    let (mut socket, welcome) = welcome(&ann, NOTIFICATIONS).await;
    let position = json!({"control": "position", "position": welcome["position"]});
    assert_eq!(socket.json().await, position);
    let elsewhere = publish(&gateway, json!({"to": {"user": "7"}, "frame": 0})).await;
    let position = json!({"control": "position", "position": elsewhere});
    let told = tokio::time::timeout(PATIENCE, async { while socket.json().await != position {} });
    told.await.unwrap();
    gateway.stop().await;
}

/// Words say nothing of where a client is: in a busy room it would be told for hours how many are present, and
/// nothing else.
#[tokio::test]
async fn a_client_that_hears_nothing_but_words_is_told_where_it_is() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django)
        .set("delivery.ping", "1s")
        .set("limits.message_rate", "100000/s")
        .start()
        .await;
    let ann = gateway.browser_of("anns-session");
    let (mut socket, _) = welcome(&ann, NOTIFICATIONS).await;
    let elsewhere = publish(&gateway, json!({"to": {"user": "7"}, "frame": 0})).await;
    let position = json!({"control": "position", "position": elsewhere});
    let told = tokio::time::timeout(PATIENCE, async {
        let ask = r#"{"gatepost":"unsubscribe","topics":["news"]}"#;
        socket.send(ask).await;
        while socket.json().await != position {
            socket.send(ask).await;
        }
    });
    told.await.unwrap();
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_offers_nothing_or_something_else_stays_plain() {
    let (django, gateway, ann) = stage().await;
    let opened = ann.handshake(NOTIFICATIONS).protocol("gatepost.v2, chat");
    let mut other = opened.send().await.unwrap();
    assert_eq!(other.response.header("sec-websocket-protocol"), None);
    let path = format!("{NOTIFICATIONS}?welcome=1&a=1&welcome=no");
    let mut plain = ann.socket(&path).await;
    let told = django.auth_calls().pop().unwrap();
    let rest = format!("{NOTIFICATIONS}?a=1&welcome=no");
    assert_eq!(told.header("x-original-uri").unwrap(), rest);
    let welcome = plain.json().await;
    assert_eq!(welcome["gatepost"], "welcome");
    assert_eq!(welcome.as_object().unwrap().len(), 3, "{welcome}");
    let connections = gateway.api().connected("42", 2).await;
    let mine = |connection: &Value| connection["connection"] == welcome["connection"];
    assert!(connections.iter().any(mine), "{connections:?}");
    let id = publish(&gateway, json!({"to": {"user": "42"}, "frame": {"n": 1}})).await;
    for socket in [&mut other, &mut plain] {
        socket.expect_frame(r#"{"n":1}"#).await;
    }
    let path = format!("{NOTIFICATIONS}?welcome=1&position=00000000.1");
    let mut lost = ann.socket(&path).await;
    let welcome = lost.json().await;
    assert_eq!(welcome["position"], json!(id));
    lost.expect_frame(r#"{"gatepost":"resync"}"#).await;
    for _ in 0..3 {
        let control = lost.control().await;
        assert!(matches!(control, Some(Message::Ping(_))), "{control:?}");
    }
    gateway.stop().await;
}
