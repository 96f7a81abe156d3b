//! A wall clock that jumps by days, either way, under a gateway that runs: what is timed goes on, and what is a date
//! is judged by the clock of now.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::harness::api::Api;
use crate::harness::gateway::{NOTIFICATIONS, Setup};
use crate::harness::{Answer, Clock, Django, Gateway, PATIENCE, Process};
use crate::harness::{eventually, eventually_some, json};

const DAY: i64 = 86_400;

/// Ann (42), whose session ends in so many days, and a gateway with this clock.
async fn stage_with(
    days: i64,
    clock: &Clock,
    change: impl FnOnce(Setup) -> Setup,
) -> (Django, Process) {
    let django = Django::start().await;
    django.judges_batches();
    let ann = json!({"user": "42", "expires_at": in_days(days)});
    django.says_of("anns-session", &ann);
    let setup = change(Gateway::in_front_of(&django));
    (django, Process::start_with_clock(setup, clock).await)
}

fn in_days(days: i64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs().checked_add_signed(days * DAY).unwrap()
}

/// What a call is answered that is signed by a clock which is so many seconds ahead.
async fn signed(api: &Api, ahead: i64) -> u16 {
    let publication = json!({"to": {"user": "7"}, "frame": 1}).to_string();
    let api = api.clone().signing_ahead(ahead);
    api.post("/v1/publish", &publication).await.status()
}

/// Waits until the gateway's clock is so many seconds ahead.
async fn reads(api: &Api, ahead: i64) {
    eventually_some(PATIENCE, async || {
        (signed(api, ahead).await == 202).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_timed_goes_on() {
    for jump in [2 * DAY, -2 * DAY] {
        let clock = Clock::ahead(0);
        let (django, gateway) = stage_with(30, &clock, |setup| {
            setup
                .set("auth.lease", "1h")
                .set("auth.revalidate", "1h")
                .set("limits.requests_per_address", "1/s")
                .set("limits.requests_burst", 1)
        })
        .await;
        let ann = gateway.browser_of("anns-session");
        let mut socket = ann.socket(NOTIFICATIONS).await;
        assert_eq!(ann.get("/").await.status, 200);
        eventually_some(PATIENCE, async || {
            (ann.get("/").await.status == 429).then_some(())
        })
        .await;

        clock.set_ahead(jump);
        reads(&gateway.api(), jump).await;

        // A lease is as old as it was, a rate gives no more and is back in time, a connection stays.
        let calls = django.auth_calls().len();
        let _tab = ann.socket(NOTIFICATIONS).await;
        gateway.api().connected("42", 2).await;
        assert_eq!(django.auth_calls().len(), calls, "the lease");
        for status in [200, 429] {
            eventually_some(PATIENCE, async || {
                (ann.get("/").await.status == status).then_some(())
            })
            .await;
        }
        let publication = json!({"to": {"user": "42"}, "frame": "here"});
        assert_eq!(gateway.api().publish(&publication).await["sockets"], 2);
        eventually_some(PATIENCE, async || {
            (socket.frame().await == r#""here""#).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_session_ends_by_the_new_clock_where_django_says_so_too() {
    let clock = Clock::ahead(0);
    let (django, gateway) = stage_with(1, &clock, |setup| setup.set("auth.revalidate", "1h")).await;
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    gateway.api().connected("42", 1).await;

    // Set back: nobody's time is over.
    clock.set_ahead(-2 * DAY);
    reads(&gateway.api(), -2 * DAY).await;
    assert_eq!(gateway.api().connections("42").await.len(), 1);

    // Set ahead: it may have got more time meanwhile, which Django is asked.
    let more = json!({"user": "42", "expires_at": in_days(30)});
    django.says_of("anns-session", &more);
    clock.set_ahead(2 * DAY);
    eventually(PATIENCE, || !django.batch_calls().is_empty()).await;
    reads(&gateway.api(), 2 * DAY).await;
    assert_eq!(gateway.api().connections("42").await.len(), 1);

    django.judges("anns-session", Answer::anonymous());
    clock.set_ahead(31 * DAY);
    let closed = socket.expect_close(4001).await;
    assert_eq!(closed.reason, "session expired");
}

#[tokio::test]
async fn sessions_are_asked_about_as_often_as_ever() {
    let clock = Clock::ahead(0);
    let (django, gateway) =
        stage_with(30, &clock, |setup| setup.set("auth.revalidate", "300ms")).await;
    let _socket = gateway
        .browser_of("anns-session")
        .socket(NOTIFICATIONS)
        .await;
    for ahead in [0, -2 * DAY, 2 * DAY, 0] {
        clock.set_ahead(ahead);
        let before = django.batch_calls().len();
        eventually(PATIENCE, || django.batch_calls().len() >= before + 3).await;
    }
}

#[tokio::test]
async fn a_signature_is_judged_by_the_clock_of_now_and_no_jump_shuts_django_out() {
    let clock = Clock::ahead(2 * DAY);
    let (_django, gateway) = stage_with(30, &clock, |setup| setup).await;
    let api = gateway.api();
    assert_eq!(signed(&api, 2 * DAY).await, 202);
    assert_eq!(signed(&api, 0).await, 401);
    // It was wrong all the time, and is set right; then it is wrong for a while.
    for ahead in [0, 2 * DAY, 0, -2 * DAY, 0] {
        clock.set_ahead(ahead);
        reads(&api, ahead).await;
        for other in [2 * DAY, 0, -2 * DAY] {
            let expected = if other == ahead { 202 } else { 401 };
            assert_eq!(signed(&api, other).await, expected, "{other} at {ahead}");
        }
    }
}

#[tokio::test]
async fn a_clock_that_was_ahead_leaves_no_certificate_that_is_to_begin_in_a_year() {
    let clock = Clock::ahead(0);
    let (_django, gateway) = stage_with(30, &clock, |setup| setup).await;
    let browser = gateway.browser();
    let meet = async || browser.try_tls(&[b"http/1.1"]).await;
    assert!(meet().await.is_ok());
    clock.set_ahead(380 * DAY);
    eventually_some(PATIENCE, async || {
        let refused = meet().await.err()?;
        refused.to_string().contains("not valid yet").then_some(())
    })
    .await;

    clock.set_ahead(0);
    eventually_some(PATIENCE, async || meet().await.ok()).await;
    assert_eq!(browser.get("/").await.status, 200);
}
