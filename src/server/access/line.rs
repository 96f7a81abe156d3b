//! How a request is told in a line, and what of it never is: the values of its query, its cookies, its
//! `Authorization`, who is logged in.
//!
//! What a client wrote is cut where it is long, and cannot begin a line of its own.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::SystemTime;

use http::{HeaderValue, Method, Request, Uri, Version, header};
use serde::Serialize;

use super::writer::LineForm;
use crate::config::{AccessFormat, AddressForm};
use crate::ids::RequestName;
use crate::telemetry::log;
use crate::web::client::Client;

/// Characters of a path, or of the names in a query.
const LONGEST_PATH: usize = 2048;
/// Characters of a field that the client sent.
const LONGEST_FIELD: usize = 512;

/// What is told of a request itself.
#[derive(Debug)]
pub(super) struct LoggedRequest {
    name: RequestName,
    client: Client,
    method: Method,
    uri: Uri,
    version: Version,
    host: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    agent: Option<HeaderValue>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Ending {
    pub(super) status: u16,
    pub(super) bytes: u64,
    pub(super) ms: u64,
    pub(super) upstream_ms: Option<u64>,
}

/// A line as JSON, in the order in which it is written.
#[derive(Serialize)]
struct AccessLine<'a> {
    time: String,
    id: String,
    trace: String,
    address: IpAddr,
    method: &'a str,
    host: Cow<'a, str>,
    path: Cow<'a, str>,
    query: Cow<'a, str>,
    #[serde(flatten)]
    ending: Ending,
    protocol: &'static str,
    referer: String,
    agent: Cow<'a, str>,
}

impl LoggedRequest {
    pub(super) fn of<B>(request: &Request<B>, client: &Client, name: RequestName) -> Self {
        let field = |name| request.headers().get(name).cloned();
        Self {
            name,
            client: client.clone(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            host: field(header::HOST),
            referer: field(header::REFERER),
            agent: field(header::USER_AGENT),
        }
    }

    /// The line of a request that has ended so, with its line break.
    pub(super) fn line(&self, ending: Ending, form: LineForm) -> String {
        let authority = self.uri.authority().map(|host| host.as_str().into());
        let host = self.client.host.as_ref().or(self.host.as_ref());
        let line = AccessLine {
            time: log::timestamp(),
            id: self.name.id.to_string(),
            trace: self.name.trace.trace().to_string(),
            address: address(self.client.address, form.address),
            method: self.method.as_str(),
            host: authority.unwrap_or_else(|| text(host)),
            path: cut(self.uri.path().into(), LONGEST_PATH),
            query: cut(names(self.uri.query()).into(), LONGEST_PATH),
            ending,
            protocol: protocol(self.version),
            referer: without_query(&text(self.referer.as_ref())),
            agent: text(self.agent.as_ref()),
        };
        match form.format {
            AccessFormat::Json => json(&line),
            AccessFormat::Combined => combined(&line, SystemTime::now()),
        }
    }
}

fn json(line: &AccessLine<'_>) -> String {
    // Texts and numbers always serialise.
    let mut line = serde_json::to_string(line).unwrap_or_default();
    line.push('\n');
    log::escape_json(&line).unwrap_or(line)
}

/// As Apache and nginx write it: who is logged in is `-` twice.
fn combined(line: &AccessLine<'_>, now: SystemTime) -> String {
    // "Sun, 06 Nov 1994 08:49:37 GMT"
    let date = httpdate::fmt_http_date(now);
    let mut parts = date.split(' ').skip(1);
    let mut part = || parts.next().unwrap_or_default();
    let (day, month, year, time) = (part(), part(), part(), part());
    let mark = if line.query.is_empty() { "" } else { "?" };
    let mut text = format!(
        "{} - - [{day}/{month}/{year}:{time} +0000] \"{} ",
        line.address, line.method
    );
    quote(&mut text, &line.path);
    text.push_str(mark);
    quote(&mut text, &line.query);
    let Ending { status, bytes, .. } = line.ending;
    let protocol = line.protocol;
    // Writing to a `String` cannot fail.
    let _ = write!(text, " {protocol}\" {status} {bytes}");
    for field in [&*line.referer, &*line.agent] {
        text.push_str(" \"");
        quote(&mut text, if field.is_empty() { "-" } else { field });
        text.push('"');
    }
    text.push('\n');
    text
}

/// Adds what a client wrote, so that it cannot end its quotes or its line.
fn quote(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c if log::is_active(c) => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(text, "\\x{byte:02X}");
                }
            }
            c => text.push(c),
        }
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

fn address(address: IpAddr, form: AddressForm) -> IpAddr {
    match (form, address.to_canonical()) {
        (AddressForm::Full, address) => address,
        (AddressForm::Masked, IpAddr::V4(address)) => {
            Ipv4Addr::from_bits(address.to_bits() & (!0 << 8)).into()
        }
        (AddressForm::Masked, IpAddr::V6(address)) => {
            Ipv6Addr::from_bits(address.to_bits() & (!0 << 80)).into()
        }
    }
}

/// The names in a query. What has no `=` is a value: a token, as often as not.
fn names(query: Option<&str>) -> String {
    let pieces = query.unwrap_or_default().split('&');
    let names = pieces.filter_map(|piece| piece.split_once('='));
    let names: Vec<_> = names.map(|(name, _)| name).collect();
    names.join("&")
}

/// A page's address without its query, its fragment, and a user's name in it.
fn without_query(referer: &str) -> String {
    let end = referer.find(['?', '#']).unwrap_or(referer.len());
    let Some((scheme, rest)) = referer[..end].split_once("://") else {
        return referer[..end].to_owned();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

fn text(field: Option<&HeaderValue>) -> Cow<'_, str> {
    let bytes = field.map(HeaderValue::as_bytes).unwrap_or_default();
    cut(String::from_utf8_lossy(bytes), LONGEST_FIELD)
}

fn cut(text: Cow<'_, str>, longest: usize) -> Cow<'_, str> {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const HOSTILE: &str = "x\" 200 0\n\u{1b}[2J\u{202e}\\é";

    fn hostile() -> AccessLine<'static> {
        AccessLine {
            time: "2026-11-30T10:00:00.000000Z".to_owned(),
            id: "00000001-00000002".to_owned(),
            trace: "0".repeat(32),
            address: Ipv4Addr::LOCALHOST.into(),
            method: "GET",
            host: "www.example.com".into(),
            path: "/a/".into(),
            query: "next".into(),
            ending: Ending {
                status: 200,
                bytes: 5,
                ms: 7,
                upstream_ms: None,
            },
            protocol: "HTTP/2.0",
            referer: String::new(),
            agent: HOSTILE.into(),
        }
    }

    #[test]
    fn a_combined_line_is_one_that_every_reader_knows() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let line = combined(&hostile(), now);
        let expected = concat!(
            "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"GET /a/?next HTTP/2.0\" 200 5 \"-\" ",
            r#""x\" 200 0\x0A\x1B[2J\xE2\x80\xAE\\é""#,
            "\n"
        );
        assert_eq!(line, expected);
    }

    #[test]
    fn a_json_line_is_one_line_and_keeps_what_the_client_wrote() {
        let line = json(&hostile());
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(!line.trim_end().chars().any(log::is_active), "{line}");
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(object["agent"], HOSTILE);
        assert_eq!(object["upstream_ms"], serde_json::Value::Null);
    }

    #[test]
    fn of_a_query_only_names_are_told() {
        for (query, told) in [
            ("next=/a/&token=s3cret", "next&token"),
            ("s3cret", ""),
            ("a=&s3cret&b=1=s3cret", "a&b"),
            ("", ""),
        ] {
            assert_eq!(names(Some(query)), told, "{query}");
        }
        assert_eq!(names(None), "");
    }

    #[test]
    fn of_a_referer_only_the_page_is_told() {
        for (referer, told) in [
            ("https://a.test/b/?c=s3cret#d", "https://a.test/b/"),
            ("https://ann:s3cret@a.test", "https://a.test"),
            ("https://a.test/@b#s3cret", "https://a.test/@b"),
            ("/b/?s3cret", "/b/"),
            ("", ""),
        ] {
            assert_eq!(without_query(referer), told, "{referer}");
        }
    }

    #[test]
    fn a_masked_address_is_that_of_a_network() {
        for (full, masked) in [
            ("192.0.2.77", "192.0.2.0"),
            ("::ffff:192.0.2.77", "192.0.2.0"),
            ("2001:db8:1:2:3::7", "2001:db8:1::"),
        ] {
            let ip: IpAddr = full.parse().unwrap();
            assert_eq!(address(ip, AddressForm::Masked).to_string(), masked);
        }
    }

    #[test]
    fn what_a_client_wrote_is_cut() {
        assert_eq!(cut("äöü".into(), 3), "äöü");
        assert_eq!(cut("äöü".into(), 2), "äö…");
    }
}
