//! Certificates that an authority issues, and what it asks for before.

use super::several::trusting_anybody;
use super::*;
use crate::tls::issued::IssuedCertificate;

fn store() -> CertificateStore {
    let none = CertificateSource::Files(Vec::new());
    CertificateStore::load(&none, &CertificateNames::default()).unwrap()
}

fn issued(name: &str) -> IssuedCertificate {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let pem = made.signing_key.serialize_pem() + &made.cert.pem();
    IssuedCertificate::parse(&pem).unwrap()
}

/// Whether a client of any trust gets a certificate.
async fn is_served(store: &CertificateStore, name: &str) -> bool {
    meet(store, trusting_anybody(), name).await.0.is_ok()
}

#[tokio::test]
async fn a_name_without_a_certificate_is_refused_until_it_has_one() {
    let store = store();
    let names = ["shop.test".to_owned(), "www.test".to_owned()];
    assert_eq!(store.expect(&names), names);
    store.take("other.test", issued("other.test"));
    for name in ["shop.test", "www.test", "other.test", "127.0.0.1"] {
        assert!(!is_served(&store, name).await, "{name}");
    }
    store.take("shop.test", issued("shop.test"));
    for (name, expected) in [
        ("shop.test", true),
        ("www.test", false),
        ("other.test", false),
        ("127.0.0.1", true),
    ] {
        assert_eq!(is_served(&store, name).await, expected, "{name}");
    }
    store.fail("shop.test", "refused".to_owned());
    assert!(is_served(&store, "shop.test").await, "the old one stays");
    let statuses = store.statuses();
    assert_eq!(statuses[0].trouble.as_deref(), Some("refused"));
    assert!(statuses[0].expires().is_some());
    store.recover("shop.test");
    assert_eq!(store.statuses()[0].trouble, None);
    let none_yet = statuses[1].trouble.as_deref().unwrap();
    assert!(none_yet.contains("no certificate yet"), "{none_yet}");
    assert_eq!(statuses[1].expires(), None);
}

#[tokio::test]
async fn a_name_that_a_file_holds_is_not_ordered() {
    let folder = tempfile::tempdir().unwrap();
    let config = bring(folder.path(), "*.test");
    let store = CertificateStore::load(&config, &CertificateNames::default()).unwrap();
    let names = ["shop.test".to_owned(), "a.shop.test".to_owned()];
    assert_eq!(store.expect(&names), ["a.shop.test"]);
    assert!(is_served(&store, "shop.test").await);
    assert!(!is_served(&store, "a.shop.test").await);
}

#[tokio::test]
async fn the_certificate_of_a_challenge_is_for_the_authority_alone_and_as_long_as_it_asks() {
    let store = store();
    let standing = store.challenges().put_certificate("shop.test", &[7; 32]);
    let standing = standing.unwrap();
    let ask = async |alpn: &[&[u8]], name: &str| {
        let mut client = trusting_anybody();
        client.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        meet(&store, client, name).await
    };
    let (client, server) = ask(&[b"acme-tls/1"], "shop.test").await;
    let client = client.unwrap();
    let chain = client.get_ref().1.peer_certificates().unwrap();
    // The octets of the digest, in the extension.
    let digest = [&[4, 32][..], &[7; 32]].concat();
    assert!(chain[0].windows(34).any(|part| part == digest));
    assert!(server.unwrap_err().to_string().contains("was answered"));
    let others: [&[&[u8]]; 3] = [&[b"acme-tls/1", b"h2"], &[b"h2"], &[]];
    for alpn in others {
        assert!(ask(alpn, "shop.test").await.0.is_err());
    }
    assert!(ask(&[b"acme-tls/1"], "www.test").await.0.is_err());
    drop(standing);
    assert!(ask(&[b"acme-tls/1"], "shop.test").await.0.is_err());
    let token = store.challenges().put_token("a-token", "a-token.thumb");
    assert_eq!(
        store.challenges().answer("a-token").as_deref(),
        Some("a-token.thumb")
    );
    drop(token);
    assert_eq!(store.challenges().answer("a-token"), None);
}
