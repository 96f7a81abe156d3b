//! Which certificate a client gets, by the name that it asks for (SNI, RFC 6066 section 3).
//!
//! Made anew whenever a certificate changes, asked in every full handshake: one or two lookups, no
//! allocation.

use std::collections::HashMap;
use std::sync::Arc;

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

    /// The one for a name in lower case: one that has it written out, else one with a star for its
    /// first label (RFC 9525 section 6.3: for exactly one).
    fn get(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let wildcard = || self.wildcards.get(name.split_once('.')?.1);
        self.exact.get(name).or_else(wildcard)
    }
}

impl ResolvesServerCert for CertificatesByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.get(name));
        named.or(self.fallback.as_ref()).cloned()
    }
}
