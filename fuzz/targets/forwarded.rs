//! What a proxy appended to, whatever stood there: its own word is found, and nobody else's is believed.
#![no_main]

use std::net::IpAddr;
use std::path::Path;
use std::sync::LazyLock;

use gatepost::config::{Environment, load};
use gatepost::web::client::ToldScheme;
use gatepost::web::forwarded::Proxies;
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

static READERS: LazyLock<[Proxies; 3]> = LazyLock::new(|| {
    ["X-Forwarded-For", "Forwarded", "X-Own"].map(|field| {
        let text = format!(
            "[server]\ntrusted_proxies = [\"10.0.0.0/8\", \"unix\"]\nforwarded_host = true\n\
             client_address = \"{field}\"\n"
        );
        let config = load::parse(&text, Path::new("gateway.toml"), &Environment::default());
        Proxies::new(config.unwrap().server.proxies)
    })
});

const NAMES: [&str; 5] = [
    "x-forwarded-for",
    "forwarded",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-own",
];

fuzz_target!(|line: &[u8]| {
    let [x, forwarded, own] = &*READERS;
    let proxy: Option<IpAddr> = "10.0.0.1".parse().ok();
    let stranger: Option<IpAddr> = "203.0.113.9".parse().ok();
    let Ok(value) = HeaderValue::from_bytes(line) else {
        return;
    };
    let mut fields = HeaderMap::new();
    for name in NAMES {
        fields.append(HeaderName::from_static(name), value.clone());
    }
    for reader in [x, forwarded, own] {
        reader.client(proxy, &mut fields.clone());
        reader.client(None, &mut fields.clone());
        let client = reader.client(stranger, &mut fields.clone());
        assert_eq!(Some(client.address), stranger);
        assert_eq!((client.scheme, client.host), (ToldScheme::Untrusted, None));
    }
    let appended = |name: &'static str, own: &[u8]| {
        let line = [line, b", ", own, b", ", own_hop(name)].concat();
        let value = HeaderValue::from_bytes(&line).unwrap();
        HeaderMap::from_iter([(HeaderName::from_static(name), value)])
    };
    let expected: IpAddr = "192.0.2.7".parse().unwrap();
    let client = x.client(proxy, &mut appended("x-forwarded-for", b"192.0.2.7:80"));
    assert_eq!(client.address, expected);
    let element = b"for=\"192.0.2.7:80\";proto=https;host=app.test";
    let client = forwarded.client(proxy, &mut appended("forwarded", element));
    assert_eq!(client.address, expected);
    assert_eq!(client.scheme, ToldScheme::Https);
    assert_eq!(client.host.unwrap(), "app.test");
});

/// What a second, trusted proxy appends.
fn own_hop(name: &str) -> &'static [u8] {
    if name == "forwarded" {
        b"for=10.0.0.2"
    } else {
        b"10.0.0.2"
    }
}
