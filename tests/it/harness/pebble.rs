//! Debian's pebble: a certificate authority for tests, which asks this machine whatever the name.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::{PATIENCE, eventually_some};

/// A pebble, and a DNS server that knows one answer. Both are killed when dropped.
pub struct Pebble {
    folder: TempDir,
    at: SocketAddr,
    dns: SocketAddr,
    _names: Killed,
    authority: Option<Killed>,
}

/// A process that is killed when dropped.
struct Killed(Child);

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
        Self::issuing_for(challenged, Duration::from_hours(24 * 90)).await
    }

    /// The same; its certificates live so long, in whole seconds.
    pub async fn issuing_for(challenged: Challenged, life: Duration) -> Option<Self> {
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
            "certificateValidityPeriod": life.as_secs(),
        }});
        fs::write(path("pebble.json"), config.to_string()).unwrap();
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut names = Command::new("pebble-challtestsrv");
        names
            .args(["-dns01", &local(dns).to_string()])
            .args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""])
            .args(["-http01", "", "-https01", "", "-tlsalpn01", ""])
            .args(["-management", &local(free_port()).to_string()]);
        let mut pebble = Self {
            folder,
            at: local(port),
            dns: local(dns),
            _names: Killed::run(names),
            authority: None,
        };
        pebble.come_back().await;
        Some(pebble)
    }

    /// Nobody listens any more.
    pub fn go_away(&mut self) {
        self.authority = None;
    }

    /// Listens where it did before; accounts, orders and its own key are lost.
    pub async fn come_back(&mut self) {
        let mut pebble = Command::new("pebble");
        pebble
            .arg("-config")
            .arg(self.folder.path().join("pebble.json"))
            .args(["-strict", "-dnsserver", &self.dns.to_string()])
            .env("PEBBLE_VA_NOSLEEP", "1");
        self.authority = Some(Killed::run(pebble));
        let at = self.at;
        eventually_some(PATIENCE, async || TcpStream::connect(at).await.ok()).await;
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

impl Killed {
    fn run(mut command: Command) -> Self {
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        Self(quiet.spawn().unwrap())
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
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
