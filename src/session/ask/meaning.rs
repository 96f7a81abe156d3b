//! What the response to an auth call means.
//!
//! Used by `auth_view`, also for the views of sockets' paths, which may refuse. Only a clean JSON answer, 401 and 403
//! can mean "anonymous"; a redirect, a page or a broken answer is a fault with a diagnosis (Django 4.2 to 6.1 give each
//! of them for a different mistake in the project). But what may mend itself is no fault: a server error, a page that
//! says when it comes back.

use http::{HeaderMap, StatusCode, header};

use crate::session::answer::Answer;
use crate::session::ask::diagnose::{diagnose, is_refused, not_json};
use crate::session::ask::response::{AskedView, Response, is_html};
use crate::session::ask::view_faults::of_view;
use crate::session::diagnosis::{Diagnosis, DiagnosisKind};
use crate::web::media_type;

/// What a response says.
#[derive(Debug)]
pub(in crate::session) enum Meaning {
    /// Who the session is, or that nobody is logged in.
    Answer(Answer),
    /// Django is there, but not ready to judge.
    Unavailable,
    /// Django is there and fails, which may pass.
    Failing(Diagnosis),
    /// Something is set up wrongly.
    Fault(Diagnosis),
}

/// Judges a response.
pub(in crate::session) fn judge(response: &Response<'_>) -> Meaning {
    match response.status.as_u16() {
        200 => judge_ok(response),
        403 | 404 if refuses(response) => Meaning::Answer(Answer::refused()),
        401 | 403 if !is_guarded(response) => Meaning::Answer(Answer::default()),
        408 | 425 | 429 | 502..=504 => Meaning::Unavailable,
        _ if is_maintenance(response) => Meaning::Unavailable,
        500 | 506..=599 => Meaning::Failing(diagnosed(response)),
        _ => Meaning::Fault(diagnosed(response)),
    }
}

/// Whether the view of a path refuses this client. A page that names maintenance says nothing there: while
/// developing, Django's own for 404 quotes the project's URLs.
fn refuses(response: &Response<'_>) -> bool {
    let is_silent = response.headers.contains_key(header::RETRY_AFTER);
    response.of == AskedView::Path && !is_silent && !is_refused(response.body)
}

fn diagnosed(response: &Response<'_>) -> Diagnosis {
    of_view(response, diagnose(response))
}

fn judge_ok(response: &Response<'_>) -> Meaning {
    if !is_json(response.headers) && is_maintenance(response) {
        return Meaning::Unavailable;
    }
    if !is_json(response.headers) {
        return Meaning::Fault(of_view(response, not_json(response)));
    }
    match Answer::decode(response.body) {
        Ok(answer) if response.of == AskedView::Path => Meaning::Answer(answer.of_view()),
        Ok(answer) => Meaning::Answer(answer),
        Err(error) => Meaning::Fault(Diagnosis::new(
            DiagnosisKind::NotAnAnswer,
            error.to_string(),
            format!(
                "What answers at {} is not gatepost's view, or one that differs from \
                 docs/protocol.md: {error}.",
                response.path
            ),
        )),
    }
}

/// Whether a response that is no judgement says that there will be one again: with `Retry-After`, by a page
/// for maintenance, or by a redirect to one.
fn is_maintenance(response: &Response<'_>) -> bool {
    let says = |text: &[u8]| {
        let word = b"maintenance";
        text.windows(word.len())
            .any(|part| part.eq_ignore_ascii_case(word))
    };
    let location = response.headers.get(header::LOCATION);
    response.headers.contains_key(header::RETRY_AFTER)
        || location.is_some_and(|location| says(location.as_bytes()))
        || is_html(response.headers) && says(response.body)
}

/// Whether 401 or 403 comes from something else than an auth view: a challenge that no cookie can
/// meet, a refused signature or CSRF token, or a page where our view stands, which answers none.
fn is_guarded(response: &Response<'_>) -> bool {
    if response.status == StatusCode::UNAUTHORIZED {
        let challenge = response.headers.get(header::WWW_AUTHENTICATE);
        let basic = challenge.is_some_and(|value| value.as_bytes().starts_with(b"Basic"));
        return basic && !is_json(response.headers);
    }
    let page = is_html(response.headers) && !response.body.is_empty();
    is_refused(response.body) || page && response.path.contains("/_gatepost/")
}

/// Whether a response says that its body is JSON.
pub(in crate::session) fn is_json(headers: &HeaderMap) -> bool {
    media_type::is(headers, "application/json")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::session::answer::GrantedTopics;

    fn meaning(status: u16, fields: &[(&'static str, &str)], body: &str) -> Meaning {
        at("/_gatepost/auth/", status, fields, body)
    }

    fn at(path: &str, status: u16, fields: &[(&'static str, &str)], body: &str) -> Meaning {
        said_by((AskedView::Auth, path), status, fields, body)
    }

    fn of_path(status: u16, fields: &[(&'static str, &str)], body: &str) -> Meaning {
        let view = (AskedView::Path, "/ws/orders/17/");
        said_by(view, status, fields, body)
    }

    fn said_by(
        (of, path): (AskedView, &str),
        status: u16,
        fields: &[(&'static str, &str)],
        body: &str,
    ) -> Meaning {
        let fields = fields.iter().map(|(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, value.parse().unwrap())
        });
        judge(&Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: &fields.collect(),
            body: body.as_bytes(),
            host: &HeaderValue::from_static("app.test"),
            path,
            of,
        })
    }

    fn is_anonymous(meaning: &Meaning) -> bool {
        matches!(meaning, Meaning::Answer(answer) if *answer == Answer::default())
    }

    const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");
    const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");

    #[test]
    fn only_an_answer_401_and_403_mean_anonymous() {
        assert!(is_anonymous(&meaning(200, &[JSON], r#"{"user":null}"#)));
        for status in [401, 403] {
            assert!(is_anonymous(&meaning(status, &[], "")));
            assert!(is_anonymous(&meaning(status, &[], "not logged in")));
            assert!(is_anonymous(&meaning(status, &[JSON], r#"{"detail":"x"}"#)));
            // HttpResponse(status=…), and PermissionDenied in a view of one's own.
            assert!(is_anonymous(&meaning(status, &[HTML], "")));
            assert!(is_anonymous(&at("/who/", status, &[HTML], "<h1>403</h1>")));
        }
        let bearer = ("www-authenticate", "Bearer realm=\"api\"");
        assert!(is_anonymous(&meaning(401, &[bearer, JSON], "{}")));
        let basic = ("www-authenticate", "Basic realm=\"api\"");
        assert!(is_anonymous(&meaning(401, &[basic, JSON], "{}")));
        let broken = meaning(200, &[JSON], r#"{"user":"1""#);
        assert!(matches!(broken, Meaning::Fault(_)));
        let page = meaning(200, &[], "{\"user\":\"1\"}");
        assert!(matches!(page, Meaning::Fault(_)));
    }

    #[test]
    fn the_view_of_a_path_may_refuse_and_its_answer_lets_listen() {
        let debug = "<h1>Page not found</h1> maintenance/";
        for (status, body) in [(403, ""), (404, debug)] {
            let refused = of_path(status, &[HTML], body);
            assert!(matches!(refused, Meaning::Answer(answer) if answer.is_refused));
        }
        assert!(is_anonymous(&of_path(401, &[], "")));
        let silent = of_path(404, &[("retry-after", "60")], "");
        assert!(matches!(silent, Meaning::Unavailable));
        let Meaning::Answer(answer) = of_path(200, &[JSON], r#"{"user":"1"}"#) else {
            panic!("an answer")
        };
        assert_eq!(answer.listening, Some(GrantedTopics::default()));
        for (status, fields, body, kind) in [
            (200, HTML, "<p>an order</p>", DiagnosisKind::Page),
            (501, HTML, "not decorated", DiagnosisKind::Status),
            (
                302,
                ("location", "/elsewhere/"),
                "",
                DiagnosisKind::Redirect,
            ),
            (
                403,
                JSON,
                r#"{"error":"bad_signature"}"#,
                DiagnosisKind::WrongSecret,
            ),
        ] {
            let fault = of_path(status, &[fields], body);
            assert!(
                matches!(&fault, Meaning::Fault(found) if found.kind == kind),
                "{fault:?}"
            );
        }
    }

    #[test]
    fn what_stands_before_the_auth_view_never_means_anonymous() {
        let basic = ("www-authenticate", "Basic realm=\"staging\"");
        let guards = [
            (
                meaning(401, &[basic, HTML], "<h1>401</h1>"),
                DiagnosisKind::BasicAuth,
            ),
            (
                meaning(403, &[HTML], "<h1>403 Forbidden</h1>"),
                DiagnosisKind::Forbidden,
            ),
            (
                at("/who/", 403, &[HTML], "CSRF verification failed"),
                DiagnosisKind::Csrf,
            ),
            (
                at("/who/", 403, &[JSON], r#"{"error":"bad_signature"}"#),
                DiagnosisKind::WrongSecret,
            ),
        ];
        for (meaning, expected) in guards {
            assert!(
                matches!(&meaning, Meaning::Fault(found) if found.kind == expected),
                "{meaning:?}"
            );
        }
    }

    #[test]
    fn every_other_status_is_a_fault_or_unavailable() {
        for status in (100..600).filter(|status| ![200, 401, 403].contains(status)) {
            match meaning(status, &[("location", "/login/?next=/x")], "") {
                Meaning::Fault(_) | Meaning::Unavailable | Meaning::Failing(_) => {}
                Meaning::Answer(answer) => panic!("{status}: {answer:?}"),
            }
        }
    }

    #[test]
    fn what_may_mend_itself_is_no_fault() {
        let page = "<h1>Down for Maintenance</h1>";
        for silent in [
            meaning(200, &[HTML], page),
            meaning(404, &[HTML], page),
            meaning(302, &[("location", "/maintenance/")], ""),
            meaning(404, &[("retry-after", "60")], ""),
            meaning(500, &[("retry-after", "60")], ""),
            meaning(503, &[], ""),
        ] {
            assert!(matches!(silent, Meaning::Unavailable), "{silent:?}");
        }
        for status in [500, 507, 520, 599] {
            let failing = meaning(status, &[HTML], "<h1>Server Error (500)</h1>");
            assert!(matches!(failing, Meaning::Failing(_)), "{status}");
        }
        // What says nothing of the kind lasts.
        for (status, fields, body) in [
            (404, HTML, "<h1>Not Found</h1>"),
            (405, HTML, ""),
            (501, HTML, ""),
            (302, ("location", "/de/_gatepost/auth/"), ""),
            (200, HTML, "<div id=app>"),
            (200, JSON, r#"{"maintenance":true}"#),
        ] {
            let fault = meaning(status, &[fields], body);
            assert!(matches!(fault, Meaning::Fault(_)), "{status} {body}");
        }
    }
}
