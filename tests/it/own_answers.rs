//! What the project adds to what the gateway answers itself.

use http::Method;

use crate::harness::gateway::Setup;
use crate::harness::{Answer, Django, Gateway};

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
