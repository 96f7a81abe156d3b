//! The certificate the gateway serves now, and its renewal while connections go on.
//!
//! Made by the composition root, which also runs [`CertificateStore::watch`]; `server` takes the
//! configuration of now for each handshake. The surprise: every configuration is complete and new,
//! but all share one ticketer, so that a reload costs no client its resumption.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls::sign::SingleCertAndKey;

use super::error::TlsError;
use super::files::{self, Lifetime, Pair, Version};
use super::local_ca::{LocalCa, RENEWAL};
use super::names::CertificateNames;
use super::{accept, provider};
use crate::config::TlsConfig;

/// How often files and addresses are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long after a failure the local CA is tried again.
const RETRY: Duration = Duration::from_mins(1);

/// The certificate of now.
pub struct CertificateStore {
    source: CertificateSource,
    ca_file: Option<PathBuf>,
    ticketer: Arc<dyn ProducesTickets>,
    current: ArcSwap<ServerConfig>,
    looked: Mutex<Looked>,
}

enum CertificateSource {
    Files { cert: PathBuf, key: PathBuf },
    LocalCa(LocalCa),
}

/// What the last look saw, so that the next can tell a change.
struct Looked {
    /// The versions that were loaded, or found wanting.
    judged: [Option<Version>; 2],
    /// The versions on the disk.
    seen: [Option<Version>; 2],
    names: CertificateNames,
    lifetime: Option<Lifetime>,
}

impl CertificateStore {
    /// Loads the certificate, or makes it.
    pub fn load(config: &TlsConfig, names: &CertificateNames) -> Result<Self, TlsError> {
        let source = match config {
            TlsConfig::Files { cert, key } => CertificateSource::Files {
                cert: cert.clone(),
                key: key.clone(),
            },
            TlsConfig::LocalCa { directory } => CertificateSource::LocalCa(LocalCa::new(directory)),
        };
        let seen = source.versions();
        let pair = source.pair(names)?;
        let looked = Looked {
            judged: seen,
            seen,
            names: names.clone(),
            lifetime: pair.chain.first().and_then(Lifetime::of),
        };
        let ticketer = Ticketer::new()?;
        Ok(Self {
            ca_file: match &source {
                CertificateSource::Files { .. } => None,
                CertificateSource::LocalCa(ca) => Some(ca.ca_file()),
            },
            current: ArcSwap::from_pointee(server_config(pair, Arc::clone(&ticketer))?),
            source,
            ticketer,
            looked: Mutex::new(looked),
        })
    }

    /// The configuration for the next handshake.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// The local CA's certificate, for those who shall trust it.
    pub fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    /// Looks at files and addresses once a second, for ever, and renews the certificate where they
    /// have changed. `addresses` gives this machine's addresses of now.
    pub async fn watch<F>(self: Arc<Self>, addresses: F)
    where
        F: Fn() -> Vec<IpAddr> + Send + 'static,
    {
        loop {
            tokio::time::sleep(LOOK).await;
            let (store, addresses) = (Arc::clone(&self), addresses());
            // Files are read and keys are made: not on a thread that serves clients.
            let looked = tokio::task::spawn_blocking(move || store.look(addresses));
            if let Ok(Err(error)) = looked.await {
                let error = Sentence(&error);
                tracing::warn!(%error, "the certificate stays the old one");
            }
        }
    }

    /// Looks once; an error is new, not the one of the last look.
    pub(super) fn look(&self, addresses: Vec<IpAddr>) -> Result<(), TlsError> {
        let mut looked = self.looked();
        let names = CertificateNames {
            hosts: looked.names.hosts.clone(),
            addresses,
        };
        let due = match self.source {
            CertificateSource::Files { .. } => looked.files_changed(self.source.versions()),
            CertificateSource::LocalCa(_) => looked.names != names || looked.needs_renewal(),
        };
        if !due {
            return Ok(());
        }
        // Judged now, whatever comes of it: what is broken is said once. Only the local CA is tried
        // again without a change, as what hindered it (a full disk) leaves no trace in its files.
        looked.judged = looked.seen;
        looked.names = names;
        looked.lifetime = Some(Lifetime::until(SystemTime::now() + RENEWAL + RETRY));
        let pair = self.source.pair(&looked.names)?;
        looked.lifetime = pair.chain.first().and_then(Lifetime::of);
        let config = server_config(pair, Arc::clone(&self.ticketer))?;
        self.current.store(Arc::new(config));
        tracing::info!("the certificate was renewed");
        Ok(())
    }

    fn looked(&self) -> MutexGuard<'_, Looked> {
        self.looked.lock()
    }
}

impl std::fmt::Debug for CertificateStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateStore")
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}

impl CertificateSource {
    fn pair(&self, names: &CertificateNames) -> Result<Pair, TlsError> {
        match self {
            Self::LocalCa(ca) => ca.leaf(names),
            Self::Files { cert, key } => {
                let pair = files::load(cert, key)?;
                if let Some(leaf) = pair.chain.first() {
                    files::warn_of_dates(leaf, cert);
                }
                Ok(pair)
            }
        }
    }

    fn versions(&self) -> [Option<Version>; 2] {
        match self {
            Self::LocalCa(_) => [None, None],
            Self::Files { cert, key } => [files::version(cert), files::version(key)],
        }
    }
}

impl Looked {
    /// Whether the files differ from those judged, and rest: the two are written one after the
    /// other, and a half-done change is no error.
    fn files_changed(&mut self, now: [Option<Version>; 2]) -> bool {
        let rests = self.seen == now;
        self.seen = now;
        rests && now != self.judged
    }

    /// Whether the certificate ends soon, or has not begun, since the clock was set back.
    fn needs_renewal(&self) -> bool {
        let now = SystemTime::now();
        self.lifetime
            .is_some_and(|life| now < life.begins || life.ends < now + RENEWAL)
    }
}

fn server_config(
    pair: Pair,
    ticketer: Arc<dyn ProducesTickets>,
) -> Result<ServerConfig, rustls::Error> {
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&versions)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair.key)));
    config.alpn_protocols = accept::OFFERED.map(<[u8]>::to_vec).to_vec();
    config.ticketer = ticketer;
    // Tickets resume without any memory here; the default keeps 256 sessions besides, and sends
    // two.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    // Early data can be replayed by anybody who has recorded it.
    config.max_early_data_size = 0;
    Ok(config)
}

/// An error and its causes in one line.
struct Sentence<'a>(&'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
