//! Folders that the gateway serves itself.

use http::{Method, Version};

use crate::harness::gateway::Setup;
use crate::harness::{Answer, Django, Gateway};

const PAGE: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

fn with_static(django: &Django) -> Setup {
    Gateway::in_front_of(django)
        .element(
            "files",
            toml::toml! { path = "/static/" root = "staticfiles" },
        )
        .file("staticfiles/app.0c2b7f6a4d1e.css", "body{}")
        .file("staticfiles/admin/base.css", "a{}")
        .file("staticfiles/.env", "SECRET=1")
        .file("outside.txt", "outside")
}

#[tokio::test]
async fn static_files_are_served_beside_django() {
    let django = Django::start().await;
    let setup = with_static(&django).set("server.mode", "production");
    let gateway = setup.start().await;
    let browser = gateway.browser();
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let page = browser
            .ask_over(version, "/static/app.0c2b7f6a4d1e.css")
            .send()
            .await;
        assert_eq!(page.text(), "body{}");
        assert_eq!(
            page.header("content-type").unwrap(),
            "text/css; charset=utf-8"
        );
        assert_eq!(page.header("x-content-type-options").unwrap(), "nosniff");
        assert!(page.header("cache-control").unwrap().contains("immutable"));
        let head = browser
            .ask(Method::HEAD, "/static/admin/base.css")
            .send()
            .await;
        assert_eq!(
            (head.header("content-length").as_deref(), head.body.len()),
            (Some("3"), 0)
        );
    }
    assert!(django.requests().is_empty());
    assert_eq!(
        browser.get("/other/").await.status,
        200,
        "Django has the rest"
    );
    gateway.stop().await;
}

#[tokio::test]
async fn in_dev_a_browser_keeps_nothing_for_the_next_project_here() {
    let django = Django::start().await;
    let moved = Answer::status(301, "").header("Location", "/new/");
    let moved = moved.header("Strict-Transport-Security", "max-age=31536000");
    django.answers("/old/", moved);
    let gateway = with_static(&django).start().await;
    let browser = gateway.browser();
    let file = browser.get("/static/app.0c2b7f6a4d1e.css").await;
    assert_eq!(file.header("cache-control").unwrap(), "no-cache");
    let moved = browser.get("/old/").await;
    assert_eq!(moved.status, 301);
    assert_eq!(moved.header("cache-control").unwrap(), "no-store");
    assert!(moved.header("strict-transport-security").is_none());
    gateway.stop().await;
}

#[tokio::test]
async fn nothing_outside_the_folder_and_nothing_hidden_is_served() {
    let django = Django::start().await;
    let gateway = with_static(&django).start().await;
    std::os::unix::fs::symlink(
        "../outside.txt",
        gateway.folder().join("staticfiles/link.txt"),
    )
    .unwrap();
    let browser = gateway.browser();
    for path in [
        "/static/.env",
        "/static/%2eenv",
        "/static/link.txt",
        "/static/missing.css",
        "/static/",
        "/static//etc/hostname",
        "/static/../outside.txt",
        "/static/%2e%2e/outside.txt",
        "/static/..%2foutside.txt",
        "/static/admin/base.css%00.txt",
        "/static/admin/base.css%0a",
    ] {
        let mut raw = browser.raw().await;
        raw.send(format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n",
            browser.host()
        ))
        .await;
        let answer = raw.answer().await;
        assert!(
            matches!(answer.status(), 400 | 404),
            "{path}: {}",
            answer.status()
        );
        assert!(!answer.text().contains("outside") && !answer.text().contains("SECRET"));
    }
    assert_eq!(
        browser
            .ask(Method::POST, "/static/admin/base.css")
            .send()
            .await
            .status,
        405
    );
    assert!(django.requests().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn a_built_frontend_answers_the_paths_of_its_router() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django)
        .set("django.paths", vec!["/api/"])
        .set("frontend.root", "dist")
        .file("dist/index.html", "<!doctype html><title>app</title>")
        .file("dist/assets/index-BnZ3kq1a.js", "go()")
        .start()
        .await;
    let browser = gateway.browser();
    for path in [
        "/",
        "/inbox/42",
        "/index.html",
        "/users/ann@example.com",
        "/items/1%2E1",
    ] {
        let page = browser
            .ask(Method::GET, path)
            .header("accept", PAGE)
            .send()
            .await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.text().contains("<title>app"), "{path}");
        assert_eq!(page.header("cache-control").unwrap(), "no-cache");
    }
    assert_eq!(
        browser.get("/assets/index-BnZ3kq1a.js").await.text(),
        "go()"
    );
    let missing = browser
        .ask(Method::GET, "/assets/missing.js")
        .header("accept", PAGE)
        .send()
        .await;
    assert_eq!(missing.status, 404);
    assert_eq!(
        browser
            .ask(Method::GET, "/inbox")
            .header("accept", "application/json")
            .send()
            .await
            .status,
        404
    );
    assert_eq!(browser.get("/api/x").await.status, 200);
    gateway.stop().await;
}

#[tokio::test]
async fn ranges_are_served_unless_the_file_changed() {
    let django = Django::start().await;
    let gateway = with_static(&django).start().await;
    let browser = gateway.browser();
    let part = |if_range: &str| {
        let ask = browser
            .ask(Method::GET, "/static/app.0c2b7f6a4d1e.css")
            .header("range", "bytes=0-3");
        if if_range.is_empty() {
            ask
        } else {
            ask.header("if-range", if_range)
        }
    };
    let page = part("").send().await;
    assert_eq!((page.status.as_u16(), page.text().as_str()), (206, "body"));
    let tag = page.header("etag").unwrap();
    assert_eq!(part(&tag).send().await.status, 206);
    assert_eq!(part("\"stale\"").send().await.text(), "body{}");
    gateway.stop().await;
}
