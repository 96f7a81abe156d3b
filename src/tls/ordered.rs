//! The names that an authority issues certificates for, and what it has issued.
//!
//! Told by `acme` through the store. A name without a certificate refuses its handshakes rather than
//! to show another one, since a browser's warning teaches people to pass over warnings.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::files::Pair;
use super::issued::IssuedCertificate;
use super::status::CertificateStatus;

/// What is said of a name that has no certificate yet.
const NONE_YET: &str = "there is no certificate yet: its handshakes are refused";

/// The names that get certificates.
#[derive(Default)]
pub(super) struct Ordered {
    /// In the order of the configuration.
    expected: Vec<OrderedName>,
    /// Those that clients asked for and that were allowed, perhaps thousands.
    admitted: BTreeMap<String, OrderedName>,
}

struct OrderedName {
    name: String,
    pair: Option<Pair>,
    trouble: Option<String>,
}

impl OrderedName {
    fn new(name: String, pair: Option<Pair>) -> Self {
        Self {
            name,
            pair,
            trouble: None,
        }
    }
}

impl Ordered {
    /// These names of the configuration, with what is there of them already.
    pub(super) fn expect(&mut self, names: Vec<String>) {
        let mut before = std::mem::take(&mut self.expected);
        for name in names {
            let known = before.iter().position(|known| known.name == name);
            let known = known.map(|place| before.swap_remove(place));
            let known = known.or_else(|| self.admitted.remove(&name));
            let name = known.unwrap_or_else(|| OrderedName::new(name, None));
            self.expected.push(name);
        }
    }

    /// Besides those of the configuration, these names alone.
    pub(super) fn readmit(&mut self, names: Vec<(String, IssuedCertificate)>) {
        let names = names.into_iter().filter(|(name, _)| !self.expects(name));
        let admitted = names.map(|(name, issued)| {
            let kept = OrderedName::new(name.clone(), Some(issued.pair));
            (name, kept)
        });
        self.admitted = admitted.collect();
    }

    /// One more name.
    pub(super) fn admit(&mut self, name: &str) {
        if !self.expects(name) && !self.admitted.contains_key(name) {
            let new = OrderedName::new(name.to_owned(), None);
            self.admitted.insert(name.to_owned(), new);
        }
    }

    /// Forgets a name that was admitted; whether it was.
    pub(super) fn dismiss(&mut self, name: &str) -> bool {
        self.admitted.remove(name).is_some()
    }

    /// Takes a certificate for one of the names; whether it is another one than before.
    pub(super) fn take(&mut self, name: &str, issued: IssuedCertificate) -> bool {
        let Some(ordered) = self.find_mut(name) else {
            return false;
        };
        let before = ordered.pair.as_ref().and_then(Pair::certificate);
        if before.is_some() && before == issued.leaf() {
            return false;
        }
        ordered.pair = Some(issued.pair);
        ordered.trouble = None;
        true
    }

    /// Why there is no other certificate for a name.
    pub(super) fn fail(&mut self, name: &str, trouble: String) {
        if let Some(ordered) = self.find_mut(name) {
            ordered.trouble = Some(trouble);
        }
    }

    /// Nothing is wrong any more; whether something was.
    pub(super) fn recover(&mut self, name: &str) -> bool {
        let ordered = self.find_mut(name);
        ordered.is_some_and(|ordered| ordered.trouble.take().is_some())
    }

    /// Until when the certificate of a name is valid.
    pub(super) fn ends(&self, name: &str) -> Option<SystemTime> {
        let expected = self.expected.iter().find(|known| known.name == name);
        let ordered = expected.or_else(|| self.admitted.get(name))?;
        Some(ordered.pair.as_ref()?.leaf.lifetime?.ends)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.expected.is_empty() && self.admitted.is_empty()
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = &Pair> {
        self.all().filter_map(|name| name.pair.as_ref())
    }

    pub(super) fn statuses(&self) -> impl Iterator<Item = CertificateStatus> {
        self.all().map(|name| {
            let lifetime = name.pair.as_ref().and_then(|pair| pair.leaf.lifetime);
            let none_yet = || name.pair.is_none().then(|| NONE_YET.to_owned());
            CertificateStatus {
                name: name.name.clone(),
                trouble: name.trouble.clone().or_else(none_yet),
                lifetime,
            }
        })
    }

    fn all(&self) -> impl Iterator<Item = &OrderedName> {
        self.expected.iter().chain(self.admitted.values())
    }

    fn expects(&self, name: &str) -> bool {
        self.expected.iter().any(|known| known.name == name)
    }

    fn find_mut(&mut self, name: &str) -> Option<&mut OrderedName> {
        let expected = self.expected.iter_mut().find(|known| known.name == name);
        expected.or_else(|| self.admitted.get_mut(name))
    }
}
