//! Events in place of a WebSocket, at the same paths.

use std::time::Duration;

use http::{Method, Version};
use serde_json::{Value, json};

use crate::harness::events::{Event, Events, asking};
use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::token::{Token, in_query};
use crate::harness::{Answer, Browser, Django, Gateway, PATIENCE, eventually_some};

async fn stage() -> (Django, Gateway, Browser) {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = gateway.browser_of("anns-session");
    (django, gateway, ann)
}

/// Until the user has so many connections.
async fn connections(gateway: &Gateway, user: &str, count: usize) {
    gateway.api().connected(user, count).await;
}

/// The number that a frame has.
fn number(event: &Event) -> u64 {
    let data: Value = serde_json::from_str(event.data.as_ref().unwrap()).unwrap();
    data["n"].as_u64().unwrap()
}

#[tokio::test]
async fn a_page_hears_the_same_frames_as_over_a_websocket() {
    let (django, gateway, ann) = stage().await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let asked = asking(&ann, NOTIFICATIONS);
        let mut events = Events::begin(&ann, version, asked).await.unwrap();
        assert_eq!(events.header("content-type"), Some("text/event-stream"));
        assert_eq!(events.header("cache-control"), Some("no-store"));
        assert_eq!(events.header("x-accel-buffering"), Some("no"));
        assert_eq!(events.header("content-encoding"), None);
        let first = events.block().await.unwrap();
        assert!(first.id.is_some() && first.retry.is_some());
        assert_eq!(first.data, None);

        let frame = json!({"to": {"user": "42"}, "frame": {"n": 1}});
        let receipt = gateway.api().publish(&frame).await;
        assert_eq!(receipt["sockets"], 1);
        let event = events.next().await.unwrap();
        assert_eq!(event.data.as_deref(), Some(r#"{"n":1}"#));
        assert_eq!(event.id.as_deref(), receipt["position"].as_str());
        assert_eq!(event.name, None);
        drop(events);
        connections(&gateway, "42", 0).await;
    }
    assert_eq!(django.auth_calls().len(), 2);
    gateway.stop().await;
}

#[tokio::test]
async fn a_page_that_wants_to_know_which_connection_it_is_is_told_first() {
    let (django, gateway, ann) = stage().await;
    let path = format!("{NOTIFICATIONS}?welcome=1&position=5b2f0e6c.1&a=1");
    let mut events = Events::of(&ann, &path).await;
    let begin = events.block().await.unwrap().id;
    let connection = gateway.api().connected("42", 1).await[0]["connection"].clone();
    let welcome = json!({"gatepost": "welcome", "connection": connection, "position": begin});
    for expected in [welcome, json!({"gatepost": "resync"})] {
        let word = events.next().await.unwrap();
        assert_eq!(word.name.as_deref(), Some("gatepost"));
        let said: Value = serde_json::from_str(&word.data.unwrap()).unwrap();
        assert_eq!(said, expected);
    }
    let told = django.auth_calls().pop().unwrap();
    let rest = format!("{NOTIFICATIONS}?a=1");
    assert_eq!(told.header("x-original-uri").unwrap(), rest);
    gateway.stop().await;
}

#[tokio::test]
async fn lines_and_names_arrive_as_they_were_published() {
    let (_django, gateway, ann) = stage().await;
    let mut events = Events::of(&ann, NOTIFICATIONS).await;
    let text = "<li>\n a\r\n\r b</li>\n";
    let html = json!({"to": {"user": "42"}, "text": text, "event": "row"});
    gateway.api().publish(&html).await;
    let event = events.next().await.unwrap();
    assert_eq!(event.name.as_deref(), Some("row"));
    // A reader of events knows one kind of line end.
    assert_eq!(event.data.as_deref(), Some("<li>\n a\n\n b</li>\n"));
    for text in ["", " ", "\n"] {
        let said = json!({"to": {"user": "42"}, "text": text});
        gateway.api().publish(&said).await;
        assert_eq!(events.data().await, text);
    }
    let pretty = "{\"to\":{\"user\":\"42\"},\"frame\":{\n \"n\":\r\n 1}}";
    gateway.api().publish_text(pretty).await;
    assert_eq!(events.data().await, "{\n \"n\":\n 1}");
    gateway.stop().await;
}

#[tokio::test]
async fn nobody_is_answered_401_and_browsers_stop() {
    let (_django, gateway, ann) = stage().await;
    let stranger = gateway.browser_of("invented");
    for browser in [gateway.browser(), stranger] {
        let page = asking(&browser, NOTIFICATIONS).send().await;
        assert_eq!(page.status, 401);
        assert_eq!(page.json()["code"], "not_logged_in");
    }
    // Nothing else asks for events.
    for accept in ["*/*", "text/html", "text/event-stream;q=0"] {
        let asked = ann.ask(Method::GET, NOTIFICATIONS).header("accept", accept);
        assert_eq!(asked.send().await.status, 426, "{accept}");
    }
    for method in [Method::POST, Method::HEAD] {
        let asked = ann.ask(method, NOTIFICATIONS);
        let asked = asked.header("accept", "text/event-stream");
        assert_eq!(asked.send().await.status, 405);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_page_of_another_origin_gets_nothing() {
    let (_django, gateway, ann) = stage().await;
    let ask = |fields: &[(&str, &str)]| {
        let mut ask = ann.ask(Method::GET, NOTIFICATIONS);
        ask = ask.header("accept", "text/event-stream");
        for (name, value) in fields {
            ask = ask.header(name, value);
        }
        ask
    };
    for foreign in [
        &[("origin", "https://evil.example")][..],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
    ] {
        assert_eq!(ask(foreign).send().await.status, 403, "{foreign:?}");
    }
    let own = ask(&[("origin", &ann.origin())]);
    let events = Events::begin(&ann, Version::HTTP_11, own).await.unwrap();
    let allowed = events.header("access-control-allow-origin");
    assert_eq!(allowed, Some(&*ann.origin()));
    let sent = events.header("access-control-allow-credentials");
    assert_eq!(sent, Some("true"));
    gateway.stop().await;
}

#[tokio::test]
async fn limits_are_those_of_sockets() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django)
        .set("limits.connections_per_user", 1)
        .set("limits.connections_per_address", 2)
        .start()
        .await;
    let ann = gateway.browser_of("anns-session");
    let events = Events::of(&ann, NOTIFICATIONS).await;
    let page = asking(&ann, NOTIFICATIONS).send().await;
    assert_eq!(page.status, 429);
    assert_eq!(page.json()["code"], "too_many_connections");
    let listed = gateway.api().connected("42", 1).await;
    assert_eq!(listed[0]["transport"], "sse");
    assert_eq!(listed[0]["socket"], NOTIFICATIONS);
    let streams = r#"gatepost_streams{kind="sse"}"#;
    assert!(gateway.api().metric(streams).await > 0.5);
    drop(events);
    connections(&gateway, "42", 0).await;
    assert!(gateway.api().metric(streams).await < 0.5);
    let _again = Events::of(&ann, NOTIFICATIONS).await;
    gateway.stop().await;
}

#[tokio::test]
async fn topics_and_visitors_are_those_of_sockets() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django)
        .socket_setting("anonymous", true)
        .start()
        .await;
    let visitor = gateway.browser();
    let (good, bad) = (Token::of("", "news"), Token::of("42", "shop.order:1"));
    let [good, bad] = [good, bad].map(|token| in_query(&token.text()));
    let path = format!("{NOTIFICATIONS}?topic={good}&topic={bad}");
    let mut events = Events::of(&visitor, &path).await;
    let refused = events.next().await.unwrap();
    assert_eq!(refused.name.as_deref(), Some("gatepost"));
    assert!(refused.data.unwrap().contains("not_allowed"));
    let news = json!({"to": {"topic": "news"}, "frame": 1});
    assert_eq!(gateway.api().publish(&news).await["sockets"], 1);
    assert_eq!(events.data().await, "1");
    // A topic that is taken away is said; the stream stays.
    gateway.api().revoke(&json!({"topic": "news"})).await;
    let lost = events.next().await.unwrap();
    assert_eq!(lost.name.as_deref(), Some("gatepost"));
    assert!(lost.data.unwrap().contains("unsubscribed"));
    gateway.stop().await;
}

#[tokio::test]
async fn an_end_for_good_is_an_event_and_any_other_says_when_to_come_back() {
    let (django, gateway, ann) = stage().await;
    let mut events = Events::of(&ann, NOTIFICATIONS).await;
    let revoked = json!({"user": "42", "code": 4400, "reason": "no more"});
    assert_eq!(gateway.api().revoke(&revoked).await, 1);
    let close = events.next().await.unwrap();
    assert_eq!(close.name.as_deref(), Some("close"));
    let data = close.data.unwrap();
    assert_eq!(data, r#"{"code":4400,"reason":"no more"}"#);
    assert_eq!(events.next().await, None);

    let ben = gateway.browser_of("bens-session");
    django.signs_in("bens-session", "43");
    let mut events = Events::of(&ben, NOTIFICATIONS).await;
    events.block().await.unwrap();
    gateway.stop().await;
    let last = events.block().await.unwrap();
    assert!(last.retry.is_some() && last.data.is_none(), "{last:?}");
    assert_eq!(events.block().await, None);
}

#[tokio::test]
async fn a_django_that_is_away_is_no_reason_to_give_up() {
    let django = Django::start().await;
    django.judges_everybody(Answer::status(503, ""));
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = gateway.browser_of("anns-session");
    let mut events = Events::of(&ann, NOTIFICATIONS).await;
    let only = events.block().await.unwrap();
    assert!(only.retry.is_some() && only.data.is_none(), "{only:?}");
    assert_eq!(events.block().await, None);
    gateway.stop().await;
}

#[tokio::test]
async fn a_quiet_stream_shows_that_it_lives_and_where_it_is() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django)
        .set("delivery.ping", "1s")
        .start()
        .await;
    let ann = gateway.browser_of("anns-session");
    let mut events = Events::of(&ann, NOTIFICATIONS).await;
    events.block().await.unwrap();
    let other = json!({"to": {"user": "43"}, "frame": 1});
    let receipt = gateway.api().publish(&other).await;
    let sign = events.block().await.unwrap();
    assert!(sign.comment && sign.data.is_none(), "{sign:?}");
    assert_eq!(sign.id.as_deref(), receipt["position"].as_str());
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_comes_back_gets_what_it_missed_or_is_told() {
    let (_django, gateway, ann) = stage().await;
    let mut events = Events::of(&ann, NOTIFICATIONS).await;
    let id = events.block().await.unwrap().id.unwrap();
    drop(events);
    let ask = || asking(&ann, NOTIFICATIONS).header("last-event-id", &id);
    let frame = json!({"to": {"user": "42"}, "frame": 1});
    let mut quiet = Events::begin(&ann, Version::HTTP_11, ask()).await.unwrap();
    gateway.api().publish(&frame).await;
    assert_eq!(quiet.data().await, "1");
    let mut late = Events::begin(&ann, Version::HTTP_11, ask()).await.unwrap();
    assert_eq!(late.data().await, "1");
    let ask = asking(&ann, NOTIFICATIONS).header("last-event-id", "5b2f0e6c.1");
    let mut lost = Events::begin(&ann, Version::HTTP_11, ask).await.unwrap();
    let word = lost.next().await.unwrap();
    assert_eq!(word.name.as_deref(), Some("gatepost"));
    assert_eq!(word.data.as_deref(), Some(r#"{"gatepost":"resync"}"#));
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_costs_no_more_than_its_outbox() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django)
        .set("delivery.outbox_frames", 16)
        .set("limits.write_timeout", "1s")
        .start()
        .await;
    let ann = gateway
        .browser_of("anns-session")
        .with_small_receive_buffer();
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let asked = asking(&ann, NOTIFICATIONS);
        let _events = Events::begin(&ann, version, asked).await.unwrap();
        let large = "x".repeat(64 * 1024);
        let frame = json!({"to": {"user": "42"}, "frame": large});
        // Until it has gone: first its outbox overflows, then it is cut off.
        eventually_some(PATIENCE, async || {
            let receipt = gateway.api().publish(&frame).await;
            (receipt["sockets"] == 0).then_some(())
        })
        .await;
        connections(&gateway, "42", 0).await;
    }
    gateway.stop().await;
}

/// What waited is gone with the stream that fell behind, and comes again to a browser that names its last event.
#[tokio::test]
async fn a_slow_client_is_told_to_come_back_and_loses_nothing() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django)
        .set("delivery.outbox_frames", 16)
        .set("delivery.history", 10_000)
        .start()
        .await;
    let ann = gateway
        .browser_of("anns-session")
        .with_small_receive_buffer();
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let asked = asking(&ann, NOTIFICATIONS);
        let mut events = Events::begin(&ann, version, asked).await.unwrap();
        let mut last = events.block().await.unwrap().id.unwrap();
        let large = "x".repeat(64 * 1024);
        let mut published = 0;
        eventually_some(PATIENCE, async || {
            let frame = json!({"to": {"user": "42"}, "frame": {"n": published, "fill": large}});
            published += 1;
            let receipt = gateway.api().publish(&frame).await;
            (receipt["sockets"] == 0).then_some(())
        })
        .await;
        let mut numbers = Vec::new();
        let told = loop {
            match events.block().await.expect("a time to come back") {
                event if event.data.is_some() => {
                    numbers.push(number(&event));
                    last = event.id.unwrap();
                }
                told => break told,
            }
        };
        assert!(told.retry.is_some(), "{told:?}");
        assert_eq!(events.block().await, None);
        let asked = asking(&ann, NOTIFICATIONS).header("last-event-id", &last);
        let mut back = Events::begin(&ann, version, asked).await.unwrap();
        let begin = back.block().await.unwrap();
        assert_eq!(begin.id, Some(last));
        let end = json!({"to": {"user": "42"}, "frame": {"n": published}});
        gateway.api().publish(&end).await;
        while numbers.last() != Some(&published) {
            let event = back.next().await.unwrap();
            assert_eq!(event.name, None, "{event:?}");
            numbers.push(number(&event));
        }
        assert_eq!(numbers, (0..=published).collect::<Vec<_>>());
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_at_once() {
    let (_django, gateway, ann) = stage().await;
    // No sign of life is due for a while, so nothing is written that could fail.
    for _ in 0..3 {
        let events = Events::of(&ann, NOTIFICATIONS).await;
        connections(&gateway, "42", 1).await;
        drop(events);
        let gone = connections(&gateway, "42", 0);
        tokio::time::timeout(Duration::from_secs(5), gone)
            .await
            .unwrap();
    }
    gateway.stop().await;
}
