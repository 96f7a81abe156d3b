//! Django's own view of a socket's path says who may listen: at the handshake, by path later, and again.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::harness::django::BATCH_PATH;
use crate::harness::gateway::{NOTIFICATIONS, Setup};
use crate::harness::server::Received;
use crate::harness::signature::assert_signed;
use crate::harness::socket::Socket;
use crate::harness::token::{Token, in_query};
use crate::harness::{Answer, Browser, Django, Gate, Gateway, PATIENCE, eventually_some};

const PATH: &str = "/ws/orders/17/";
const ORDER: &str = "shop.order:17";

/// What the view of each path says to a session: the newest word counts.
#[derive(Clone, Default)]
struct Views(Arc<Mutex<Vec<(String, String, Answer)>>>);

impl Views {
    fn of(django: &Django) -> Self {
        let views = Self::default();
        let known = views.clone();
        django.rule(move |request| {
            let path = request.path();
            path.starts_with("/ws/").then(|| known.say(request, &path))
        });
        let known = views.clone();
        let batch = Answer::of_request(move |request| {
            let asked: Value = serde_json::from_slice(&request.body.bytes).unwrap();
            let said = asked["sessions"].as_array().unwrap().iter().map(|one| {
                let Some(cookie) = one["cookie"].as_str() else {
                    return json!({"user": "42"});
                };
                let session = cookie.rsplit_once('=').map_or("", |(_, session)| session);
                known
                    .find(session, one["path"].as_str().unwrap())
                    .in_batch()
            });
            Answer::json(&json!({"sessions": said.collect::<Vec<_>>()}))
        });
        django.answers(BATCH_PATH, batch);
        views
    }

    fn say(&self, request: &Received, path: &str) -> Answer {
        let session = request.cookie("sessionid").unwrap_or_default();
        self.find(&session, path)
    }

    fn find(&self, session: &str, path: &str) -> Answer {
        let known = self.0.lock().unwrap();
        let found = known
            .iter()
            .rfind(|(of, at, _)| of == session && at == path);
        found.map_or_else(
            || Answer::status(404, "nothing here"),
            |(_, _, answer)| answer.clone(),
        )
    }

    fn says(&self, session: &str, path: &str, answer: Answer) {
        let mut known = self.0.lock().unwrap();
        known.push((session.to_owned(), path.to_owned(), answer));
    }

    fn grants(&self, session: &str, user: &str, path: &str, topics: &[&str]) {
        let answer = json!({"v": 1, "user": user, "groups": [], "topics": topics});
        self.says(session, path, Answer::json(&answer));
    }
}

fn view_route(setup: Setup) -> Setup {
    let route = toml::toml! {
        path = "/ws/orders/{pk}/"
        view = true
    };
    setup.element("sockets", route)
}

async fn stage() -> (Django, Views, Gateway, Browser) {
    stage_with("1h").await
}

async fn stage_with(revalidate: &str) -> (Django, Views, Gateway, Browser) {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let views = Views::of(&django);
    views.grants("anns-session", "42", PATH, &[ORDER, "news"]);
    let setup = Gateway::in_front_of(&django).set("auth.revalidate", revalidate);
    let gateway = view_route(setup).start().await;
    let ann = gateway.browser_of("anns-session");
    (django, views, gateway, ann)
}

async fn publish(gateway: &Gateway, topic: &str, frame: Value) -> u64 {
    let publication = json!({"to": {"topic": topic}, "frame": frame});
    gateway.api().publish(&publication).await["sockets"]
        .as_u64()
        .unwrap()
}

async fn word(socket: &mut Socket) -> Value {
    serde_json::from_str(&socket.frame().await).unwrap()
}

async fn subscribe(socket: &mut Socket, path: &str) -> Value {
    let request = json!({"gatepost": "subscribe", "path": path, "id": 1});
    socket.send(&request.to_string()).await;
    word(socket).await
}

async fn recheck(gateway: &Gateway, user: &str) {
    let wanted = json!({"user": user}).to_string();
    let answer = gateway.api().post("/v1/recheck", &wanted).await;
    assert!(matches!(answer.status(), 200 | 202), "{}", answer.text());
}

fn unsubscribed(names: &[&str], reason: &str) -> Value {
    json!({"gatepost": "unsubscribed", "topics": names, "reason": reason})
}

fn path_refused(path: &str, reason: &str) -> Value {
    json!({"gatepost": "refused", "path": path, "reason": reason, "id": 1})
}

#[tokio::test]
async fn the_view_of_the_path_is_asked_with_a_signed_question_and_its_topics_are_heard() {
    let (django, _views, gateway, ann) = stage().await;
    let token = in_query(&Token::of("42", "more").text());
    let path = format!("{PATH}?a=1&position=1.2&topic={token}&welcome=1&topic=tea");
    let mut socket = ann.socket(&path).await;
    // The position is of no gateway that is known here.
    for first in ["welcome", "resync"] {
        assert_eq!(word(&mut socket).await["gatepost"], first);
    }
    for (topic, heard) in [(ORDER, 1), ("news", 1), ("more", 1), ("shop.order:18", 0)] {
        assert_eq!(publish(&gateway, topic, json!({"of": topic})).await, heard);
        if heard == 1 {
            assert_eq!(socket.json().await["of"], topic);
        }
    }
    assert!(django.auth_calls().is_empty());
    let asked = django.only_request_to(PATH);
    assert_eq!(asked.target(), format!("{PATH}?a=1&topic=tea"));
    assert_eq!(asked.header("x-original-uri"), Some(asked.target()));
    assert_eq!(asked.method(), "GET");
    assert_signed(&asked);
    let connection = &gateway.api().connected("42", 1).await[0];
    assert_eq!(connection["socket"], PATH);
    assert_eq!(connection["topics"].as_array().unwrap().len(), 3);
    gateway.stop().await;
}

#[tokio::test]
async fn who_may_not_listen_is_told_4003_and_who_is_not_logged_in_4001() {
    let (_django, views, gateway, ann) = stage().await;
    for (status, code, reason) in [
        (403, 4003, "not allowed"),
        (404, 4003, "not allowed"),
        (401, 4001, "not logged in"),
    ] {
        views.says("anns-session", PATH, Answer::status(status, ""));
        let closed = ann.socket(PATH).await.expect_close(code).await;
        assert_eq!(closed.reason, reason, "{status}");
    }
    // A visitor is kept only where the route says so.
    let nobody = json!({"v": 1, "user": null, "topics": ["news"]});
    views.says("anns-session", PATH, Answer::json(&nobody));
    ann.socket(PATH).await.expect_close(4001).await;
    // A page is no judgement, and neither is a failure of this one view an outage.
    views.says("anns-session", PATH, Answer::html("<p>an order</p>"));
    let closed = ann.socket(PATH).await.expect_close(1011).await;
    assert!(
        closed.reason.contains("@gatepost.socket"),
        "{}",
        closed.reason
    );
    views.says("anns-session", PATH, Answer::status(500, "oops"));
    ann.socket(PATH).await.expect_close(1013).await;
    ann.socket(NOTIFICATIONS).await.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_secret_that_django_does_not_believe_is_no_refusal() {
    let django = Django::start().await;
    Views::of(&django);
    django.judges_everybody(
        Answer::status(403, r#"{"error":"bad_signature","detail":"wrong"}"#)
            .header("content-type", "application/json"),
    );
    let gateway = view_route(Gateway::in_front_of(&django)).start().await;
    let ann = gateway.browser_of("anns-session");
    let closed = ann.socket(PATH).await.expect_close(1011).await;
    assert!(closed.reason.contains("secret"), "{}", closed.reason);
    gateway.stop().await;
}

#[tokio::test]
async fn visitors_are_kept_where_the_route_says_so_and_hear_what_the_view_grants() {
    let django = Django::start().await;
    let views = Views::of(&django);
    let nobody = json!({"v": 1, "user": null, "topics": ["news"], "frames": [{"n": 0}]});
    views.says("", PATH, Answer::json(&nobody));
    let route = toml::toml! {
        path = "/ws/orders/{pk}/"
        view = true
        anonymous = true
    };
    let setup = Gateway::in_front_of(&django).element("sockets", route);
    let gateway = setup.start().await;
    let mut socket = gateway.browser().socket(PATH).await;
    socket.expect_frame(r#"{"n":0}"#).await;
    assert_eq!(publish(&gateway, "news", json!(1)).await, 1);
    socket.expect_frame("1").await;
    let other = "/ws/orders/18/";
    assert_eq!(
        subscribe(&mut socket, other).await,
        path_refused(other, "not_allowed")
    );
    views.says(
        "",
        other,
        Answer::json(&json!({"v": 1, "user": null, "topics": ["more"]})),
    );
    assert_eq!(
        subscribe(&mut socket, other).await["topics"],
        json!(["more"])
    );
    gateway
        .browser()
        .socket("/ws/orders/19/")
        .await
        .expect_close(4003)
        .await;
    gateway.stop().await;
}

#[tokio::test]
async fn tabs_at_one_path_are_one_question_and_other_paths_are_others() {
    let (django, views, gateway, ann) = stage().await;
    let gate = Gate::closed();
    let answer = json!({"v": 1, "user": "42", "topics": [ORDER], "lease": 60});
    views.says("anns-session", PATH, Answer::json(&answer).after(&gate));
    let tabs = (0..10).map(|_| ann.socket(PATH));
    let tabs = futures_util::future::join_all(tabs);
    let open = async {
        eventually_some(PATIENCE, async || {
            let waiting = gateway.api().metric("gatepost_auth_waiting").await;
            (waiting > 9.5).then_some(())
        })
        .await;
        gate.open();
    };
    let (tabs, ()) = tokio::join!(tabs, open);
    assert_eq!(django.requests_to(PATH).len(), 1);
    assert_eq!(publish(&gateway, ORDER, json!(1)).await, 10);
    let _one_more = ann.socket(PATH).await;
    assert_eq!(django.requests_to(PATH).len(), 1, "a lease");
    // What was said of the session is known at other routes, and of no other path.
    let _other_route = ann.socket(NOTIFICATIONS).await;
    assert!(django.auth_calls().is_empty());
    ann.socket("/ws/orders/18/").await.expect_close(4003).await;
    drop(tabs);
    gateway.stop().await;
}

#[tokio::test]
async fn a_page_listens_by_path_later() {
    let (django, views, gateway, ann) = stage().await;
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let answer = subscribe(&mut socket, PATH).await;
    assert_eq!(answer["gatepost"], "subscribed");
    assert_eq!(answer["topics"], json!([ORDER, "news"]));
    assert_eq!(
        (&answer["recovered"], &answer["id"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(publish(&gateway, ORDER, json!(1)).await, 1);
    socket.expect_frame("1").await;
    assert_signed(&django.only_request_to(PATH));
    for (path, status) in [
        ("/ws/orders/18/", 404),
        ("/ws/orders/19/", 403),
        ("/ws/orders/20/", 401),
    ] {
        views.says("anns-session", path, Answer::status(status, ""));
        assert_eq!(
            subscribe(&mut socket, path).await,
            path_refused(path, "not_allowed")
        );
    }
    views.says("anns-session", "/ws/orders/21/", Answer::status(500, ""));
    let away = subscribe(&mut socket, "/ws/orders/21/").await;
    assert_eq!(away, path_refused("/ws/orders/21/", "unavailable"));
    let asked = django.requests().len();
    for path in [
        "/ws/orders/17/?a=1",
        NOTIFICATIONS,
        "/ws/x/../orders/17/",
        "/ws/orders/1%2F7/",
        "",
    ] {
        assert_eq!(
            subscribe(&mut socket, path).await,
            path_refused(path, "not_allowed")
        );
    }
    assert_eq!(django.requests().len(), asked);
    let stop = json!({"gatepost": "unsubscribe", "topics": [ORDER]});
    socket.send(&stop.to_string()).await;
    assert_eq!(word(&mut socket).await["reason"], "asked");
    assert_eq!(publish(&gateway, ORDER, json!(1)).await, 0);
    gateway.stop().await;
}

#[tokio::test]
async fn one_path_is_asked_about_at_a_time_and_few_wait() {
    let (django, views, gateway, ann) = stage().await;
    let gate = Gate::closed();
    let answer = json!({"v": 1, "user": "42", "topics": [ORDER]});
    views.says("anns-session", PATH, Answer::json(&answer).after(&gate));
    let mut socket = ann.socket(NOTIFICATIONS).await;
    for n in 0..18 {
        let path = if n == 0 {
            PATH.to_owned()
        } else {
            format!("/ws/orders/{}/", 100 + n)
        };
        let request = json!({"gatepost": "subscribe", "path": path, "id": n});
        socket.send(&request.to_string()).await;
    }
    let surplus = word(&mut socket).await;
    assert_eq!(
        (&surplus["reason"], &surplus["id"]),
        (&json!("too_many"), &json!(17))
    );
    // Frames go on meanwhile, and pings.
    socket.send(r#"{"type":"ping"}"#).await;
    socket.expect_frame(r#"{"type":"pong"}"#).await;
    assert_eq!(
        django
            .requests()
            .iter()
            .filter(|it| it.path().starts_with("/ws/"))
            .count(),
        1
    );
    gate.open();
    assert_eq!(word(&mut socket).await["gatepost"], "subscribed");
    for n in 1..17 {
        let refused = word(&mut socket).await;
        assert_eq!(
            (&refused["reason"], &refused["id"]),
            (&json!("not_allowed"), &json!(n))
        );
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_revocation_beats_a_subscription_that_is_under_way() {
    let (_django, views, gateway, ann) = stage().await;
    let gate = Gate::closed();
    let answer = json!({"v": 1, "user": "42", "topics": [ORDER]});
    views.says("anns-session", PATH, Answer::json(&answer).after(&gate));
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let request = json!({"gatepost": "subscribe", "path": PATH});
    socket.send(&request.to_string()).await;
    eventually_some(PATIENCE, async || {
        let waiting = gateway.api().metric("gatepost_auth_waiting").await;
        (waiting > 0.5).then_some(())
    })
    .await;
    gateway
        .api()
        .revoke(&json!({"topic": ORDER, "user": "42"}))
        .await;
    gate.open();
    let refused = word(&mut socket).await;
    assert_eq!(refused["reason"], "not_allowed");
    assert_eq!(publish(&gateway, ORDER, json!(1)).await, 0);
    // A new question is newer than the revocation.
    assert_eq!(subscribe(&mut socket, PATH).await["topics"], json!([ORDER]));
    // What a connection has lost nothing grants it again; another one is asked about anew.
    gateway
        .api()
        .revoke(&json!({"topic": ORDER, "user": "42"}))
        .await;
    assert_eq!(word(&mut socket).await, unsubscribed(&[ORDER], "revoked"));
    let again = subscribe(&mut socket, PATH).await;
    assert_eq!(again["reason"], "not_allowed");
    let _other = ann.socket(PATH).await;
    assert_eq!(publish(&gateway, ORDER, json!(1)).await, 1);
    gateway.stop().await;
}

/// What waits for a connection is as long as a path may be, not as long as a message.
#[tokio::test]
async fn a_path_that_is_too_long_to_be_one_does_not_wait() {
    let (_django, views, gateway, ann) = stage().await;
    let gate = Gate::closed();
    let answer = json!({"v": 1, "user": "42", "topics": [ORDER]});
    views.says("anns-session", PATH, Answer::json(&answer).after(&gate));
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let request = json!({"gatepost": "subscribe", "path": PATH});
    socket.send(&request.to_string()).await;
    let long = format!("/ws/orders/{}/", "1".repeat(2048));
    let refused = subscribe(&mut socket, &long).await;
    assert_eq!(refused, path_refused(&long[..200], "not_allowed"));
    gate.open();
    assert_eq!(word(&mut socket).await["gatepost"], "subscribed");
    gateway.stop().await;
}

/// Who may listen is known when the view answers; what was taken away meanwhile is not among it.
#[tokio::test]
async fn a_revocation_beats_a_handshake_that_is_under_way() {
    let (_django, views, gateway, ann) = stage().await;
    let gate = Gate::closed();
    let answer = json!({"v": 1, "user": "42", "topics": [ORDER, "news"]});
    views.says("anns-session", PATH, Answer::json(&answer).after(&gate));
    let meanwhile = async {
        eventually_some(PATIENCE, async || {
            let waiting = gateway.api().metric("gatepost_auth_waiting").await;
            (waiting > 0.5).then_some(())
        })
        .await;
        let revoked = json!({"topic": ORDER, "user": "42"});
        gateway.api().revoke(&revoked).await;
        gate.open();
    };
    let (mut socket, ()) = tokio::join!(ann.socket(PATH), meanwhile);
    let refused = json!({"gatepost": "refused", "topics": [ORDER], "reason": "not_allowed"});
    assert_eq!(word(&mut socket).await, refused);
    for (topic, heard) in [(ORDER, 0), ("news", 1)] {
        assert_eq!(publish(&gateway, topic, json!(topic)).await, heard);
    }
    socket.expect_frame(r#""news""#).await;
    // The next one asks anew, and what the view says then is newer.
    let _next = ann.socket(PATH).await;
    assert_eq!(publish(&gateway, ORDER, json!(1)).await, 1);
    gateway.stop().await;
}

/// One session at two tenants' hosts is asked about at each.
#[tokio::test]
async fn what_a_view_says_at_one_host_is_not_relied_upon_at_another() {
    let django = Django::start().await;
    django.rule(|request| {
        let host = request.header("host").unwrap_or_default();
        let tenant = host.split('.').next().unwrap_or_default().to_owned();
        let topics = json!([format!("{tenant}/{ORDER}")]);
        let answer = json!({"v": 1, "user": "42", "topics": topics, "lease": 60});
        (request.path() == PATH).then(|| Answer::json(&answer))
    });
    let setup = Gateway::in_front_of(&django).set("server.hosts", vec!["acme.test", "other.test"]);
    let gateway = view_route(setup).start().await;
    let at = |host: &str| gateway.browser_calling(host).signed_in("anns-session");
    let (acme, other) = (at("acme.test"), at("other.test"));
    let mut sockets = Vec::new();
    for browser in [&acme, &other, &acme] {
        sockets.push(browser.socket(PATH).await);
    }
    assert_eq!(django.requests_to(PATH).len(), 2);
    for (topic, heard) in [("acme/shop.order:17", 2), ("other/shop.order:17", 1)] {
        assert_eq!(publish(&gateway, topic, json!(1)).await, heard, "{topic}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_recheck_asks_views_again_and_a_refusal_closes_the_sockets_of_that_path() {
    let (django, views, gateway, ann) = stage().await;
    let mut own = ann.socket(PATH).await;
    let mut second = ann.socket(PATH).await;
    let mut later = ann.socket(NOTIFICATIONS).await;
    assert_eq!(
        subscribe(&mut later, PATH).await["topics"],
        json!([ORDER, "news"])
    );
    views.grants("anns-session", "42", PATH, &[ORDER]);
    recheck(&gateway, "42").await;
    for socket in [&mut own, &mut second, &mut later] {
        assert_eq!(word(socket).await, unsubscribed(&["news"], "not_allowed"));
    }
    views.says("anns-session", PATH, Answer::status(403, ""));
    let batches = django.batch_calls().len();
    recheck(&gateway, "42").await;
    for socket in [&mut own, &mut second] {
        assert_eq!(word(socket).await, unsubscribed(&[ORDER], "not_allowed"));
        let closed = socket.expect_close(4003).await;
        assert_eq!(closed.reason, "not allowed");
    }
    assert_eq!(
        word(&mut later).await,
        unsubscribed(&[ORDER], "not_allowed")
    );
    later.expect_nothing().await;
    // One pair, however many listen by it.
    let asked: Vec<_> = django.batch_calls()[batches..]
        .iter()
        .map(|call| serde_json::from_slice::<Value>(&call.body.bytes).unwrap())
        .filter(|asked| asked["sessions"][0].is_object())
        .collect();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0]["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(asked[0]["frames"], false);
    assert!(asked[0]["timeout"].as_f64().unwrap() > 0.0);
    gateway.stop().await;
}

#[tokio::test]
async fn what_a_token_granted_stays_when_a_view_refuses() {
    let (_django, views, gateway, ann) = stage().await;
    let mut socket = ann.socket(NOTIFICATIONS).await;
    subscribe(&mut socket, PATH).await;
    let token = Token::of("42", "news").text();
    let request = json!({"gatepost": "subscribe", "topics": [token]});
    socket.send(&request.to_string()).await;
    assert_eq!(word(&mut socket).await["topics"], json!(["news"]));
    views.says("anns-session", PATH, Answer::status(404, ""));
    recheck(&gateway, "42").await;
    assert_eq!(
        word(&mut socket).await,
        unsubscribed(&[ORDER], "not_allowed")
    );
    assert_eq!(publish(&gateway, "news", json!(1)).await, 1);
    gateway.stop().await;
}

#[tokio::test]
async fn what_a_view_granted_until_a_moment_is_asked_for_again_then() {
    let (django, views, gateway, ann) = stage().await;
    let until = |seconds: u64| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        since.as_secs() + seconds
    };
    let granted = |end: u64| {
        let answer = json!({"v": 1, "user": "42", "topics": [ORDER], "topics_expire": end});
        Answer::json(&answer)
    };
    views.says("anns-session", PATH, granted(until(2)));
    let mut socket = ann.socket(PATH).await;
    assert_eq!(publish(&gateway, ORDER, json!(1)).await, 1);
    socket.expect_frame("1").await;
    // It says once more that they may listen, then no more.
    views.says("anns-session", PATH, granted(until(4)));
    eventually_some(PATIENCE, async || {
        let pairs = django.batch_calls().len();
        (pairs >= 1).then_some(())
    })
    .await;
    assert_eq!(publish(&gateway, ORDER, json!(2)).await, 1);
    socket.expect_frame("2").await;
    assert_eq!(word(&mut socket).await, unsubscribed(&[ORDER], "expired"));
    gateway.stop().await;
}

#[tokio::test]
async fn who_listens_by_a_token_is_asked_about_where_the_project_says() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let answer = Answer::of_request(|request| {
        let asked: Value = serde_json::from_slice(&request.body.bytes).unwrap();
        let Some(topics) = asked["topics"].as_array() else {
            return Answer::json(&json!({"sessions": [{"user": "42"}]}));
        };
        let said = topics
            .iter()
            .map(|one| match one["topic"].as_str().unwrap() {
                ORDER => json!({"users": []}),
                "shop.order:18" => json!({"users": one["users"]}),
                _ => json!({"listed": false}),
            });
        Answer::json(&json!({"sessions": [], "topics": said.collect::<Vec<_>>()}))
    });
    django.answers(BATCH_PATH, answer);
    let setup = Gateway::in_front_of(&django).set("auth.revalidate", "1h");
    let gateway = setup.start().await;
    let ann = gateway.browser_of("anns-session");
    let topics = format!("{ORDER},shop.order:18,news");
    let token = in_query(&Token::of("42", &topics).text());
    let mut socket = ann.socket(&format!("{NOTIFICATIONS}?topic={token}")).await;
    recheck(&gateway, "42").await;
    assert_eq!(
        word(&mut socket).await,
        unsubscribed(&[ORDER], "not_allowed")
    );
    for (topic, heard) in [(ORDER, 0), ("shop.order:18", 1), ("news", 1)] {
        assert_eq!(publish(&gateway, topic, json!(1)).await, heard, "{topic}");
    }
    // Nor does the same token grant it again, here or elsewhere.
    let mut other = ann.socket(&format!("{NOTIFICATIONS}?topic={token}")).await;
    let refused = json!({"gatepost": "refused", "topics": [ORDER], "reason": "not_allowed"});
    assert_eq!(word(&mut other).await, refused);
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_relied_upon_ends_with_the_next_refusal() {
    let (_django, views, gateway, ann) = stage_with("1s").await;
    let mut socket = ann.socket(PATH).await;
    views.says("anns-session", PATH, Answer::status(403, ""));
    let ended = word(&mut socket).await;
    assert_eq!(ended, unsubscribed(&[ORDER, "news"], "not_allowed"));
    socket.expect_close(4003).await;
    ann.socket(PATH).await.expect_close(4003).await;
    gateway.stop().await;
}

/// Comes back with a position, and leaves once it has a pong. Gives what it gets until then.
async fn come_back(gateway: &Gateway, ann: &Browser, position: &str) -> Vec<Value> {
    let target = format!("{PATH}?position={position}");
    let mut socket = ann.socket(&target).await;
    socket.send(r#"{"type":"ping"}"#).await;
    let mut got = Vec::new();
    loop {
        match word(&mut socket).await {
            pong if pong["type"] == "pong" => break,
            other => got.push(other),
        }
    }
    drop(socket);
    gateway.api().connected("42", 0).await;
    got
}

#[tokio::test]
async fn what_was_missed_comes_only_from_the_time_in_which_the_view_granted_it() {
    let (_django, views, gateway, ann) = stage_with("1h").await;
    let resync = || json!({"gatepost": "resync"});
    let mut socket = ann.socket(&format!("{PATH}?welcome=1")).await;
    let position = word(&mut socket).await["position"].clone();
    let position = position.as_str().unwrap();
    drop(socket);
    gateway.api().connected("42", 0).await;
    publish(&gateway, ORDER, json!(1)).await;
    // It was granted before and is granted now.
    assert_eq!(come_back(&gateway, &ann, position).await, [json!(1)]);
    // Whose permission was to be looked at again meanwhile, nobody knows what they were allowed.
    recheck(&gateway, "42").await;
    publish(&gateway, ORDER, json!(2)).await;
    assert_eq!(come_back(&gateway, &ann, position).await, [resync()]);
    publish(&gateway, ORDER, json!(3)).await;
    let got = come_back(&gateway, &ann, position).await;
    assert_eq!(got, [resync(), json!(3)]);
    // The lease of the answer is asked about no more once somebody was refused.
    recheck(&gateway, "42").await;
    views.says("anns-session", PATH, Answer::status(404, ""));
    ann.socket(PATH).await.expect_close(4003).await;
    publish(&gateway, ORDER, json!(4)).await;
    views.grants("anns-session", "42", PATH, &["news"]);
    let got = come_back(&gateway, &ann, position).await;
    assert!(got.is_empty(), "{got:?}");
    views.grants("anns-session", "42", PATH, &["news", ORDER]);
    recheck(&gateway, "42").await;
    assert_eq!(come_back(&gateway, &ann, position).await, [resync()]);
    gateway.stop().await;
}

#[tokio::test]
async fn a_storm_at_paths_costs_a_handful_of_requests_and_what_was_not_reached_is_asked_again() {
    let django = Django::start().await;
    let views = Views::of(&django);
    let left_out = Arc::new(Mutex::new(0));
    let (known, left) = (views.clone(), Arc::clone(&left_out));
    let batch = Answer::of_request(move |request| {
        let asked: Value = serde_json::from_slice(&request.body.bytes).unwrap();
        let asked = asked["sessions"].as_array().unwrap();
        let said = asked.iter().enumerate().map(|(n, one)| {
            if asked.len() > 1 && n >= asked.len() / 2 {
                *left.lock().unwrap() += 1;
                return json!({"later": true});
            }
            let session = one["cookie"].as_str().unwrap().rsplit_once('=').unwrap().1;
            known
                .find(session, one["path"].as_str().unwrap())
                .in_batch()
        });
        Answer::json(&json!({"sessions": said.collect::<Vec<_>>()}))
    });
    django.answers(BATCH_PATH, batch);
    for n in 0..200 {
        let (session, user) = (format!("session-{n}"), n.to_string());
        views.grants(&session, &user, PATH, &[ORDER]);
    }
    let setup = Gateway::in_front_of(&django).set("limits.handshakes_per_address", "100000/s");
    let gateway = view_route(setup).start().await;
    let sockets = (0..200).map(|n| {
        let gateway = &gateway;
        async move {
            gateway
                .browser_of(&format!("session-{n}"))
                .socket(PATH)
                .await
        }
    });
    let sockets = futures_util::future::join_all(sockets).await;
    let (pairs, batches) = (django.requests_to(PATH).len(), django.batch_calls().len());
    eventually_some(PATIENCE, async || {
        (publish(&gateway, ORDER, json!(1)).await == 200).then_some(())
    })
    .await;
    assert!(pairs + batches <= 30, "{pairs} calls and {batches} batches");
    assert!(*left_out.lock().unwrap() > 0);
    drop(sockets);
    gateway.stop().await;
}

#[tokio::test]
async fn a_lease_does_not_outlive_a_revocation_of_its_topics() {
    let (django, views, gateway, ann) = stage().await;
    let answer = json!({"v": 1, "user": "42", "topics": [ORDER], "lease": 60});
    views.says("anns-session", PATH, Answer::json(&answer));
    let _first = ann.socket(PATH).await;
    let _second = ann.socket(PATH).await;
    assert_eq!(django.requests_to(PATH).len(), 1);
    gateway.api().revoke(&json!({"topic": ORDER})).await;
    let _third = ann.socket(PATH).await;
    assert_eq!(django.requests_to(PATH).len(), 2);
    gateway.stop().await;
}
