//! What is told of certificates.
//!
//! Known to the rest by `metrics`.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::{CertificateName, OutcomeLabel};

/// The certificates that are served, and how they are renewed.
#[derive(Clone, Debug, Default)]
pub struct CertificateMetrics {
    /// When each ends, in seconds since 1970.
    expires: Family<CertificateName, Gauge>,
    /// Renewals by outcome: `renewed`, `failed`.
    renewals: Family<OutcomeLabel, Counter>,
    /// Names that Django was asked about, by what it says.
    questions: Family<OutcomeLabel, Counter>,
    /// Handshakes that were refused, since no certificate holds the name.
    pub refused: Counter,
    /// The names that are told of.
    named: Arc<Mutex<HashSet<CertificateName>>>,
}

impl CertificateMetrics {
    /// Another certificate is served.
    pub fn renewed(&self) {
        self.count("renewed");
    }

    /// Another certificate should be served, and cannot.
    pub fn failed(&self) {
        self.count("failed");
    }

    /// A client asked for a name that Django may allow: `allowed`, `refused`, `unanswered`; `too_many`: it was not gone on
    /// with.
    pub fn asked(&self, outcome: &'static str) {
        self.questions
            .get_or_create(&OutcomeLabel { outcome })
            .inc();
    }

    /// These certificates are served, and end then (in seconds since 1970); no others are.
    pub fn expire<'a>(&self, ends: impl Iterator<Item = (&'a str, u64)>) {
        let mut named = self.named.lock();
        let mut gone = std::mem::take(&mut *named);
        for (name, end) in ends {
            let name = CertificateName {
                name: name.to_owned(),
            };
            let end = i64::try_from(end).unwrap_or(i64::MAX);
            self.expires.get_or_create(&name).set(end);
            gone.remove(&name);
            named.insert(name);
        }
        for name in gone {
            self.expires.remove(&name);
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        for outcome in ["renewed", "failed"] {
            drop(self.renewals.get_or_create(&OutcomeLabel { outcome }));
        }
        for outcome in ["allowed", "refused", "unanswered", "too_many"] {
            drop(self.questions.get_or_create(&OutcomeLabel { outcome }));
        }
        let r = registry.sub_registry_with_prefix("certificate");
        r.register(
            "expires_seconds",
            "When each certificate ends, in seconds since 1970",
            self.expires.clone(),
        );
        r.register(
            "refused_handshakes",
            "Handshakes that were refused, since no certificate holds the name",
            self.refused.clone(),
        );
        r.register(
            "questions",
            "Names that clients asked for, by whether Django allows them to have a certificate",
            self.questions.clone(),
        );
        r.register(
            "renewals",
            "Certificates that were replaced, or should have been, by outcome",
            self.renewals.clone(),
        );
    }

    fn count(&self, outcome: &'static str) {
        self.renewals.get_or_create(&OutcomeLabel { outcome }).inc();
    }
}
