//! The certificates that the gateway serves now, and their renewal while connections go on.
//!
//! Made by the composition root, which also runs [`CertificateStore::watch`]; `server` takes the
//! configuration of now for each handshake. Every configuration is complete and new, but all share
//! one ticketer, so that a reload costs no client its resumption.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;

use super::accept::{self, HandshakeConfigs};
use super::by_name::CertificatesByName;
use super::certificates::Certificates;
use super::challenges::Challenges;
use super::error::TlsError;
use super::names::CertificateNames;
use super::ordered::Ordered;
use super::status::{CertificateStatus, Reminders};
use super::supplier::CertificateSupplier;
use super::tickets::{TicketFile, Tickets};
use crate::causes;
use crate::config::CertificateSource;
use crate::telemetry::metrics::CertificateMetrics;

/// How often files and addresses are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The certificates of now.
pub struct CertificateStore {
    /// Without certificates.
    base: ServerConfig,
    /// Where they outlive the process.
    tickets: Option<Arc<Tickets>>,
    current: ArcSwap<Current>,
    pub(super) kept: Mutex<WatchedCertificates>,
    pub(super) supplier: RwLock<Option<Arc<dyn CertificateSupplier>>>,
    challenges: Arc<Challenges>,
    /// For authorities that ask for theirs.
    challenged: Arc<ServerConfig>,
    pub(super) metrics: CertificateMetrics,
}

/// Certificates that were loaded and are not served yet.
pub struct PreparedCertificates(Certificates);

/// What handshakes and those who watch the gateway get.
struct Current {
    served: Served,
    statuses: Vec<CertificateStatus>,
    ca_file: Option<PathBuf>,
}

/// What handshakes get.
#[derive(Clone)]
struct Served {
    config: Arc<ServerConfig>,
    by_name: Arc<CertificatesByName>,
}

/// What only a look needs.
pub(super) struct WatchedCertificates {
    pub(super) certificates: Certificates,
    pub(super) ordered: Ordered,
    /// Whether a name that none holds is refused although none is expected.
    pub(super) is_supplied: bool,
    reminders: Reminders,
}

impl PreparedCertificates {
    /// Loads all certificates, or makes the local CA's.
    pub fn load(config: &CertificateSource, names: &CertificateNames) -> Result<Self, TlsError> {
        Certificates::load(config, names).map(Self)
    }
}

impl CertificateStore {
    /// Loads all certificates, or makes the local CA's.
    pub fn load(config: &CertificateSource, names: &CertificateNames) -> Result<Self, TlsError> {
        let PreparedCertificates(certificates) = PreparedCertificates::load(config, names)?;
        let base = accept::server_config(Ticketer::new()?)?;
        let metrics = CertificateMetrics::default();
        let mut kept = WatchedCertificates {
            certificates,
            ordered: Ordered::default(),
            is_supplied: false,
            reminders: Reminders::default(),
        };
        let current = Current::of(kept.served(&base, &metrics), &kept);
        kept.reminders.say(&current.statuses, SystemTime::now());
        let challenges = Arc::new(Challenges::default());
        Ok(Self {
            current: ArcSwap::from_pointee(current),
            base,
            tickets: None,
            kept: Mutex::new(kept),
            supplier: RwLock::default(),
            challenged: Arc::new(challenges.server_config()?),
            challenges,
            metrics,
        })
    }

    /// Has tickets that the next gateway believes, and believes those of the one before.
    pub fn keeping_tickets(mut self, file: TicketFile) -> Result<Self, TlsError> {
        let tickets = Arc::new(Tickets::load(file)?);
        self.base.ticketer = Arc::clone(&tickets) as _;
        self.tickets = Some(tickets);
        self.serve(&self.kept.lock());
        Ok(self)
    }

    /// Tells of them in these metrics.
    #[must_use]
    pub fn counting(mut self, metrics: &CertificateMetrics) -> Self {
        self.metrics = metrics.clone();
        self.record_ends();
        self
    }

    /// Serves other certificates from the next handshake on, by other settings. Connections stay, and
    /// so do tickets.
    pub fn adopt(&self, prepared: PreparedCertificates) {
        let mut kept = self.kept.lock();
        kept.certificates = prepared.0;
        self.serve(&kept);
    }

    /// Where the answers to authorities stand.
    pub fn challenges(&self) -> &Arc<Challenges> {
        &self.challenges
    }

    /// How the next handshake is answered.
    pub fn handshake(&self) -> HandshakeConfigs {
        let challenged = self.challenges.are_under_way();
        HandshakeConfigs {
            usual: self.server_config(),
            challenged: challenged.then(|| Arc::clone(&self.challenged)),
        }
    }

    /// The configuration for handshakes of clients.
    pub(super) fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().served.config)
    }

    /// Whether a certificate is for a name in lower case.
    pub(super) fn holds(&self, name: &str) -> bool {
        self.current.load().served.by_name.holds(name)
    }

    /// The certificates that are served, in their order.
    pub fn statuses(&self) -> Vec<CertificateStatus> {
        self.current.load().statuses.clone()
    }

    /// The local CA's certificate, for those who shall trust it.
    pub fn ca_file(&self) -> Option<PathBuf> {
        self.current.load().ca_file.clone()
    }

    /// Looks at files and addresses once a second, for ever, and renews certificates where they
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
            for error in looked.await.unwrap_or_default() {
                let error = causes::chain(&error);
                tracing::warn!(%error, "the certificate stays the old one");
            }
        }
    }

    /// Looks once; the errors are new, not those of the last look.
    pub(super) fn look(&self, addresses: Vec<IpAddr>) -> Vec<TlsError> {
        if let Some(tickets) = &self.tickets {
            tickets.look();
        }
        let mut kept = self.kept.lock();
        let looked = kept.certificates.look(addresses);
        if looked.renewed {
            tracing::info!("the certificate was renewed");
            self.metrics.renewed();
        }
        for _ in &looked.errors {
            self.metrics.failed();
        }
        if looked.renewed {
            self.serve(&kept);
        } else if !looked.errors.is_empty() {
            self.publish(&kept);
        }
        let current = self.current.load();
        kept.reminders.say(&current.statuses, SystemTime::now());
        looked.errors
    }

    /// Hands out the certificates that are kept.
    pub(super) fn serve(&self, kept: &WatchedCertificates) {
        self.replace(kept, kept.served(&self.base, &self.metrics));
    }

    /// Tells of the certificates that are kept, of which the same are served.
    pub(super) fn publish(&self, kept: &WatchedCertificates) {
        self.replace(kept, self.current.load().served.clone());
    }

    fn replace(&self, kept: &WatchedCertificates, served: Served) {
        self.current.store(Arc::new(Current::of(served, kept)));
        self.record_ends();
    }

    fn record_ends(&self) {
        let current = self.current.load();
        let ends = current.statuses.iter();
        self.metrics
            .expire(ends.filter_map(|status| Some((status.name.as_str(), status.expires()?))));
    }
}

impl Current {
    fn of(served: Served, kept: &WatchedCertificates) -> Self {
        let statuses = kept.certificates.statuses().into_iter();
        Self {
            served,
            statuses: statuses.chain(kept.ordered.statuses()).collect(),
            ca_file: kept.certificates.ca_file(),
        }
    }
}

impl WatchedCertificates {
    fn served(&self, base: &ServerConfig, metrics: &CertificateMetrics) -> Served {
        let own = self.certificates.pairs().into_iter();
        let mut by_name = CertificatesByName::of(own.chain(self.ordered.pairs()));
        if self.is_supplied || !self.ordered.is_empty() {
            by_name = by_name.refusing(metrics.refused.clone());
        }
        let by_name = Arc::new(by_name);
        let mut config = base.clone();
        config.cert_resolver = Arc::clone(&by_name) as _;
        Served {
            config: Arc::new(config),
            by_name,
        }
    }
}

impl std::fmt::Debug for CertificateStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateStore")
            .field("certificates", &self.current.load().statuses)
            .finish_non_exhaustive()
    }
}
