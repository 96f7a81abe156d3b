//! What Django's answer to an auth call means.
//!
//! Used by the authority alone. The surprise: only a clean JSON answer, 401 and 403 can mean
//! "anonymous"; a redirect, a page or a broken answer is a fault with a diagnosis (Django 4.2 to 6.1
//! give each of them for a different mistake in the project).

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ids::{GroupName, UserId};
use crate::publication::Frame;

/// Longest user id and group name, in bytes.
const LONGEST_NAME: usize = 255;

/// What an answer says.
#[derive(Debug)]
pub(super) enum Meaning {
    Anonymous,
    User {
        user: UserId,
        groups: Box<[GroupName]>,
        expires_at: Option<SystemTime>,
        frames: Vec<Frame>,
    },
    /// Django is there, but not ready to judge.
    Unavailable,
    /// Something is set up wrongly; the text is at most a close reason long.
    Fault(Cow<'static, str>),
}

/// The JSON of an answer (design: `{"user","groups","expires_at","lease","frames"}`).
#[derive(Deserialize)]
struct Answer<'a> {
    user: serde_json::Value,
    #[serde(default)]
    groups: Option<Vec<Cow<'a, str>>>,
    #[serde(default)]
    expires_at: Option<f64>,
    #[serde(default, borrow)]
    frames: Option<Vec<&'a RawValue>>,
}

/// Judges an answer by its status, headers and body.
pub(super) fn judge(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Meaning {
    match status.as_u16() {
        200 => judge_ok(headers, body),
        403 if names_bad_signature(body) => {
            fault("Django refuses the signature: do both sides have the same secret and clock?")
        }
        401 | 403 => Meaning::Anonymous,
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
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let kind = kind
        .and_then(|kind| kind.split(';').next())
        .unwrap_or_default()
        .trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return fault("the auth path answers no JSON: does it reach Django's auth view?");
    }
    let Some(answer) = decode(body) else {
        return fault("the auth view's JSON is not an auth answer");
    };
    let user = match answer.user {
        serde_json::Value::Null => return Meaning::Anonymous,
        serde_json::Value::String(id) if is_name(&id) => UserId::new(&id),
        serde_json::Value::Number(id) if !id.is_f64() => UserId::new(&id.to_string()),
        _ => return fault("the auth view's `user` is neither an id nor null"),
    };
    let groups = answer.groups.unwrap_or_default();
    if !groups.iter().all(|name| is_name(name)) {
        return fault("the auth view's `groups` has an empty or over-long name");
    }
    let expires_at = match answer.expires_at.map(moment) {
        Some(None) => return fault("the auth view's `expires_at` is not a time"),
        Some(Some(end)) if end <= SystemTime::now() => return Meaning::Anonymous,
        Some(end) => end,
        None => None,
    };
    Meaning::User {
        user,
        groups: groups.iter().map(|name| GroupName::new(name)).collect(),
        expires_at,
        frames: answer
            .frames
            .iter()
            .flatten()
            .map(|frame| Frame::new(frame.get()))
            .collect(),
    }
}

/// serde takes a JSON array for a struct, too, with defaults for what it lacks.
fn decode(body: &[u8]) -> Option<Answer<'_>> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    serde_json::from_slice(body).ok()
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

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_NAME
}

fn moment(seconds: f64) -> Option<SystemTime> {
    let since = Duration::try_from_secs_f64(seconds).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::LONGEST_REASON;

    fn json(body: &str) -> Meaning {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            "application/json; charset=utf-8".parse().unwrap(),
        );
        judge(StatusCode::OK, &headers, body.as_bytes())
    }

    #[test]
    fn a_user_comes_with_groups_and_frames_as_django_wrote_them() {
        let meaning =
            json(r#"{"v":1,"user":"42","groups":["staff"],"frames":[{"n": 1.0}],"lease":3}"#);
        let Meaning::User {
            user,
            groups,
            expires_at,
            frames,
        } = meaning
        else {
            panic!("{meaning:?}")
        };
        assert_eq!(
            (user.as_str(), groups[0].as_str(), expires_at),
            ("42", "staff", None)
        );
        assert_eq!(frames[0].text().as_str(), r#"{"n": 1.0}"#);
    }

    #[test]
    fn a_number_is_a_user_too() {
        assert!(
            matches!(json(r#"{"user":42}"#), Meaning::User { user, .. } if user.as_str() == "42")
        );
    }

    #[test]
    fn null_and_a_session_that_is_over_are_anonymous() {
        assert!(matches!(json(r#"{"user":null}"#), Meaning::Anonymous));
        assert!(matches!(
            json(r#"{"user":"1","expires_at":1000}"#),
            Meaning::Anonymous
        ));
        for status in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
            assert!(matches!(
                judge(status, &HeaderMap::new(), b""),
                Meaning::Anonymous
            ));
        }
    }

    #[test]
    fn whatever_is_not_an_answer_is_a_fault_and_never_anonymous() {
        let bodies = [
            "",
            "[]",
            "{}",
            "null",
            "{\"user\":true}",
            "{\"user\":\"\"}",
            "{\"user\":{\"$ne\":null}}",
            "{\"user\":1.5}",
            "{\"user\":[\"1\"]}",
            "[\"1\"]",
            " [\"1\",[\"staff\"],null,null]",
            "{\"user\":\"1\",\"groups\":\"staff\"}",
            "{\"user\":\"1\",\"groups\":[\"\"]}",
            "{\"user\":\"1\",\"expires_at\":-1}",
            "{\"user\":\"1\"",
        ];
        for body in bodies {
            assert!(matches!(json(body), Meaning::Fault(_)), "{body}");
        }
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
                other => panic!("{other:?}"),
            }
        }
    }
}
