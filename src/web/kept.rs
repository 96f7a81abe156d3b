//! What a browser keeps of an answer long after the gateway is gone, and must not in development.
//!
//! Used by `server`. The surprise: a browser keeps such things for a host or for host and port, and on
//! a developer's machine all projects are `localhost`: one that says "HTTPS only", or "moved for good",
//! speaks for the next one too.

use crate::web::headers::list;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

/// Kept for the host or the origin, whatever `Cache-Control` says.
const KEPT: [HeaderName; 6] = [
    header::STRICT_TRANSPORT_SECURITY,
    header::ALT_SVC,
    HeaderName::from_static("public-key-pins"),
    HeaderName::from_static("expect-ct"),
    HeaderName::from_static("nel"),
    HeaderName::from_static("report-to"),
];

/// Lets a browser keep nothing of an answer that would speak for another project.
pub fn forget<B>(response: &mut Response<B>) {
    let status = response.status();
    let fields = response.headers_mut();
    for name in &KEPT {
        if fields.remove(name).is_some() {
            tracing::debug!(%name, "not passed on in dev: the browser would keep it for localhost");
        }
    }
    if says_how_long(fields) {
        return;
    }
    let policy = match status {
        StatusCode::MULTIPLE_CHOICES
        | StatusCode::MOVED_PERMANENTLY
        | StatusCode::PERMANENT_REDIRECT
        | StatusCode::GONE => "no-store",
        // A browser guesses: a tenth of its age. runserver's files say nothing else.
        _ if fields.contains_key(header::LAST_MODIFIED) => "no-cache",
        _ => return,
    };
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static(policy));
}

/// Lets a browser ask each time for a file whose name was taken to change with its content.
pub fn revalidate<B>(response: &mut Response<B>) {
    if let Some(policy) = response.headers_mut().get_mut(header::CACHE_CONTROL) {
        *policy = HeaderValue::from_static("no-cache");
    }
}

/// `private`, `public` and their like say no time.
fn says_how_long(fields: &HeaderMap) -> bool {
    fields.contains_key(header::EXPIRES) || list(fields, &header::CACHE_CONTROL).any(is_a_time)
}

fn is_a_time(policy: &[u8]) -> bool {
    let age = policy.split_at_checked(b"max-age=".len());
    let is_age = age.is_some_and(|(name, seconds)| {
        name.eq_ignore_ascii_case(b"max-age=") && seconds.first().is_some_and(u8::is_ascii_digit)
    });
    is_age || policy.eq_ignore_ascii_case(b"no-cache") || policy.eq_ignore_ascii_case(b"no-store")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forgotten(status: u16, fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        for (name, value) in fields {
            let fields = response.headers_mut();
            fields.append(*name, HeaderValue::from_static(value));
        }
        forget(&mut response);
        response.headers().clone()
    }

    #[test]
    fn what_speaks_for_the_host_is_not_passed_on() {
        let left = forgotten(
            200,
            &[
                ("strict-transport-security", "max-age=31536000"),
                ("alt-svc", "h3=\":443\""),
                ("nel", "{}"),
                ("report-to", "{}"),
                ("x-frame-options", "DENY"),
            ],
        );
        assert_eq!(left.keys().collect::<Vec<_>>(), ["x-frame-options"]);
    }

    #[test]
    fn a_move_for_good_is_only_kept_where_the_answer_says_how_long() {
        for status in [300, 301, 308, 410] {
            for said in ["private", "public, must-revalidate", "max-age=soon", "x"] {
                let left = forgotten(status, &[("cache-control", said)]);
                assert_eq!(left["cache-control"], "no-store", "{status} {said}");
            }
            assert_eq!(forgotten(status, &[])["cache-control"], "no-store");
            for said in ["max-age=60", "private, Max-Age=0", "no-cache"] {
                let left = forgotten(status, &[("cache-control", said)]);
                assert_eq!(left["cache-control"], said, "{status}");
            }
        }
        for status in [200, 302, 307, 404] {
            assert!(forgotten(status, &[]).is_empty(), "{status}");
        }
    }

    #[test]
    fn nobody_guesses_for_how_long_a_file_holds() {
        let modified = ("last-modified", "Thu, 01 Jan 2015 00:00:00 GMT");
        let left = |said: &[_]| forgotten(200, &[&[modified], said].concat());
        assert_eq!(left(&[])["cache-control"], "no-cache");
        assert_eq!(
            left(&[("cache-control", "public")])["cache-control"],
            "no-cache"
        );
        let year = ("cache-control", "max-age=31536000, immutable");
        assert_eq!(left(&[year])["cache-control"], year.1);
        let dated = left(&[("expires", "Thu, 01 Jan 2099 00:00:00 GMT")]);
        assert!(!dated.contains_key("cache-control"));
    }
}
