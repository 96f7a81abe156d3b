//! What is wrong between gateway and Django, in the close reason, the log and the metrics.

use std::io::Write as _;

use http::{Method, Version};

use crate::harness::browser::Ask;
use crate::harness::django::AUTH_PATH;
use crate::harness::gateway::{NOTIFICATIONS, Setup};
use crate::harness::server::Received;
use crate::harness::{Answer, Browser, Django, Gateway, PATIENCE, eventually, json};

/// The longest reason a close frame can have.
const LONGEST_REASON: usize = 123;

/// What a visitor is told: the reason of a close 1011.
async fn told(browser: &Browser) -> String {
    let closed = browser.socket(NOTIFICATIONS).await.expect_close(1011).await;
    assert!(closed.reason.len() <= LONGEST_REASON, "{closed:?}");
    closed.reason
}

fn html(status: u16, body: &str) -> Answer {
    Answer::status(status, body).header("Content-Type", "text/html; charset=utf-8")
}

/// Mistakes in a project, what Django or its server answers then, the kind, and what the reason names.
fn mistakes(host: &str) -> Vec<(Answer, &'static str, &'static str)> {
    let here = format!("https://{host}{AUTH_PATH}");
    let www = format!("https://www.{host}{AUTH_PATH}");
    let text = |status, body: &str| {
        Answer::status(status, body).header("Content-Type", "text/plain; charset=utf-8")
    };
    let basic = html(401, "<h1>401</h1>").header("WWW-Authenticate", "Basic realm=\"staging\"");
    let skewed =
        r#"{"error":"bad_signature","detail":"the clock of the signer is 300 s behind this one"}"#;
    vec![
        (
            text(400, "DisallowedHost at /\nInvalid HTTP_HOST"),
            "host_refused",
            "ALLOWED_HOSTS",
        ),
        (
            html(400, "<p>Contradictory scheme headers</p>"),
            "scheme_conflict",
            "X-Forwarded-Ssl",
        ),
        (
            html(400, "<h1>Bad Request (400)</h1>"),
            "bad_request",
            "ALLOWED_HOSTS",
        ),
        (Answer::redirect(&here), "plain_http", "GatepostMiddleware"),
        (Answer::redirect(&www), "www_redirect", "www.localhost"),
        (
            Answer::redirect("/accounts/login/?next=/"),
            "login_required",
            "login",
        ),
        (
            Answer::redirect("/de/_gatepost/auth/"),
            "language_prefix",
            "i18n_patterns",
        ),
        (
            Answer::redirect("/elsewhere/?token=hunter2"),
            "redirect",
            "/elsewhere/",
        ),
        (basic, "basic_auth", "Basic"),
        (
            html(403, "<h1>CSRF verification failed</h1>"),
            "csrf",
            "CSRF",
        ),
        (
            html(403, "<h1>403 Forbidden</h1>"),
            "forbidden",
            "DISALLOWED_USER_AGENTS",
        ),
        (
            text(403, r#"{"error":"bad_signature"}"#),
            "wrong_secret",
            "secret",
        ),
        (text(403, skewed), "wrong_clock", "300 s"),
        (
            html(404, "<h1>Not Found</h1>"),
            "not_found",
            "gatepost.urls",
        ),
        (Answer::status(405, ""), "method_refused", "405"),
        (
            html(200, "<!doctype html><div id=root></div>"),
            "page",
            "frontend",
        ),
        (text(200, "ok"), "not_json", "JSON"),
        (
            Answer::json(&json!({"name": "ann"})),
            "not_an_answer",
            "auth answer",
        ),
        (
            Answer::huge(20_000_000).header("Content-Type", "application/json"),
            "too_large",
            "64 KiB",
        ),
        (html(431, ""), "cookies_too_large", "431"),
        (Answer::status(418, ""), "status", "418"),
    ]
}

#[tokio::test]
async fn every_mistake_is_told_by_name_and_counted_by_kind() {
    let django = Django::start().await;
    let setup = Gateway::in_front_of(&django).set("auth.lease", "1ms");
    let gateway = setup.start().await;
    let ann = gateway.browser_of("anns-session");
    for (answer, kind, named) in mistakes(ann.host()) {
        let sample = format!("gatepost_diagnoses_total{{kind=\"{kind}\"}}");
        let before = gateway.api().metric(&sample).await;
        django.judges_everybody(answer);

        let reason = told(&ann).await;

        assert!(reason.contains(named), "{kind}: {reason}");
        assert!(!reason.contains("hunter2"), "{kind}: {reason}");
        assert!(gateway.api().metric(&sample).await > before, "{kind}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn silence_is_1013_and_told_by_what_kind_it_is() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django)
        .set("auth.lease", "1ms")
        .set("auth.timeout", "200ms")
        .spawn()
        .await;
    let ann = gateway.browser_of("anns-session");
    let debug = "ImproperlyConfigured at /_gatepost/auth/\nThe request has no session.\n\nMore\n";
    let failing = Answer::status(500, debug).header("Content-Type", "text/plain; charset=utf-8");
    let silences = [
        (failing, "server_error"),
        (
            html(500, &"<p>Server Error</p>".repeat(10_000)),
            "server_error",
        ),
        (Answer::status(503, ""), "not_ready"),
        (Answer::hang(), "timed_out"),
        (Answer::reset(), "not_running"),
    ];
    for (answer, kind) in silences {
        django.judges_everybody(answer);
        ann.socket(NOTIFICATIONS).await.expect_close(1013).await;
        let sample = format!("gatepost_diagnoses_total{{kind=\"{kind}\"}}");
        assert!(gateway.api().metric(&sample).await >= 1.0, "{kind}");
        eventually(PATIENCE, || gateway.log().contains(kind)).await;
    }
    for told in [
        "raise `auth.timeout`",
        "ImproperlyConfigured at /_gatepost/auth/: The request has no session.",
        "Django's log has the traceback",
    ] {
        assert!(gateway.log().contains(told), "{told}");
    }
    gateway.terminate();
    gateway.exit().await;
}

#[tokio::test]
async fn a_missing_slash_is_told_with_the_path_to_write() {
    let django = Django::start().await;
    django.answers("/who", Answer::redirect("/who/"));
    let setup = Gateway::in_front_of(&django).set("auth.url", "/who");
    let gateway = setup.start().await;
    let reason = told(&gateway.browser_of("anns-session")).await;
    assert!(reason.contains("trailing slash"), "{reason}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_bare_400_is_proved_to_be_the_host_by_asking_once_as_localhost() {
    let django = Django::start().await;
    django.rule(|request| {
        let refused = request.path() == AUTH_PATH && request.header("host")? != "localhost";
        refused.then(|| html(400, "<h1>Bad Request (400)</h1>"))
    });
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = gateway.browser_of("anns-session");
    for _ in 0..3 {
        let reason = told(&ann).await;
        assert!(
            reason.contains("refuses the host name \"localhost\""),
            "{reason}"
        );
    }
    let hosts = django
        .auth_calls()
        .into_iter()
        .map(|call| call.header("host").unwrap());
    let as_localhost = hosts.filter(|host| host == "localhost").count();
    assert_eq!(as_localhost, 1);
    gateway.stop().await;
}

#[tokio::test]
async fn each_mistake_is_logged_once_with_its_remedy_and_again_when_it_comes_back() {
    let django = Django::start().await;
    let setup = Gateway::in_front_of(&django).set("auth.lease", "1ms");
    let gateway = setup.spawn().await;
    let lines = |what: &str| gateway.log().matches(what).count();
    let ann = gateway.browser_of("anns-session");
    let remedy = "Add path('_gatepost/', include('gatepost.urls'))";
    for times in 1..=2 {
        django.judges_everybody(html(404, "<h1>Not Found</h1>"));
        for _ in 0..3 {
            told(&ann).await;
        }
        eventually(PATIENCE, || lines(remedy) == times).await;
        django.judges_everybody(Answer::redirect("/login/?next=/"));
        told(&ann).await;
        eventually(PATIENCE, || lines("login_required") == 1).await;
        // A user's answer says nothing of the login page that others are sent to.
        django.judges_everybody(Answer::user("42"));
        ann.socket(NOTIFICATIONS).await.expect_nothing().await;
        eventually(PATIENCE, || lines("answers again") == times).await;
    }
    assert!(!gateway.log().contains("anns-session"));
    gateway.terminate();
    gateway.exit().await;
}

const PAGE: &str = "<!doctype html><html><body><p>page</p></body></html>";
const NOTICE: &str = "<dialog open id=\"gatepost-notice\"";

/// A Django whose auth view is missing, with a page, and the gateway after a first visitor.
async fn with_a_mistake(change: impl FnOnce(Setup) -> Setup) -> (Django, Gateway) {
    let django = Django::start().await;
    django.judges_everybody(html(404, "<h1>Not Found</h1>"));
    django.answers("/page/", Answer::html(PAGE).header("ETag", "\"1\""));
    let gateway = change(Gateway::in_front_of(&django)).start().await;
    told(&gateway.browser_of("anns-session")).await;
    (django, gateway)
}

fn visit<'a>(browser: &'a Browser, version: Version, path: &str) -> Ask<'a> {
    let ask = browser.ask_over(version, path);
    ask.header("Sec-Fetch-Dest", "document")
        .header("Accept", "text/html")
}

#[tokio::test]
async fn a_developer_sees_it_in_every_page_until_it_is_mended() {
    let (django, gateway) = with_a_mistake(|setup| setup).await;
    let ann = gateway.browser_of("anns-session");
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let ask = visit(&ann, version, "/page/").header("Accept-Encoding", "gzip");
        let page = ask.header("If-None-Match", "\"1\"").send().await;
        assert_eq!(page.status, 200);
        let length = page.header("content-length").unwrap();
        assert_eq!(length, page.body.len().to_string());
        assert!(page.text().starts_with(PAGE), "{}", page.text());
        assert!(page.text().contains(NOTICE) && page.text().contains("gatepost.urls"));
        assert_eq!(
            (page.header("etag"), page.header("cache-control")),
            (None, Some("no-store".into()))
        );
    }
    let asked = django.requests_to("/page/");
    assert!(
        asked
            .iter()
            .all(|ask| ask.header("if-none-match").is_none())
    );
    assert!(
        asked
            .iter()
            .all(|ask| ask.header("accept-encoding").unwrap() == "identity")
    );

    django.judges_everybody(Answer::user("42"));
    let _socket = ann.socket(NOTIFICATIONS).await;
    gateway.api().connected("42", 1).await;
    let page = visit(&ann, Version::HTTP_11, "/page/").send().await;
    assert_eq!(page.text(), PAGE);
    assert_eq!(page.header("etag").unwrap(), "\"1\"");
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_no_page_for_a_person_never_shows_it() {
    let (django, gateway) = with_a_mistake(|setup| setup).await;
    let ann = gateway.browser_of("anns-session");
    let head = ann
        .ask(Method::HEAD, "/page/")
        .header("Sec-Fetch-Dest", "document");
    let head = head.send().await;
    assert_eq!(
        head.header("content-length").unwrap(),
        PAGE.len().to_string()
    );
    let fetched = ann
        .ask(Method::GET, "/page/")
        .header("Sec-Fetch-Dest", "empty");
    assert_eq!(fetched.send().await.text(), PAGE);
    assert_eq!(ann.get("/page/").await.text(), PAGE);

    let gzip = html(200, "\u{1f}gzip").header("Content-Encoding", "gzip");
    django.answers("/gzip/", gzip);
    django.answers("/gone/", html(410, PAGE));
    django.answers(
        "/part/",
        html(206, PAGE).header("Content-Range", "bytes 0-9/100"),
    );
    django.answers("/data/", Answer::json(&json!({"a": 1})));
    for path in ["/gzip/", "/gone/", "/part/", "/data/"] {
        let page = visit(&ann, Version::HTTP_11, path).send().await;
        assert!(!page.text().contains(NOTICE), "{path}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_page_that_would_be_compressed_shows_it_as_text_and_what_is_fetched_is_compressed() {
    let (django, gateway) = with_a_mistake(|setup| setup.set("compression.dynamic", "all")).await;
    let long = PAGE.replace("page", &"page ".repeat(1000));
    django.answers("/known/", Answer::html(&long));
    let pieces = Answer::chunks([&long[..2000], &long[2000..]]);
    django.answers("/pieces/", pieces.header("Content-Type", "text/html"));
    // As Django's GZipMiddleware: what the client takes is compressed.
    let (text, gzip) = (long.clone(), gzip(&long));
    let takes_gzip = |request: &Received| {
        let accepted = request.header("accept-encoding");
        accepted.is_some_and(|accepted| accepted.contains("gzip"))
    };
    let answer = Answer::of_request(move |request| {
        if takes_gzip(request) {
            let compressed = Answer::status(200, gzip.clone()).header("Content-Encoding", "gzip");
            compressed.header("Content-Type", "text/html")
        } else {
            Answer::html(&text)
        }
    });
    django.answers("/gzip/", answer);
    let ann = gateway.browser_of("anns-session");
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for (path, fetched_as) in [
            ("/known/", "zstd"),
            ("/pieces/", "zstd"),
            ("/gzip/", "gzip"),
        ] {
            let ask = visit(&ann, version, path).header("Accept-Encoding", "gzip, br, zstd");
            let page = ask.send().await;
            assert_eq!(page.header("content-encoding"), None, "{path}");
            let behind = page.text().strip_prefix(&long).unwrap().to_owned();
            assert!(behind.trim_start().starts_with(NOTICE), "{path}: {behind}");
            let length = page.header("content-length");
            assert!(length.is_none_or(|length| length == page.body.len().to_string()));

            let ask = ann.ask_over(version, path);
            let ask = ask.header("Accept-Encoding", "gzip, br, zstd");
            let fetched = ask.header("Sec-Fetch-Dest", "empty").send().await;
            let encoding = fetched.header("content-encoding");
            assert_eq!(encoding.as_deref(), Some(fetched_as), "{path}");
            assert!(fetched.body.len() < long.len() / 3, "{path}");
        }
    }
    gateway.stop().await;
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn the_public_never_sees_it_nor_do_others_when_a_server_is_elsewhere() {
    let (_django, gateway) = with_a_mistake(|setup| setup.set("server.mode", "production")).await;
    let page = visit(&gateway.browser(), Version::HTTP_11, "/page/")
        .send()
        .await;
    assert_eq!(page.text(), PAGE);
    gateway.stop().await;

    let elsewhere = toml::toml! {
        path = "/elsewhere/"
        upstream = "http://192.0.2.1:8000"
    };
    let far = |setup: Setup| setup.element("upstreams", elsewhere);
    let (_django, gateway) = with_a_mistake(far).await;
    let page = visit(&gateway.browser(), Version::HTTP_11, "/page/")
        .send()
        .await;
    assert_eq!(page.text(), PAGE);
    gateway.stop().await;
}

#[tokio::test]
async fn a_page_with_a_strict_policy_shows_it_without_a_style() {
    let (django, gateway) = with_a_mistake(|setup| setup).await;
    let strict = html(200, PAGE).header("Content-Security-Policy", "default-src 'none'");
    django.answers("/strict/", strict);
    let page = visit(&gateway.browser(), Version::HTTP_11, "/strict/")
        .send()
        .await;
    assert!(page.text().contains(NOTICE) && !page.text().contains("style="));
    gateway.stop().await;
}

#[tokio::test]
async fn who_navigates_to_a_socket_route_reads_it_there() {
    let (_django, gateway) = with_a_mistake(|setup| setup).await;
    let page = visit(&gateway.browser(), Version::HTTP_11, NOTIFICATIONS)
        .send()
        .await;
    assert_eq!(page.status, 426);
    assert!(
        page.text().contains("include(&#39;gatepost.urls&#39;)"),
        "{}",
        page.text()
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_page_from_a_folder_shows_it_too() {
    let django = Django::start().await;
    django.judges_everybody(html(404, "<h1>Not Found</h1>"));
    let setup = Gateway::in_front_of(&django).file("www/index.html", PAGE);
    let gateway = setup.set("frontend.root", "www").start().await;
    told(&gateway.browser_of("anns-session")).await;
    let page = visit(&gateway.browser(), Version::HTTP_2, "/").send().await;
    assert!(
        page.text().starts_with(PAGE) && page.text().contains(NOTICE),
        "{}",
        page.text()
    );
    assert_eq!(
        page.header("content-length").unwrap(),
        page.body.len().to_string()
    );
    gateway.stop().await;
}
