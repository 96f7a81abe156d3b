//! Several certificates, and which of them a client gets.

use super::*;
use crate::tls::audit::audit;
use crate::tls::store::PreparedCertificates;

/// Pairs of a CA of one's own under a folder, each for some names.
struct Site {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    files: Vec<CertificateFiles>,
}

impl Site {
    fn new(sets: &[&[&str]]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).unwrap().pem();
        fs::write(folder.path().join("ca.pem"), ca).unwrap();
        let mut site = Self {
            folder,
            issuer: Issuer::new(params, key),
            files: Vec::new(),
        };
        for names in sets {
            let number = site.files.len();
            let path = |end: &str| site.folder.path().join(format!("{number}.{end}"));
            let pair = CertificateFiles {
                cert: path("pem"),
                key: path("key"),
            };
            site.files.push(pair);
            site.issue(number, names);
        }
        site
    }

    /// Writes a new pair in the place of one.
    fn issue(&self, number: usize, names: &[&str]) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        self.write(number, &CertificateParams::new(names).unwrap());
    }

    fn write(&self, number: usize, params: &CertificateParams) {
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(&self.files[number].cert, cert.pem()).unwrap();
        fs::write(&self.files[number].key, key.serialize_pem()).unwrap();
    }

    fn config(&self) -> CertificateSource {
        CertificateSource::Files(self.files.clone())
    }

    fn store(&self) -> CertificateStore {
        CertificateStore::load(&self.config(), &CertificateNames::default()).unwrap()
    }

    /// The first name of the certificate that a client gets who asks for `name`; its own check of it may
    /// fail.
    async fn presented(&self, store: &CertificateStore, name: &str) -> Presented {
        let client = client(&self.folder.path().join("ca.pem"), BOTH, &[]);
        let (connected, _) = meet(store, client, name).await;
        let (seen, _) = meet(store, trusting_anybody(), name).await;
        let seen = seen.unwrap();
        let chain = seen.get_ref().1.peer_certificates().unwrap().to_vec();
        Presented {
            name: crate::tls::leaf::Leaf::of(&chain[0]).names.remove(0),
            accepted: connected.is_ok(),
        }
    }
}

#[derive(Debug, PartialEq)]
struct Presented {
    name: String,
    accepted: bool,
}

fn accepted(name: &str) -> Presented {
    Presented {
        name: name.to_owned(),
        accepted: true,
    }
}

/// A client that looks at a certificate and believes it.
pub(super) fn trusting_anybody() -> ClientConfig {
    ClientConfig::builder_with_provider(crate::tls::provider())
        .with_protocol_versions(BOTH)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth()
}

#[derive(Debug)]
struct Anybody;

impl rustls::client::danger::ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.verify_tls12_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        let provider = crate::tls::provider();
        provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[tokio::test]
async fn a_client_gets_the_certificate_that_holds_the_name_it_asks_for() {
    let site = Site::new(&[
        &["www.example.com", "example.com"],
        &["*.example.com"],
        &["Shop.Test", "*.shop.test"],
    ]);
    let store = site.store();
    for (asked, first) in [
        ("www.example.com", "www.example.com"),
        ("EXAMPLE.com", "www.example.com"),
        ("anns.example.com", "*.example.com"),
        ("shop.test", "shop.test"),
        ("a.shop.test", "shop.test"),
    ] {
        let presented = site.presented(&store, asked).await;
        assert_eq!(presented, accepted(first), "{asked}");
    }
}

#[tokio::test]
async fn the_first_certificate_is_for_names_that_none_holds_and_for_clients_that_name_none() {
    let site = Site::new(&[&["www.example.com", "127.0.0.1"], &["*.shop.test"]]);
    let store = site.store();
    for (asked, is_accepted) in [
        ("other.example", false),
        ("a.b.shop.test", false),
        ("shop.test", false),
        ("127.0.0.1", true),
    ] {
        let presented = site.presented(&store, asked).await;
        let expected = Presented {
            name: "www.example.com".to_owned(),
            accepted: is_accepted,
        };
        assert_eq!(presented, expected, "{asked}");
    }
}

#[tokio::test]
async fn a_broken_pair_stays_the_old_one_and_hinders_no_other() {
    let site = Site::new(&[&["www.example.com"], &["shop.test"]]);
    let metrics = crate::telemetry::metrics::CertificateMetrics::default();
    let store = site.store().counting(&metrics);
    fs::write(&site.files[0].key, "half").unwrap();
    site.issue(1, &["shop.test", "new.shop.test"]);
    assert_eq!(store.look(Vec::new()).len(), 0);
    assert_eq!(store.look(Vec::new()).len(), 1);
    assert_eq!(
        site.presented(&store, "www.example.com").await,
        accepted("www.example.com")
    );
    assert_eq!(
        site.presented(&store, "new.shop.test").await,
        accepted("shop.test")
    );
    let statuses = store.statuses();
    assert!(statuses[0].trouble.is_some() && statuses[1].trouble.is_none());
}

#[tokio::test]
async fn other_settings_are_adopted_whole_and_broken_ones_not_at_all() {
    let site = Site::new(&[&["www.example.com"], &["shop.test"]]);
    let names = CertificateNames::default();
    let first = CertificateSource::Files(site.files[..1].to_vec());
    let store = CertificateStore::load(&first, &names).unwrap();
    assert_eq!(
        site.presented(&store, "shop.test").await.name,
        "www.example.com"
    );
    let prepared = PreparedCertificates::load(&site.config(), &names).unwrap();
    store.adopt(prepared);
    assert_eq!(
        site.presented(&store, "shop.test").await,
        accepted("shop.test")
    );
    fs::write(&site.files[1].cert, "half").unwrap();
    assert!(PreparedCertificates::load(&site.config(), &names).is_err());
    assert_eq!(
        site.presented(&store, "shop.test").await,
        accepted("shop.test")
    );
    // What is looked at are the files of the new settings.
    assert_eq!(store.look(Vec::new()).len(), 0);
    assert_eq!(store.look(Vec::new()).len(), 1);
}

#[test]
fn all_that_is_wrong_is_found_at_once() {
    let site = Site::new(&[
        &["www.example.com"],
        &["shop.test", "www.example.com"],
        &["old.test"],
        &["lost.test"],
        &["fine.test"],
    ]);
    assert!(audit(&CertificateSource::Files(site.files[2..].to_vec())).is_empty());
    let mut params = CertificateParams::new(vec!["old.test".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2020, 3, 31);
    site.write(2, &params);
    fs::write(
        &site.files[3].key,
        KeyPair::generate().unwrap().serialize_pem(),
    )
    .unwrap();
    let wrong: Vec<_> = audit(&site.config())
        .iter()
        .map(ToString::to_string)
        .collect();
    let [expired, mismatch, shared] = &wrong[..] else {
        panic!("{wrong:#?}");
    };
    assert!(expired.contains("2.pem has expired on Tue, 31 Mar 2020 00:00:00 GMT"));
    assert!(mismatch.contains("3.key does not belong to the certificate"));
    assert!(shared.contains("hold the name www.example.com"), "{shared}");
    // A site with a warning is better than none.
    let served = CertificateSource::Files(site.files[..3].to_vec());
    assert!(CertificateStore::load(&served, &CertificateNames::default()).is_ok());
}
