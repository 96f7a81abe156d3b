//! Certificates that an authority issues, by a real one; one that is away, hangs, or refuses.

mod on_demand;
mod reload;
mod renewal;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};

use crate::harness::api::Api;
use crate::harness::gateway::Setup;
use crate::harness::pebble::{Challenged, Pebble, free_port};
use crate::harness::{Browser, Django, Gateway, PATIENCE, eventually_some, json};

const SHOP: &str = "shop.test";
const RENEWED: &str = "gatepost_certificate_renewals_total{outcome=\"renewed\"}";

/// A gateway whose certificates come from this directory.
fn setup(django: &Django, directory: &str, ports: Challenged) -> Setup {
    Gateway::in_front_of(django)
        .set("server.hosts", vec![SHOP])
        .set("server.https", format!("127.0.0.1:{}", ports.https))
        .configure(|table| {
            let acme = toml::toml! { directory = directory };
            let tls = toml::Table::from_iter([("acme".to_owned(), acme.into())]);
            table.insert("tls".to_owned(), tls.into());
        })
}

/// Believes this authority's own certificate.
fn trusting(setup: Setup, authority: &str) -> Setup {
    let setup = setup.configure(|table| {
        let acme = table["tls"]["acme"].as_table_mut().unwrap();
        acme.insert("ca".to_owned(), "authority.pem".into());
    });
    setup.file("authority.pem", authority)
}

fn ports() -> Challenged {
    Challenged {
        http: free_port(),
        https: free_port(),
    }
}

/// Who issued the certificate of a name; `None`: the handshake is refused.
async fn issuer(gateway: &Gateway, name: &str) -> Option<String> {
    let leaf = presented(gateway.https(), name).await?;
    let (_, leaf) = x509_parser::parse_x509_certificate(&leaf).unwrap();
    Some(leaf.issuer().to_string())
}

/// The serial number of a name's certificate; `None`: the handshake is refused.
async fn serial(https: SocketAddr) -> Option<String> {
    let leaf = presented(https, SHOP).await?;
    let (_, leaf) = x509_parser::parse_x509_certificate(&leaf).unwrap();
    Some(leaf.raw_serial_as_string())
}

async fn presented(https: SocketAddr, name: &str) -> Option<CertificateDer<'static>> {
    let stream = browser(https, name).try_tls(&[b"http/1.1"]).await.ok()?;
    let chain = stream.get_ref().1.peer_certificates()?;
    Some(chain[0].clone())
}

fn browser(https: SocketAddr, name: &str) -> Browser {
    Browser::new(https, name, Arc::new(trusting_anybody()))
}

async fn told(gateway: &Gateway) -> serde_json::Value {
    certificates(&gateway.api()).await
}

async fn certificates(api: &Api) -> serde_json::Value {
    api.get("/ready").await.json()["certificates"].clone()
}

async fn issued(gateway: &Gateway) -> String {
    eventually_some(PATIENCE, async || issuer(gateway, SHOP).await).await
}

#[tokio::test]
async fn a_certificate_is_ordered_over_plain_http_kept_and_served_again_after_a_restart() {
    let (django, ports) = (Django::start().await, ports());
    let Some(pebble) = Pebble::start(ports).await else {
        return;
    };
    let http = format!("127.0.0.1:{}", ports.http);
    let (directory, authority) = (pebble.directory(), pebble.ca());
    let setup =
        || trusting(setup(&django, &directory, ports), &authority).set("server.http", http.clone());
    let gateway = setup().start().await;
    assert!(issued(&gateway).await.contains("Pebble"));
    assert_eq!(told(&gateway).await[0]["name"], SHOP);
    assert_eq!(told(&gateway).await[0]["error"], json!(null));
    assert_eq!(issuer(&gateway, "other.test").await, None);
    assert!(gateway.api().metric(RENEWED).await > 0.9);

    let folder = gateway.folder().join(".gatepost/acme");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let authority = folder.read_dir().unwrap().next().unwrap().unwrap().path();
    assert_eq!((mode(&folder), mode(&authority)), (0o700, 0o700));
    let mut kept = Vec::new();
    for file in authority.read_dir().unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        let name = path
            .strip_prefix(gateway.folder())
            .unwrap()
            .display()
            .to_string();
        kept.push((name, std::fs::read(&path).unwrap()));
    }
    assert_eq!(kept.len(), 2, "the account, and key and certificate");
    gateway.stop().await;

    drop(pebble);
    let again = kept
        .into_iter()
        .fold(setup(), |setup, (name, text)| setup.file(&name, text));
    let again = again.start().await;
    assert!(issued(&again).await.contains("Pebble"));
    let renewed = again.api().metric(RENEWED).await;
    assert!(renewed < 0.1, "what is kept was counted before: {renewed}");
    again.stop().await;
}

#[tokio::test]
async fn without_plain_http_the_authority_asks_in_a_handshake_of_its_own() {
    let (django, ports) = (Django::start().await, ports());
    let Some(pebble) = Pebble::start(ports).await else {
        return;
    };
    let setup = trusting(setup(&django, &pebble.directory(), ports), &pebble.ca());
    let gateway = setup.start().await;
    assert!(issued(&gateway).await.contains("Pebble"));
    gateway.stop().await;
}

#[tokio::test]
async fn where_the_authority_does_not_get_through_over_http_the_other_challenge_does() {
    let (django, ports) = (Django::start().await, ports());
    let elsewhere = Challenged {
        http: free_port(),
        ..ports
    };
    let Some(pebble) = Pebble::start(elsewhere).await else {
        return;
    };
    let http = format!("127.0.0.1:{}", ports.http);
    let setup = trusting(setup(&django, &pebble.directory(), ports), &pebble.ca());
    let gateway = setup.set("server.http", http).start().await;
    assert!(issued(&gateway).await.contains("Pebble"));
    gateway.stop().await;
}

#[tokio::test]
async fn an_authority_that_is_away_or_does_not_get_through_leaves_handshakes_refused_and_is_said() {
    let django = Django::start().await;
    let (mut cases, port) = (Vec::new(), free_port());
    cases.push((
        format!("https://127.0.0.1:{port}/dir"),
        None,
        "did not do what it was asked for",
    ));
    let unreachable = Challenged {
        http: free_port(),
        https: free_port(),
    };
    if let Some(pebble) = Pebble::start(unreachable).await {
        cases.push((
            pebble.directory(),
            Some(pebble),
            "port 443 (server.https) reachable?",
        ));
    }
    for (directory, pebble, expected) in &cases {
        let mut setup = setup(&django, directory, ports());
        if let Some(pebble) = pebble {
            setup = trusting(setup, &pebble.ca());
        }
        let gateway = setup.start().await;
        let failed = "gatepost_certificate_renewals_total{outcome=\"failed\"}";
        eventually_some(PATIENCE, async || {
            (gateway.api().metric(failed).await > 0.0).then_some(())
        })
        .await;
        let error = told(&gateway).await[0]["error"].to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(issuer(&gateway, SHOP).await, None);
        assert!(
            gateway
                .api()
                .metric("gatepost_certificate_refused_handshakes_total")
                .await
                > 0.0
        );
        assert_eq!(gateway.api().get("/ready").await.status(), 200);
        gateway.stop().await;
    }
}

#[tokio::test]
async fn an_authority_that_hangs_holds_nothing_up() {
    let django = Django::start().await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = format!("https://{}/dir", silent.local_addr().unwrap());
    let gateway = setup(&django, &directory, ports()).start().await;
    assert_eq!(issuer(&gateway, SHOP).await, None);
    let error = told(&gateway).await[0]["error"].to_string();
    assert!(error.contains("no certificate yet"), "{error}");
    assert_eq!(gateway.stop().await, 0, "nothing has to be cut off");
}

/// A client that looks at a certificate and believes it.
fn trusting_anybody() -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth()
}

#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify_tls12_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let schemes = provider.signature_verification_algorithms;
        schemes.supported_schemes()
    }
}
