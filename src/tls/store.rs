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
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;

use super::accept::{self, HandshakeConfigs};
use super::by_name::CertificatesByName;
use super::certificates::Certificates;
use super::challenges::Challenges;
use super::error::{self, TlsError};
use super::issued::IssuedCertificate;
use super::names::CertificateNames;
use super::ordered::Ordered;
use super::status::{CertificateStatus, Reminders};
use super::tickets::{TicketFile, Tickets};
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
    kept: Mutex<WatchedCertificates>,
    challenges: Arc<Challenges>,
    /// For authorities that ask for theirs.
    challenged: Arc<ServerConfig>,
    metrics: CertificateMetrics,
}

/// Certificates that were loaded and are not served yet.
pub struct PreparedCertificates(Certificates);

/// What handshakes and those who watch the gateway get.
struct Current {
    config: Arc<ServerConfig>,
    statuses: Vec<CertificateStatus>,
    ca_file: Option<PathBuf>,
}

/// What only a look needs.
struct WatchedCertificates {
    certificates: Certificates,
    ordered: Ordered,
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
            reminders: Reminders::default(),
        };
        let current = Current::of(kept.config(&base, &metrics), &kept);
        kept.reminders.say(&current.statuses, SystemTime::now());
        let challenges = Arc::new(Challenges::default());
        Ok(Self {
            current: ArcSwap::from_pointee(current),
            base,
            tickets: None,
            kept: Mutex::new(kept),
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

    /// Serves what is issued for these names from now on, and refuses every name that no certificate
    /// holds. Names that files hold are left out; returns the others.
    pub fn expect(&self, names: &[String]) -> Vec<String> {
        let mut kept = self.kept.lock();
        let held = CertificatesByName::of(kept.certificates.pairs());
        let names: Vec<_> = names
            .iter()
            .filter(|name| !held.holds(name))
            .cloned()
            .collect();
        kept.ordered.expect(names.clone());
        self.serve(&kept);
        names
    }

    /// Serves a certificate that was issued for one of the expected names, and counts it.
    pub fn take(&self, name: &str, issued: IssuedCertificate) {
        let mut kept = self.kept.lock();
        if kept.ordered.take(name, issued) {
            self.metrics.renewed();
            self.serve(&kept);
        }
    }

    /// Serves a certificate that is there already: of the gateway before, or of one that shares the folder,
    /// which has counted it.
    pub fn restore(&self, name: &str, kept: IssuedCertificate) {
        let mut all = self.kept.lock();
        if all.ordered.take(name, kept) {
            self.serve(&all);
        }
    }

    /// Tells that nothing is wrong with the certificate of a name any more.
    pub fn recover(&self, name: &str) {
        let mut kept = self.kept.lock();
        if kept.ordered.recover(name) {
            self.publish(&kept, self.server_config());
        }
    }

    /// Until when the certificate of an expected name is valid; `None` where it has none.
    pub fn ends(&self, name: &str) -> Option<SystemTime> {
        self.kept.lock().ordered.ends(name)
    }

    /// Tells that no other certificate can be had for a name, and why.
    pub fn fail(&self, name: &str, trouble: String) {
        let mut kept = self.kept.lock();
        kept.ordered.fail(name, trouble);
        self.metrics.failed();
        self.publish(&kept, self.server_config());
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
        Arc::clone(&self.current.load().config)
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
                let error = error::sentence(&error);
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
            self.publish(&kept, self.server_config());
        }
        let current = self.current.load();
        kept.reminders.say(&current.statuses, SystemTime::now());
        looked.errors
    }

    /// Hands out the certificates that are kept.
    fn serve(&self, kept: &WatchedCertificates) {
        self.publish(kept, kept.config(&self.base, &self.metrics));
    }

    fn publish(&self, kept: &WatchedCertificates, config: Arc<ServerConfig>) {
        let current = Current::of(config, kept);
        self.current.store(Arc::new(current));
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
    fn of(config: Arc<ServerConfig>, kept: &WatchedCertificates) -> Self {
        let statuses = kept.certificates.statuses().into_iter();
        Self {
            config,
            statuses: statuses.chain(kept.ordered.statuses()).collect(),
            ca_file: kept.certificates.ca_file(),
        }
    }
}

impl WatchedCertificates {
    fn config(&self, base: &ServerConfig, metrics: &CertificateMetrics) -> Arc<ServerConfig> {
        let own = self.certificates.pairs().into_iter();
        let mut by_name = CertificatesByName::of(own.chain(self.ordered.pairs()));
        if !self.ordered.is_empty() {
            by_name = by_name.refusing(metrics.refused.clone());
        }
        let mut config = base.clone();
        config.cert_resolver = Arc::new(by_name);
        Arc::new(config)
    }
}

impl std::fmt::Debug for CertificateStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateStore")
            .field("certificates", &self.current.load().statuses)
            .finish_non_exhaustive()
    }
}
