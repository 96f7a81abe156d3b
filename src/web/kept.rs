//! What a browser keeps of an answer long after the gateway is gone, and must not in development.
//!
//! Used by `server`. The surprise: a browser keeps such things for a host or for host and port, and on
//! a developer's machine all projects are `localhost`: one that says "HTTPS only", or "moved for good",
//! speaks for the next one too.

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
    let for_good = matches!(
        status,
        StatusCode::MOVED_PERMANENTLY | StatusCode::PERMANENT_REDIRECT
    );
    if for_good && !says_how_long(fields) {
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Lets a browser ask each time for a file whose name was taken to change with its content.
pub fn ask_anew<B>(response: &mut Response<B>) {
    if let Some(policy) = response.headers_mut().get_mut(header::CACHE_CONTROL) {
        *policy = HeaderValue::from_static("no-cache");
    }
}

fn says_how_long(fields: &HeaderMap) -> bool {
    fields.contains_key(header::CACHE_CONTROL) || fields.contains_key(header::EXPIRES)
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
        for status in [301, 308] {
            assert_eq!(forgotten(status, &[])["cache-control"], "no-store");
            let said = [("cache-control", "max-age=60")];
            assert_eq!(forgotten(status, &said)["cache-control"], "max-age=60");
        }
        for status in [200, 302, 307] {
            assert!(forgotten(status, &[]).is_empty(), "{status}");
        }
    }
}
