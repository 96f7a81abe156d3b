//! Sessions that change while their sockets are open: Django is asked again, and only its word closes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::harness::django::{AUTH_PATH, BATCH_PATH};
use crate::harness::gateway::{NOTIFICATIONS, Setup};
use crate::harness::server::Received;
use crate::harness::socket::Socket;
use crate::harness::{Answer, Django, Gate, Gateway, PATIENCE, eventually, json};

/// Ann (42) at a laptop and a phone, Bob (7), and a gateway that asks about them twice a second.
async fn stage_with(change: impl FnOnce(Setup) -> Setup) -> (Django, Gateway) {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    django.signs_in("anns-phone", "42");
    django.signs_in("bobs-session", "7");
    django.judges_batches();
    let setup = Gateway::in_front_of(&django).set("auth.revalidate", "500ms");
    let gateway = change(setup).start().await;
    (django, gateway)
}

async fn stage() -> (Django, Gateway) {
    stage_with(|setup| setup).await
}

async fn open(gateway: &Gateway, session: &str) -> Socket {
    gateway.browser_of(session).socket(NOTIFICATIONS).await
}

/// The `Cookie` lines that a batch asks about.
fn asked_about(batch: &Received) -> Vec<String> {
    let body: serde_json::Value = serde_json::from_slice(&batch.body.bytes).unwrap();
    let sessions = body["sessions"].as_array().unwrap().iter();
    sessions
        .map(|cookies| cookies.as_str().unwrap().to_owned())
        .collect()
}

/// Waits until Django was asked so many times more.
async fn asked_again(django: &Django, path: &str, times: usize) {
    let before = django.requests_to(path).len();
    eventually(PATIENCE, || {
        django.requests_to(path).len() >= before + times
    })
    .await;
}

fn in_seconds(seconds: f64) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs_f64() + seconds
}

#[tokio::test]
async fn a_session_that_ended_elsewhere_is_closed_and_the_others_stay() {
    let (django, gateway) = stage().await;
    let mut ann = open(&gateway, "anns-session").await;
    let mut phone = open(&gateway, "anns-phone").await;
    let mut bob = open(&gateway, "bobs-session").await;
    django.judges("anns-session", Answer::anonymous());
    let closed = ann.expect_close(4001).await;
    assert_eq!(closed.reason, "session ended");
    asked_again(&django, BATCH_PATH, 2).await;
    phone.expect_nothing().await;
    bob.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn five_tabs_are_one_question_and_sessions_share_a_request() {
    let (django, gateway) = stage().await;
    let mut tabs = Vec::new();
    for _ in 0..5 {
        tabs.push(open(&gateway, "anns-session").await);
    }
    let _bob = open(&gateway, "bobs-session").await;
    asked_again(&django, BATCH_PATH, 3).await;
    let mut sessions = asked_about(django.batch_calls().last().unwrap());
    sessions.sort();
    assert_eq!(
        sessions,
        ["sessionid=anns-session", "sessionid=bobs-session"]
    );
    gateway.stop().await;
}

#[tokio::test]
async fn without_a_batch_view_sessions_are_asked_of_one_by_one() {
    let (django, gateway) = stage_with(|setup| setup.set("auth.batch_url", "")).await;
    let mut ann = open(&gateway, "anns-session").await;
    let mut bob = open(&gateway, "bobs-session").await;
    asked_again(&django, AUTH_PATH, 4).await;
    django.judges("anns-session", Answer::anonymous());
    ann.expect_close(4001).await;
    bob.expect_nothing().await;
    assert!(django.batch_calls().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn another_user_behind_the_same_cookie_closes() {
    let (django, gateway) = stage().await;
    let mut ann = open(&gateway, "anns-session").await;
    django.signs_in("anns-session", "43");
    let closed = ann.expect_close(1013).await;
    assert_eq!(closed.reason, "another user logged in");
    let mut next = open(&gateway, "anns-session").await;
    gateway.api().connected("43", 1).await;
    next.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn groups_change_while_the_socket_stays() {
    let (django, gateway) = stage().await;
    let mut ann = open(&gateway, "anns-session").await;
    django.signs_in_with_groups("anns-session", "42", &["staff"]);
    asked_again(&django, BATCH_PATH, 2).await;
    let to_staff = json!({"to": {"group": "staff"}, "frame": 1});
    gateway.api().publish(&to_staff).await;
    ann.expect_frame("1").await;
    django.signs_in_with_groups("anns-session", "42", &["press"]);
    asked_again(&django, BATCH_PATH, 2).await;
    let receipt = gateway.api().publish(&to_staff).await;
    assert_eq!(receipt["sockets"], 0);
    ann.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn while_django_is_away_sockets_stay_for_grace_and_get_what_is_published() {
    let (django, gateway) = stage_with(|setup| setup.set("auth.grace", "3s")).await;
    let mut ann = open(&gateway, "anns-session").await;
    asked_again(&django, BATCH_PATH, 1).await;
    django.refuse().await;
    let away = tokio::time::Instant::now();
    while away.elapsed() < Duration::from_millis(1500) {
        let frame = json!({"to": {"user": "42"}, "frame": "still here"});
        gateway.api().publish(&frame).await;
        ann.expect_frame("\"still here\"").await;
    }
    ann.expect_close(1013).await;
    assert!(away.elapsed() > Duration::from_secs(2));
    gateway.stop().await;
}

#[tokio::test]
async fn a_short_outage_is_not_noticed() {
    let (django, gateway) = stage_with(|setup| setup.set("auth.grace", "10s")).await;
    let mut ann = open(&gateway, "anns-session").await;
    let mut phone = open(&gateway, "anns-phone").await;
    for answer in [
        Answer::status(503, "restarting"),
        Answer::status(500, "broken"),
        Answer::html("<h1>Maintenance</h1>"),
        Answer::reset(),
    ] {
        django.answers(BATCH_PATH, answer.clone());
        django.answers(AUTH_PATH, answer);
        let before = django.requests().len();
        eventually(PATIENCE, || django.requests().len() > before + 1).await;
    }
    // Back again, with news.
    let news = |request: &Received| {
        let gone = request.cookie("sessionid").as_deref() == Some("anns-session");
        if gone {
            Answer::anonymous()
        } else {
            Answer::user("42")
        }
    };
    django.answers(AUTH_PATH, Answer::of_request(news));
    django.judges("anns-session", Answer::anonymous());
    django.judges_batches();
    ann.expect_close(4001).await;
    phone.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_session_ends_at_its_second() {
    let (django, gateway) = stage_with(|setup| setup.set("auth.revalidate", "1m")).await;
    let end = in_seconds(1.5);
    let ending = json!({"user": "42", "expires_at": end});
    django.says_of("anns-session", &ending);
    let mut ann = open(&gateway, "anns-session").await;
    let closed = ann.expect_close(4001).await;
    assert_eq!(closed.reason, "session expired");
    let late = in_seconds(0.0) - end;
    assert!((0.0..1.0).contains(&late), "{late} s late");
    gateway.stop().await;
}

#[tokio::test]
async fn a_session_that_is_renewed_on_a_page_lives_on() {
    let (django, gateway) = stage_with(|setup| setup.set("auth.revalidate", "1m")).await;
    let ending = json!({"user": "42", "expires_at": in_seconds(2.0)});
    django.says_of("anns-session", &ending);
    django.says_of("anns-phone", &ending);
    let renewed = "sessionid=anns-session; HttpOnly; Max-Age=1209600; Path=/";
    django.answers("/page/", Answer::ok("").header("Set-Cookie", renewed));
    let browser = gateway.browser_of("anns-session");
    let mut ann = browser.socket(NOTIFICATIONS).await;
    let mut phone = open(&gateway, "anns-phone").await;
    browser.get("/page/").await;
    phone.expect_close(4001).await;
    ann.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_recheck_closes_what_is_no_longer_good_and_counts_it() {
    let (django, gateway) = stage_with(|setup| setup.set("auth.revalidate", "1m")).await;
    let mut ann = open(&gateway, "anns-session").await;
    let mut phone = open(&gateway, "anns-phone").await;
    let mut bob = open(&gateway, "bobs-session").await;
    django.judges("anns-phone", Answer::anonymous());
    let recheck = gateway.api().post("/v1/recheck", r#"{"user":"42"}"#).await;
    assert_eq!(
        (recheck.status(), recheck.json()),
        (200, json!({"closed": 1}))
    );
    phone.expect_close(4001).await;
    ann.expect_nothing().await;
    bob.expect_nothing().await;
    assert_eq!(django.batch_calls().len(), 1);
    let session = gateway.api().connected("7", 1).await[0]["session"].clone();
    django.judges("bobs-session", Answer::anonymous());
    let body = json!({"session": session}).to_string();
    gateway.api().post("/v1/recheck", &body).await;
    bob.expect_close(4001).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_recheck_of_a_group_follows_all_who_were_in_it_with_one_question() {
    let (django, gateway) = stage_with(|setup| setup.set("auth.revalidate", "1m")).await;
    let anns = |group| Answer::json(&json!({"user": "42", "groups": [group], "expires_at": null}));
    django.judges("anns-session", anns("staff"));
    django.judges("anns-phone", anns("staff"));
    let mut ann = open(&gateway, "anns-session").await;
    let mut phone = open(&gateway, "anns-phone").await;
    let mut bob = open(&gateway, "bobs-session").await;
    django.judges("anns-session", anns("team"));
    django.judges("anns-phone", anns("team"));
    let recheck = gateway
        .api()
        .post("/v1/recheck", r#"{"group":"staff"}"#)
        .await;
    assert_eq!(recheck.json(), json!({"closed": 0}));
    assert_eq!(django.batch_calls().len(), 1);
    let team = r#"{"to":{"group":"team"},"frame":1}"#;
    gateway.api().post("/v1/publish", team).await;
    ann.expect_frame("1").await;
    phone.expect_frame("1").await;
    bob.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_recheck_does_not_wait_for_a_django_that_waits_for_it() {
    let (django, gateway) = stage_with(|setup| setup.set("auth.revalidate", "1m")).await;
    let mut ann = open(&gateway, "anns-session").await;
    let gate = Gate::closed();
    let gone = json!({"sessions": [{"user": null}]});
    django.answers(BATCH_PATH, Answer::json(&gone).after(&gate));
    let recheck = gateway.api().post("/v1/recheck", r#"{"user":"42"}"#).await;
    assert_eq!(
        (recheck.status(), recheck.json()),
        (202, json!({"closed": 0}))
    );
    gate.open();
    ann.expect_close(4001).await;
    gateway.stop().await;
}

#[tokio::test]
async fn who_is_connected_and_online_is_told() {
    let (_django, gateway) = stage().await;
    let _ann = open(&gateway, "anns-session").await;
    let _phone = open(&gateway, "anns-phone").await;
    let _bob = open(&gateway, "bobs-session").await;
    gateway.api().connected("7", 1).await;
    let online = gateway.api().get("/v1/online?user=42&user=7&user=1").await;
    let counts = json!({"online": {"1": 0, "42": 2, "7": 1}});
    assert_eq!((online.status(), online.json()), (200, counts));
    let all = gateway.api().get("/v1/connections").await.json();
    let users = all["connections"].as_array().unwrap().iter();
    let users: Vec<_> = users.map(|one| one["user"].as_str().unwrap()).collect();
    assert_eq!(users, ["42", "42", "7"]);
    gateway.stop().await;
}
