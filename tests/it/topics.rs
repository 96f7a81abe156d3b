//! What a page listens to: topics by tokens, in the query of a handshake and in messages.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::socket::Socket;
use crate::harness::token::{Token, in_query, now_ms};
use crate::harness::{Answer, Browser, Django, Gate, Gateway};

const ORDER: &str = "shop.order:17";

async fn stage() -> (Django, Gateway, Browser) {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    django.signs_in("bens-session", "43");
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = gateway.browser_of("anns-session");
    (django, gateway, ann)
}

fn with_token(token: &str) -> String {
    format!("{NOTIFICATIONS}?topic={}", in_query(token))
}

async fn publish(gateway: &Gateway, topic: &str, frame: Value) -> u64 {
    let publication = json!({"to": {"topic": topic}, "frame": frame});
    let receipt = gateway.api().publish(&publication).await;
    receipt["sockets"].as_u64().unwrap()
}

async fn word(socket: &mut Socket) -> Value {
    serde_json::from_str(&socket.frame().await).unwrap()
}

async fn subscribe(socket: &mut Socket, tokens: &[&str]) -> Value {
    let request = json!({"gatepost": "subscribe", "topics": tokens});
    socket.send(&request.to_string()).await;
    word(socket).await
}

fn refused(names: &[&str], reason: &str) -> Value {
    json!({"gatepost": "refused", "topics": names, "reason": reason})
}

#[tokio::test]
async fn a_page_brings_its_token_and_hears_the_topic_with_no_call_of_its_own() {
    let (django, gateway, ann) = stage().await;
    let token = Token::of("42", "shop.order:17,news").text();
    let mut socket = ann.socket(&with_token(&token)).await;
    assert_eq!(publish(&gateway, ORDER, json!({"n": 1})).await, 1);
    assert_eq!(publish(&gateway, "shop.order:18", json!({"n": 2})).await, 0);
    assert_eq!(publish(&gateway, "news", json!({"n": 3})).await, 1);
    socket.expect_frame(r#"{"n":1}"#).await;
    socket.expect_frame(r#"{"n":3}"#).await;
    socket.expect_nothing().await;
    assert_eq!(django.auth_calls().len(), 1);
    // Neither the auth view nor anybody else gets to see the token.
    let told = django.only_auth_call();
    assert_eq!(told.header("x-original-uri").unwrap(), NOTIFICATIONS);
    gateway.stop().await;
}

#[tokio::test]
async fn a_views_own_parameters_stay_and_tokens_alone_are_taken() {
    let (django, gateway, ann) = stage().await;
    let token = in_query(&Token::of("42", ORDER).text());
    let path = format!("{NOTIFICATIONS}?topic=tea&topic={token}&a=%20b");
    let mut socket = ann.socket(&path).await;
    socket.expect_nothing().await;
    let told = django.only_auth_call();
    let expected = format!("{NOTIFICATIONS}?topic=tea&a=%20b");
    assert_eq!(told.header("x-original-uri").unwrap(), expected);
    assert_eq!(publish(&gateway, ORDER, json!(1)).await, 1);
    gateway.stop().await;
}

#[tokio::test]
async fn a_bad_token_of_the_query_is_refused_after_the_101_and_the_good_one_counts() {
    let (_django, gateway, ann) = stage().await;
    let tokens = [
        Token::of("42", "news"),
        Token::of("43", "shop.order:1,shop.order:2"),
        Token::of("42", "shop.order:3").expired(),
        Token::of("42", "shop.order:4").with_secret("somebody else's secret, 32 bytes long"),
    ];
    let query = tokens.map(|token| format!("topic={}", in_query(&token.text())));
    let path = format!("{NOTIFICATIONS}?{}", query.join("&"));
    let mut socket = ann.socket(&path).await;
    let names = ["shop.order:1", "shop.order:2", "shop.order:4"];
    assert_eq!(
        word(&mut socket).await,
        refused(&["shop.order:3"], "expired")
    );
    assert_eq!(word(&mut socket).await, refused(&names, "not_allowed"));
    assert_eq!(publish(&gateway, "news", json!(1)).await, 1);
    for name in names {
        assert_eq!(publish(&gateway, name, json!(1)).await, 0);
    }
    socket.expect_frame("1").await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_page_asks_later_and_is_answered_before_the_first_frame() {
    let (_django, gateway, ann) = stage().await;
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let (good, other) = (Token::of("42", ORDER), Token::of("43", "news"));
    let request = json!({
        "gatepost": "subscribe", "id": {"n": 7},
        "topics": [good.text(), other.text(), "no token", Token::of("", "public").text()],
    });
    socket.send(&request.to_string()).await;
    let answer = word(&mut socket).await;
    assert_eq!(answer["gatepost"], "subscribed");
    assert_eq!(answer["topics"], json!([ORDER, "public"]));
    assert_eq!(answer["recovered"], true);
    assert_eq!(answer["id"], json!({"n": 7}));
    let position = answer["position"].as_str().unwrap().to_owned();
    let mut no_token = refused(&[], "malformed");
    no_token["id"] = json!({"n": 7});
    assert_eq!(word(&mut socket).await, no_token);
    assert_eq!(word(&mut socket).await["reason"], "not_allowed");
    // What it has already comes no second time.
    let again = json!({"gatepost": "subscribe", "topics": [good.text()], "position": position});
    socket.send(&again.to_string()).await;
    assert_eq!(word(&mut socket).await["recovered"], true);
    publish(&gateway, ORDER, json!({"n": 1})).await;
    socket.expect_frame(r#"{"n":1}"#).await;
    socket.send(&again.to_string()).await;
    assert_eq!(word(&mut socket).await["recovered"], true);
    socket.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_page_stops_listening_whatever_let_it() {
    let (_django, gateway, ann) = stage().await;
    let token = Token::of("42", "news,shop.order:17").text();
    let mut socket = ann.socket(&with_token(&token)).await;
    let request = json!({"gatepost": "unsubscribe", "topics": ["news"], "id": 1});
    socket.send(&request.to_string()).await;
    let expected = json!({
        "gatepost": "unsubscribed", "topics": ["news"], "reason": "asked", "id": 1,
    });
    assert_eq!(word(&mut socket).await, expected);
    assert_eq!(publish(&gateway, "news", json!(1)).await, 0);
    assert_eq!(publish(&gateway, ORDER, json!(2)).await, 1);
    socket.expect_frame("2").await;
    gateway.stop().await;
}

#[tokio::test]
async fn requests_that_make_no_sense_are_answered_and_other_messages_close_as_ever() {
    let (_django, gateway, ann) = stage().await;
    let mut socket = ann.socket(NOTIFICATIONS).await;
    socket.send(r#"{"gatepost":"subscribe","topics":7}"#).await;
    assert_eq!(word(&mut socket).await, refused(&[], "malformed"));
    socket
        .send(r#"{"gatepost":"subscribe","path":"/ws/orders/17/"}"#)
        .await;
    let path = json!({
        "gatepost": "refused", "path": "/ws/orders/17/", "reason": "not_allowed",
    });
    assert_eq!(word(&mut socket).await, path);
    socket.send(r#"{"gatepost":"resync"}"#).await;
    socket.expect_close(1008).await;
    gateway.stop().await;
}

#[tokio::test]
async fn tokens_that_were_forged_or_spelled_anew_grant_nothing() {
    let (_django, gateway, ann) = stage().await;
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let good = Token::of("42", "shop.order:a%2Fb,news").text();
    let (head, mac) = good.rsplit_once('~').unwrap();
    let (rest, expires) = head.rsplit_once('~').unwrap();
    let (names, issued) = rest.rsplit_once('~').unwrap();
    for (token, reason) in [
        (format!("{head}~{}", mac.to_lowercase()), "not_allowed"),
        (format!("{head}~{mac}="), "malformed"),
        (
            format!("news,shop.order:a%2Fb~{issued}~{expires}~{mac}"),
            "not_allowed",
        ),
        (
            format!("shop.order:a%2fb,news~{issued}~{expires}~{mac}"),
            "malformed",
        ),
        (format!("{names}~0{issued}~{expires}~{mac}"), "malformed"),
        (format!("{names}~{issued}~9{expires}~{mac}"), "not_allowed"),
        (
            format!("{names},more~{issued}~{expires}~{mac}"),
            "not_allowed",
        ),
    ] {
        let answer = subscribe(&mut socket, &[&token]).await;
        assert_eq!(answer["reason"], reason, "{token}");
        let said = answer.to_string();
        assert!(!said.contains(&mac[..20]), "{said}");
    }
    assert_eq!(publish(&gateway, "news", json!(1)).await, 0);
    assert_eq!(
        subscribe(&mut socket, &[&good]).await["gatepost"],
        "subscribed"
    );
    gateway.stop().await;
}

#[tokio::test]
async fn tokens_and_topics_are_bounded() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django)
        .set("limits.topics_per_connection", 3)
        .start()
        .await;
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let token = Token::of("42", "a,b,c,d,e").text();
    let answer = subscribe(&mut socket, &[&token]).await;
    assert_eq!(answer["topics"], json!(["a", "b", "c"]));
    assert_eq!(word(&mut socket).await, refused(&["d", "e"], "too_many"));
    // 8 KiB of tokens in a message: what is beyond is not even looked at.
    let long = format!("shop.order:{}", "9".repeat(480));
    let names = [&*long; 6].join(",");
    let long = Token::of("42", &names).text();
    let answer = subscribe(&mut socket, &[&long, &long, &long, &token]).await;
    assert_eq!(answer["reason"], "too_many");
    let names = answer["topics"].as_array().unwrap();
    let lengths = names.iter().map(|name| name.as_str().unwrap().len());
    assert_eq!(lengths.max(), Some(200));
    gateway.stop().await;
}

/// A page with many objects asks for all of them at once, and pays for one message.
#[tokio::test]
async fn one_message_with_many_tokens_counts_once_against_the_rate() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django)
        .set("limits.message_rate", "1/s")
        .start()
        .await;
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let tokens: Vec<_> = (0..20)
        .map(|n| Token::of("42", &format!("shop.order:{n}")).text())
        .collect();
    let tokens: Vec<_> = tokens.iter().map(String::as_str).collect();
    let answer = subscribe(&mut socket, &tokens).await;
    assert_eq!(answer["topics"].as_array().unwrap().len(), 20);
    socket.expect_nothing().await;
    gateway.stop().await;
}

/// What a client names in vain costs a moment, however much of it there is in a message.
#[tokio::test]
async fn a_message_with_thousands_of_names_is_answered_at_once() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django)
        .set("limits.message_size", "256KiB")
        .set("delivery.outbox_size", "1MiB")
        .start()
        .await;
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let names: Vec<_> = (0..40_000).map(|n| format!("{n:x}")).collect();
    let forged = |names: &[String]| format!("{}~1~2~{}", names.join(","), "A".repeat(43));
    let tokens: Vec<_> = names.chunks(800).map(forged).collect();
    let tokens: Vec<_> = tokens.iter().map(String::as_str).collect();
    let asked = Instant::now();
    let mut answer = subscribe(&mut socket, &tokens).await;
    let mut refused = 0;
    for reason in ["not_allowed", "too_many"] {
        assert_eq!(answer["reason"], reason);
        refused += answer["topics"].as_array().unwrap().len();
        if refused < names.len() {
            answer = word(&mut socket).await;
        }
    }
    assert_eq!(refused, names.len());
    assert!(
        asked.elapsed() < Duration::from_secs(2),
        "{:?}",
        asked.elapsed()
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_revoked_topic_is_heard_no_more_and_its_older_tokens_are_refused() {
    let (_django, gateway, ann) = stage().await;
    let ben = gateway.browser_of("bens-session");
    let (of_ann, of_ben) = (Token::of("42", ORDER), Token::of("43", ORDER));
    let mut anns = ann.socket(&with_token(&of_ann.text())).await;
    let mut bens = ben.socket(&with_token(&of_ben.text())).await;
    let revocation = json!({
        "topic": ORDER, "user": "42", "at": now_ms(), "max_age": 3600,
    });
    let answer = gateway.api().post("/v1/revoke", &revocation.to_string());
    assert_eq!(answer.await.json(), json!({"closed": 0, "unsubscribed": 1}));
    assert_eq!(publish(&gateway, ORDER, json!(1)).await, 1);
    let word_of_end = json!({
        "gatepost": "unsubscribed", "topics": [ORDER], "reason": "revoked",
    });
    assert_eq!(word(&mut anns).await, word_of_end);
    anns.expect_nothing().await;
    bens.expect_frame("1").await;
    let no = refused(&[ORDER], "not_allowed");
    assert_eq!(subscribe(&mut anns, &[&of_ann.text()]).await, no);
    let mut anew = ann.socket(&with_token(&of_ann.text())).await;
    assert_eq!(word(&mut anew).await, no);
    // A token that Django issues later is good again, for a connection that did not lose the topic.
    let mut later = of_ann.clone();
    later.issued = now_ms() + 2500;
    assert_eq!(subscribe(&mut anns, &[&later.text()]).await, no);
    let heard = subscribe(&mut anew, &[&later.text()]).await;
    assert_eq!(heard["topics"], json!([ORDER]));
    gateway.stop().await;
}

#[tokio::test]
async fn a_revocation_outlives_the_gateway_however_that_ends() {
    let (django, gateway, _ann) = stage().await;
    let token = Token::of("42", ORDER).text();
    let revocation = json!({"topic": ORDER, "user": "42", "at": now_ms(), "max_age": 3600});
    let answer = gateway.api().post("/v1/revoke", &revocation.to_string());
    assert_eq!(answer.await.status(), 200);
    // As it is at this moment: nothing waits for an orderly end.
    let kept = std::fs::read(gateway.folder().join(".gatepost/topics")).unwrap();
    gateway.stop().await;
    for (kept, heard) in [(&kept[..], 0), (b"", 1)] {
        let next = Gateway::in_front_of(&django).file(".gatepost/topics", kept);
        let next = next.start().await;
        let ann = next.browser_of("anns-session");
        let _socket = ann.socket(&with_token(&token)).await;
        assert_eq!(publish(&next, ORDER, json!(1)).await, heard);
        next.stop().await;
    }
}

#[tokio::test]
async fn a_subscription_ends_with_its_session_and_lives_through_a_new_cookie() {
    let (django, gateway, ann) = stage().await;
    let mut socket = ann
        .socket(&with_token(&Token::of("42", ORDER).text()))
        .await;
    django.says_of("anns-session", &json!({"user": "42", "groups": ["staff"]}));
    let recheck = json!({"user": "42"}).to_string();
    gateway.api().post("/v1/recheck", &recheck).await;
    assert_eq!(publish(&gateway, ORDER, json!(1)).await, 1);
    socket.expect_frame("1").await;
    gateway.api().revoke(&json!({"user": "42"})).await;
    socket.expect_close(4001).await;
    assert_eq!(publish(&gateway, ORDER, json!(2)).await, 0);
    gateway.stop().await;
}

#[tokio::test]
async fn who_listens_can_be_asked() {
    let (_django, gateway, ann) = stage().await;
    let token = Token::of("42", "news,shop.order:17").text();
    let _one = ann.socket(&with_token(&token)).await;
    let _silent = ann.socket(NOTIFICATIONS).await;
    let api = gateway.api();
    let online = api
        .get("/v1/online?user=42&topic=shop.order%3A17&topic=other")
        .await;
    let expected = json!({
        "online": {"42": 2}, "topics": {"other": 0, "shop.order:17": 1},
    });
    assert_eq!(online.json(), expected);
    let online = api.get("/v1/online?topic=news").await;
    assert_eq!(online.json(), json!({"online": {}, "topics": {"news": 1}}));
    let listeners = api.get("/v1/connections?topic=news").await.json();
    assert_eq!(listeners["connections"].as_array().unwrap().len(), 1);
    let topics = &listeners["connections"][0]["topics"];
    assert_eq!(*topics, json!(["news", "shop.order:17"]));
    gateway.stop().await;
}

#[tokio::test]
async fn a_visitor_stays_where_the_route_says_so_and_hears_public_topics_alone() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django)
        .element(
            "sockets",
            toml::toml! { path = "/ws/public/" anonymous = true },
        )
        .start()
        .await;
    let public = in_query(&Token::of("", "news").text());
    let of_ann = in_query(&Token::of("42", ORDER).text());
    let path = format!("/ws/public/?topic={public}&topic={of_ann}");
    let no = refused(&[ORDER], "not_allowed");
    // Without a cookie, and with one that Django does not know.
    let mut nobodys = gateway.browser().socket(&path).await;
    let mut strangers = gateway.browser_of("unknown").socket(&path).await;
    for visitor in [&mut nobodys, &mut strangers] {
        assert_eq!(word(visitor).await, no);
    }
    assert_eq!(django.auth_calls().len(), 1);
    let everyone = json!({"to": {"everyone": true}, "frame": 0});
    assert_eq!(gateway.api().publish(&everyone).await["sockets"], 0);
    assert_eq!(publish(&gateway, "news", json!(1)).await, 2);
    assert_eq!(publish(&gateway, ORDER, json!(2)).await, 0);
    for visitor in [&mut nobodys, &mut strangers] {
        visitor.expect_frame("1").await;
        visitor.expect_nothing().await;
    }
    let all = gateway.api().get("/v1/connections").await.json();
    assert_eq!(all["connections"][0]["user"], Value::Null);
    assert_eq!(all["connections"][0]["topics"], json!(["news"]));
    // Somebody who is logged in is who they are there, too.
    let mut ann = gateway.browser_of("anns-session").socket(&path).await;
    assert_eq!(publish(&gateway, ORDER, json!(3)).await, 1);
    ann.expect_frame("3").await;
    // Elsewhere nothing has changed.
    let mut other = gateway.browser().socket(NOTIFICATIONS).await;
    other.expect_close(4001).await;
    gateway.stop().await;
}

#[tokio::test]
async fn visitors_of_one_address_are_bounded() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django)
        .set("limits.anonymous_per_address", 2)
        .socket_setting("anonymous", true)
        .start()
        .await;
    let browser = gateway.browser();
    let one = browser.socket(NOTIFICATIONS).await;
    let mut two = browser.socket(NOTIFICATIONS).await;
    let mut three = browser.socket(NOTIFICATIONS).await;
    let closed = three.expect_close(1008).await;
    assert_eq!(closed.reason, "too many visitors from this address");
    one.close().await;
    let mut four = browser.socket(NOTIFICATIONS).await;
    four.expect_nothing().await;
    two.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_handshake_that_waits_for_django_becomes_a_visitors_too() {
    let django = Django::start().await;
    let gate = Gate::closed();
    django.judges_everybody(Answer::anonymous().after(&gate));
    let gateway = Gateway::in_front_of(&django)
        .set("auth.accept_after", "10ms")
        .socket_setting("anonymous", true)
        .start()
        .await;
    let token = Token::of("", "news").text();
    let browser = gateway.browser_of("unknown");
    let mut socket = browser.socket(&with_token(&token)).await;
    gate.open();
    socket.expect_nothing().await;
    assert_eq!(publish(&gateway, "news", json!(1)).await, 1);
    socket.expect_frame("1").await;
    gateway.stop().await;
}

#[tokio::test]
async fn django_cannot_speak_as_the_gateway() {
    let (django, gateway, ann) = stage().await;
    let body = json!({"to": {"everyone": true}, "frame": {"gatepost": "resync"}});
    let answer = gateway.api().post("/v1/publish", &body.to_string()).await;
    assert_eq!(answer.status(), 400);
    let frames = json!([{"gatepost": "subscribed"}, {"n": 1}]);
    django.says_of("anns-session", &json!({"user": "42", "frames": frames}));
    let mut socket = ann.socket(NOTIFICATIONS).await;
    socket.expect_frame(r#"{"n":1}"#).await;
    socket.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn what_came_of_topics_is_counted() {
    let (_django, gateway, ann) = stage().await;
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let tokens = [
        Token::of("42", "a,b,c").text(),
        Token::of("43", "d").text(),
        Token::of("42", "e")
            .expired()
            .aged(Duration::from_mins(1))
            .text(),
    ];
    let tokens: Vec<_> = tokens.iter().map(String::as_str).collect();
    subscribe(&mut socket, &tokens).await;
    socket
        .send(r#"{"gatepost":"unsubscribe","topics":["a","z"]}"#)
        .await;
    for _ in 0..3 {
        word(&mut socket).await;
    }
    let revocation = json!({"topic": "b", "at": now_ms(), "max_age": 60}).to_string();
    gateway.api().post("/v1/revoke", &revocation).await;
    for (outcome, count) in [
        ("subscribed", 3.0),
        ("not_allowed", 1.0),
        ("expired", 1.0),
        ("unsubscribed", 1.0),
        ("revoked", 1.0),
    ] {
        let name = format!(r#"gatepost_subscriptions_total{{outcome="{outcome}"}}"#);
        let counted = gateway.api().metric(&name).await;
        assert!((counted - count).abs() < 0.5, "{outcome}: {counted}");
    }
    gateway.stop().await;
}
