//! Twenty times as many strangers as Django can serve, each at an address of its own with a session cookie that it made
//! up: who is logged in notices little.

use std::time::Duration;

use http::{Method, Version};
use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::server::Received;
use crate::harness::{Answer, Browser, Django, Gateway, PATIENCE, Page, eventually};

const PLACES: usize = 8;
const CROWD: usize = 20 * PLACES;
const SESSION: &str = "anns-session";
/// Half of a page's time at Django.
const HALF: Duration = Duration::from_millis(75);
const PAGES: usize = 24;
/// Of a stranger that was told to come back later, and does so all the same.
const IMPATIENCE: Duration = Duration::from_millis(500);

/// How many pages of strangers begin at Django between a page's request and its own turn, at most.
async fn overtaken(ann: &Browser, django: &Django) -> usize {
    let mut most = 0;
    for _ in 0..PAGES {
        let before = django.requests_to("/page/").len();
        assert_eq!(ann.get("/page/").await.status, 200);
        let since = django.requests_to("/page/").split_off(before);
        let hers = |asked: &Received| asked.head.all("cookie").concat().contains(SESSION);
        most = most.max(since.iter().position(hers).unwrap());
    }
    most
}

/// Asks for pages without end.
async fn flood(stranger: Browser, number: usize) {
    let mut link = stranger.connect(Version::HTTP_11).await;
    let address = format!("198.51.100.{number}");
    loop {
        let ask = stranger.ask(Method::GET, "/page/");
        let request = ask.header("x-forwarded-for", &address).finish();
        let answer = link.send(request).await.unwrap();
        let page = Page::of(answer).await.unwrap();
        match page.status.as_u16() {
            200 => {}
            503 => tokio::time::sleep(IMPATIENCE).await,
            other => panic!("{other}: {}", page.text()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_logged_in_waits_for_few_strangers_and_keeps_its_socket() {
    let django = Django::start().await;
    django.signs_in(SESSION, "ann");
    django.answers("/page/", Answer::trickle(["a", "b"], HALF));
    let gateway = Gateway::in_front_of(&django)
        .set("server.trusted_proxies", vec!["127.0.0.1"])
        .set("django.concurrency", i64::try_from(PLACES).unwrap())
        .set("django.queue", i64::try_from(CROWD / 2).unwrap())
        .start()
        .await;
    let ann = gateway.browser_of(SESSION);
    let mut socket = ann.socket(NOTIFICATIONS).await;

    let mut crowd = JoinSet::new();
    for number in 0..CROWD {
        let stranger = gateway.browser_of(&format!("invented-{number}"));
        crowd.spawn(flood(stranger, number));
    }
    eventually(PATIENCE, || django.under_way("/page/") == PLACES).await;
    let overtaken = overtaken(&ann, &django).await;

    // Each place may become free once while her request is under way; in turn she would wait for half the crowd.
    assert!(overtaken <= 2 * PLACES, "{overtaken} strangers went first");
    let frame = json!({"to": {"user": "ann"}, "frame": {"n": 1}});
    assert_eq!(gateway.api().publish(&frame).await["sockets"], 1);
    socket.expect_frame(r#"{"n":1}"#).await;
    assert!(django.peak("/page/") <= PLACES);
    let full = r#"gatepost_refused_total{reason="queue_full"}"#;
    assert!(gateway.api().metric(full).await > 0.0, "it was no overload");
    assert!(crowd.try_join_next().is_none(), "a stranger was cut off");
    crowd.shutdown().await;
    drop(socket);
    gateway.stop().await;
}
