//! What the response to an auth call means.
//!
//! Used by `endpoint`. The surprise: only a clean JSON answer, 401 and 403 can mean "anonymous"; a
//! redirect, a page or a broken answer is a fault with a diagnosis (Django 4.2 to 6.1 give each of them
//! for a different mistake in the project).

use std::borrow::Cow;

use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

use super::answer::Answer;

/// What a response says.
#[derive(Debug)]
pub(super) enum Meaning {
    /// Who the session is, or that nobody is logged in.
    Answer(Answer),
    /// Django is there, but not ready to judge.
    Unavailable,
    /// Something is set up wrongly; the text is at most a close reason long.
    Fault(Cow<'static, str>),
}

/// Judges a response by its status, headers and body.
pub(super) fn judge(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Meaning {
    match status.as_u16() {
        200 => judge_ok(headers, body),
        403 if names_bad_signature(body) => {
            fault("Django refuses the signature: do both sides have the same secret and clock?")
        }
        401 | 403 => Meaning::Answer(Answer::default()),
        300..400 => judge_redirect(headers),
        400 => fault(
            "the auth call got 400: add this page's host name (no scheme, no port) to ALLOWED_HOSTS",
        ),
        404 => {
            fault("the auth path is 404: is it Django's, and include('gatepost.urls') in urls.py?")
        }
        405 => fault("the auth path answers 405: it is not an auth view"),
        429 | 502..=504 => Meaning::Unavailable,
        other => Meaning::Fault(format!("the auth call got {other}: see Django's log").into()),
    }
}

fn judge_ok(headers: &HeaderMap, body: &[u8]) -> Meaning {
    if !is_json(headers) {
        return fault("the auth path answers no JSON: does it reach Django's auth view?");
    }
    match Answer::decode(body) {
        Ok(answer) => Meaning::Answer(answer),
        Err(error) => Meaning::Fault(error.to_string().into()),
    }
}

/// Whether a response says that its body is JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn judge_redirect(headers: &HeaderMap) -> Meaning {
    let to = headers
        .get(header::LOCATION)
        .map(http::HeaderValue::as_bytes)
        .unwrap_or_default();
    if to.starts_with(b"https://") {
        return fault(
            "Django redirects to https: set SECURE_PROXY_SSL_HEADER for X-Forwarded-Proto",
        );
    }
    if to.windows(5).any(|part| part == b"next=") {
        return fault("Django redirects to the login page: exempt the auth path from login");
    }
    fault("Django redirects the auth call: does auth.url end with a slash?")
}

fn fault(text: &'static str) -> Meaning {
    Meaning::Fault(text.into())
}

fn names_bad_signature(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Refusal<'a> {
        error: &'a str,
    }
    serde_json::from_slice::<Refusal<'_>>(body)
        .is_ok_and(|refusal| refusal.error == "bad_signature")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::LONGEST_REASON;

    #[test]
    fn only_an_answer_401_and_403_mean_anonymous() {
        let mut headers = HeaderMap::new();
        let json = "application/json; charset=utf-8".parse().unwrap();
        headers.insert(header::CONTENT_TYPE, json);
        let anonymous =
            |meaning| matches!(meaning, Meaning::Answer(answer) if answer == Answer::default());
        assert!(anonymous(judge(
            StatusCode::OK,
            &headers,
            br#"{"user":null}"#
        )));
        for status in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
            assert!(anonymous(judge(status, &HeaderMap::new(), b"")));
        }
        let broken = judge(StatusCode::OK, &headers, br#"{"user":"1""#);
        assert!(matches!(broken, Meaning::Fault(_)));
        let page = judge(StatusCode::OK, &HeaderMap::new(), b"{\"user\":\"1\"}");
        assert!(matches!(page, Meaning::Fault(_)));
    }

    #[test]
    fn every_status_is_a_fault_or_unavailable_and_fits_a_close_reason() {
        let mut redirect = HeaderMap::new();
        redirect.insert(header::LOCATION, "/login/?next=/x".parse().unwrap());
        let signature = judge(
            StatusCode::FORBIDDEN,
            &HeaderMap::new(),
            br#"{"error":"bad_signature","detail":"x"}"#,
        );
        let statuses = (100..600).filter(|status| ![200, 401, 403].contains(status));
        let all = statuses
            .map(|status| judge(StatusCode::from_u16(status).unwrap(), &redirect, b""))
            .chain([signature]);
        for meaning in all {
            match meaning {
                Meaning::Fault(text) => assert!(text.len() <= LONGEST_REASON, "{text}"),
                Meaning::Unavailable => {}
                Meaning::Answer(answer) => panic!("{answer:?}"),
            }
        }
    }
}
