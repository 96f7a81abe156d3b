use http::HeaderMap;

use super::*;
use crate::close::LONGEST_REASON;
use crate::session::ask::response::AskedView;

const PATH: &str = "/_gatepost/auth/";

/// What is diagnosed for a status, one field and a body.
fn seen(status: u16, field: Option<(&'static str, &str)>, body: &str) -> Diagnosis {
    seen_at(PATH, status, field, body)
}

fn seen_at(path: &str, status: u16, field: Option<(&'static str, &str)>, body: &str) -> Diagnosis {
    let mut headers = HeaderMap::new();
    if let Some((name, value)) = field {
        headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let response = Response {
        status: StatusCode::from_u16(status).unwrap(),
        headers: &headers,
        body: body.as_bytes(),
        host: &HeaderValue::from_static("app.test:8443"),
        path,
        of: AskedView::Auth,
    };
    let diagnosis = if status == 200 {
        not_json(&response)
    } else {
        diagnose(&response)
    };
    assert!(diagnosis.reason().len() <= LONGEST_REASON, "{diagnosis}");
    assert!(diagnosis.remedy().len() > 20, "{diagnosis:?}");
    diagnosis
}

fn redirected(to: &str) -> Diagnosis {
    seen(302, Some(("location", to)), "")
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn every_row_of_the_table_is_a_kind_of_its_own_with_its_remedy() {
    let location = "location";
    let html = Some(("content-type", "text/html; charset=utf-8"));
    let to = |to: &'static str| Some((location, to));
    let rows = [
        (
            seen(400, None, "DisallowedHost at /"),
            DiagnosisKind::HostRefused,
            "'app.test' to ALLOWED_HOSTS",
        ),
        (
            seen(400, None, "<h1>Contradictory scheme headers</h1>"),
            DiagnosisKind::SchemeConflict,
            "X-Forwarded-Ssl",
        ),
        (
            seen(400, html, "<h1>Bad Request (400)</h1>"),
            DiagnosisKind::BadRequest,
            "log",
        ),
        (
            seen(301, to("https://app.test:8443/_gatepost/auth/"), ""),
            DiagnosisKind::PlainHttp,
            "SECURE_PROXY_SSL_HEADER",
        ),
        (
            seen(308, to("https://app.test/_gatepost/auth/"), ""),
            DiagnosisKind::PlainHttp,
            "SECURE_PROXY_SSL_HEADER",
        ),
        (
            seen_at("/auth", 301, to("/auth/"), ""),
            DiagnosisKind::SlashMissing,
            "auth.url = \"/auth/\"",
        ),
        (
            seen(301, to("https://www.app.test:8443/_gatepost/auth/"), ""),
            DiagnosisKind::WwwRedirect,
            "www.app.test",
        ),
        (
            seen(302, to("/accounts/login/?next=/_gatepost/auth/"), ""),
            DiagnosisKind::LoginRequired,
            "/_gatepost/auth/",
        ),
        (
            seen(302, to("/login/"), ""),
            DiagnosisKind::LoginRequired,
            "login",
        ),
        (
            seen(302, to("/de/_gatepost/auth/"), ""),
            DiagnosisKind::LanguagePrefix,
            "i18n_patterns",
        ),
        (
            seen(302, to("/maintenance/?key=hunter2"), ""),
            DiagnosisKind::Redirect,
            "/maintenance/",
        ),
        (
            seen(401, html, "<h1>401</h1>"),
            DiagnosisKind::BasicAuth,
            "Basic",
        ),
        (
            seen(403, html, "<h1>CSRF verification failed.</h1>"),
            DiagnosisKind::Csrf,
            "csrf_exempt",
        ),
        (
            seen(403, html, "<h1>403 Forbidden</h1>"),
            DiagnosisKind::Forbidden,
            "DISALLOWED_USER_AGENTS",
        ),
        (
            seen(
                403,
                None,
                r#"{"error":"bad_signature","detail":"another secret"}"#,
            ),
            DiagnosisKind::WrongSecret,
            "GATEPOST_SECRET",
        ),
        (
            seen(
                403,
                None,
                r#"{"error":"bad_signature","detail":"the clock of the signer is 120 s behind this one"}"#,
            ),
            DiagnosisKind::WrongClock,
            "120 s",
        ),
        (
            seen(404, html, "<h1>Not Found</h1>"),
            DiagnosisKind::NotFound,
            "include('gatepost.urls')",
        ),
        (
            seen(405, None, ""),
            DiagnosisKind::MethodRefused,
            "auth.url",
        ),
        (
            seen(200, html, "<!doctype html>"),
            DiagnosisKind::Page,
            "django.upstream",
        ),
        (seen(200, None, "ok"), DiagnosisKind::NotJson, "auth.url"),
        (seen(431, None, ""), DiagnosisKind::CookiesTooLarge, "8190"),
        (
            seen(500, html, "<h1>Server Error (500)</h1>"),
            DiagnosisKind::ServerError,
            "log",
        ),
        (seen(418, None, ""), DiagnosisKind::Status, "418"),
    ];
    for (diagnosis, kind, remedy) in rows {
        assert_eq!(diagnosis.kind, kind, "{diagnosis:?}");
        assert!(diagnosis.remedy().contains(remedy), "{diagnosis:?}");
    }
}

#[test]
fn whom_django_takes_for_plain_http_is_told_of_the_middleware_before_the_setting() {
    let location = Some(("location", "https://app.test:8443/_gatepost/auth/"));
    let diagnosis = seen(301, location, "");
    for said in [diagnosis.reason(), diagnosis.remedy()] {
        let at = |name| said.find(name).unwrap();
        let middleware = at("gatepost.middleware.GatepostMiddleware");
        assert!(middleware < at("SECURE_PROXY_SSL_HEADER"), "{said}");
    }
    assert!(
        diagnosis.reason().ends_with("SECURE_PROXY_SSL_HEADER"),
        "it is cut: {diagnosis}"
    );
}

#[test]
fn a_debug_page_is_quoted_with_its_first_two_lines() {
    let page = "ImproperlyConfigured at /_gatepost/auth/\nThe request has no session.\n\nRequest Method: GET\n\
                Settings:\nSECRET: hunter2";
    let diagnosis = seen(
        500,
        Some(("content-type", "text/plain; charset=utf-8")),
        page,
    );
    let quoted = "ImproperlyConfigured at /_gatepost/auth/: The request has no session.";
    let reason = format!("the auth view fails (500): {quoted}");
    assert_eq!(diagnosis.reason(), reason);
    assert!(diagnosis.remedy().contains(quoted));
    assert!(!diagnosis.remedy().contains("hunter2"));
}

#[test]
fn nothing_else_of_a_500_is_quoted() {
    for body in [
        "",
        "secret at /x",
        "a b at /x\nhunter2",
        "<p>x at /\nhunter2",
        "\u{0}\u{1b}[31m",
    ] {
        let diagnosis = seen(500, None, body);
        assert!(diagnosis.reason().contains("(500)"), "{diagnosis}");
        assert!(!diagnosis.reason().contains("hunter2"));
    }
    let long = format!(
        "{}Error at /{}\n{}",
        "é".repeat(300),
        "x".repeat(300),
        "\u{7}é".repeat(300)
    );
    seen(500, None, &long);
}

#[test]
fn only_the_path_of_a_redirect_is_shown() {
    let diagnosis = redirected("https://elsewhere.test/a/?token=hunter2");
    assert!(!format!("{diagnosis:?}").contains("hunter2"));
    for odd in [
        "",
        "auth/",
        "//",
        "http://[",
        "\u{e9}",
        "?next=/",
        "/x?a=1&next=/",
    ] {
        redirected(odd);
    }
    assert_eq!(
        redirected("/x?a=1&next=/").kind,
        DiagnosisKind::LoginRequired
    );
    assert_eq!(redirected("/x?context=/").kind, DiagnosisKind::Redirect);
}

#[test]
fn a_host_name_is_named_as_allowed_hosts_has_it() {
    let named = |host: &'static str| host_refused(&HeaderValue::from_static(host));
    assert!(
        named("App.Test:8443")
            .remedy()
            .contains("Add 'app.test' to")
    );
    assert!(named("[::1]:8443").remedy().contains("Add '[::1]' to"));
    assert!(named("my_app:8000").remedy().contains("underscore"));
    let reason = named("app.test:8443").reason().to_owned();
    assert!(reason.contains("ALLOWED_HOSTS") && reason.contains("app.test"));
}

#[test]
fn only_a_400_that_does_not_say_why_is_asked_again() {
    let headers = HeaderMap::new();
    let may = |status, body: &str| {
        may_refuse_host(&Response {
            status,
            headers: &headers,
            body: body.as_bytes(),
            host: &HeaderValue::from_static("app.test"),
            path: PATH,
            of: AskedView::Auth,
        })
    };
    assert!(may(StatusCode::BAD_REQUEST, "<h1>Bad Request (400)</h1>"));
    assert!(!may(StatusCode::BAD_REQUEST, "DisallowedHost at /x"));
    assert!(!may(
        StatusCode::BAD_REQUEST,
        "Contradictory scheme headers"
    ));
    assert!(!may(StatusCode::NOT_FOUND, ""));
}
