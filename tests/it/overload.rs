//! Twenty times as many strangers as Django can serve, each at an address of its own with a session cookie that it made
//! up: who is logged in notices little.

use std::time::{Duration, Instant};

use http::{Method, Version};
use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::{Answer, Browser, Django, Gateway, PATIENCE, Page, eventually};

const PLACES: usize = 8;
const CROWD: usize = 20 * PLACES;
/// Half of a page's time at Django.
const HALF: Duration = Duration::from_millis(75);
const PAGES: usize = 24;
/// Of a stranger that was told to come back later, and does so all the same.
const IMPATIENCE: Duration = Duration::from_millis(500);

/// The statuses of some pages, one after the other, and the time within which 95 of a hundred were there.
async fn pages(browser: &Browser) -> (Vec<u16>, Duration) {
    let (mut statuses, mut times) = (Vec::new(), Vec::new());
    for _ in 0..PAGES {
        let begun = Instant::now();
        statuses.push(browser.get("/page/").await.status.as_u16());
        times.push(begun.elapsed());
    }
    times.sort();
    (statuses, times[(PAGES * 95).div_ceil(100) - 1])
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
async fn who_is_logged_in_gets_every_page_in_twice_the_usual_time_and_keeps_its_socket() {
    let django = Django::start().await;
    django.signs_in("anns-session", "ann");
    django.answers("/page/", Answer::trickle(["a", "b"], HALF));
    let gateway = Gateway::in_front_of(&django)
        .set("server.trusted_proxies", vec!["127.0.0.1"])
        .set("django.concurrency", i64::try_from(PLACES).unwrap())
        .set("django.queue", i64::try_from(CROWD / 2).unwrap())
        .start()
        .await;
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let (statuses, idle) = pages(&ann).await;
    assert_eq!(statuses, [200; PAGES]);

    let mut crowd = JoinSet::new();
    for number in 0..CROWD {
        let stranger = gateway.browser_of(&format!("invented-{number}"));
        crowd.spawn(flood(stranger, number));
    }
    eventually(PATIENCE, || django.under_way("/page/") == PLACES).await;
    let (statuses, loaded) = pages(&ann).await;

    assert_eq!(statuses, [200; PAGES]);
    assert!(loaded <= 2 * idle, "idle {idle:?}, under load {loaded:?}");
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
