//! What a client that was away gets when it names a position, and how it is told what cannot be had.

use serde_json::{Value, json};

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::socket::Socket;
use crate::harness::token::{Token, in_query, now_ms};
use crate::harness::{Answer, Browser, Django, Gate, Gateway, PATIENCE, eventually};

const ORDER: &str = "shop.order:17";
const RESYNC: &str = r#"{"gatepost":"resync"}"#;

async fn stage() -> (Django, Gateway, Browser) {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    django.signs_in("bens-session", "43");
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = gateway.browser_of("anns-session");
    (django, gateway, ann)
}

/// Publishes, and gives its position.
async fn publish(gateway: &Gateway, to: Value, frame: Value) -> String {
    let publication = json!({"to": to, "frame": frame});
    let receipt = gateway.api().publish(&publication).await;
    receipt["position"].as_str().unwrap().to_owned()
}

async fn to_ann(gateway: &Gateway, n: u64) -> String {
    publish(gateway, json!({"user": "42"}), json!(n)).await
}

fn since(position: &str) -> String {
    format!("{NOTIFICATIONS}?position={position}")
}

async fn word(socket: &mut Socket) -> Value {
    serde_json::from_str(&socket.frame().await).unwrap()
}

/// The position that Django was told with a request.
async fn page_position(browser: &Browser) -> String {
    let told = browser.get("/page/").await.echoed("gatepost-position");
    assert_eq!(told.len(), 1, "{told:?}");
    told[0].clone()
}

#[tokio::test]
async fn what_was_published_since_a_page_was_made_comes_first_and_once() {
    let (_django, gateway, ann) = stage().await;
    to_ann(&gateway, 1).await;
    let position = page_position(&ann).await;
    to_ann(&gateway, 2).await;
    publish(&gateway, json!({"everyone": true}), json!(3)).await;
    publish(&gateway, json!({"user": "43"}), json!(4)).await;
    publish(&gateway, json!({"topic": ORDER}), json!(5)).await;
    let token = in_query(&Token::of("42", ORDER).text());
    let mut socket = ann
        .socket(&format!("{}&topic={token}", since(&position)))
        .await;
    to_ann(&gateway, 6).await;
    for frame in ["2", "3", "5", "6"] {
        socket.expect_frame(frame).await;
    }
    socket.expect_nothing().await;
    // A position of another's page gives nothing of theirs.
    let ben = gateway.browser_of("bens-session");
    let mut socket = ben.socket(&since(&position)).await;
    for frame in ["3", "4"] {
        socket.expect_frame(frame).await;
    }
    socket.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn every_request_to_django_has_the_position_whatever_the_client_writes() {
    let (_django, gateway, ann) = stage().await;
    let first = page_position(&ann).await;
    let last = to_ann(&gateway, 1).await;
    let claimed = ann.ask(hyper::Method::GET, "/page/");
    let claimed = claimed
        .header("Gatepost-Position", "5b2f0e6c.1")
        .send()
        .await;
    assert_ne!(first, last);
    let posted = ann.post("/page/", "text/plain", "x").await;
    for told in [claimed, posted] {
        assert_eq!(told.echoed("gatepost-position"), [&*last]);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_position_is_taken_out_before_anybody_is_told_of_the_handshake() {
    let (django, gateway, ann) = stage().await;
    let path = format!("{NOTIFICATIONS}?position=3&a=1&position=5b2f0e6c.7");
    let mut socket = ann.socket(&path).await;
    socket.expect_frame(RESYNC).await;
    let told = django.only_auth_call();
    let expected = format!("{NOTIFICATIONS}?position=3&a=1");
    assert_eq!(told.header("x-original-uri").unwrap(), expected);
    gateway.stop().await;
}

#[tokio::test]
async fn what_cannot_be_had_is_said_and_then_only_new_frames_come() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django)
        .set("delivery.history", 2)
        .start()
        .await;
    let ann = gateway.browser_of("anns-session");
    let position = page_position(&ann).await;
    for n in 1..=3 {
        to_ann(&gateway, n).await;
    }
    let mut socket = ann.socket(&since(&position)).await;
    to_ann(&gateway, 4).await;
    socket.expect_frame(RESYNC).await;
    socket.expect_frame("4").await;
    socket.expect_nothing().await;
    let metric = gateway
        .api()
        .metric("gatepost_resumes_total{outcome=\"lost\"}")
        .await;
    assert!((metric - 1.0).abs() < f64::EPSILON);
    gateway.stop().await;
    // Another process has another history, whatever its number.
    let next = Gateway::in_front_of(&django).start().await;
    let ann = next.browser_of("anns-session");
    let mut socket = ann.socket(&since(&position)).await;
    socket.expect_frame(RESYNC).await;
    socket.expect_nothing().await;
    next.stop().await;
}

#[tokio::test]
async fn a_history_that_is_too_old_is_none() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django)
        .set("delivery.history_age", "1ms")
        .start()
        .await;
    let ann = gateway.browser_of("anns-session");
    let position = page_position(&ann).await;
    to_ann(&gateway, 1).await;
    // A page takes longer than a millisecond.
    let now = page_position(&ann).await;
    let mut socket = ann.socket(&since(&position)).await;
    socket.expect_frame(RESYNC).await;
    socket.expect_nothing().await;
    let mut socket = ann.socket(&since(&now)).await;
    socket.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_published_while_django_judges_follows_its_first_frames() {
    let (django, gateway, ann) = stage().await;
    let gate = Gate::closed();
    let answer = json!({"user": "42", "frames": [{"unread": 1}]});
    django.judges("anns-session", Answer::json(&answer).after(&gate));
    to_ann(&gateway, 1).await;
    let meanwhile = async {
        eventually(PATIENCE, || django.auth_calls().len() == 1).await;
        to_ann(&gateway, 2).await;
        publish(&gateway, json!({"user": "43"}), json!(3)).await;
        gate.open();
    };
    let (mut socket, ()) = tokio::join!(ann.socket(NOTIFICATIONS), meanwhile);
    to_ann(&gateway, 4).await;
    for frame in [r#"{"unread":1}"#, "2", "4"] {
        socket.expect_frame(frame).await;
    }
    socket.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn words_come_first_then_first_frames_then_what_was_missed() {
    let (django, gateway, ann) = stage().await;
    let answer = json!({"user": "42", "frames": ["hello"]});
    django.judges("anns-session", Answer::json(&answer));
    let position = page_position(&ann).await;
    to_ann(&gateway, 1).await;
    let token = in_query(&Token::of("43", ORDER).text());
    let mut socket = ann
        .socket(&format!("{}&topic={token}", since(&position)))
        .await;
    assert_eq!(word(&mut socket).await["gatepost"], "refused");
    socket.expect_frame(r#""hello""#).await;
    socket.expect_frame("1").await;
    socket.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_page_that_asks_later_gets_what_its_topics_had_since() {
    let (_django, gateway, ann) = stage().await;
    let position = page_position(&ann).await;
    publish(&gateway, json!({"topic": ORDER}), json!(1)).await;
    let mut socket = ann.socket(NOTIFICATIONS).await;
    to_ann(&gateway, 2).await;
    let request = |position: &str| {
        let token = Token::of("42", ORDER).text();
        json!({"gatepost": "subscribe", "topics": [token], "position": position}).to_string()
    };
    socket.send(&request(&position)).await;
    socket.expect_frame("2").await;
    let answer = word(&mut socket).await;
    assert_eq!(
        (&answer["gatepost"], &answer["recovered"]),
        (&json!("subscribed"), &json!(true))
    );
    // Who comes back with it misses nothing of what follows.
    assert_eq!(answer["position"], json!(position));
    socket.expect_frame("1").await;
    publish(&gateway, json!({"topic": ORDER}), json!(3)).await;
    socket.expect_frame("3").await;
    socket.send(&request("5b2f0e6c.1")).await;
    assert_eq!(word(&mut socket).await["recovered"], false);
    socket.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_topic_is_not_heard_from_before_it_was_taken_away() {
    let (_django, gateway, ann) = stage().await;
    let position = page_position(&ann).await;
    publish(&gateway, json!({"topic": ORDER}), json!(1)).await;
    let revocation = json!({"topic": ORDER, "user": "42", "at": now_ms(), "max_age": 3600});
    let answer = gateway.api().post("/v1/revoke", &revocation.to_string());
    assert_eq!(answer.await.status(), 200);
    publish(&gateway, json!({"topic": ORDER}), json!(2)).await;
    let mut later = Token::of("42", ORDER);
    later.issued = now_ms() + 2500;
    let path = format!("{}&topic={}", since(&position), in_query(&later.text()));
    let mut socket = ann.socket(&path).await;
    socket.expect_frame(RESYNC).await;
    socket.expect_frame("2").await;
    socket.expect_nothing().await;
    gateway.stop().await;
}
