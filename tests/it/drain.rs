//! The orderly end: sockets are told when to come back, requests are finished, and what hangs is cut.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Version;
use tokio::net::TcpStream;

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::{
    Answer, Django, Gate, Gateway, PATIENCE, Page, Process, eventually, eventually_some,
};

async fn stage(spread: &str) -> (Django, Process) {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let setup = Gateway::in_front_of(&django).set("limits.drain_spread", spread);
    let gateway = setup.spawn().await;
    (django, gateway)
}

/// Waits until the gateway takes no new connections.
async fn refuses(process: &Process) {
    eventually_some(PATIENCE, async || {
        TcpStream::connect(process.https()).await.err()
    })
    .await;
}

#[tokio::test]
async fn sigterm_closes_sockets_1001_spread_over_a_window_and_exits_0() {
    let (_django, gateway) = stage("1s").await;
    let browser = gateway.browser_of("anns-session");
    let mut sockets = Vec::new();
    for _ in 0..40 {
        let mut socket = browser.socket(NOTIFICATIONS).await;
        socket.expect_nothing().await;
        sockets.push(socket);
    }
    gateway.terminate();
    let ends = sockets.iter_mut().map(|socket| async {
        let closed = socket.expect_close(1001).await;
        let delay: u32 = closed.reason.parse().expect("a delay in milliseconds");
        (Instant::now(), delay)
    });
    let ends = join_all(ends).await;
    let first = ends.iter().map(|(at, _)| *at).min().unwrap();
    let last = ends.iter().map(|(at, _)| *at).max().unwrap();
    let window = last - first;
    assert!(window > Duration::from_millis(300), "all within {window:?}");
    assert!(window < Duration::from_secs(3), "over {window:?}");
    let delays: HashSet<u32> = ends.iter().map(|(_, delay)| *delay).collect();
    assert!(
        delays.len() > 10,
        "they would come back together: {delays:?}"
    );
    drop(sockets);
    assert_eq!(gateway.exit().await.code(), Some(0), "{}", gateway.log());
}

async fn the_request_in_flight_is_finished(version: Version) {
    let (django, gateway) = stage("0s").await;
    let gate = Gate::closed();
    let pieces = vec!["x".repeat(100_000); 5];
    django.answers("/slow/", Answer::chunks(pieces).after(&gate));
    let browser = gateway.browser();
    let mut link = browser.connect(version).await;
    let request = browser.ask_over(version, "/slow/").finish();
    let mut in_flight = Box::pin(link.send(request));
    let asked = eventually(PATIENCE, || django.requests_to("/slow/").len() == 1);
    tokio::select! {
        _ = &mut in_flight => panic!("answered too early"),
        () = asked => {}
    }
    gateway.terminate();
    refuses(&gateway).await;
    assert!(!gateway.has_exited());
    gate.open();
    let page = Page::of(in_flight.await.unwrap()).await.unwrap();
    assert_eq!((page.status.as_u16(), page.body.len()), (200, 500_000));
    assert_eq!(gateway.exit().await.code(), Some(0), "{}", gateway.log());
}

#[tokio::test]
async fn sigterm_finishes_the_http1_request_in_flight_and_refuses_new_connections() {
    the_request_in_flight_is_finished(Version::HTTP_11).await;
}

#[tokio::test]
async fn sigterm_finishes_the_http2_request_in_flight_and_refuses_new_connections() {
    the_request_in_flight_is_finished(Version::HTTP_2).await;
}

#[tokio::test]
async fn readiness_ends_with_the_drain_and_liveness_does_not() {
    let (django, gateway) = stage("0s").await;
    let api = gateway.api().without_secret();
    assert_eq!(api.get("/ready").await.status(), 200);
    let gate = Gate::closed();
    django.answers("/slow/", Answer::ok("late").after(&gate));
    let browser = gateway.browser();
    let mut in_flight = Box::pin(browser.get("/slow/"));
    let asked = eventually(PATIENCE, || django.requests_to("/slow/").len() == 1);
    tokio::select! {
        _ = &mut in_flight => panic!("answered too early"),
        () = asked => {}
    }
    gateway.terminate();
    refuses(&gateway).await;
    assert_eq!(api.get("/ready").await.status(), 503);
    assert_eq!(api.get("/live").await.status(), 200);
    gate.open();
    assert_eq!(in_flight.await.text(), "late");
    assert_eq!(gateway.exit().await.code(), Some(0), "{}", gateway.log());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (django, gateway) = stage("0s").await;
    django.answers("/slow/", Answer::hang());
    let browser = gateway.browser();
    let mut link = browser.connect(Version::HTTP_11).await;
    let ask = browser.ask(http::Method::GET, "/slow/").finish();
    let hanging = tokio::spawn(async move { link.send(ask).await.is_err() });
    eventually(PATIENCE, || django.requests_to("/slow/").len() == 1).await;
    gateway.terminate();
    refuses(&gateway).await;
    assert!(!gateway.has_exited());
    let asked = Instant::now();
    gateway.terminate();
    gateway.exit().await;
    assert!(asked.elapsed() < Duration::from_secs(2));
    assert!(hanging.await.unwrap());
}

#[tokio::test]
async fn what_hangs_is_aborted_at_the_drain_timeout() {
    let django = Django::start().await;
    django.answers("/slow/", Answer::hang());
    let gateway = Gateway::in_front_of(&django)
        .set("limits.drain_timeout", "500ms")
        .start()
        .await;
    let browser = gateway.browser();
    let mut link = browser.connect(Version::HTTP_11).await;
    let ask = browser.ask(http::Method::GET, "/slow/").finish();
    let hanging = tokio::spawn(async move { link.send(ask).await.is_err() });
    eventually(PATIENCE, || django.requests_to("/slow/").len() == 1).await;
    let asked = Instant::now();
    let aborted = gateway.stop().await;
    assert!(aborted >= 1, "{aborted}");
    assert!(asked.elapsed() < Duration::from_secs(3));
    assert!(hanging.await.unwrap(), "the client sees that it was cut");
}

#[tokio::test]
async fn idle_connections_do_not_hold_the_drain_up() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    let mut links = Vec::new();
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mut link = browser.connect(version).await;
        let ask = browser.ask_over(version, "/");
        let response = link.send(ask.finish()).await.unwrap();
        assert_eq!(Page::of(response).await.unwrap().status, 200);
        links.push(link);
    }
    let unused = browser.connect(Version::HTTP_2).await;
    let silent = browser.raw().await;
    let untold = TcpStream::connect(gateway.https()).await.unwrap();
    let asked = Instant::now();
    assert_eq!(gateway.stop().await, 0);
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(3), "the drain took {took:?}");
    eventually(PATIENCE, || {
        links.iter().all(crate::harness::browser::Link::is_closed)
    })
    .await;
    drop((unused, silent, untold));
}

#[tokio::test]
async fn a_client_that_ignores_its_close_does_not_hold_the_drain_up_for_long() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let setup = Gateway::in_front_of(&django).set("limits.drain_timeout", "20s");
    let gateway = setup.start().await;
    let ann = gateway.browser_of("anns-session");
    let (mut deaf, _) = ann.handshake(NOTIFICATIONS).send_raw().await.unwrap();
    gateway.api().connected("42", 1).await;
    let asked = Instant::now();
    assert_eq!(gateway.stop().await, 0);
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(12), "the drain took {took:?}");
    assert_eq!(deaf.closed().await.code, 1001);
}

#[tokio::test]
async fn a_handshake_that_is_judged_while_the_gateway_drains_is_told_to_come_back() {
    let django = Django::start().await;
    let gate = Gate::closed();
    django.judges_everybody(Answer::user("42").after(&gate));
    let mut gateway = Gateway::in_front_of(&django).start().await;
    let ann = gateway.browser_of("anns-session");
    let mut handshake = Box::pin(ann.handshake(NOTIFICATIONS).send());
    let asked = eventually(PATIENCE, || django.auth_calls().len() == 1);
    tokio::select! {
        _ = &mut handshake => panic!("accepted without a judgement"),
        () = asked => {}
    }
    let stopping = gateway.begin_to_stop();
    eventually_some(PATIENCE, async || {
        TcpStream::connect(gateway.https()).await.err()
    })
    .await;
    gate.open();
    match handshake.await {
        Ok(mut socket) => {
            socket.expect_close(1001).await;
        }
        Err(refusal) => assert_eq!(refusal.status(), 503, "{refusal:?}"),
    }
    assert_eq!(stopping.end().await, 0);
}
