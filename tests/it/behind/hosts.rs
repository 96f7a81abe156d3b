//! Names of the origin: a star for every customer's subdomain, and those that moved.

use http::Method;

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::http2::{Outcome, RawHttp2, get};
use crate::harness::raw::Raw;
use crate::harness::{Django, Gateway};

#[tokio::test]
async fn every_customer_s_subdomain_is_a_host_and_an_origin_of_its_own() {
    let django = Django::start().await;
    django.signs_in("anns-session", "ann");
    let setup = Gateway::in_front_of(&django);
    let setup = setup.set("server.hosts", vec!["app.test", "*.app.test"]);
    let gateway = setup.start().await;
    for name in ["acme.app.test", "Acme.App.Test"] {
        let page = gateway.browser_calling(name).get("/").await;
        assert_eq!(page.status, 200, "{name}");
        let host = django.requests().pop().unwrap().header("host").unwrap();
        assert!(host.starts_with(name), "{host}");
    }
    let acme = gateway
        .browser_calling("acme.app.test")
        .signed_in("anns-session");
    drop(acme.socket(NOTIFICATIONS).await);
    // Another customer's page.
    let port = gateway.https().port();
    let foreign = acme
        .handshake(NOTIFICATIONS)
        .origin(&format!("https://evil.app.test:{port}"));
    assert_eq!(foreign.refused().await.status(), 403);
    let raw = &mut gateway.browser_calling("acme.app.test").raw().await;
    for (host, status) in [
        ("a.b.app.test", 200),
        ("app.test", 200),
        (".app.test", 421),
        ("xapp.test", 421),
    ] {
        raw.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .await;
        assert_eq!(raw.answer().await.status(), status, "{host}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_name_that_moved_leads_to_the_first_in_one_hop() {
    let django = Django::start().await;
    let setup = Gateway::in_front_of(&django)
        .set("server.http", "127.0.0.1:0")
        .set("server.hosts", vec!["app.test", "*.app.test"])
        .set("server.redirect_hosts", vec!["www.app.test", "old.test"]);
    let gateway = setup.start().await;
    let port = gateway.https().port();
    for name in ["www.app.test", "old.test"] {
        let browser = gateway.browser_calling(name);
        for (method, status) in [(Method::GET, 301), (Method::HEAD, 301), (Method::POST, 308)] {
            let page = browser.ask(method, "/a%20b/?c=d").send().await;
            assert_eq!(page.status, status);
            let location = page.header("location").unwrap();
            assert_eq!(location, format!("https://app.test:{port}/a%20b/?c=d"));
        }
        let mut raw = Raw::tcp(gateway.http()).await;
        raw.send(format!("GET /x HTTP/1.1\r\nHost: {name}\r\n\r\n"))
            .await;
        let answer = raw.answer().await;
        assert_eq!(answer.status(), 301);
        assert_eq!(
            answer.header("location").unwrap(),
            format!("https://app.test:{port}/x")
        );
    }
    assert!(django.requests().is_empty());
    gateway.stop().await;
}

/// Browsers use one connection for all names that its certificate holds (RFC 9113 9.1.1). Who a request is for
/// says its Host alone; 421 says that we are not that one (RFC 9110 7.4).
#[tokio::test]
async fn one_connection_serves_every_host_of_ours_whatever_name_began_it_and_no_other() {
    let django = Django::start().await;
    let setup = Gateway::in_front_of(&django);
    let setup = setup.set("server.hosts", vec!["app.test", "*.app.test"]);
    let gateway = setup.start().await;
    for begun_by in ["acme.app.test", "app.test"] {
        let browser = gateway.browser_calling(begun_by);
        let mut http1 = browser.raw().await;
        let mut http2 = RawHttp2::open(&browser).await;
        let mut stream = 1;
        for (host, is_ours) in [
            ("acme.app.test", true),
            ("other.app.test", true),
            ("app.test", true),
            ("evil.test", false),
            ("app.test.evil.test", false),
        ] {
            let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            http1.send(head).await;
            let status = if is_ours { 200 } else { 421 };
            assert_eq!(http1.answer().await.status(), status, "{begun_by} {host}");
            http2.send(get(stream, "/", host)).await;
            let outcome = if is_ours {
                Outcome::Ok
            } else {
                Outcome::Refused
            };
            assert_eq!(http2.outcome(stream).await, outcome, "{begun_by} {host}");
            stream += 2;
            if is_ours {
                let seen = django.requests().pop().unwrap();
                assert_eq!(seen.header("host").as_deref(), Some(host));
            }
        }
    }
    gateway.stop().await;
}
