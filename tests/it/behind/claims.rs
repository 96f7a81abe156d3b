//! What reaches Django, limits and log of who the client is: what a trusted proxy says, and of nobody
//! else a word.

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::signature::assert_signed_but_body;
use crate::harness::{Django, Gateway, Page};

/// Everything that ever said who a client is.
const CLAIMS: [(&str, &str); 12] = [
    ("X-Forwarded-For", "192.0.2.66"),
    ("x-FORWARDED-for", "192.0.2.67, 192.0.2.68"),
    ("X_Forwarded_For", "192.0.2.66"),
    ("X-Forwarded-Host", "evil.test"),
    ("X-Forwarded-Proto", "http"),
    ("Forwarded", "for=192.0.2.66;proto=http;host=evil.test"),
    ("X-Real-IP", "192.0.2.66"),
    ("CF-Connecting-IP", "192.0.2.66"),
    ("Fly-Client-IP", "192.0.2.66"),
    ("True-Client-IP", "192.0.2.66"),
    ("Gatepost-Address", "192.0.2.66"),
    ("Gatepost-Scheme", "http"),
];

async fn asked(gateway: &Gateway, claims: &[(&str, &str)]) -> Page {
    let browser = gateway.browser();
    let ask = browser.ask(http::Method::GET, "/");
    let ask = claims
        .iter()
        .fold(ask, |ask, (name, value)| ask.header(name, value));
    ask.send().await
}

/// What Django is told: the address, in each of the places.
fn told(django: &Django) -> String {
    let request = django.requests().pop().unwrap();
    assert_signed_but_body(&request);
    let address = request.header("gatepost-address").unwrap();
    assert_eq!(request.header("x-forwarded-for"), Some(address.clone()));
    assert_eq!(request.header("x-forwarded-proto").unwrap(), "https");
    assert_eq!(request.header("gatepost-scheme").unwrap(), "https");
    let host = request.header("host").unwrap();
    assert_eq!(request.header("x-forwarded-host"), Some(host));
    for name in [
        "forwarded",
        "x-real-ip",
        "cf-connecting-ip",
        "true-client-ip",
        "x_forwarded_for",
    ] {
        assert_eq!(request.header(name), None, "{name}");
    }
    address
}

#[tokio::test]
async fn nobody_is_believed_unless_trusted() {
    let django = Django::start().await;
    for setup in [
        Gateway::in_front_of(&django),
        Gateway::in_front_of(&django)
            .set("server.trusted_proxies", vec!["10.0.0.0/8", "unix"])
            .set("server.client_address", "Fly-Client-IP")
            .set("server.forwarded_host", true),
    ] {
        let gateway = setup.start().await;
        assert_eq!(asked(&gateway, &CLAIMS).await.status, 200);
        assert_eq!(told(&django), "127.0.0.1");
        gateway.stop().await;
    }
    let fly = django.requests().pop().unwrap();
    assert_eq!(
        fly.header("fly-client-ip"),
        None,
        "a field that the project chose"
    );
}

#[tokio::test]
async fn a_trusted_proxy_says_who_the_client_is() {
    let django = Django::start().await;
    for (key, field, value) in [
        (
            "X-Forwarded-For",
            "X-Forwarded-For",
            "203.0.113.9, 192.0.2.7:4711, 127.0.0.9",
        ),
        (
            "Forwarded",
            "Forwarded",
            "for=203.0.113.9, for=\"192.0.2.7:4711\";proto=http, for=127.0.0.9",
        ),
        ("CF-Connecting-IP", "cf-connecting-ip", "192.0.2.7"),
    ] {
        let setup = Gateway::in_front_of(&django);
        let setup = setup.set("server.trusted_proxies", vec!["private"]);
        let gateway = setup.set("server.client_address", key).start().await;
        let others = CLAIMS
            .iter()
            .filter(|(name, _)| !name.eq_ignore_ascii_case(field));
        let claims: Vec<_> = others.copied().chain([(field, value)]).collect();
        asked(&gateway, &claims[..]).await;
        assert_eq!(told(&django), "192.0.2.7", "{key}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_trusted_proxy_names_the_host_where_that_is_asked_for() {
    let django = Django::start().await;
    let setup = Gateway::in_front_of(&django)
        .set("server.hosts", vec!["localhost", "app.test"])
        .set("server.trusted_proxies", vec!["127.0.0.1"]);
    let gateway = setup.start().await;
    asked(&gateway, &[("X-Forwarded-Host", "app.test")]).await;
    let host = || django.requests().pop().unwrap().header("host").unwrap();
    assert_eq!(host(), gateway.browser().host());
    gateway.stop().await;

    let setup = Gateway::in_front_of(&django)
        .set("server.hosts", vec!["app.test", "localhost"])
        .set("server.trusted_proxies", vec!["127.0.0.1"])
        .set("server.forwarded_host", true);
    let gateway = setup.start().await;
    asked(&gateway, &[("X-Forwarded-Host", "app.test:8443")]).await;
    assert_eq!(host(), "app.test:8443");
    for claims in [
        &[
            ("X-Forwarded-Host", "app.test"),
            ("X-Forwarded-Host", "app.test"),
        ][..],
        &[("X-Forwarded-Host", "app.test, app.test")],
        &[("X-Forwarded-Host", "evil.test")],
        &[("X-Forwarded-Host", "app.test/")],
    ] {
        assert_eq!(asked(&gateway, claims).await.status, 421, "{claims:?}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn limits_count_the_client_s_address_and_not_the_proxy_s() {
    let django = Django::start().await;
    django.signs_in("anns-session", "ann");
    let setup = Gateway::in_front_of(&django)
        .set("server.trusted_proxies", vec!["127.0.0.1"])
        .set("limits.connections_per_address", 1);
    let gateway = setup.start().await;
    let browser = gateway.browser_of("anns-session");
    let mut sockets = Vec::new();
    for client in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
        let handshake = browser
            .handshake(NOTIFICATIONS)
            .and("X-Forwarded-For", client);
        let opened = handshake.send().await;
        sockets.push(opened.unwrap_or_else(|answer| panic!("{}", answer.status())));
    }
    let again = browser
        .handshake(NOTIFICATIONS)
        .and("X-Forwarded-For", "192.0.2.2, 127.0.0.1");
    assert_eq!(again.refused().await.status(), 429);
    let connected = gateway.api().connected("ann", 3).await;
    let mut addresses: Vec<_> = connected
        .iter()
        .map(|one| one["address"].as_str())
        .collect();
    addresses.sort_unstable();
    assert_eq!(
        addresses,
        [Some("192.0.2.1"), Some("192.0.2.2"), Some("2001:db8::1")]
    );
    for call in django.auth_calls() {
        assert_ne!(call.header("gatepost-address").unwrap(), "127.0.0.1");
    }
    drop(sockets);
    gateway.stop().await;
}
