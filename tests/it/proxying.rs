//! Pages, forms, uploads and downloads through the gateway.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, StatusCode, Version};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use crate::harness::browser::{Ask, RequestBody, whole};
use crate::harness::{Answer, Browser, Django, Frontend, Gate, Gateway, eventually, in_time};

const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

async fn stage() -> (Django, Gateway, Browser) {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    (django, gateway, browser)
}

fn pattern(length: usize) -> Bytes {
    (0..length).map(|n| (n % 251).to_le_bytes()[0]).collect()
}

fn ask<'a>(browser: &'a Browser, version: Version, what: (Method, &str)) -> Ask<'a> {
    let ask = browser.ask(what.0, what.1);
    if version == Version::HTTP_2 {
        ask.over_http2()
    } else {
        ask
    }
}

/// A body that does not know its length.
fn streamed(bytes: &Bytes) -> RequestBody {
    let parts: Vec<_> = bytes
        .chunks(40_000)
        .map(|part| Ok(Frame::data(Bytes::copy_from_slice(part))))
        .collect();
    BodyExt::boxed(StreamBody::new(stream::iter(parts)))
}

#[tokio::test]
async fn django_sees_the_browsers_host_and_who_it_is() {
    let (django, gateway, browser) = stage().await;
    for version in BOTH {
        let ask = browser
            .ask_over(version, "/page/?q=1")
            .header("user-agent", "Mozilla/5.0")
            .header("accept-language", "de")
            .header("referer", &format!("{}/", browser.origin()));
        assert_eq!(ask.send().await.status, 200);
        let request = django.requests().pop().unwrap();
        assert_eq!(request.target(), "/page/?q=1");
        assert_eq!(request.all("host"), [browser.host()]);
        assert_eq!(request.all("x-forwarded-host"), [browser.host()]);
        assert_eq!(request.all("x-forwarded-proto"), ["https"]);
        assert_eq!(request.all("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(request.all("x-request-id").len(), 1);
        assert_eq!(request.all("user-agent"), ["Mozilla/5.0"]);
        assert_eq!(request.all("accept-language"), ["de"]);
        assert_eq!(request.all("referer"), [format!("{}/", browser.origin())]);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn no_client_can_say_what_only_the_gateway_may() {
    let (django, gateway, browser) = stage().await;
    let lies = [
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", "1"),
        ("x-forwarded-ssl", "off"),
        ("x-forwarded-protocol", "http"),
        ("forwarded", "for=6.6.6.6"),
        ("front-end-https", "off"),
        ("x-real-ip", "6.6.6.6"),
        ("x-scheme", "http"),
        ("remote-user", "root"),
        ("x-remote-user", "root"),
        ("x-accel-redirect", "/secret"),
        ("x-request-id", "lie"),
        ("gatepost-signature", "t=1,v1=00"),
        ("gatepost-online", "7"),
    ];
    for version in BOTH {
        let mut ask = browser.ask_over(version, "/");
        for (name, value) in lies {
            ask = ask.header(name, value);
        }
        if version == Version::HTTP_11 {
            ask = ask.header(
                "connection",
                "x-forwarded-for, x-forwarded-proto, x-request-id",
            );
        }
        ask.send().await;
        let request = django.requests().pop().unwrap();
        for (name, lie) in lies {
            let seen = request.all(name);
            assert!(
                seen.len() <= 1 && !seen.contains(&lie.to_owned()),
                "{name}: {seen:?}"
            );
        }
        assert_eq!(request.all("x-forwarded-for"), ["127.0.0.1"]);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn uploads_arrive_whole_and_with_their_length() {
    let (django, gateway, browser) = stage().await;
    for version in BOTH {
        for size in [0, 1, 60_000, 300_000, 3_000_000] {
            let body = pattern(size);
            let page = ask(&browser, version, (Method::POST, "/upload/"))
                .body(body.clone())
                .send()
                .await;
            assert_eq!(page.status, 200);
            let request = django.requests().pop().unwrap();
            assert_eq!(request.header("content-length").unwrap(), size.to_string());
            assert!(request.all("transfer-encoding").is_empty());
            assert_eq!(request.body.bytes, body, "{version:?} {size}");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn uploads_without_a_length_get_one() {
    let (django, gateway, browser) = stage().await;
    for version in BOTH {
        for size in [5, 200_000, 2_000_000] {
            let body = pattern(size);
            let ask = ask(&browser, version, (Method::POST, "/upload/")).streams(streamed(&body));
            assert_eq!(ask.send().await.status, 200);
            let request = django.requests().pop().unwrap();
            assert_eq!(request.header("content-length").unwrap(), size.to_string());
            assert!(request.all("transfer-encoding").is_empty());
            assert_eq!(request.body.bytes, body, "{version:?} {size}");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn an_upload_over_the_limit_is_refused_by_name() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django)
        .set("limits.body_size", "1KiB")
        .start()
        .await;
    let browser = gateway.browser();
    for version in BOTH {
        for body in [streamed(&pattern(2000)), whole(pattern(2000))] {
            let page = ask(&browser, version, (Method::POST, "/"))
                .streams(body)
                .send()
                .await;
            assert_eq!(page.status, 413, "{version:?}");
            assert!(
                page.json()["hint"]
                    .as_str()
                    .unwrap()
                    .contains("limits.body_size")
            );
        }
    }
    assert!(django.requests().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn downloads_of_every_framing_arrive_whole() {
    let (django, gateway, browser) = stage().await;
    let body = pattern(500_000).to_vec();
    let pieces: Vec<Vec<u8>> = body.chunks(70_000).map(<[u8]>::to_vec).collect();
    django.answers("/length/", Answer::ok(body.clone()));
    django.answers("/chunks/", Answer::chunks(pieces));
    django.answers("/close/", Answer::until_close(body.clone()));
    for version in BOTH {
        for path in ["/length/", "/chunks/", "/close/"] {
            let page = browser.ask_over(version, path).send().await;
            assert!(
                page.body == body,
                "{version:?} {path}: {} bytes",
                page.body.len()
            );
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_download_that_breaks_off_never_looks_whole() {
    let (django, gateway, browser) = stage().await;
    django.answers("/short/", Answer::cut_short(1000, "abc"));
    django.answers("/reset/", Answer::reset_mid_body(1000, "abc"));
    django.answers("/chunks/", Answer::unfinished_chunks(["abc"]));
    for version in BOTH {
        for path in ["/short/", "/reset/", "/chunks/"] {
            let got = browser.ask_over(version, path).try_send().await;
            assert!(got.is_err(), "{version:?} {path}: {got:?}");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn each_set_cookie_stays_a_line_of_its_own_and_what_is_ours_is_removed() {
    let (django, gateway, browser) = stage().await;
    let answer = Answer::ok("x")
        .header("Set-Cookie", "sessionid=1; HttpOnly; Path=/")
        .header(
            "Set-Cookie",
            "csrftoken=2; expires=Mon, 01 Jan 2029 00:00:00 GMT",
        )
        .header("Gatepost-Identity", "e30")
        .header("X-Accel-Buffering", "no")
        .header("Keep-Alive", "timeout=5")
        .header("X-Frame-Options", "DENY");
    django.answers("/", answer);
    for version in BOTH {
        let page = browser.ask_over(version, "/").send().await;
        assert_eq!(page.all("set-cookie").len(), 2);
        assert_eq!(page.header("x-frame-options").as_deref(), Some("DENY"));
        for name in [
            "gatepost-identity",
            "x-accel-buffering",
            "keep-alive",
            "connection",
        ] {
            assert!(page.all(name).is_empty(), "{name}");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_form_with_csrf_works_as_django_wants_it() {
    let (django, gateway, browser) = stage().await;
    django.answers(
        "/accounts/login/",
        Answer::redirect("/").header("Set-Cookie", "sessionid=new; HttpOnly"),
    );
    let browser = browser.with_cookie("csrftoken", "t");
    let form = "application/x-www-form-urlencoded";
    let page = browser.post("/accounts/login/", form, "username=ann").await;
    assert_eq!(page.status, StatusCode::FOUND);
    assert_eq!(browser.cookie("sessionid").as_deref(), Some("new"));
    let request = django.only_request_to("/accounts/login/");
    assert_eq!(request.all("origin"), [browser.origin()]);
    assert_eq!(request.all("host"), [browser.host()]);
    assert_eq!(request.header("content-type").unwrap(), form);
    gateway.stop().await;
}

#[tokio::test]
async fn the_longest_path_decides_who_answers() {
    let (django, other, frontend) = (
        Django::start().await,
        Django::start().await,
        Frontend::start().await,
    );
    other.answers_everything(Answer::ok("other"));
    django.answers_everything(Answer::ok("django"));
    let gateway = Gateway::in_front_of(&django)
        .set("django.paths", vec!["/api/", "/admin/"])
        .frontend(&frontend)
        .upstream("/api/v2/", &other)
        .start()
        .await;
    let browser = gateway.browser();
    for (path, answer) in [
        ("/api/", "django"),
        ("/api", "django"),
        ("/%61pi/", "django"),
        ("/api/v2/x", "other"),
        ("/admin/", "django"),
        ("/apis/", "dev server"),
        ("/", "dev server"),
    ] {
        let text = browser.get(path).await.text();
        assert!(text.contains(answer), "{path}: {text}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_dev_server_is_asked_by_its_own_name() {
    let (django, frontend) = (Django::start().await, Frontend::start().await);
    let gateway = Gateway::in_front_of(&django)
        .set("django.paths", vec!["/api/"])
        .frontend(&frontend)
        .start()
        .await;
    let browser = gateway.browser();
    for version in BOTH {
        let page = browser
            .ask_over(version, "/")
            .header("origin", &browser.origin())
            .send()
            .await;
        assert_eq!(page.status, 200, "{}", page.text());
    }
    let own = format!("http://localhost:{}", frontend.address().port());
    assert_eq!(frontend.requests()[0].all("origin"), [own]);
    gateway.stop().await;
}

#[tokio::test]
async fn a_request_waits_while_django_restarts() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django)
        .set("django.hold", "10s")
        .start()
        .await;
    let browser = gateway.browser();
    browser.get("/").await;
    django.refuse().await;
    let before = django.requests().len();
    let (posted, got, ()) = tokio::join!(
        browser.post("/", "text/plain", "form"),
        browser.ask_over(Version::HTTP_2, "/").send(),
        async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            django.listen();
        },
    );
    assert_eq!(
        (posted.status, got.status),
        (StatusCode::OK, StatusCode::OK)
    );
    assert_eq!(django.requests().len(), before + 2);
    gateway.stop().await;
}

#[tokio::test]
async fn who_is_away_is_said_as_a_page_or_as_json() {
    let django = Django::not_running().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    let page = browser
        .ask(Method::GET, "/")
        .header("accept", "text/html,*/*;q=0.8")
        .send()
        .await;
    assert_eq!(page.status, 502);
    assert!(
        page.header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    assert_eq!(page.header("cache-control").as_deref(), Some("no-store"));
    let id = page.header("x-request-id").unwrap();
    for part in [
        "django",
        &django.address().to_string(),
        "runserver",
        "<script",
        &id,
    ] {
        assert!(page.text().contains(part), "{part} in {}", page.text());
    }
    let json = browser
        .ask(Method::GET, "/")
        .header("accept", "application/json")
        .send()
        .await;
    assert_eq!(json.status, 502);
    assert_eq!(
        json.header("content-type").unwrap(),
        "application/problem+json"
    );
    assert_eq!(json.json()["code"], "upstream_refused");
    gateway.stop().await;
}

#[tokio::test]
async fn the_public_is_told_no_addresses() {
    let django = Django::not_running().await;
    let gateway = Gateway::in_front_of(&django)
        .set("server.mode", "production")
        .start()
        .await;
    let page = gateway
        .browser()
        .ask(Method::GET, "/")
        .header("accept", "text/html")
        .send()
        .await;
    assert_eq!(page.status, 502);
    assert!(
        !page.text().contains(&django.address().to_string()) && !page.text().contains("<script")
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_django_that_hangs_is_a_504() {
    let django = Django::start().await;
    django.answers("/hangs/", Answer::hang());
    let gateway = Gateway::in_front_of(&django)
        .set("limits.upstream_timeout", "200ms")
        .start()
        .await;
    assert_eq!(gateway.browser().get("/hangs/").await.status, 504);
    gateway.stop().await;
}

#[tokio::test]
async fn nonsense_from_django_is_a_502() {
    let (django, gateway, browser) = stage().await;
    django.answers("/garbage/", Answer::garbage());
    django.answers("/close/", Answer::close());
    django.answers("/reset/", Answer::reset());
    let fake =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    django.answers("/fake/", Answer::raw(fake));
    let huge = format!("HTTP/1.1 200 OK\r\nX-Big: {}\r\n\r\n", "a".repeat(300_000));
    django.answers("/huge/", Answer::raw(huge).closing());
    for path in ["/garbage/", "/close/", "/reset/", "/fake/", "/huge/"] {
        let page = browser.get(path).await;
        assert_eq!(page.status, 502, "{path}: {}", page.text());
    }
    assert_eq!(browser.get("/").await.status, 200, "the next one is fine");
    gateway.stop().await;
}

#[tokio::test]
async fn surplus_bytes_never_answer_somebody_else() {
    let (django, gateway, browser) = stage().await;
    let surplus = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    django.answers("/surplus/", Answer::raw(surplus));
    for _ in 0..5 {
        assert_eq!(browser.get("/surplus/").await.text(), "ok");
        assert_ne!(browser.get("/").await.text(), "evil");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn events_stream_while_django_goes_on() {
    let (django, gateway, browser) = stage().await;
    let between = Duration::from_secs(2);
    let events = Answer::trickle(["data: 1\n\n", "data: 2\n\n"], between)
        .header("Content-Type", "text/event-stream");
    django.answers("/events/", events);
    for version in BOTH {
        let mut link = browser.connect(version).await;
        let response = link
            .send(browser.ask_over(version, "/events/").finish())
            .await
            .unwrap();
        let begun = std::time::Instant::now();
        let mut body = response.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "data: 1\n\n");
        assert!(begun.elapsed() < between, "{:?}", begun.elapsed());
    }
    gateway.stop().await;
}

#[tokio::test]
async fn head_and_bodyless_statuses_have_no_body() {
    let (django, gateway, browser) = stage().await;
    django.answers("/204/", Answer::raw("HTTP/1.1 204 No Content\r\n\r\n"));
    django.answers(
        "/304/",
        Answer::raw("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"),
    );
    django.answers(
        "/head/",
        Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"),
    );
    for version in BOTH {
        for (path, status) in [("/204/", 204), ("/304/", 304)] {
            let page = browser.ask_over(version, path).send().await;
            assert_eq!((page.status.as_u16(), page.body.len()), (status, 0));
        }
        let page = ask(&browser, version, (Method::HEAD, "/head/"))
            .send()
            .await;
        assert_eq!(
            page.header("content-length").as_deref(),
            Some("7"),
            "{version:?}"
        );
        assert!(page.body.is_empty());
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_djangos_work() {
    let (django, gateway, browser) = stage().await;
    let gate = Gate::closed();
    django.answers("/slow/", Answer::huge(50_000_000).after(&gate));
    for version in BOTH {
        let mut link = browser.connect(version).await;
        let before = django.requests_to("/slow/").len();
        {
            let asking = link.send(browser.ask_over(version, "/slow/").finish());
            let seen = eventually(Duration::from_secs(5), || {
                django.requests_to("/slow/").len() > before
            });
            tokio::select! {
                _ = asking => panic!("the gate is closed"),
                () = seen => {}
            }
        }
        drop(link);
        let connections = django.connections();
        assert_eq!(browser.get("/").await.status, 200);
        assert!(
            django.connections() > connections,
            "a connection in doubt is not used again"
        );
    }
    gate.open();
    gateway.stop().await;
}

#[tokio::test]
async fn django_on_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let django = Django::on_unix_socket(&folder.path().join("gunicorn.sock")).await;
    let gateway = Gateway::in_front_of(&django)
        .set("auth.url", "/_gatepost/auth/")
        .start()
        .await;
    let page = gateway.browser().get("/x").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.echoed("host"), [gateway.browser().host()]);
    gateway.stop().await;
}

#[tokio::test]
async fn the_gateways_own_paths_are_not_djangos() {
    let (django, gateway, browser) = stage().await;
    for path in [
        "/_gatepost/auth/",
        "/_gatepost/",
        "/_gatepost",
        "/%5fgatepost/auth/",
        "/_gatepost/x",
    ] {
        assert_eq!(browser.get(path).await.status, 404, "{path}");
    }
    assert!(django.requests().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn answers_have_no_hop_by_hop_fields() {
    let (django, gateway, browser) = stage().await;
    let answer = Answer::ok("x")
        .header("Connection", "x-private")
        .header("X-Private", "1")
        .header("Upgrade", "h2c");
    django.answers("/", answer);
    for version in BOTH {
        let headers: HeaderMap = browser.ask_over(version, "/").send().await.headers;
        for name in ["x-private", "upgrade", "transfer-encoding"] {
            assert!(!headers.contains_key(name), "{version:?} {name}");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn an_answer_before_the_end_of_an_upload_reaches_who_sends_first() {
    let (django, gateway, browser) = stage().await;
    django.answers("/early/", Answer::status(403, "CSRF").early().closing());
    let mut raw = browser.raw().await;
    let length = 8 << 20;
    raw.send(format!(
        "POST /early/ HTTP/1.1\r\nHost: {}\r\nContent-Length: {length}\r\n\r\n",
        browser.host()
    ))
    .await;
    raw.send(vec![b'x'; length]).await;
    assert_eq!(raw.answer().await.status(), 403);
    raw.send(format!(
        "GET / HTTP/1.1\r\nHost: {}\r\n\r\n",
        browser.host()
    ))
    .await;
    assert_eq!(
        raw.answer().await.status(),
        200,
        "and the connection goes on"
    );
    gateway.stop().await;
}

#[tokio::test]
async fn who_sends_first_still_reads_that_django_is_away() {
    let django = Django::not_running().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    let mut raw = browser.raw().await;
    let length = 8 << 20;
    raw.send(format!(
        "POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: {length}\r\n\r\n",
        browser.host()
    ))
    .await;
    raw.send(vec![b'x'; length]).await;
    assert_eq!(raw.answer().await.status(), 502);
    gateway.stop().await;
}

#[tokio::test]
async fn informational_answers_are_passed_over() {
    let (django, gateway, browser) = stage().await;
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
    django.answers(
        "/",
        Answer::raw(format!(
            "{hints}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        )),
    );
    for version in BOTH {
        assert_eq!(browser.ask_over(version, "/").send().await.text(), "ok");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn trailers_of_an_answer_end_here() {
    let (django, gateway, browser) = stage().await;
    let head = "HTTP/1.1 200 OK\r\nTrailer: Set-Cookie\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = "2\r\nok\r\n0\r\nSet-Cookie: sessionid=evil\r\n\r\n";
    django.answers("/", Answer::raw(format!("{head}{body}")));
    for version in BOTH {
        let mut link = browser.connect(version).await;
        let ask = browser.ask_over(version, "/").header("te", "trailers");
        let mut answer = link.send(ask.finish()).await.unwrap();
        assert!(!answer.headers().contains_key("trailer"), "{version:?}");
        let mut text = Vec::new();
        while let Some(frame) = in_time("a part", answer.frame()).await {
            let part = frame.unwrap().into_data().expect("a part of the body");
            text.extend_from_slice(&part);
        }
        assert_eq!(text, b"ok", "{version:?}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn an_answer_with_two_framings_is_a_502_or_has_one() {
    let (django, gateway, browser) = stage().await;
    let twice = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok";
    let both = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let coded = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let differing = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok";
    for (answer, status) in [(twice, 200), (both, 200), (coded, 502), (differing, 502)] {
        django.answers("/", Answer::raw(answer));
        for version in BOTH {
            let page = browser.ask_over(version, "/").send().await;
            assert_eq!(page.status, status, "{answer}");
            assert!(status == 502 || page.text() == "ok");
            page.header("content-length");
        }
    }
    gateway.stop().await;
}
