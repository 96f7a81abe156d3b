use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::config::{Environment, load};

/// As `gateway.toml` has it.
fn proxies(keys: &str) -> Proxies {
    let text = format!("[server]\n{keys}\n");
    let config = load::parse(&text, Path::new("gateway.toml"), &Environment::default());
    Proxies::new(config.unwrap().server.proxies)
}

const TRUSTED: &str =
    "trusted_proxies = [\"10.0.0.0/8\", \"2001:db8::/32\", \"unix\"]\nforwarded_host = true";

fn trusting(client_address: &str) -> Proxies {
    proxies(&format!("{TRUSTED}\nclient_address = \"{client_address}\""))
}

fn fields(lines: &[(&str, &str)]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        fields.append(name, HeaderValue::from_str(value).unwrap());
    }
    fields
}

fn asked(proxies: &Proxies, peer: &str, lines: &[(&str, &str)]) -> Client {
    proxies.client(peer.parse().ok(), &mut fields(lines))
}

fn address(proxies: &Proxies, peer: &str, lines: &[(&str, &str)]) -> String {
    asked(proxies, peer, lines).address.to_string()
}

const CLAIMS: [(&str, &str); 6] = [
    ("x-forwarded-for", "192.0.2.1"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "evil.test"),
    ("forwarded", "for=192.0.2.1;proto=https;host=evil.test"),
    ("cf-connecting-ip", "192.0.2.1"),
    ("x_forwarded_for", "192.0.2.1"),
];

#[test]
fn nobody_is_believed_unless_trusted() {
    for proxies in [
        proxies(""),
        trusting("X-Forwarded-For"),
        trusting("Forwarded"),
        trusting("CF-Connecting-IP"),
    ] {
        let client = asked(&proxies, "::ffff:203.0.113.9", &CLAIMS);
        assert_eq!(client.address.to_string(), "203.0.113.9");
        assert_eq!(client.peer, Some(client.address));
        assert_eq!((client.scheme, client.host), (ToldScheme::Untrusted, None));
    }
    let over_unix = asked(&proxies(""), "", &CLAIMS);
    assert_eq!(over_unix.address.to_string(), "127.0.0.1");
    assert_eq!(
        (over_unix.peer, over_unix.scheme),
        (None, ToldScheme::Untrusted)
    );
}

#[test]
fn the_first_address_from_the_right_that_is_not_trusted_is_the_client() {
    let proxies = trusting("x-forwarded-for");
    for (lines, client) in [
        (&["192.0.2.1"][..], "192.0.2.1"),
        (&["192.0.2.1:4711"], "192.0.2.1"),
        (&["198.51.100.1, 192.0.2.1"], "192.0.2.1"),
        (
            &["198.51.100.1", "192.0.2.1, 10.0.0.2", "10.0.0.3"],
            "192.0.2.1",
        ),
        (&["192.0.2.1,, [2001:db8::2]:443 , ,10.0.0.3"], "192.0.2.1"),
        (&["192.0.2.1, ::ffff:10.0.0.2"], "192.0.2.1"),
        (&["192.0.2.1, unix:"], "192.0.2.1"),
        // All are trusted: the left-most.
        (&["10.0.0.9, 10.0.0.2"], "10.0.0.9"),
        // Nonsense ends the reading at the last good one.
        (&["192.0.2.1, unknown, 10.0.0.2"], "10.0.0.2"),
        (&["unknown"], "10.0.0.1"),
        (&[""], "10.0.0.1"),
        (&[], "10.0.0.1"),
    ] {
        let lines: Vec<_> = lines
            .iter()
            .map(|line| ("x-forwarded-for", *line))
            .collect();
        assert_eq!(address(&proxies, "10.0.0.1", &lines), client, "{lines:?}");
        let over_unix = address(&proxies, "", &lines);
        let client = client.replace("10.0.0.1", "127.0.0.1");
        assert_eq!(over_unix, client, "{lines:?}");
    }
}

#[test]
fn the_same_is_read_from_forwarded_and_only_there() {
    let proxies = trusting("Forwarded");
    for (line, client) in [
        ("for=192.0.2.1", "192.0.2.1"),
        ("For=198.51.100.1,for=192.0.2.1;by=10.0.0.1", "192.0.2.1"),
        ("for=192.0.2.1, for=\"[2001:db8::2]:443\"", "192.0.2.1"),
        ("for=192.0.2.1, for=_hidden", "10.0.0.1"),
        ("for=192.0.2.1, proto=https", "10.0.0.1"),
        ("for=\", for=192.0.2.1", "192.0.2.1"),
    ] {
        let lines = [("forwarded", line), ("x-forwarded-for", "198.51.100.9")];
        assert_eq!(address(&proxies, "10.0.0.1", &lines), client, "{line}");
    }
    let lines = [("forwarded", "for=198.51.100.9")];
    let other = trusting("X-Forwarded-For");
    assert_eq!(address(&other, "10.0.0.1", &lines), "10.0.0.1");
}

#[test]
fn a_field_with_one_value_counts_once_and_is_taken_out() {
    let proxies = trusting("CF-Connecting-IP");
    let list = ("x-forwarded-for", "198.51.100.9");
    for (lines, client) in [
        (&[("cf-connecting-ip", "192.0.2.1"), list][..], "192.0.2.1"),
        (&[("cf-connecting-ip", "2001:db8::9")], "2001:db8::9"),
        (&[("cf-connecting-ip", "192.0.2.1, 192.0.2.2")], "10.0.0.1"),
        (
            &[
                ("cf-connecting-ip", "192.0.2.1"),
                ("CF-Connecting-IP", "192.0.2.1"),
            ],
            "10.0.0.1",
        ),
        (&[("cf-connecting-ip", "unix:")], "10.0.0.1"),
        (&[list], "10.0.0.1"),
    ] {
        assert_eq!(address(&proxies, "10.0.0.1", lines), client, "{lines:?}");
    }
    let mut own = fields(&[("fly-client-ip", "192.0.2.1"), ("accept", "*/*")]);
    trusting("Fly-Client-IP").client("203.0.113.9".parse().ok(), &mut own);
    assert_eq!(own, fields(&[("accept", "*/*")]));
}

#[test]
fn the_scheme_is_the_right_most() {
    let x = trusting("X-Forwarded-For");
    let forwarded = trusting("Forwarded");
    let of = |proxies, name, lines: &[&str]| {
        let lines: Vec<_> = lines.iter().map(|line| (name, *line)).collect();
        asked(proxies, "10.0.0.1", &lines).scheme
    };
    for (lines, scheme) in [
        (&["https"][..], ToldScheme::Https),
        (&[" HTTPS "], ToldScheme::Https),
        (&["http, https"], ToldScheme::Https),
        (&["http", "wss"], ToldScheme::Https),
        (&["https, http"], ToldScheme::Other),
        (&["https", "http"], ToldScheme::Other),
        (&["https,"], ToldScheme::Other),
        (&["httpsx"], ToldScheme::Other),
        (&[], ToldScheme::Missing),
    ] {
        assert_eq!(of(&x, "x-forwarded-proto", lines), scheme, "{lines:?}");
        assert_eq!(
            of(&forwarded, "x-forwarded-proto", lines),
            ToldScheme::Missing
        );
    }
    for (line, scheme) in [
        ("for=192.0.2.1;proto=https", ToldScheme::Https),
        ("proto=https;for=10.0.0.2,for=10.0.0.3", ToldScheme::Https),
        (
            "for=10.0.0.2;proto=https,for=10.0.0.3;proto=http",
            ToldScheme::Other,
        ),
        // Not written by anybody who is trusted.
        (
            "for=192.0.2.9;proto=https,for=192.0.2.1",
            ToldScheme::Missing,
        ),
    ] {
        assert_eq!(of(&forwarded, "forwarded", &[line]), scheme, "{line}");
    }
}

#[test]
fn the_host_counts_where_it_is_asked_for_and_once() {
    let host = |proxies: &Proxies, lines: &[(&str, &str)]| {
        asked(proxies, "10.0.0.1", lines)
            .host
            .map(|host| host.to_str().unwrap().to_owned())
    };
    let x = trusting("X-Forwarded-For");
    let one = ("x-forwarded-host", "app.test:8443");
    assert_eq!(host(&x, &[one]).unwrap(), "app.test:8443");
    assert_eq!(host(&x, &[one, one]).unwrap(), "several hosts");
    assert_eq!(host(&x, &[]), None);
    let off = proxies("trusted_proxies = \"10.0.0.0/8\"");
    assert_eq!(host(&off, &[one]), None);
    let forwarded = trusting("Forwarded");
    let of = |line| host(&forwarded, &[("forwarded", line), one]);
    assert_eq!(
        of("for=192.0.2.1;host=\"app.test:8443\"").unwrap(),
        "app.test:8443"
    );
    assert_eq!(
        of("for=10.0.0.2;host=a.test,for=10.0.0.3;host=b.test").unwrap(),
        "several hosts"
    );
    assert_eq!(of("for=192.0.2.9;host=evil.test,for=192.0.2.1"), None);
    let long = format!("for=192.0.2.1;host={}", "a".repeat(300));
    assert_eq!(of(&long).unwrap(), "several hosts");
}

#[test]
fn a_very_long_list_ends_somewhere() {
    let proxies = trusting("X-Forwarded-For");
    let long = format!("192.0.2.1{}", ", 10.0.0.2".repeat(3000));
    assert_eq!(
        address(&proxies, "10.0.0.1", &[("x-forwarded-for", &long)]),
        "10.0.0.2"
    );
}

proptest! {
    #[test]
    fn what_anybody_prepends_changes_nothing(
        evil in "[ -~]{0,60}",
        v6 in any::<bool>(),
    ) {
        let own = if v6 { "2001:470::7" } else { "192.0.2.7" };
        let expected = own.to_owned();
        let x = format!("{evil}, {own}, 10.0.0.2");
        let lines = [("x-forwarded-for", x.trim())];
        prop_assert_eq!(address(&trusting("X-Forwarded-For"), "10.0.0.1", &lines), expected.clone());
        let line = format!("{evil}, for=\"[{own}]\";proto=https;host=app.test, for=10.0.0.2");
        let line = if v6 { line } else { line.replace(['[', ']'], "") };
        // Brackets in what is prepended are of no matter; only the own ones are rewritten.
        let lines = [("forwarded", line.trim())];
        let client = asked(&trusting("Forwarded"), "10.0.0.1", &lines);
        prop_assert_eq!(client.address.to_string(), expected);
        prop_assert_eq!(client.scheme, ToldScheme::Https);
        prop_assert_eq!(client.host.unwrap(), "app.test");
    }

    #[test]
    fn no_bytes_make_it_panic(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..4)) {
        let names = ["x-forwarded-for", "forwarded", "x-forwarded-proto", "x-forwarded-host", "x-own"];
        let mut fields = HeaderMap::new();
        for name in names {
            for line in &lines {
                if let Ok(value) = HeaderValue::from_bytes(line) {
                    fields.append(HeaderName::from_static(name), value);
                }
            }
        }
        for kind in ["X-Forwarded-For", "Forwarded", "X-Own"] {
            trusting(kind).client("10.0.0.1".parse().ok(), &mut fields.clone());
        }
    }
}
