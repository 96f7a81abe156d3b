//! Which fields end at the gateway: hop-by-hop ones, and claims that only the gateway may make.
//!
//! Used by `admit` on every request and by `proxy` in both directions. The surprise: names are
//! compared as Django sees them, where `-` and `_` are one character, so a field with `_` in its
//! name is dropped whatever it says.

use std::fmt::Display;
use std::io::Write;
use std::net::IpAddr;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Fields that belong to one connection (RFC 9110 7.6.1), `Connection` first.
static HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Names that say who the client is, how it came, or where it goes: only a proxy may.
const CLAIMS: [&str; 10] = [
    "front-end-https",
    "x-scheme",
    "x-url-scheme",
    "x-request-id",
    "x-rewrite-url",
    "x-authenticated-user",
    "proxy",
    "http2-settings",
    "x-host",
    "baggage",
];

/// The same, by how the name begins.
const CLAIM_PREFIXES: [&str; 10] = [
    "forwarded",
    "x-forwarded",
    "x-accel-",
    "x-sendfile",
    "x-original-",
    "gatepost-",
    "remote-",
    "x-remote-",
    "x-ssl-",
    "ssl-client-",
];

/// The same, by how it ends: `X-Real-IP`, `CF-Connecting-IP`, `X-Cluster-Client-IP` and their kin; and
/// what WSGI calls the place of the project in the path.
const CLAIM_SUFFIXES: [&str; 6] = [
    "real-ip",
    "client-ip",
    "clientip",
    "connecting-ip",
    "script-name",
    "path-info",
];

/// Removes what a client may not say, in every spelling.
pub fn remove_claims(headers: &mut HeaderMap) {
    remove_where(headers, |name| is_claim(name.as_str()));
}

fn is_claim(name: &str) -> bool {
    name.contains('_')
        || CLAIM_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || CLAIM_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
        || CLAIMS.contains(&name)
}

/// Removes what an upstream says to the gateway only.
pub fn remove_gateway_fields(headers: &mut HeaderMap) {
    remove_where(headers, |name| {
        let name = name.as_str();
        name.starts_with("gatepost-") || name.starts_with("x-accel-") || name == "x-sendfile"
    });
}

/// Removes fields that belong to one connection, those that `Connection` names included.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        for name in connection_names(headers) {
            headers.remove(name);
        }
    }
    // One look at the names that are there: nine lookups of names that are not cost more.
    remove_where(headers, |name| HOP_BY_HOP.contains(name));
}

/// The fields `Connection` names, but for those whose loss would change what the message means.
fn connection_names(headers: &HeaderMap) -> Vec<HeaderName> {
    list(headers, &header::CONNECTION)
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .filter(|name| !is_end_to_end(name))
        .collect()
}

/// `Connection: Host` or `Connection: Cookie` must not take away what rules were judged by.
fn is_end_to_end(name: &HeaderName) -> bool {
    [
        header::HOST,
        header::COOKIE,
        header::SET_COOKIE,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::AUTHORIZATION,
        header::ORIGIN,
        header::REFERER,
    ]
    .contains(name)
}

/// Whether a comma-separated field has `token`.
pub fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    list(headers, name).any(|part| part.eq_ignore_ascii_case(token.as_bytes()))
}

/// The parts of a comma-separated field, over all its lines (RFC 9110 5.6.1). Some may be empty.
pub fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(name).into_iter();
    let parts = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    parts.map(<[u8]>::trim_ascii)
}

/// Whether a client names HTML among what it takes (browsers do, `fetch` and `curl` do not).
pub fn accepts_html(headers: &HeaderMap) -> bool {
    accepts(headers, "text/html")
}

/// Whether a client names a media type among what it takes.
pub fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    list(headers, &header::ACCEPT)
        .filter_map(|range| std::str::from_utf8(range).ok())
        .any(|range| is_named(media_type, range))
}

fn is_named(media_type: &str, range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let named = parts
        .next()
        .is_some_and(|name| name.eq_ignore_ascii_case(media_type));
    named
        && !parts.any(|part| {
            part.strip_prefix("q=")
                .is_some_and(|q| q.parse() == Ok(0.0_f32))
        })
}

/// Whether the message asks for, or agrees to, a WebSocket and nothing else.
pub fn is_websocket_upgrade(headers: &HeaderMap) -> bool {
    let mut upgrades = headers.get_all(header::UPGRADE).iter();
    let websocket = upgrades
        .next()
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    websocket && upgrades.next().is_none() && has_token(headers, &header::CONNECTION, "upgrade")
}

/// Joins the `Cookie` fields into one: HTTP/2 clients send one field a cookie, and WSGI servers
/// join fields with a comma, which loses the session (RFC 9113 8.2.3).
pub fn join_cookies(headers: &mut HeaderMap) {
    let mut fields = headers.get_all(header::COOKIE).iter();
    if fields.next().is_none() || fields.next().is_none() {
        return;
    }
    let mut joined = Vec::new();
    for field in headers.get_all(header::COOKIE) {
        if field.is_empty() {
            continue;
        }
        if !joined.is_empty() {
            joined.extend_from_slice(b"; ");
        }
        joined.extend_from_slice(field.as_bytes());
    }
    match HeaderValue::from_maybe_shared(Bytes::from(joined)) {
        Ok(value) => headers.insert(header::COOKIE, value),
        Err(_) => headers.remove(header::COOKIE),
    };
}

/// Sets a field to a short text without a `String` in between.
pub fn set(fields: &mut HeaderMap, name: HeaderName, value: &impl Display) {
    let mut buffer = [0; 64];
    let mut rest = buffer.as_mut_slice();
    let written = write!(rest, "{value}").map(|()| 64 - rest.len());
    match written.map(|length| HeaderValue::from_bytes(&buffer[..length])) {
        Ok(Ok(value)) => fields.insert(name, value),
        _ => fields.remove(name),
    };
}

/// Sets a field to a client's address. IPv4 is written by hand: two fields of each request say it, and
/// `Display` takes a thousand instructions where this takes a hundred.
pub fn set_address(fields: &mut HeaderMap, name: HeaderName, address: IpAddr) {
    let four = match address.to_canonical() {
        IpAddr::V4(four) => four,
        six @ IpAddr::V6(_) => return set(fields, name, &six),
    };
    let mut text = Vec::with_capacity("255.255.255.255".len());
    for octet in four.octets() {
        if !text.is_empty() {
            text.push(b'.');
        }
        push_decimal(&mut text, octet);
    }
    match HeaderValue::from_maybe_shared(Bytes::from(text)) {
        Ok(value) => fields.insert(name, value),
        Err(_) => fields.remove(name),
    };
}

fn push_decimal(text: &mut Vec<u8>, octet: u8) {
    if octet >= 100 {
        text.push(b'0' + octet / 100);
    }
    if octet >= 10 {
        text.push(b'0' + octet / 10 % 10);
    }
    text.push(b'0' + octet % 10);
}

/// `HeaderMap` has no `retain`; nearly every map has nothing to remove, and then nothing is allocated.
fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    let found: Vec<HeaderName> = headers
        .keys()
        .filter(|name| unwanted(name))
        .cloned()
        .collect();
    for name in found {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers
    }

    #[test]
    fn claims_of_a_client_are_removed_in_every_spelling() {
        let mut headers = map(&[
            ("X-Forwarded-For", "1.2.3.4"),
            ("x-FORWARDED-proto", "http"),
            ("X_Forwarded_For", "1.2.3.4"),
            ("Content_Length", "0"),
            ("Forwarded", "for=1.2.3.4"),
            ("Front-End-Https", "on"),
            ("X-Forwarded-Ssl", "on"),
            ("X-Forwarded-Protocol", "ssl"),
            ("X-Real-IP", "1.2.3.4"),
            ("X-Scheme", "https"),
            ("Forwarded-For", "1.2.3.4"),
            ("True-Client-IP", "1.2.3.4"),
            ("CF-Connecting-IP", "1.2.3.4"),
            ("X-Azure-ClientIP", "1.2.3.4"),
            ("Script-Name", "/admin"),
            ("X-Script-Name", "/admin"),
            ("SCRIPT_NAME", "/admin"),
            ("X-Path-Info", "/admin"),
            ("Remote-User", "root"),
            ("X-Remote-User", "root"),
            ("X-Accel-Redirect", "/etc/passwd"),
            ("Gatepost-Signature", "t=1"),
            ("X-Request-ID", "mine"),
            ("Proxy", "http://evil"),
        ]);
        headers.insert("accept", HeaderValue::from_static("*/*"));
        remove_claims(&mut headers);
        assert_eq!(headers.len(), 1);
        assert!(headers.contains_key("accept"));
    }

    #[test]
    fn fields_that_connection_names_go_but_not_those_rules_rest_on() {
        let mut headers = map(&[
            ("Connection", "close, X-Secret ,Host,Cookie"),
            ("Connection", "x-other"),
            ("X-Secret", "1"),
            ("X-Other", "1"),
            ("Host", "localhost"),
            ("Cookie", "a=1"),
            ("Keep-Alive", "timeout=5"),
            ("TE", "trailers"),
        ]);
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers.len(), 2);
        assert!(headers.contains_key("host") && headers.contains_key("cookie"));
    }

    #[test]
    fn cookie_crumbs_become_one_field_in_order_with_their_bytes() {
        let mut headers = map(&[
            ("Cookie", "a=1"),
            ("Cookie", "sessionid=z z;x"),
            ("Cookie", "a=2"),
        ]);
        join_cookies(&mut headers);
        let all: Vec<_> = headers.get_all("cookie").iter().collect();
        assert_eq!(all, ["a=1; sessionid=z z;x; a=2"]);
    }

    #[test]
    fn only_a_single_websocket_upgrade_counts() {
        assert!(is_websocket_upgrade(&map(&[
            ("Upgrade", "WebSocket"),
            ("Connection", "keep-alive, Upgrade")
        ])));
        assert!(!is_websocket_upgrade(&map(&[("Upgrade", "websocket")])));
        assert!(!is_websocket_upgrade(&map(&[
            ("Upgrade", "websocket, h2c"),
            ("Connection", "Upgrade")
        ])));
        assert!(!is_websocket_upgrade(&map(&[
            ("Upgrade", "websocket"),
            ("Upgrade", "h2c"),
            ("Connection", "Upgrade")
        ])));
    }

    #[test]
    fn addresses_are_written_as_they_are_shown() {
        for address in [
            "0.0.0.0",
            "9.10.99.100",
            "255.249.200.1",
            "2001:db8::7",
            "::1",
        ] {
            let mut headers = HeaderMap::new();
            set_address(&mut headers, header::VIA, address.parse().unwrap());
            assert_eq!(headers[header::VIA], address);
        }
        let mut headers = HeaderMap::new();
        set_address(
            &mut headers,
            header::VIA,
            "::ffff:192.0.2.7".parse().unwrap(),
        );
        assert_eq!(headers[header::VIA], "192.0.2.7");
    }

    fn spelling() -> impl Strategy<Value = String> {
        let names = prop::sample::select(vec![
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded-host",
            "forwarded",
            "x-real-ip",
            "remote-user",
            "gatepost-identity",
            "x-accel-redirect",
            "front-end-https",
            "x-scheme",
        ]);
        (names, any::<u32>()).prop_map(|(name, bits)| {
            name.char_indices()
                .map(|(index, c)| match (c, bits >> (index % 32) & 1) {
                    ('-', 1) => '_',
                    (c, 1) => c.to_ascii_uppercase(),
                    (c, _) => c,
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn no_spelling_of_a_claim_survives(name in spelling(), value in "[ -~]{0,20}") {
            let mut headers = map(&[(&name, value.trim()), ("accept", "*/*")]);
            remove_claims(&mut headers);
            prop_assert_eq!(headers.len(), 1);
        }

        #[test]
        fn no_hop_by_hop_field_survives(
            names in prop::collection::vec("[a-z]{1,6}(-[a-z]{1,6})?", 0..8),
            named in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        ) {
            let mut fields: Vec<(String, String)> =
                names.iter().map(|n| (n.clone(), "v".to_owned())).collect();
            for name in &HOP_BY_HOP[1..] {
                fields.push((name.to_string(), "v".to_owned()));
            }
            let listed: Vec<String> = named.iter().map(|i| fields[i.index(fields.len())].0.clone()).collect();
            fields.push(("connection".into(), listed.join(" , ")));
            let borrowed: Vec<(&str, &str)> =
                fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let mut headers = map(&borrowed);
            remove_hop_by_hop(&mut headers);
            for name in HOP_BY_HOP.iter().map(HeaderName::as_str).chain(listed.iter().map(String::as_str)) {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                prop_assert!(is_end_to_end(&name) || !headers.contains_key(&name));
            }
        }
    }
}
