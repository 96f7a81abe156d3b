//! Debian's pebble: a certificate authority for tests, which asks this machine whatever the name.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::{PATIENCE, eventually_some};

/// A pebble, and a DNS server that knows one answer. Both are killed when dropped.
pub struct Pebble {
    folder: TempDir,
    at: SocketAddr,
    children: Vec<Child>,
}

/// Where the authority asks for its challenges.
#[derive(Clone, Copy, Debug)]
pub struct Challenged {
    pub http: u16,
    pub https: u16,
}

/// A port that nobody has.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

impl Pebble {
    /// Starts it; `None` where the package is not installed.
    pub async fn start(challenged: Challenged) -> Option<Self> {
        let installed = |name| Command::new(name).arg("-help").output().is_ok();
        if !installed("pebble") {
            assert!(
                std::env::var_os("CI").is_none(),
                "scripts/install-pebble.sh"
            );
            return None;
        }
        let (port, management, dns) = (free_port(), free_port(), free_port());
        let folder = tempfile::tempdir().unwrap();
        write_certificate(&folder);
        let path = |name: &str| folder.path().join(name);
        let config = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": path("server.pem"),
            "privateKey": path("server.key"),
            "httpPort": challenged.http,
            "tlsPort": challenged.https,
        }});
        fs::write(path("pebble.json"), config.to_string()).unwrap();
        let dns = format!("127.0.0.1:{dns}");
        let mut names = Command::new("pebble-challtestsrv");
        names
            .args([
                "-dns01",
                &dns,
                "-defaultIPv4",
                "127.0.0.1",
                "-defaultIPv6",
                "",
            ])
            .args(["-http01", "", "-https01", "", "-tlsalpn01", ""])
            .args(["-management", &format!("127.0.0.1:{}", free_port())]);
        let mut pebble = Command::new("pebble");
        pebble
            .arg("-config")
            .arg(path("pebble.json"))
            .args(["-strict", "-dnsserver", &dns])
            .env("PEBBLE_VA_NOSLEEP", "1");
        let children = [names, pebble].map(|mut command| {
            let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
            quiet.spawn().unwrap()
        });
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        eventually_some(PATIENCE, async || TcpStream::connect(at).await.ok()).await;
        Some(Self {
            folder,
            at,
            children: children.into(),
        })
    }

    /// For `tls.acme.directory`.
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.at.port())
    }

    /// The certificate for `tls.acme.ca`.
    pub fn ca(&self) -> String {
        fs::read_to_string(self.folder.path().join("ca.pem")).unwrap()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn write_certificate(folder: &TempDir) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    for (name, text) in [
        ("ca.pem", ca),
        ("server.pem", leaf.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
}
