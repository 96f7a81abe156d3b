//! The certificates that the gateway serves now, and their renewal while connections go on.
//!
//! Made by the composition root, which also runs [`CertificateStore::watch`]; `server` takes the
//! configuration of now for each handshake. The surprise: every configuration is complete and new,
//! but all share one ticketer, so that a reload costs no client its resumption.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;

use super::accept;
use super::certificates::Certificates;
use super::error::{self, TlsError};
use super::names::CertificateNames;
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
        let mut reminders = Reminders::default();
        let current = Current::of(with_certificates(&base, &certificates), &certificates);
        reminders.say(&current.statuses, SystemTime::now());
        Ok(Self {
            current: ArcSwap::from_pointee(current),
            base,
            tickets: None,
            kept: Mutex::new(WatchedCertificates {
                certificates,
                reminders,
            }),
            metrics: CertificateMetrics::default(),
        })
    }

    /// Has tickets that the next gateway believes, and believes those of the one before.
    pub fn keeping_tickets(mut self, file: TicketFile) -> Result<Self, TlsError> {
        let tickets = Arc::new(Tickets::load(file)?);
        self.base.ticketer = Arc::clone(&tickets) as _;
        self.tickets = Some(tickets);
        {
            let kept = self.kept.lock();
            let config = with_certificates(&self.base, &kept.certificates);
            self.publish(&kept, config);
        }
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
        let config = with_certificates(&self.base, &kept.certificates);
        self.publish(&kept, config);
    }

    /// The configuration for the next handshake.
    pub fn server_config(&self) -> Arc<ServerConfig> {
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
            let config = with_certificates(&self.base, &kept.certificates);
            self.publish(&kept, config);
        } else if !looked.errors.is_empty() {
            self.publish(&kept, self.server_config());
        }
        let current = self.current.load();
        kept.reminders.say(&current.statuses, SystemTime::now());
        looked.errors
    }

    /// Hands out what is kept.
    fn publish(&self, kept: &WatchedCertificates, config: Arc<ServerConfig>) {
        let current = Current::of(config, &kept.certificates);
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
    fn of(config: Arc<ServerConfig>, certificates: &Certificates) -> Self {
        Self {
            config,
            statuses: certificates.statuses(),
            ca_file: certificates.ca_file(),
        }
    }
}

fn with_certificates(base: &ServerConfig, certificates: &Certificates) -> Arc<ServerConfig> {
    let mut config = base.clone();
    config.cert_resolver = Arc::new(certificates.by_name());
    Arc::new(config)
}

impl std::fmt::Debug for CertificateStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateStore")
            .field("certificates", &self.current.load().statuses)
            .finish_non_exhaustive()
    }
}
