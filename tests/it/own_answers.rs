//! What the project adds to what the gateway answers itself.

use http::{Method, Version};
use tokio::task::JoinSet;

use crate::harness::browser::Ask;
use crate::harness::gateway::{NOTIFICATIONS, Setup};
use crate::harness::raw::Raw;
use crate::harness::{Answer, Browser, Django, Gateway, in_time};

const PAGE: &str = "text/html,application/xhtml+xml,*/*;q=0.8";
const POLICY: &str = "default-src 'self'";

fn dressed(django: &Django) -> Setup {
    Gateway::in_front_of(django)
        .set("server.mode", "production")
        .set("server.hosts", vec!["gate.test"])
        .set("server.hsts", "1h; includeSubDomains")
        .set("headers.Content-Security-Policy", POLICY)
        .set("headers.X-Frame-Options", "DENY")
        .set("errors.root", "errors")
        .element("files", toml::toml! { path = "/static/" root = "static" })
        .file("static/a.txt", "a")
        .file("errors/404.html", "<h1>our 404</h1>")
        .file("errors/5xx.html", "<h1>our 5xx</h1>")
        .file("errors/readme.txt", "no page")
}

#[tokio::test]
async fn own_answers_get_the_fields_and_django_s_do_not() {
    let django = Django::start().await;
    let gateway = dressed(&django).start().await;
    let browser = gateway.browser_calling("gate.test");
    let file = browser.get("/static/a.txt").await;
    assert_eq!(
        file.header("content-security-policy").as_deref(),
        Some(POLICY)
    );
    assert_eq!(file.header("x-frame-options").as_deref(), Some("DENY"));
    let page = browser.get("/page/").await;
    assert_eq!(page.header("content-security-policy"), None);
    assert_eq!(page.header("x-frame-options"), None);
    let error = browser.get("/static/nothing").await;
    assert_eq!(error.header("x-frame-options").as_deref(), Some("DENY"));
    for answer in [file, page, error] {
        assert_eq!(
            answer.all("strict-transport-security"),
            ["max-age=3600; includeSubDomains"]
        );
    }
    let own = Answer::ok("").header("Strict-Transport-Security", "max-age=1");
    django.answers("/own/", own);
    let own = browser.get("/own/").await;
    assert_eq!(own.all("strict-transport-security"), ["max-age=1"]);
    gateway.stop().await;
}

#[tokio::test]
async fn errors_have_the_project_s_pages_for_who_takes_pages() {
    let django = Django::start().await;
    django.answers("/gone/", Answer::status(404, "Django's"));
    django.answers("/cut/", Answer::garbage());
    let gateway = dressed(&django).start().await;
    let browser = gateway.browser_calling("gate.test");
    let page = |path: &'static str| browser.ask(Method::GET, path).header("Accept", PAGE).send();
    let missing = page("/static/nothing").await;
    assert_eq!(
        (missing.status.as_u16(), missing.text().as_str()),
        (404, "<h1>our 404</h1>")
    );
    assert_eq!(missing.header("content-length").as_deref(), Some("16"));
    assert_eq!(
        missing.header("content-type").unwrap(),
        "text/html; charset=utf-8"
    );
    assert_eq!(
        missing.header("content-security-policy").as_deref(),
        Some(POLICY)
    );
    assert_eq!(missing.header("cache-control").unwrap(), "no-store");
    assert!(missing.header("x-request-id").is_some());
    assert_eq!(page("/gone/").await.text(), "Django's");
    let broken = page("/cut/").await;
    assert_eq!(
        (broken.status.as_u16(), broken.text().as_str()),
        (502, "<h1>our 5xx</h1>")
    );
    let refused = browser
        .ask(Method::POST, "/static/a.txt")
        .header("Accept", PAGE)
        .send()
        .await;
    assert!(
        refused.text().contains("405"),
        "no page of the project's: the gateway's"
    );
    let json = browser.get("/static/nothing").await;
    assert_eq!(json.json()["code"], "not_found");
    let head = browser
        .ask(Method::HEAD, "/static/nothing")
        .header("Accept", PAGE)
        .send()
        .await;
    assert_eq!(
        (head.header("content-length").as_deref(), head.body.len()),
        (Some("16"), 0)
    );
    gateway.stop().await;
}

/// What makes the gateway refuse something, and the status by which it does.
fn refusals(browser: &Browser) -> Vec<(Ask<'_>, u16)> {
    let ask = |method, path: &str| browser.ask(method, path);
    let get = |path: &str| ask(Method::GET, path);
    vec![
        (get("/a%00"), 400),
        (get("/_gatepost/auth/"), 404),
        (ask(Method::POST, "/static/a.txt"), 405),
        (ask(Method::TRACE, "/"), 405),
        (ask(Method::POST, "/").body(vec![b'x'; 2000]), 413),
        (get(&format!("/?{}", "x".repeat(9000))), 414),
        (get("/").header("Expect", "a miracle"), 417),
        (get(NOTIFICATIONS), 426),
        (get("/cut/"), 502),
        (get("/file/"), 502),
        (get("/late/"), 504),
    ]
}

#[tokio::test]
async fn whatever_the_gateway_refuses_is_dressed_over_both_protocols_and_for_head() {
    let django = Django::start().await;
    django.answers("/cut/", Answer::garbage());
    django.answers("/late/", Answer::hang());
    django.answers(
        "/file/",
        Answer::ok("").header("X-Accel-Redirect", "/elsewhere/a"),
    );
    let setup = dressed(&django)
        .set("limits.body_size", "1KiB")
        .set("limits.upstream_timeout", "300ms")
        .file("errors/4xx.html", "<h1>our 4xx</h1>");
    let gateway = setup.start().await;
    let browser = gateway.browser_calling("gate.test");
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for (ask, status) in refusals(&browser) {
            let ask = if version == Version::HTTP_2 {
                ask.over_http2()
            } else {
                ask
            };
            let page = ask.header("Accept", PAGE).send().await;
            assert_eq!(page.status, status, "{version:?}");
            let ours = match status {
                404 => "our 404",
                400..500 => "our 4xx",
                _ => "our 5xx",
            };
            assert!(
                page.text().contains(ours),
                "{status} {version:?}: {}",
                page.text()
            );
            assert_eq!(
                page.header("content-security-policy").as_deref(),
                Some(POLICY),
                "{status}"
            );
            assert_eq!(page.all("strict-transport-security").len(), 1, "{status}");
        }
        for (path, length) in [("/cut/", "16"), ("/a%00", "16")] {
            let ask = browser.ask(Method::HEAD, path).header("Accept", PAGE);
            let ask = if version == Version::HTTP_2 {
                ask.over_http2()
            } else {
                ask
            };
            let head = ask.send().await;
            assert_eq!(
                head.header("content-length").as_deref(),
                Some(length),
                "{path}"
            );
            assert!(head.body.is_empty());
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_for_which_there_is_no_room_gets_the_project_s_page_too() {
    let django = Django::start().await;
    let setup = dressed(&django)
        .set("server.http", "127.0.0.1:0")
        .set("limits.header_timeout", "60s")
        .set("limits.connections", 1);
    let gateway = setup.start().await;
    let mut held = JoinSet::new();
    // As many as there are, and the few that the gateway keeps spare.
    for _ in 0..65 {
        let browser = gateway.browser_calling("gate.test");
        held.spawn(async move { browser.try_tls(&[b"http/1.1"]).await });
    }
    let inside = in_time("the first clients", held.join_all()).await;
    let browser = gateway.browser_calling("gate.test");
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let ask = browser.ask_over(version, "/page/").header("Accept", PAGE);
        let full = ask.send().await;
        assert_eq!(
            (full.status.as_u16(), full.text().as_str()),
            (503, "<h1>our 5xx</h1>")
        );
        assert!(full.header("retry-after").is_some());
        assert_eq!(
            full.header("content-security-policy").as_deref(),
            Some(POLICY)
        );
        assert_eq!(full.all("strict-transport-security").len(), 1);
    }
    let mut plain = Raw::tcp(gateway.http()).await;
    let asked = format!("GET / HTTP/1.1\r\nHost: gate.test\r\nAccept: {PAGE}\r\n\r\n");
    plain.send(asked).await;
    let full = plain.answer().await;
    assert_eq!(
        (full.status(), full.text().as_str()),
        (503, "<h1>our 5xx</h1>")
    );
    assert_eq!(full.header("strict-transport-security"), None);
    drop(inside);
    gateway.stop().await;
}

#[tokio::test]
async fn over_plain_http_the_fields_are_there_and_hsts_only_where_a_proxy_ended_tls() {
    let django = Django::start().await;
    let setup = dressed(&django)
        .set("server.http", "127.0.0.1:0")
        .set("server.trusted_proxies", vec!["127.0.0.1"]);
    let gateway = setup.start().await;
    for (fields, status, is_secure) in [
        ("Host: gate.test\r\nX-Forwarded-Proto: https\r\n", 200, true),
        ("Host: gate.test\r\nX-Forwarded-Proto: http\r\n", 308, false),
        ("Host: evil.test\r\nX-Forwarded-Proto: http\r\n", 421, false),
        ("Host: evil.test\r\nX-Forwarded-Proto: https\r\n", 421, true),
    ] {
        let mut raw = Raw::tcp(gateway.http()).await;
        raw.send(format!("GET /static/a.txt HTTP/1.1\r\n{fields}\r\n"))
            .await;
        let answer = raw.answer().await;
        assert_eq!(answer.status(), status, "{fields}");
        assert_eq!(
            answer.header("x-frame-options").as_deref(),
            Some("DENY"),
            "{fields}"
        );
        let hsts = answer.header("strict-transport-security");
        assert_eq!(hsts.is_some(), is_secure, "{fields}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_developer_is_shown_what_is_wrong_and_keeps_no_hsts() {
    let django = Django::start().await;
    let gateway = dressed(&django).set("server.mode", "dev").start().await;
    let browser = gateway.browser_calling("gate.test");
    let missing = browser
        .ask(Method::GET, "/static/nothing")
        .header("Accept", PAGE)
        .send()
        .await;
    assert!(missing.text().contains("Nothing in"), "{}", missing.text());
    assert_eq!(missing.header("strict-transport-security"), None);
    gateway.stop().await;
}
