//! Many who want to be judged at once, and a Django that is slow, away, or back again: what reaches it is
//! counted.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::django::{AUTH_PATH, BATCH_PATH};
use crate::harness::gateway::{NOTIFICATIONS, Setup};
use crate::harness::server::Received;
use crate::harness::socket::Socket;
use crate::harness::{Answer, Browser, Django, Gate, Gateway, PATIENCE, eventually_some, json};

const SESSIONS: usize = 400;
const TABS: usize = 2;

fn crowded(django: &Django) -> Setup {
    Gateway::in_front_of(django)
        .set("limits.handshakes_per_address", "100000/s")
        .set("auth.timeout", "5s")
        .set("django.hold", "15s")
        // On a busy machine a crowd takes a minute, after which its first would be asked about again.
        .set("auth.revalidate", "1h")
}

/// Every tab of so many sessions, as fast as this machine opens them.
async fn come(gateway: &Gateway, sessions: usize) -> Vec<(usize, Socket)> {
    let tabs = (0..sessions * TABS).map(|tab| async move {
        let browser = gateway.browser_of(&session(tab % sessions));
        (tab % sessions, browser.socket(NOTIFICATIONS).await)
    });
    stream::iter(tabs).buffer_unordered(64).collect().await
}

fn session(number: usize) -> String {
    format!("session-{number}")
}

fn sign_in(django: &Django, sessions: usize) {
    for number in 0..sessions {
        django.signs_in(&session(number), &number.to_string());
    }
}

async fn waiting(gateway: &Gateway, count: u32) {
    eventually_some(PATIENCE, async || {
        let now = gateway.api().metric("gatepost_auth_waiting").await;
        ((now - f64::from(count)).abs() < 0.5).then_some(())
    })
    .await;
}

#[tokio::test]
async fn fifty_tabs_of_a_session_are_one_question() {
    let django = Django::start().await;
    let gate = Gate::closed();
    django.judges("anns-session", Answer::user("42").after(&gate));
    let gateway = crowded(&django).start().await;
    let browsers: Vec<_> = (0..50)
        .map(|_| gateway.browser_of("anns-session"))
        .collect();
    let tabs = browsers.iter().map(|browser| browser.socket(NOTIFICATIONS));
    let tabs = futures_util::future::join_all(tabs);
    let open_when_all_wait = async {
        waiting(&gateway, 50).await;
        gate.open();
    };
    let (tabs, ()) = tokio::join!(tabs, open_when_all_wait);
    assert_eq!(django.auth_calls().len(), 1);
    gateway.api().connected("42", 50).await;
    waiting(&gateway, 0).await;
    drop(tabs);
    gateway.stop().await;
}

#[tokio::test]
async fn a_storm_costs_a_handful_of_requests_where_there_is_a_batch_view() {
    let django = Django::start().await;
    sign_in(&django, SESSIONS);
    django.judges_batches();
    let setup = crowded(&django).set("auth.lease", "10s");
    let gateway = setup.start().await;
    let sockets = come(&gateway, SESSIONS).await;
    let (single, batches) = (django.auth_calls().len(), django.batch_calls().len());
    assert!(
        single + batches <= 20,
        "{single} calls and {batches} batches"
    );
    for (_, mut socket) in sockets.into_iter().step_by(100) {
        socket.expect_nothing().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_storm_costs_one_call_a_session_where_there_is_none() {
    let django = Django::start().await;
    sign_in(&django, SESSIONS);
    let setup = crowded(&django)
        .set("auth.lease", "10m")
        .set("auth.batch_url", "")
        .set("auth.concurrency", 3);
    let gateway = setup.start().await;
    let sockets = come(&gateway, SESSIONS).await;
    assert_eq!(django.auth_calls().len(), SESSIONS);
    assert_eq!(django.requests().len(), SESSIONS);
    assert!(django.peak(AUTH_PATH) <= 3);
    for (_, mut socket) in sockets.into_iter().step_by(100) {
        socket.expect_nothing().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_batch_view_that_is_not_there_is_tried_now_and_then_in_vain() {
    let django = Django::start().await;
    sign_in(&django, 100);
    for answer in [
        Answer::status(404, "not found"),
        Answer::status(501, "one by one"),
        Answer::html("<p>the frontend</p>"),
        Answer::json(&json!({"sessions": [{"user": "1"}]})),
    ] {
        django.answers(BATCH_PATH, answer);
        let (calls, batches) = (django.auth_calls().len(), django.batch_calls().len());
        let gateway = crowded(&django).set("auth.lease", "1m").start().await;
        let sockets = come(&gateway, 100).await;
        // Once, and again after a second or two where the crowd takes so long to come in.
        let tried = django.batch_calls().len() - batches;
        assert!((1..=6).contains(&tried), "{tried}");
        assert_eq!(django.auth_calls().len(), calls + 100);
        for (_, mut socket) in sockets.into_iter().step_by(50) {
            socket.expect_nothing().await;
        }
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_crowd_that_comes_back_after_an_outage_is_asked_for_in_batches_again() {
    let django = Django::start().await;
    sign_in(&django, 100);
    for outage in [
        Answer::status(500, "Server Error (500)"),
        Answer::html("<h1>Down for maintenance</h1>"),
        Answer::status(404, "<h1>Not here</h1>"),
    ] {
        for path in [BATCH_PATH, AUTH_PATH] {
            django.answers(path, outage.clone());
        }
        let setup = crowded(&django).set("auth.lease", "1ms");
        let gateway = setup.set("django.hold", "100ms").start().await;
        drop(come(&gateway, 60).await);

        let back = |request: &Received| {
            let session = request.cookie("sessionid").unwrap();
            Answer::user(session.strip_prefix("session-").unwrap())
        };
        django.answers(AUTH_PATH, Answer::of_request(back));
        django.judges_batches();
        let first = gateway.browser_of("session-0");
        eventually_some(PATIENCE, async || is_let_in(&first).await.then_some(())).await;

        let (calls, batches) = (django.auth_calls().len(), django.batch_calls().len());
        come(&gateway, 100).await;
        assert!(django.batch_calls().len() > batches, "no batch is tried");
        let calls = django.auth_calls().len() - calls;
        assert!(calls < 60, "{calls} single calls");
        gateway.stop().await;
    }
}

async fn is_let_in(browser: &Browser) -> bool {
    let mut socket = browser.socket(NOTIFICATIONS).await;
    socket.send(r#"{"type":"ping"}"#).await;
    matches!(socket.event(PATIENCE).await, Some(Message::Text(_)))
}

#[tokio::test]
async fn whom_a_batch_leaves_out_is_asked_for_alone() {
    let django = Django::start().await;
    sign_in(&django, 60);
    django.says_of("session-59", &json!({"user": "59", "groups": "none"}));
    django.judges_batches();
    let gateway = crowded(&django).set("auth.lease", "1m").start().await;
    let sockets = come(&gateway, 60).await;
    for (session, mut socket) in sockets {
        // A fault of one session is that session's alone.
        match session {
            59 => drop(socket.expect_close(1011).await),
            _ => socket.expect_nothing().await,
        }
    }
    assert!(!django.batch_calls().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn a_batch_asks_for_one_host_and_is_signed() {
    let django = Django::start().await;
    sign_in(&django, 60);
    django.judges_batches();
    let setup = crowded(&django).set("server.hosts", vec!["localhost", "other.localhost"]);
    let gateway = setup.set("auth.lease", "1m").start().await;
    let tabs = (0..120).map(|tab| {
        let name = ["localhost", "other.localhost"][tab % 2];
        let browser = gateway.browser_calling(name).signed_in(&session(tab / 2));
        async move { browser.socket(NOTIFICATIONS).await }
    });
    let _sockets: Vec<_> = stream::iter(tabs).buffer_unordered(64).collect().await;
    let batches = django.batch_calls();
    let hosts: std::collections::HashSet<_> = batches.iter().map(|b| b.header("host")).collect();
    assert_eq!(hosts.len(), 2, "{hosts:?}");
    for batch in &batches {
        crate::harness::signature::assert_signed(batch);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_tenth_of_a_second_of_silence_fails_no_handshake() {
    let django = Django::start().await;
    sign_in(&django, 30);
    let gateway = crowded(&django).start().await;
    django.refuse().await;
    let back = async {
        // How long it is away is the fault itself; there is no condition to wait for.
        tokio::time::sleep(Duration::from_millis(100)).await;
        django.listen();
    };
    let (mut sockets, ()) = tokio::join!(come(&gateway, 30), back);
    for (_, socket) in &mut sockets {
        socket.expect_nothing().await;
    }
    gateway.api().connected("29", TABS).await;
    gateway.stop().await;
}

#[tokio::test]
async fn an_answer_of_503_or_no_answer_is_tried_again() {
    let django = Django::start().await;
    for bad in [
        Answer::status(503, "starting"),
        Answer::reset(),
        Answer::close(),
    ] {
        django.answers_in_turn(
            AUTH_PATH,
            [bad.clone(), bad.clone(), bad, Answer::user("42")],
        );
        let gateway = crowded(&django).start().await;
        let ann = gateway.browser_of("anns-session");
        ann.socket(NOTIFICATIONS).await.expect_nothing().await;
        gateway.stop().await;
    }
}

#[tokio::test]
async fn who_waits_longer_is_accepted_first_and_judged_afterwards() {
    let django = Django::start().await;
    let gate = Gate::closed();
    let answer = Answer::json(&json!({"user": "42", "frames": [{"unread": 3}]}));
    let answer = answer.header("Set-Cookie", "sessionid=anns-session; Path=/");
    django.judges("anns-session", answer.after(&gate));
    let stranger = Gate::closed();
    django.judges("stranger", Answer::anonymous().after(&stranger));
    let gateway = crowded(&django)
        .set("auth.accept_after", "300ms")
        .start()
        .await;
    let ann = gateway.browser_of("anns-session");
    let began = Instant::now();
    let mut socket = ann.socket(NOTIFICATIONS).await;
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert!(socket.response.head.all("set-cookie").is_empty());
    socket.send(r#"{"type":"ping"}"#).await;
    // How long Django says nothing is the fault itself; there is no condition to wait for.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(gateway.api().connections("42").await.is_empty());
    gate.open();
    socket.expect_frame(r#"{"unread":3}"#).await;
    socket.expect_frame(r#"{"type":"pong"}"#).await;

    let mut other = gateway.browser_of("stranger").socket(NOTIFICATIONS).await;
    stranger.open();
    other.expect_close(4001).await;
    assert_eq!(django.auth_calls().len(), 2);
    gateway.stop().await;
}

#[tokio::test]
async fn who_leaves_while_it_waits_accepted_gives_its_turn_back() {
    let django = Django::start().await;
    django.judges("hangs", Answer::hang());
    django.signs_in("anns-session", "42");
    let gateway = crowded(&django)
        .set("auth.accept_after", "100ms")
        .set("auth.timeout", "30s")
        .set("auth.concurrency", 1)
        .start()
        .await;
    let impatient = gateway.browser_of("hangs").socket(NOTIFICATIONS).await;
    drop(impatient);
    let ann = gateway.browser_of("anns-session");
    ann.socket(NOTIFICATIONS).await.expect_nothing().await;
    waiting(&gateway, 0).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_django_that_comes_back_is_not_stampeded() {
    let django = Django::start().await;
    sign_in(&django, 100);
    let setup = crowded(&django)
        .set("auth.batch_url", "")
        .set("auth.accept_after", "100ms")
        .set("auth.concurrency", 4);
    let gateway = setup.start().await;
    // Alive, but not well: it accepts, and answers nobody.
    django.judges_everybody(Answer::status(503, "down"));
    let _sockets = come(&gateway, 100).await;
    // Calls are counted over wall time; there is no condition to wait for.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let knocks = django.auth_calls().len();
    assert!(knocks <= 20, "{knocks} calls while Django is down");
    django.rule(|request| {
        let number = request
            .cookie("sessionid")?
            .strip_prefix("session-")?
            .to_owned();
        (request.path() == AUTH_PATH).then(|| Answer::user(&number))
    });
    waiting(&gateway, 0).await;
    assert!(django.auth_calls().len() <= knocks + 100);
    assert!(django.peak(AUTH_PATH) <= 4);
    gateway.api().connected("99", TABS).await;
    gateway.stop().await;
}

#[tokio::test]
async fn while_django_is_away_those_it_knew_are_admitted() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    django.signs_in("bobs-session", "43");
    let setup = Gateway::in_front_of(&django).set("django.hold", "1s");
    let gateway = setup.start().await;
    let ann = gateway.browser_of("anns-session");
    ann.socket(NOTIFICATIONS).await.expect_nothing().await;
    let bobs = gateway.browser_of("bobs-session");
    let bobs_socket = bobs.socket(NOTIFICATIONS).await;
    let bob = gateway.api().connected("43", 1).await[0]["session"].clone();
    django.refuse().await;
    ann.socket(NOTIFICATIONS).await.expect_nothing().await;
    // Nobody knows whether a stranger is logged in, and a revocation counts for the lease, too.
    let stranger = gateway.browser_of("stranger");
    stranger
        .socket(NOTIFICATIONS)
        .await
        .expect_close(1013)
        .await;
    gateway.api().revoke(&json!({"session": bob})).await;
    drop(bobs_socket);
    bobs.socket(NOTIFICATIONS).await.expect_close(4001).await;
    gateway.api().revoke(&json!({"user": "42"})).await;
    ann.socket(NOTIFICATIONS).await.expect_close(1013).await;
    gateway.stop().await;
}
