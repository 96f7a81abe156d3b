//! Paths that nobody should ask for, and addresses that ask too often.

use http::{Method, Version};
use serde_json::json;

use crate::harness::{Answer, Browser, Django, Gate, Gateway, PATIENCE, Page, eventually, in_time};

const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];
const REFUSED: &str = r#"gatepost_refused_total{reason="refused"}"#;
const FAST: &str = r#"gatepost_refused_total{reason="too_fast"}"#;

#[tokio::test]
async fn a_refused_path_gets_nothing_and_ends_the_connection_in_any_spelling() {
    let django = Django::start().await;
    let setup = Gateway::in_front_of(&django).set("limits.refuse", vec!["/wp-", "*.php"]);
    let gateway = setup.start().await;
    let browser = gateway.browser();
    let paths = ["/wp-login", "/a/x.php?y", "/%77p-admin/", "/x.p%68p"];
    for (version, path) in BOTH
        .iter()
        .flat_map(|version| paths.map(|path| (version, path)))
    {
        let mut link = browser.connect(*version).await;
        let request = browser.ask_over(*version, path).finish();
        let page = Page::of(link.send(request).await.unwrap()).await.unwrap();
        assert_eq!((page.status.as_u16(), page.body.len()), (404, 0), "{path}");
        eventually(PATIENCE, || link.is_closed()).await;
    }
    assert!(gateway.api().metric(REFUSED).await >= 8.0);
    assert!(django.requests().is_empty());
    for path in ["/blog/wp-", "/a.php/"] {
        assert_eq!(browser.get(path).await.status, 200, "{path}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn requests_under_way_outlive_a_refused_one_on_their_connection() {
    let django = Django::start().await;
    let gate = Gate::closed();
    django.answers("/slow/", Answer::ok("slow").after(&gate));
    let setup = Gateway::in_front_of(&django).set("limits.refuse", "*.php");
    let gateway = setup.start().await;
    let browser = gateway.browser();
    let mut link = browser.connect(Version::HTTP_2).await;
    let slow = link
        .begin(browser.ask_over(Version::HTTP_2, "/slow/").finish())
        .await;
    let php = browser.ask_over(Version::HTTP_2, "/x.php").finish();
    assert_eq!(link.send(php).await.unwrap().status(), 404);
    gate.open();
    let page = in_time("the slow answer", slow).await.unwrap();
    assert_eq!(Page::of(page).await.unwrap().text(), "slow");
    gateway.stop().await;
}

/// The statuses of so many requests of an address that a trusted proxy tells of.
async fn statuses(browser: &Browser, address: &str, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        let ask = browser.ask(Method::GET, "/page/");
        let page = ask.header("x-forwarded-for", address).send().await;
        if page.status == 429 {
            assert_eq!(page.json()["code"], json!("too_fast"));
            assert_eq!(page.header("retry-after").unwrap(), "1");
        }
        statuses.push(page.status.as_u16());
    }
    statuses
}

#[tokio::test]
async fn an_address_that_asks_too_often_gets_429_and_others_do_not() {
    let django = Django::start().await;
    let setup = Gateway::in_front_of(&django)
        .set("limits.requests_per_address", "1/s")
        .set("limits.requests_burst", 2)
        .set("server.trusted_proxies", vec!["127.0.0.1"])
        .set("server.health", "/healthz")
        .file("static/a.txt", "a")
        .element("files", toml::toml! { path = "/static/" root = "static" });
    let gateway = setup.start().await;
    let browser = gateway.browser();

    let greedy = statuses(&browser, "192.0.2.1", 20).await;

    assert_eq!(greedy[..2], [200, 200]);
    assert!(greedy.contains(&429), "{greedy:?}");
    let refused = greedy.iter().filter(|status| **status == 429).count();
    assert!(gateway.api().metric(FAST).await >= 1.0);
    assert_eq!(django.requests_to("/page/").len(), 20 - refused);
    assert_eq!(statuses(&browser, "192.0.2.2", 2).await, [200, 200]);
    // All of an IPv6 /64 are one.
    let six = statuses(&browser, "2001:db8::1", 2).await;
    assert_eq!(six, [200, 200]);
    assert!(statuses(&browser, "2001:db8::2", 5).await.contains(&429));
    // Files and health cost Django nothing.
    for path in ["/static/a.txt", "/healthz"] {
        for _ in 0..10 {
            let ask = browser.ask(Method::GET, path);
            let page = ask.header("x-forwarded-for", "192.0.2.1").send().await;
            assert_eq!(page.status, 200, "{path}");
        }
    }
    gateway.stop().await;
}
