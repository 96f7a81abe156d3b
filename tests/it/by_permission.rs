//! Files that the gateway sends where Django says so.

use http::{Method, Version};

use crate::harness::gateway::Setup;
use crate::harness::server::Server;
use crate::harness::{Answer, Django, Gateway};

const REDIRECT: &str = "X-Accel-Redirect";

fn guarding(django: &Django) -> Setup {
    Gateway::in_front_of(django)
        .element(
            "files",
            toml::toml! { path = "/_private/" root = "media" internal = true },
        )
        .element(
            "files",
            toml::toml! { path = "/static/" root = "staticfiles" },
        )
        .file("staticfiles/a.txt", "public")
        .file("media/a b.txt", "0123456789")
        .file("media/a b.txt.gz", "another user's")
        .file("media/evil.html", "<script>")
        .file("media/sub/index.html", "index")
        .file("media/.env", "SECRET=1")
        .file("media/empty.txt", "")
        .file("outside.txt", "outside")
}

fn naming(target: &str) -> Answer {
    Answer::ok("")
        .header("Content-Type", "text/plain; charset=utf-8")
        .header(REDIRECT, target)
}

#[tokio::test]
async fn django_decides_and_the_gateway_sends() {
    let django = Django::start().await;
    let answer = naming("/_private/a%20b.txt?download=1")
        .header("ETag", "\"of-django\"")
        .header("Last-Modified", "Sat, 01 Jan 2000 00:00:00 GMT")
        .header("Content-Encoding", "gzip")
        .header("Content-Disposition", "attachment")
        .header("Cache-Control", "private, max-age=60")
        .header("X-Accel-Buffering", "no")
        .header("Set-Cookie", "one=1; Path=/")
        .header("Set-Cookie", "two=2; Path=/");
    django.answers("/documents/1/", answer);
    let gateway = guarding(&django).start().await;
    let browser = gateway.browser();
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let ask = browser.ask_over(version, "/documents/1/");
        let page = ask.header("Accept-Encoding", "gzip, br").send().await;
        assert_eq!(
            (page.status.as_u16(), page.text().as_str()),
            (200, "0123456789")
        );
        assert_eq!(page.header("content-length").unwrap(), "10");
        assert_eq!(
            page.header("content-type").unwrap(),
            "text/plain; charset=utf-8"
        );
        assert_eq!(page.header("content-disposition").unwrap(), "attachment");
        assert_eq!(page.header("cache-control").unwrap(), "private, max-age=60");
        assert_eq!(page.all("set-cookie"), ["one=1; Path=/", "two=2; Path=/"]);
        assert_eq!(page.header("accept-ranges").unwrap(), "bytes");
        assert_ne!(page.header("etag").unwrap(), "\"of-django\"");
        assert!(!page.header("last-modified").unwrap().contains("2000"));
        for gone in ["x-accel-redirect", "x-accel-buffering", "content-encoding"] {
            assert_eq!(page.header(gone), None, "{gone}");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn conditions_ranges_and_head_are_judged_by_the_file() {
    let django = Django::start().await;
    django.answers("/documents/1/", naming("/_private/a%20b.txt"));
    let gateway = guarding(&django).start().await;
    let browser = gateway.browser();
    let etag = browser.get("/documents/1/").await.header("etag").unwrap();
    let ask = |method| browser.ask(method, "/documents/1/");
    let head = ask(Method::HEAD).send().await;
    assert_eq!(
        (head.header("content-length").as_deref(), head.body.len()),
        (Some("10"), 0)
    );
    let same = ask(Method::GET).header("If-None-Match", &etag).send().await;
    assert_eq!((same.status.as_u16(), same.text().as_str()), (304, ""));
    assert_eq!(same.header("etag").as_deref(), Some(etag.as_str()));
    let part = ask(Method::GET)
        .header("Range", "bytes=2-4")
        .header("If-Range", &etag);
    let part = part.send().await;
    assert_eq!((part.status.as_u16(), part.text().as_str()), (206, "234"));
    assert_eq!(part.header("content-range").unwrap(), "bytes 2-4/10");
    assert_eq!(part.header("content-length").unwrap(), "3");
    let stale = ask(Method::GET)
        .header("Range", "bytes=2-4")
        .header("If-Range", "\"other\"");
    let stale = stale.send().await;
    assert_eq!(
        (stale.status.as_u16(), stale.text().as_str()),
        (200, "0123456789")
    );
    assert_eq!(stale.header("content-range"), None);
    let known = ask(Method::GET)
        .header("Range", "bytes=2-4")
        .header("If-None-Match", &etag);
    assert_eq!(
        known.send().await.status,
        304,
        "before the range is looked at"
    );
    let beyond = ask(Method::GET).header("Range", "bytes=10-").send().await;
    assert_eq!(beyond.status, 416);
    let other = ask(Method::GET)
        .header("If-Match", "\"other\"")
        .send()
        .await;
    assert_eq!(other.status, 412);
    let posted = ask(Method::POST).header("Range", "bytes=2-4").send().await;
    assert_eq!(
        (posted.status.as_u16(), posted.text().as_str()),
        (200, "0123456789")
    );
    gateway.stop().await;
}

#[tokio::test]
async fn what_django_leaves_open_is_said_for_it() {
    let django = Django::start().await;
    for (path, kind) in [("/empty/", Some("")), ("/none/", None)] {
        let mut answer = Answer::ok("ignored").header(REDIRECT, "/_private/evil.html");
        if let Some(kind) = kind {
            answer = answer.header("Content-Type", kind);
        }
        django.answers(path, answer);
    }
    let gateway = guarding(&django).start().await;
    let browser = gateway.browser();
    for path in ["/empty/", "/none/"] {
        let page = browser.get(path).await;
        assert_eq!(page.text(), "<script>", "{path}");
        assert_eq!(
            page.header("content-type").unwrap(),
            "text/html; charset=utf-8"
        );
        assert_eq!(page.header("cache-control").unwrap(), "private, no-cache");
        assert_eq!(page.header("x-content-type-options").unwrap(), "nosniff");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_path_of_the_file_system_names_a_file_too() {
    let django = Django::start().await;
    let gateway = guarding(&django).start().await;
    let root = gateway.folder().canonicalize().unwrap();
    let sending =
        |path: &str| Answer::ok("").header("X-Sendfile", &root.join(path).display().to_string());
    django.answers("/in/", sending("media/a b.txt"));
    let browser = gateway.browser();
    assert_eq!(browser.get("/in/").await.text(), "0123456789");
    std::os::unix::fs::symlink("../outside.txt", root.join("media/link.txt")).unwrap();
    std::fs::create_dir(root.join("media-of-others")).unwrap();
    std::fs::write(root.join("media-of-others/a.txt"), "theirs").unwrap();
    for (named, status, code) in [
        ("outside.txt", 502, "internal_redirect"),
        ("media/../outside.txt", 502, "internal_redirect"),
        ("media/%2e%2e/outside.txt", 502, "internal_redirect"),
        ("media/..%2foutside.txt", 502, "internal_redirect"),
        ("media/a%00.txt", 502, "internal_redirect"),
        ("media-of-others/a.txt", 502, "internal_redirect"),
        ("media/link.txt", 404, "not_found"),
        ("media/.env", 404, "not_found"),
        ("media/sub", 404, "not_found"),
        ("media", 404, "not_found"),
    ] {
        django.answers("/named/", sending(named));
        let page = browser.get("/named/").await;
        assert_eq!(
            (page.status.as_u16(), page.json()["code"].as_str()),
            (status, Some(code)),
            "{named}"
        );
    }
    gateway.stop().await;
}

#[tokio::test]
async fn nobody_else_gets_at_the_files() {
    let django = Django::start().await;
    let other = Server::start().await;
    other.answers(
        "/other/x",
        naming("/_private/a%20b.txt").header("X-Sendfile", "/etc/passwd"),
    );
    let gateway = guarding(&django).upstream("/other/", &other).start().await;
    let browser = gateway.browser();
    for path in ["/_private/a%20b.txt", "/_private/", "/_private/nothing"] {
        let page = browser.get(path).await;
        assert_eq!(
            (page.status.as_u16(), page.json()["code"].as_str()),
            (404, Some("not_found"))
        );
    }
    let page = browser.get("/other/x").await;
    assert_eq!((page.status.as_u16(), page.text().as_str()), (200, ""));
    assert_eq!(
        (page.header("x-accel-redirect"), page.header("x-sendfile")),
        (None, None)
    );
    let echoed = browser.ask(Method::GET, "/echo/");
    let echoed = echoed
        .header(REDIRECT, "/_private/a")
        .header("X-Sendfile", "/etc/passwd");
    echoed
        .header("X-Sendfile-Type", "X-Accel-Redirect")
        .send()
        .await;
    let asked = django.only_request_to("/echo/");
    for name in [REDIRECT, "X-Sendfile", "X-Sendfile-Type"] {
        assert_eq!(asked.header(name), None, "{name}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_target_that_is_none_is_an_error_and_never_an_empty_page() {
    let django = Django::start().await;
    let gateway = guarding(&django).start().await;
    std::os::unix::fs::symlink("../outside.txt", gateway.folder().join("media/link.txt")).unwrap();
    let browser = gateway.browser();
    for (target, status, hint) in [
        ("/static/a.txt", 502, "/_private/"),
        ("/_private/../outside.txt", 502, "dot segment"),
        ("/_private/%2e%2e/outside.txt", 502, "dot segment"),
        ("/_private/sub%2Findex.html", 502, "quote()"),
        ("/_private/a%00", 502, "NUL"),
        ("=?utf-8?b?L19wcml2YXRlL8Op?=", 502, "quote()"),
        ("", 502, "empty"),
        ("/_private/link.txt", 404, "media"),
        ("/_private/.env", 404, "media"),
        ("/_private/sub/", 404, "media"),
        ("/_private/sub", 404, "media"),
        ("/_private/nothing.txt", 404, "media"),
    ] {
        let answer = naming(target).header("Set-Cookie", "kept=1; Path=/");
        django.answers("/documents/1/", answer);
        let page = browser.get("/documents/1/").await;
        assert_eq!(page.status, status, "{target}");
        let code = if status == 502 {
            "internal_redirect"
        } else {
            "not_found"
        };
        assert_eq!(page.json()["code"], code, "{target}");
        let said = page.json()["hint"].as_str().unwrap().to_owned();
        assert!(said.contains(hint), "{target}: {said}");
        assert_eq!(page.header("set-cookie").unwrap(), "kept=1; Path=/");
    }
    let twice = naming("/_private/a%20b.txt").header(REDIRECT, "/_private/evil.html");
    django.answers("/documents/1/", twice);
    assert_eq!(browser.get("/documents/1/").await.status, 502);
    gateway.stop().await;
}

#[tokio::test]
async fn without_a_folder_for_it_the_error_says_what_to_write() {
    let django = Django::start().await;
    django.answers("/documents/1/", naming("/_private/a.txt"));
    let gateway = Gateway::in_front_of(&django).start().await;
    let page = gateway.browser().get("/documents/1/").await;
    assert_eq!(page.status, 502);
    let hint = page.json()["hint"].as_str().unwrap().to_owned();
    assert!(hint.contains("internal = true"), "{hint}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_body_beside_the_name_keeps_no_worker() {
    let django = Django::start().await;
    let answer = Answer::stall_mid_body(1 << 20, "x").header(REDIRECT, "/_private/a%20b.txt");
    django.answers("/documents/1/", answer);
    let gateway = guarding(&django).start().await;
    assert_eq!(
        gateway.browser().get("/documents/1/").await.text(),
        "0123456789"
    );
    gateway.stop().await;
}
