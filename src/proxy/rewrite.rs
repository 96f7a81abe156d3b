//! What changes in a message's head between browser and upstream; edited in place.
//!
//! Called by `forward`. Framing fields are never copied, they are written from what the body is;
//! and what the gateway says of the client is written last, so that nothing a client names in
//! `Connection` can take it away.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri, Version, request, response};

use crate::config::UpstreamAddress;
use crate::web::headers;
use crate::web::problem::X_REQUEST_ID;
use crate::web::request::Downstream;
use crate::web::trace::TRACEPARENT;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// So many fields are added here and where a request is signed: a map that grows for them one after the
/// other is rebuilt twice.
const ADDED: usize = 11;

/// How a dev server wants to be spoken to: as if by a browser on its own machine.
#[derive(Clone, Debug)]
pub(super) struct LocalName {
    authority: String,
    host: HeaderValue,
}

impl LocalName {
    /// The name of a dev server. Loopback addresses are called `localhost`: Next.js takes no other.
    pub(super) fn new(address: Option<&UpstreamAddress>) -> Self {
        let authority = match address {
            Some(UpstreamAddress::Tcp { host, port }) => local_authority(host, *port),
            Some(UpstreamAddress::Unix(_)) | None => "localhost".to_owned(),
        };
        let host = HeaderValue::from_str(&authority);
        Self {
            host: host.unwrap_or(HeaderValue::from_static("localhost")),
            authority,
        }
    }
}

fn local_authority(host: &str, port: u16) -> String {
    let loopback = host
        .parse::<std::net::IpAddr>()
        .is_ok_and(|ip| ip.is_loopback());
    let host = match host {
        _ if loopback => "localhost".to_owned(),
        v6 if v6.contains(':') => format!("[{v6}]"),
        name => name.to_owned(),
    };
    if port == 80 {
        host
    } else {
        format!("{host}:{port}")
    }
}

/// Makes a browser's request one for an upstream. `length` is that of the body, if there is one.
pub(super) fn request(parts: &mut request::Parts, downstream: &Downstream, length: Option<u64>) {
    to_origin_form(&mut parts.uri);
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    let fields = &mut parts.headers;
    fields.reserve(ADDED);
    headers::remove_hop_by_hop(fields);
    // The gateway answers it itself, when the body is first asked for.
    fields.remove(header::EXPECT);
    match length {
        Some(length) => fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length)),
        None if matches!(parts.method, Method::POST | Method::PUT | Method::PATCH) => {
            fields.insert(header::CONTENT_LENGTH, HeaderValue::from(0))
        }
        None => fields.remove(header::CONTENT_LENGTH),
    };
    fields.insert(header::HOST, downstream.host.clone());
    fields.insert(X_FORWARDED_HOST, downstream.host.clone());
    fields.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
    headers::set_address(fields, X_FORWARDED_FOR, downstream.address);
    headers::set(fields, X_REQUEST_ID, &downstream.request_id);
    headers::set(fields, TRACEPARENT, &downstream.trace);
}

/// Makes a dev server believe that the browser speaks to it directly. Only our own origin is
/// rewritten: a foreign one, or none, must stay what it is, or the server's own check is undone.
pub(super) fn request_for_dev_server(
    fields: &mut HeaderMap,
    downstream: &Downstream,
    local: &LocalName,
) {
    fields.insert(header::HOST, local.host.clone());
    let ours = [b"https://", downstream.host.as_bytes()].concat();
    for name in [header::ORIGIN, header::REFERER] {
        replace_origin(fields, name, &ours, &format!("http://{}", local.authority));
    }
}

/// A program that is no browser names no origin, and Vite then skips the check of its token
/// (CVE-2026-39363): it gets the origin that has to show one.
pub(super) fn name_origin(fields: &mut HeaderMap, local: &LocalName) {
    if fields.contains_key(header::ORIGIN) {
        return;
    }
    if let Ok(origin) = HeaderValue::from_str(&format!("http://{}", local.authority)) {
        fields.insert(header::ORIGIN, origin);
    }
}

/// Undoes it where a dev server redirects to itself by its whole URL.
pub(super) fn response_of_dev_server(
    fields: &mut HeaderMap,
    downstream: &Downstream,
    local: &LocalName,
) {
    let Ok(host) = downstream.host.to_str() else {
        return;
    };
    let theirs = format!("http://{}", local.authority);
    replace_origin(
        fields,
        header::LOCATION,
        theirs.as_bytes(),
        &format!("https://{host}"),
    );
}

fn replace_origin(fields: &mut HeaderMap, name: HeaderName, old: &[u8], new: &str) {
    let Some(rest) = fields.get(&name).and_then(|value| {
        let rest = value.as_bytes().get(old.len()..)?;
        let same = value.as_bytes()[..old.len()].eq_ignore_ascii_case(old);
        (same && (rest.is_empty() || rest[0] == b'/')).then_some(rest)
    }) else {
        return;
    };
    if let Ok(value) = HeaderValue::from_bytes(&[new.as_bytes(), rest].concat()) {
        fields.insert(name, value);
    }
}

/// Makes an upstream's answer one for a browser.
pub(super) fn response(parts: &mut response::Parts) {
    parts.version = Version::HTTP_11;
    let fields = &mut parts.headers;
    // hyper went by Transfer-Encoding; a length beside it is a lie.
    if fields.contains_key(header::TRANSFER_ENCODING) || parts.status == StatusCode::NO_CONTENT {
        fields.remove(header::CONTENT_LENGTH);
    }
    write_one_length(fields);
    headers::remove_hop_by_hop(fields);
    headers::remove_gateway_fields(fields);
}

/// The same length several times, in lines or in one, is one length (RFC 9112 6.3). Others hyper has
/// refused, but for answers that have no body, whose length means nothing.
fn write_one_length(fields: &mut HeaderMap) {
    let mut lines = fields.get_all(header::CONTENT_LENGTH).iter();
    let is_plain = |length: &[u8]| !length.is_empty() && length.iter().all(u8::is_ascii_digit);
    match (lines.next(), lines.next()) {
        (None, _) => return,
        // Nearly always; then nothing is rewritten.
        (Some(one), None) if is_plain(one.as_bytes()) => return,
        _ => {}
    }
    let lines = fields.get_all(header::CONTENT_LENGTH).iter();
    let mut lengths = lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    let Some(first) = lengths.next() else { return };
    let length = HeaderValue::from_bytes(first);
    match length {
        Ok(length) if is_plain(first) && lengths.all(|other| other == first) => {
            fields.insert(header::CONTENT_LENGTH, length)
        }
        _ => fields.remove(header::CONTENT_LENGTH),
    };
}

/// HTTP/2 requests carry a whole URL; upstreams get the path and query only. An empty path is `/`,
/// here as on the wire: what is signed must be what is sent.
fn to_origin_form(uri: &mut Uri) {
    if uri.authority().is_none() && uri.scheme().is_none() {
        return;
    }
    let target = match uri.path_and_query() {
        // Shown, it has the slash that the text within has not.
        Some(target) if target.as_str().starts_with('?') => target.to_string().parse().ok(),
        target => target.cloned(),
    };
    *uri = target
        .unwrap_or_else(|| PathAndQuery::from_static("/"))
        .into();
}

/// Whether hyper and every later reader take the body to end at the same place.
pub(super) fn is_plainly_framed(fields: &HeaderMap) -> bool {
    let mut codings = fields.get_all(header::TRANSFER_ENCODING).iter();
    let chunked = codings
        .next()
        .is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    chunked && codings.next().is_none()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::ids::{NodeId, RequestId, TraceSource};
    use crate::web::request::{ErrorPages, Upgrade};
    use crate::web::upstream_time::UpstreamTime;

    fn downstream() -> Downstream {
        Downstream {
            address: "::ffff:192.168.1.9".parse().unwrap(),
            request_id: RequestId::new(NodeId::random(), 1),
            trace: TraceSource::random().trace(1),
            host: HeaderValue::from_static("localhost:8443"),
            upgrade: Upgrade::None,
            audience: ErrorPages::Public,
            claimed: None,
            compression: None,
            upstream_time: UpstreamTime::default(),
            tracer: crate::telemetry::otel::Tracer::default(),
        }
    }

    fn rewritten(builder: request::Builder, length: Option<u64>) -> request::Parts {
        let (mut parts, ()) = builder.body(()).unwrap().into_parts();
        request(&mut parts, &downstream(), length);
        parts
    }

    #[test]
    fn the_upstream_hears_who_the_client_is_and_nobody_else_may_say_it() {
        let parts = rewritten(
            Request::get("https://localhost:8443/a?b")
                .header(
                    "connection",
                    "close, x-forwarded-for, x-forwarded-proto, host",
                )
                .header("host", "localhost:8443"),
            None,
        );
        assert_eq!(parts.uri, "/a?b");
        assert_eq!(parts.headers["host"], "localhost:8443");
        assert_eq!(parts.headers["x-forwarded-host"], "localhost:8443");
        assert_eq!(parts.headers["x-forwarded-for"], "192.168.1.9");
        assert_eq!(parts.headers["x-forwarded-proto"], "https");
        assert!(!parts.headers.contains_key("connection"));
        assert!(!parts.headers.contains_key("expect"));
    }

    #[test]
    fn an_empty_path_is_the_root() {
        for (url, target) in [
            ("https://localhost:8443?x=1", "/?x=1"),
            ("https://localhost:8443?", "/?"),
            ("https://localhost:8443", "/"),
        ] {
            let parts = rewritten(Request::get(url), None);
            let sent = parts.uri.path_and_query().unwrap();
            assert_eq!(sent.as_str(), target, "{url}");
        }
    }

    #[test]
    fn a_length_is_passed_on_as_one_number_or_not_at_all() {
        for (lines, passed_on) in [
            (&["2"][..], Some("2")),
            (&["2, 2"], Some("2")),
            (&["2", "2"], Some("2")),
            (&["2,2 ", " 2"], Some("2")),
            (&["2, 3"], None),
            (&["2", "3"], None),
            (&["2,"], None),
            (&["+2"], None),
            (&[""], None),
            (&[], None),
        ] {
            let (mut parts, ()) = http::Response::new(()).into_parts();
            for line in lines {
                let length = HeaderValue::from_static(line);
                parts.headers.append(header::CONTENT_LENGTH, length);
            }
            response(&mut parts);
            let all: Vec<_> = parts
                .headers
                .get_all(header::CONTENT_LENGTH)
                .iter()
                .collect();
            assert_eq!(all, passed_on.into_iter().collect::<Vec<_>>(), "{lines:?}");
        }
    }

    #[test]
    fn framing_is_never_copied() {
        let chunked = Request::post("/")
            .header("transfer-encoding", "chunked")
            .header("content-length", "9");
        let parts = rewritten(chunked, Some(5));
        assert_eq!(parts.headers["content-length"], "5");
        assert!(!parts.headers.contains_key("transfer-encoding"));
        assert_eq!(
            rewritten(Request::post("/"), None).headers["content-length"],
            "0"
        );
        let get = rewritten(Request::get("/").header("content-length", "0"), None);
        assert!(!get.headers.contains_key("content-length"));
    }

    #[test]
    fn a_dev_server_is_spoken_to_by_its_own_name() {
        let address = |host: &str, port| UpstreamAddress::Tcp {
            host: host.into(),
            port,
        };
        for (address, authority) in [
            (address("127.0.0.1", 5173), "localhost:5173"),
            (address("::1", 5173), "localhost:5173"),
            (address("localhost", 80), "localhost"),
            (address("vite", 5173), "vite:5173"),
            (address("fd00::2", 5173), "[fd00::2]:5173"),
        ] {
            assert_eq!(LocalName::new(Some(&address)).authority, authority);
        }
    }

    #[test]
    fn only_our_own_origin_is_rewritten_for_a_dev_server() {
        let local = LocalName::new(Some(&UpstreamAddress::Tcp {
            host: "127.0.0.1".into(),
            port: 5173,
        }));
        for (origin, seen) in [
            ("https://localhost:8443", "http://localhost:5173"),
            ("https://evil.test", "https://evil.test"),
            ("https://localhost:84430", "https://localhost:84430"),
            ("null", "null"),
        ] {
            let builder = Request::get("/")
                .header("origin", origin)
                .header("referer", format!("{origin}/a?b"));
            let mut parts = rewritten(builder, None);
            request_for_dev_server(&mut parts.headers, &downstream(), &local);
            assert_eq!(parts.headers["host"], "localhost:5173");
            assert_eq!(parts.headers["origin"], seen);
            assert_eq!(parts.headers["referer"], format!("{seen}/a?b"));
        }
    }

    #[test]
    fn an_answer_keeps_its_cookies_apart_and_loses_what_is_ours() {
        let response = http::Response::builder()
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2; Expires=Mon, 01 Jan 2029 00:00:00 GMT")
            .header("connection", "keep-alive, x-internal")
            .header("x-internal", "1")
            .header("keep-alive", "timeout=5")
            .header("transfer-encoding", "chunked")
            .header("content-length", "7")
            .header("gatepost-identity", "e30")
            .header("x-accel-redirect", "/x");
        let (mut parts, ()) = response.body(()).unwrap().into_parts();
        super::response(&mut parts);
        assert_eq!(parts.headers.len(), 2);
        assert_eq!(parts.headers.get_all("set-cookie").iter().count(), 2);
    }
}
