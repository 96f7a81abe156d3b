//! Which certificate a client gets, by the name that it asks for (SNI, RFC 6066 section 3).
//!
//! Made anew whenever a certificate changes, asked in every full handshake: one or two lookups, no
//! allocation.

use std::collections::HashMap;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::files::Pair;

/// The certificates by their names.
#[derive(Debug, Default)]
pub(super) struct CertificatesByName {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By the domain under the star.
    wildcards: HashMap<String, Arc<CertifiedKey>>,
    /// For a name that none holds, and for clients that name none.
    fallback: Option<Arc<CertifiedKey>>,
    /// Where names get their certificates by themselves, a name that none holds is refused and counted.
    refusals: Option<Counter>,
}

impl CertificatesByName {
    /// Of two that hold a name the first is taken, and the first of all is the fallback.
    pub(super) fn of<'p>(pairs: impl IntoIterator<Item = &'p Pair>) -> Self {
        let mut table = Self::default();
        for pair in pairs {
            table.add(pair);
        }
        table
    }

    /// Refuses names that none holds.
    pub(super) fn refusing(mut self, refusals: Counter) -> Self {
        self.refusals = Some(refusals);
        self
    }

    fn add(&mut self, pair: &Pair) {
        for name in &pair.leaf.names {
            let (names, name) = match name.strip_prefix("*.") {
                Some(domain) => (&mut self.wildcards, domain),
                None => (&mut self.exact, name.as_str()),
            };
            if !names.contains_key(name) {
                names.insert(name.to_owned(), Arc::clone(&pair.key));
            }
        }
        self.fallback.get_or_insert_with(|| Arc::clone(&pair.key));
    }

    /// Whether one of them is for a name in lower case.
    pub(super) fn holds(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The one for a name in lower case: one that has it written out, else one with a star for its
    /// first label (RFC 9525 section 6.3: for exactly one).
    fn get(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let wildcard = || self.wildcards.get(name.split_once('.')?.1);
        self.exact.get(name).or_else(wildcard)
    }
}

impl ResolvesServerCert for CertificatesByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name();
        let named = name.and_then(|name| self.get(name));
        match (&self.refusals, name) {
            (Some(refusals), Some(name)) if named.is_none() => {
                refusals.inc();
                tracing::debug!(
                    name,
                    "no certificate holds this name, its handshake is refused"
                );
                None
            }
            _ => named.or(self.fallback.as_ref()).cloned(),
        }
    }
}
