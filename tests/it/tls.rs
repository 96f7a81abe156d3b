//! One HTTPS origin: its certificate, its protocols, the way to it from plain HTTP.

use std::path::Path;

use http::Version;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;

use crate::harness::gateway::{NOTIFICATIONS, Setup};
use crate::harness::raw::Raw;
use crate::harness::{Browser, Django, Gateway, PATIENCE, eventually, eventually_some, json};

/// A site's certificate authority, as a company has one.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self {
            pem: params.self_signed(&key).unwrap().pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for `localhost`, and its key.
    fn issue(&self) -> (String, String) {
        self.issue_for("localhost")
    }

    fn issue_for(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        (cert.pem(), key.serialize_pem())
    }

    /// A gateway with a certificate of this authority, which the harness's clients trust.
    fn certifies(&self, setup: Setup) -> Setup {
        let (cert, key) = self.issue();
        setup
            .set("tls.cert", "certs/site.pem")
            .set("tls.key", "certs/site.key")
            .file("certs/ca.pem", self.pem.clone())
            .file("certs/site.pem", cert)
            .file("certs/site.key", key)
    }
}

fn replace(folder: &Path, (cert, key): (String, String)) {
    std::fs::write(folder.join("certs/site.pem"), cert).unwrap();
    std::fs::write(folder.join("certs/site.key"), key).unwrap();
}

async fn presented(browser: &Browser) -> Option<CertificateDer<'static>> {
    let stream = browser.tls(&[b"http/1.1"]).await;
    let chain = stream.get_ref().1.peer_certificates()?;
    Some(chain.first()?.clone().into_owned())
}

#[tokio::test]
async fn the_local_ca_vouches_for_hosts_and_addresses_of_this_machine() {
    let django = Django::start().await;
    let setup = Gateway::in_front_of(&django)
        .set("server.hosts", vec!["localhost", "shop.test"])
        .set("server.lan", true);
    let gateway = setup.start().await;
    for name in ["localhost", "shop.test", "127.0.0.1"] {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let browser = gateway.browser_calling(name);
            let page = browser.ask_over(version, "/").send().await;
            assert_eq!(page.status, 200, "{name}");
            assert_eq!(page.version, version);
        }
    }
    for address in gatepost::net::interfaces::addresses() {
        // What was written into the certificate is a host as well.
        let host = address.to_string();
        if address.is_ipv4() {
            assert_eq!(gateway.browser_calling(&host).get("/").await.status, 200);
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn an_unknown_protocol_is_refused_in_the_handshake() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let refused = gateway.browser().try_tls(&[b"spdy/3"]).await.unwrap_err();
    assert!(
        refused.to_string().contains("NoApplicationProtocol"),
        "{refused}"
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_renewed_certificate_is_served_and_drops_nobody() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let authority = Authority::new();
    let gateway = authority
        .certifies(Gateway::in_front_of(&django))
        .start()
        .await;
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let link = ann.connect(Version::HTTP_2).await;
    let first = presented(&ann).await.unwrap();

    replace(gateway.folder(), authority.issue());
    eventually_some(PATIENCE, async || {
        (presented(&ann).await.unwrap() != first).then_some(())
    })
    .await;

    let publication = json!({"to": {"user": "42"}, "frame": {"n": 1}});
    assert_eq!(gateway.api().publish(&publication).await["sockets"], 1);
    socket.expect_frame(r#"{"n":1}"#).await;
    assert!(!link.is_closed());
    gateway.stop().await;
}

#[tokio::test]
async fn a_broken_renewal_keeps_the_old_certificate_and_is_said_once() {
    let django = Django::start().await;
    let authority = Authority::new();
    let gateway = authority
        .certifies(Gateway::in_front_of(&django))
        .spawn()
        .await;
    let browser = gateway.browser();
    let first = presented(&browser).await.unwrap();
    let said = || {
        gateway
            .log()
            .matches("the certificate stays the old one")
            .count()
    };

    let (cert, _) = authority.issue();
    let (_, key) = authority.issue();
    replace(gateway.folder(), (cert, key));
    eventually(PATIENCE, || said() == 1).await;
    assert!(gateway.log().contains("does not belong to the certificate"));
    assert_eq!(presented(&browser).await.unwrap(), first);

    replace(gateway.folder(), authority.issue());
    eventually_some(PATIENCE, async || {
        (presented(&browser).await.unwrap() != first).then_some(())
    })
    .await;
    assert_eq!(said(), 1);
    gateway.terminate();
    assert!(gateway.exit().await.success());
}

#[tokio::test]
async fn each_name_gets_its_own_certificate_and_operators_see_when_it_ends() {
    let django = Django::start().await;
    let authority = Authority::new();
    let (cert, key) = authority.issue_for("*.shop.test");
    let further = toml::toml! {
        cert = "certs/shop.pem"
        key = "certs/shop.key"
    };
    let gateway = authority
        .certifies(Gateway::in_front_of(&django))
        .set("server.hosts", vec!["localhost", "*.shop.test"])
        .set("tls.certificates", vec![toml::Value::from(further)])
        .file("certs/shop.pem", cert)
        .file("certs/shop.key", key)
        .start()
        .await;
    for name in ["localhost", "anns.shop.test"] {
        assert_eq!(gateway.browser_calling(name).get("/").await.status, 200);
    }
    let shop = gateway.browser_calling("bobs.shop.test");
    let first = presented(&shop).await.unwrap();
    let told = async || gateway.api().get("/ready").await.json()["certificates"].clone();
    let ends = told().await[1]["expires"].as_u64().unwrap();
    let names =
        json!([{"name": "localhost", "expires": ends}, {"name": "*.shop.test", "expires": ends}]);
    assert_eq!(told().await, names);
    let metrics = gateway.api().get("/metrics").await.text();
    let gauge = format!("gatepost_certificate_expires_seconds{{name=\"*.shop.test\"}} {ends}\n");
    assert!(metrics.contains(&gauge), "{metrics}");

    let failed = "gatepost_certificate_renewals_total{outcome=\"failed\"}";
    std::fs::write(gateway.folder().join("certs/shop.key"), "half").unwrap();
    eventually_some(PATIENCE, async || {
        (gateway.api().metric(failed).await > 0.0).then_some(())
    })
    .await;
    let error = told().await[1]["error"].to_string();
    assert!(error.contains("shop.key holds no private key"), "{error}");
    assert_eq!(presented(&shop).await.unwrap(), first);

    let (cert, key) = authority.issue_for("*.shop.test");
    std::fs::write(gateway.folder().join("certs/shop.pem"), cert).unwrap();
    std::fs::write(gateway.folder().join("certs/shop.key"), key).unwrap();
    eventually_some(PATIENCE, async || {
        (presented(&shop).await.unwrap() != first).then_some(())
    })
    .await;
    assert_eq!(told().await[1]["error"], json!(null));
    gateway.stop().await;
}

#[tokio::test]
async fn plain_http_is_sent_to_the_same_place_over_https() {
    let django = Django::start().await;
    let setup = Gateway::in_front_of(&django).set("server.http", "127.0.0.1:0");
    let gateway = setup.start().await;
    let port = gateway.https().port();
    let ask = async |host: &str| {
        let mut raw = Raw::tcp(gateway.http()).await;
        let head = format!("GET /a%20b/?next=%2F HTTP/1.1\r\nHost: {host}\r\n\r\n");
        raw.send(head).await;
        raw.answer().await
    };
    let sent_on = ask("localhost:8080").await;
    assert_eq!(sent_on.status(), 307);
    assert_eq!(sent_on.header("cache-control").unwrap(), "no-store");
    let expected = format!("https://localhost:{port}/a%20b/?next=%2F");
    assert_eq!(sent_on.header("location"), Some(expected));
    assert_eq!(ask("evil.example").await.status(), 421);
    assert!(
        django.requests().is_empty(),
        "nothing goes to Django unencrypted"
    );
    gateway.stop().await;
}

#[tokio::test]
async fn plain_http_at_the_https_port_is_told_what_is_wrong() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let mut raw = Raw::tcp(gateway.https()).await;
    raw.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let answer = raw.answer().await;
    assert_eq!(answer.status(), 400);
    assert!(answer.text().contains("https://"), "{}", answer.text());
    raw.expect_end().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_handshake_in_crumbs_is_one_and_garbage_harms_nobody() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let mut hello = Vec::new();
    let mut client = rustls::ClientConnection::new(gateway.tls(), name).unwrap();
    client.write_tls(&mut hello).unwrap();
    let record = |bytes: &[u8]| {
        let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        [&[0x16, 3, 1][..], &length, bytes].concat()
    };
    let crumbs: Vec<u8> = hello[5..].chunks(10).flat_map(record).collect();
    for pieces in [vec![&crumbs[..]], hello.chunks(7).collect()] {
        let mut raw = Raw::tcp(gateway.https()).await;
        for piece in pieces {
            raw.send(piece).await;
        }
        assert!(raw.wire.fill(6).await);
        // A handshake record with a ServerHello.
        assert_eq!((raw.wire.ahead[0], raw.wire.ahead[5]), (0x16, 2));
    }
    let empty = record(b"").repeat(100);
    for garbage in [record(&[0xff; 300]), record(&[1, 0xff, 0xff, 0xff]), empty] {
        let mut raw = Raw::tcp(gateway.https()).await;
        raw.send([garbage, vec![0x16; 20_000]].concat()).await;
        raw.expect_end().await;
    }
    assert_eq!(gateway.browser().get("/").await.status, 200);
    gateway.stop().await;
}

/// A `ClientHello` of this version that offers these cipher suites, in records of TLS.
fn hello(version: [u8; 2], suites: &[[u8; 2]]) -> Vec<u8> {
    let with_length = |bytes: &[u8]| {
        let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        [&length, bytes].concat()
    };
    // X25519 and P-256; ECDSA with P-256 and RSA-PSS.
    let groups = [&[0, 10][..], &with_length(&[0, 4, 0, 0x1d, 0, 0x17])].concat();
    let signatures = [&[0, 13][..], &with_length(&[0, 4, 4, 3, 8, 4])].concat();
    let body = [
        &version[..],
        &[7; 32],
        &[0],
        &with_length(&suites.concat()),
        &[1, 0],
        &with_length(&[groups, signatures].concat()),
    ]
    .concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[1], &length[1..], &body].concat();
    [&[0x16, 3, 1][..], &with_length(&message)].concat()
}

#[tokio::test]
async fn old_versions_and_weak_suites_are_refused_by_an_alert() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let strong = [0xc0, 0x2b];
    // RSA with CBC, RC4, no encryption, 3DES; ECDHE with CBC.
    let weak = [[0, 0x2f], [0, 5], [0, 1], [0, 10], [0xc0, 0x09]];
    let answers = [
        ("SSL 3.0", hello([3, 0], &[strong]), None),
        ("TLS 1.0", hello([3, 1], &[strong]), None),
        ("TLS 1.1", hello([3, 2], &[strong]), None),
        ("weak suites", hello([3, 3], &weak), None),
        ("TLS 1.2", hello([3, 3], &[strong]), Some(2)),
    ];
    for (name, bytes, server_hello) in answers {
        let mut raw = Raw::tcp(gateway.https()).await;
        raw.send(bytes).await;
        assert!(raw.wire.fill(7).await, "{name}: nothing is said");
        let (kind, first, second) = (raw.wire.ahead[0], raw.wire.ahead[5], raw.wire.ahead[6]);
        if let Some(expected) = server_hello {
            assert_eq!((kind, first), (0x16, expected), "{name}");
            continue;
        }
        assert_eq!((kind, first), (0x15, 2), "{name}: no fatal alert");
        assert!(matches!(second, 40 | 70), "{name}: {second}");
        raw.expect_end().await;
    }
    gateway.stop().await;
}

/// Whether a page was asked for over a session that was resumed.
async fn resumes(browser: &Browser) -> bool {
    let mut raw = browser.raw().await;
    let ask = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", browser.host());
    raw.send(ask).await;
    // The ticket for the next time comes along with it.
    assert_eq!(raw.answer().await.status(), 200);
    raw.wire.stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
}

#[tokio::test]
async fn a_returning_client_resumes_after_a_restart() {
    let django = Django::start().await;
    let before = Gateway::in_front_of(&django).start().await;
    let client = before.tls();
    assert!(!resumes(&before.browser()).await);
    let kept = std::fs::read(before.folder().join(".gatepost/tickets")).unwrap();
    before.stop().await;

    let after = Gateway::in_front_of(&django).file(".gatepost/tickets", kept);
    let after = after.start().await;
    let browser = Browser::new(after.https(), "localhost", client);
    assert!(resumes(&browser).await);
    after.stop().await;
}

#[tokio::test]
async fn no_ticket_allows_data_before_the_handshake_is_done() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    let ask = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", browser.host());
    for resumed in [false, true] {
        let mut raw = browser.raw().await;
        raw.send(&ask).await;
        // The ticket comes along with it.
        assert_eq!(raw.answer().await.status(), 200);
        let kind = raw.wire.stream.get_ref().1.handshake_kind();
        assert_eq!(kind == Some(rustls::HandshakeKind::Resumed), resumed);
    }
    let mut config = (*gateway.tls()).clone();
    config.enable_early_data = true;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let mut next = rustls::ClientConnection::new(config.into(), name).unwrap();
    assert!(next.early_data().is_none());
    gateway.stop().await;
}
