//! Certificates and handshakes, judged by TLS clients and by OpenSSL.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::accept::{Protocol, handshake};
use super::error::TlsError;
use super::names::CertificateNames;
use super::store::CertificateStore;
use crate::config::{CertificateFiles, CertificateSource};

const BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

fn names(hosts: &[&str], addresses: &[&str]) -> CertificateNames {
    CertificateNames {
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
    }
}

fn local(directory: &Path, names: &CertificateNames) -> CertificateStore {
    let config = CertificateSource::LocalCa {
        directory: directory.to_owned(),
    };
    CertificateStore::load(&config, names).unwrap()
}

fn client(
    ca: &Path,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&[u8]],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(ca).unwrap())
        .unwrap();
    let mut config = ClientConfig::builder_with_provider(super::provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config
}

type Met = (
    std::io::Result<TlsStream<tokio::io::DuplexStream>>,
    std::io::Result<Protocol>,
);

mod ordering;
mod resuming;
mod several;

/// Both halves of one handshake.
async fn meet(store: &CertificateStore, client: ClientConfig, name: &str) -> Met {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(Arc::new(client));
    let (client, server) = tokio::join!(
        connector.connect(name, near),
        handshake(store.handshake(), far)
    );
    let server = server.map(|(_, protocol)| protocol);
    (client, server.map_err(|(error, _)| error))
}

#[tokio::test]
async fn the_local_certificate_is_accepted_by_name_and_by_address() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(
        folder.path(),
        &names(
            &["localhost", "shop.test", "example.com"],
            &["192.168.7.20", "fd00::7"],
        ),
    );
    let ca = store.ca_file().unwrap();
    for name in [
        "localhost",
        "shop.test",
        "example.com",
        "127.0.0.1",
        "::1",
        "192.168.7.20",
        "fd00::7",
    ] {
        let (client, _) = meet(&store, client(&ca, BOTH, &[]), name).await;
        assert!(client.is_ok(), "{name}: {:?}", client.err());
    }
    for name in ["example.org", "192.168.7.21"] {
        let (client, _) = meet(&store, client(&ca, BOTH, &[]), name).await;
        assert!(client.is_err(), "{name}");
    }
}

#[tokio::test]
async fn alpn_prefers_http2_and_refuses_what_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(folder.path(), &names(&["localhost"], &[]));
    let ca = store.ca_file().unwrap();
    let offers: [(&[&[u8]], Protocol); 4] = [
        (&[b"http/1.1", b"h2"], Protocol::Http2),
        (&[b"h2"], Protocol::Http2),
        (&[b"http/1.1"], Protocol::Http1),
        (&[], Protocol::Http1),
    ];
    for (offered, expected) in offers {
        let (_, protocol) = meet(&store, client(&ca, BOTH, offered), "localhost").await;
        assert_eq!(protocol.unwrap(), expected);
    }
    let (client, server) = meet(&store, client(&ca, BOTH, &[b"spdy/3"]), "localhost").await;
    assert!(
        client
            .unwrap_err()
            .to_string()
            .contains("NoApplicationProtocol")
    );
    assert!(server.is_err());
}

#[tokio::test]
async fn tls_1_2_and_1_3_resume_by_ticket_also_after_a_renewal() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(folder.path(), &names(&["localhost"], &[]));
    for version in BOTH {
        let config = client(&store.ca_file().unwrap(), &[version], &[b"h2"]);
        let first = exchange(&store, config.clone()).await;
        assert_eq!(first, Some(rustls::HandshakeKind::Full));
        let before = store.server_config();
        assert!(store.look(vec![IpAddr::from([10, 0, 0, 9])]).is_empty());
        assert!(!Arc::ptr_eq(&before, &store.server_config()));
        let second = exchange(&store, config).await;
        assert_eq!(second, Some(rustls::HandshakeKind::Resumed));
        assert!(store.look(Vec::new()).is_empty());
    }
}

/// A connection that reads what comes after the handshake, the ticket among it.
async fn exchange(store: &CertificateStore, config: ClientConfig) -> Option<rustls::HandshakeKind> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (near, far) = tokio::io::duplex(16 * 1024);
    let connector = TlsConnector::from(Arc::new(config));
    let server = async {
        let (mut stream, _) = handshake(store.handshake(), far).await.unwrap();
        stream.write_all(b"!").await.unwrap();
        stream.shutdown().await.unwrap();
    };
    let client = async {
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = connector.connect(name, near).await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        stream.get_ref().1.handshake_kind()
    };
    tokio::join!(server, client).1
}

#[tokio::test]
async fn tls_1_1_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = local(folder.path(), &names(&["localhost"], &[]));
    // A handshake record with a ClientHello for version 3.2.
    let mut hello = vec![0x16, 3, 1, 0, 0x43, 1, 0, 0, 0x3f, 3, 2];
    hello.extend([7; 32]);
    // No session, ECDHE_ECDSA_WITH_AES_128_CBC_SHA and similar suites, no compression.
    hello.extend([0, 0, 4, 0xc0, 9, 0xc0, 0x13, 1, 0]);
    // Signatures and groups that the server knows.
    hello.extend([0, 18, 0, 13, 0, 6, 0, 4, 4, 3, 8, 4]);
    hello.extend([0, 10, 0, 4, 0, 2, 0, 23]);
    let (mut near, far) = tokio::io::duplex(1024);
    tokio::io::AsyncWriteExt::write_all(&mut near, &hello)
        .await
        .unwrap();
    assert!(handshake(store.handshake(), far).await.is_err());
    let mut alert = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut near, &mut alert)
        .await
        .unwrap();
    // alert(21) … fatal(2) protocol_version(70)
    assert_eq!((alert[0], &alert[5..]), (21, &[2, 70][..]));
}

#[tokio::test]
async fn the_name_constraints_hold_against_the_ca_s_own_key() {
    let folder = tempfile::tempdir().unwrap();
    drop(local(
        folder.path(),
        &names(&["localhost", "example.com"], &[]),
    ));
    let ca = fs::read_to_string(folder.path().join("ca.pem")).unwrap();
    let key = fs::read_to_string(folder.path().join("ca.key")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&ca, KeyPair::from_pem(&key).unwrap()).unwrap();
    let cases = [
        ("localhost", true),
        ("deep.app.localhost", true),
        ("shop.test", true),
        ("www.example.com", true),
        ("10.1.2.3", true),
        ("127.8.8.8", true),
        ("fd12::1", true),
        ("example.org", false),
        ("google.com", false),
        ("nottest", false),
        ("8.8.8.8", false),
        ("2001:db8::1", false),
    ];
    for (name, expected) in cases {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&key, &issuer).unwrap();
        let path = folder.path().join("forged.pem");
        fs::write(&path, leaf.pem()).unwrap();
        assert_eq!(
            openssl_verifies(folder.path(), &path),
            expected,
            "openssl: {name}"
        );
        let root = CertificateDer::from_pem_file(folder.path().join("ca.pem")).unwrap();
        let server = [super::names::CertifiedName::of(name).unwrap()];
        let accepted = super::issue::accepts(&root, leaf.der(), &server);
        assert_eq!(accepted.is_ok(), expected, "webpki: {name}: {accepted:?}");
    }
}

#[tokio::test]
async fn a_star_is_named_and_kept_for_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let names = names(&["app.test", "*.app.test", "*.shop.example"], &[]);
    let store = local(folder.path(), &names);
    let leaf = fs::read(folder.path().join("leaf.pem")).unwrap();
    let ca = store.ca_file().unwrap();
    for (name, accepted) in [
        ("a.app.test", true),
        ("app.test", true),
        ("b.shop.example", true),
        ("a.b.app.test", false),
        ("shop.example", false),
    ] {
        let (client, _) = meet(&store, client(&ca, BOTH, &[]), name).await;
        assert_eq!(client.is_ok(), accepted, "{name}");
    }
    local(folder.path(), &names);
    assert_eq!(fs::read(folder.path().join("leaf.pem")).unwrap(), leaf);
}

#[test]
fn constraints_say_once_what_is_permitted() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = ["localhost", "a.shop.test", "example.com"];
    let addresses = [
        "127.0.0.1",
        "10.9.9.9",
        "198.51.100.4",
        "fd00::7",
        "2001:db8::7",
    ];
    drop(local(folder.path(), &names(&hosts, &addresses)));
    let shown = Command::new("openssl")
        .args(["x509", "-noout", "-ext", "nameConstraints", "-in"])
        .arg(folder.path().join("ca.pem"))
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let count = |kind: &str| shown.matches(kind).count();
    assert_eq!((count("DNS:"), count("IP:")), (3, 11), "{shown}");
    assert!(shown.contains("critical") && shown.contains("IP:198.51.100.4/255.255.255.255"));
}

fn openssl_verifies(folder: &Path, leaf: &Path) -> bool {
    let verified = Command::new("openssl")
        .args(["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile"])
        .arg(folder.join("ca.pem"))
        .arg(leaf)
        .output()
        .unwrap();
    verified.status.success()
}

#[test]
fn openssl_accepts_the_leaf_and_keys_are_private() {
    let folder = tempfile::tempdir().unwrap();
    drop(local(
        folder.path(),
        &names(&["localhost"], &["192.168.7.20"]),
    ));
    assert!(openssl_verifies(
        folder.path(),
        &folder.path().join("leaf.pem")
    ));
    for (file, mode) in [
        ("ca.key", 0o600),
        ("leaf.key", 0o600),
        ("ca.pem", 0o644),
        ("leaf.pem", 0o644),
    ] {
        let found = fs::metadata(folder.path().join(file)).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, mode, "{file}");
    }
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        4,
        "nothing is left over"
    );
    let text = fs::read(folder.path().join("leaf.pem")).unwrap();
    let leaf = CertificateDer::from_pem_slice(&text).unwrap();
    let (_, parsed) = x509_parser::parse_x509_certificate(&leaf).unwrap();
    let valid = parsed.validity().not_after.timestamp() - parsed.validity().not_before.timestamp();
    assert!(valid <= 397 * 86_400);
}

#[test]
fn a_folder_made_for_the_ca_stays_out_of_git_and_one_that_was_there_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let certs = folder.path().join("certs");
    local(&certs, &names(&["localhost"], &[]));
    assert_eq!(fs::read_to_string(certs.join(".gitignore")).unwrap(), "*\n");
    local(folder.path(), &names(&["localhost"], &[]));
    assert!(!folder.path().join(".gitignore").exists());
}

#[test]
fn a_key_that_became_readable_is_closed_again() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = names(&["localhost"], &[]);
    drop(local(folder.path(), &wanted));
    let key = folder.path().join("ca.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    drop(local(folder.path(), &wanted));
    let mode = fs::metadata(&key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_start_keeps_ca_and_leaf_and_a_new_name_only_the_ca() {
    let folder = tempfile::tempdir().unwrap();
    let read = |file: &str| fs::read_to_string(folder.path().join(file)).unwrap();
    drop(local(
        folder.path(),
        &names(&["localhost"], &["192.168.7.20"]),
    ));
    let (ca, leaf) = (read("ca.pem"), read("leaf.pem"));
    drop(local(
        folder.path(),
        &names(&["localhost"], &["192.168.7.20"]),
    ));
    assert_eq!(
        (read("ca.pem"), read("leaf.pem")),
        (ca.clone(), leaf.clone())
    );
    drop(local(
        folder.path(),
        &names(&["localhost", "shop.test"], &[]),
    ));
    assert_eq!(read("ca.pem"), ca);
    assert_ne!(read("leaf.pem"), leaf);
}

#[test]
fn a_host_beyond_the_constraints_makes_a_new_ca_and_an_address_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let read = |file: &str| fs::read_to_string(folder.path().join(file)).unwrap();
    drop(local(
        folder.path(),
        &names(&["localhost"], &["198.51.100.4"]),
    ));
    let ca = read("ca.pem");
    assert_eq!(
        named(folder.path()),
        ["127.0.0.1", "198.51.100.4", "::1", "localhost"]
    );
    drop(local(
        folder.path(),
        &names(&["localhost"], &["198.51.100.5", "10.0.0.5"]),
    ));
    assert_eq!(read("ca.pem"), ca);
    assert_eq!(
        named(folder.path()),
        ["10.0.0.5", "127.0.0.1", "::1", "localhost"]
    );
    drop(local(
        folder.path(),
        &names(&["app.example.com"], &["198.51.100.5"]),
    ));
    assert_ne!(read("ca.pem"), ca);
    assert_eq!(
        named(folder.path()),
        ["127.0.0.1", "198.51.100.5", "::1", "app.example.com"]
    );
}

fn named(folder: &Path) -> Vec<String> {
    let leaf = CertificateDer::from_pem_file(folder.join("leaf.pem")).unwrap();
    let mut names = super::leaf::Leaf::of(&leaf).names;
    names.sort();
    names
}

#[test]
fn gateways_that_start_together_share_one_ca() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| local(folder.path(), &names(&["localhost"], &[])));
        }
    });
    assert!(openssl_verifies(
        folder.path(),
        &folder.path().join("leaf.pem")
    ));
}

#[test]
fn a_key_alone_is_replaced_and_a_ca_without_key_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = names(&["localhost"], &[]);
    fs::write(folder.path().join("ca.key"), "cut off").unwrap();
    drop(local(folder.path(), &wanted));
    fs::remove_file(folder.path().join("ca.key")).unwrap();
    let config = CertificateSource::LocalCa {
        directory: folder.path().to_owned(),
    };
    let error = CertificateStore::load(&config, &wanted).unwrap_err();
    assert!(matches!(error, TlsError::BrokenCa { .. }));
    assert!(
        error.to_string().contains("remove ca.pem and ca.key"),
        "{error}"
    );
}

/// A certificate of one's own under `folder`, as a user would bring it.
fn bring(folder: &Path, host: &str) -> CertificateSource {
    let made = rcgen::generate_simple_self_signed(vec![host.to_owned()]).unwrap();
    fs::write(folder.join("site.pem"), made.cert.pem()).unwrap();
    fs::write(folder.join("site.key"), made.signing_key.serialize_pem()).unwrap();
    CertificateSource::Files(vec![CertificateFiles {
        cert: folder.join("site.pem"),
        key: folder.join("site.key"),
    }])
}

fn refusal(config: &CertificateSource) -> String {
    CertificateStore::load(config, &CertificateNames::default())
        .unwrap_err()
        .to_string()
}

#[test]
fn what_is_wrong_with_files_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let config = bring(folder.path(), "a.example");
    let (cert, key) = (
        folder.path().join("site.pem"),
        folder.path().join("site.key"),
    );
    assert!(CertificateStore::load(&config, &CertificateNames::default()).is_ok());

    let good_key = fs::read_to_string(&key).unwrap();
    fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert!(refusal(&config).contains("does not belong to the certificate"));
    fs::write(&key, "-----BEGIN ENCRYPTED PRIVATE KEY-----\n").unwrap();
    assert!(refusal(&config).contains("encrypted with a passphrase"));
    fs::write(&key, "hello").unwrap();
    assert!(refusal(&config).contains("holds no private key in PEM form"));
    fs::write(&key, good_key.replace('M', "*")).unwrap();
    assert!(refusal(&config).contains("is broken PEM"));
    fs::write(&key, good_key).unwrap();
    fs::write(&cert, "").unwrap();
    assert!(refusal(&config).contains("holds no certificate in PEM form"));
    fs::remove_file(&cert).unwrap();
    let missing = refusal(&config);
    assert!(missing.contains("cannot read the certificate") && missing.contains("own folder"));
}

#[test]
fn changed_files_are_taken_once_they_rest_and_broken_ones_keep_the_old() {
    let folder = tempfile::tempdir().unwrap();
    let config = bring(folder.path(), "a.example");
    let store = CertificateStore::load(&config, &CertificateNames::default()).unwrap();
    let first = store.server_config();
    let unchanged = || Arc::ptr_eq(&first, &store.server_config());

    let look = || store.look(Vec::new()).len();
    let trouble = || store.statuses()[0].trouble.clone();

    assert_eq!(look(), 0);
    assert!(unchanged());
    fs::write(folder.path().join("site.pem"), "half").unwrap();
    assert_eq!(look(), 0, "not judged while it changes");
    assert_eq!(look(), 1);
    assert_eq!(look(), 0, "said once");
    assert!(unchanged());
    assert!(trouble().unwrap().contains("holds no certificate"));
    assert_eq!(
        store.statuses()[0].name,
        "a.example",
        "of the one that is served"
    );

    bring(folder.path(), "b.example");
    assert_eq!(look(), 0);
    assert!(unchanged());
    assert_eq!(look(), 0);
    assert!(!unchanged());
    assert_eq!(trouble(), None);
    assert_eq!(store.statuses()[0].name, "b.example");
}

#[tokio::test(start_paused = true)]
async fn watching_takes_a_changed_file() {
    let folder = tempfile::tempdir().unwrap();
    let config = bring(folder.path(), "a.example");
    let store = Arc::new(CertificateStore::load(&config, &CertificateNames::default()).unwrap());
    let first = store.server_config();
    bring(folder.path(), "b.example");
    let changed = async {
        while Arc::ptr_eq(&first, &store.server_config()) {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = Arc::clone(&store).watch(Vec::new) => unreachable!("it never ends"),
        taken = tokio::time::timeout(std::time::Duration::from_mins(1), changed) => taken.unwrap(),
    }
}
