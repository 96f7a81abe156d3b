//! The names that an authority issues certificates for, and what it has issued.
//!
//! Told by `acme` through the store. A name without a certificate refuses its handshakes rather than
//! to show another one, since a browser's warning teaches people to pass over warnings.

use std::time::SystemTime;

use super::files::Pair;
use super::issued::IssuedCertificate;
use super::status::CertificateStatus;

/// What is said of a name that has no certificate yet.
const NONE_YET: &str = "there is no certificate yet: its handshakes are refused";

/// The names that get certificates, in the order of the configuration.
#[derive(Default)]
pub(super) struct Ordered(Vec<OrderedName>);

struct OrderedName {
    name: String,
    pair: Option<Pair>,
    trouble: Option<String>,
}

impl Ordered {
    /// These names, with what is there of them already.
    pub(super) fn expect(&mut self, names: Vec<String>) {
        let mut before = std::mem::take(&mut self.0);
        for name in names {
            let kept = before.iter().position(|known| known.name == name);
            self.0.push(match kept {
                Some(place) => before.swap_remove(place),
                None => OrderedName {
                    name,
                    pair: None,
                    trouble: None,
                },
            });
        }
    }

    /// Takes a certificate for an expected name; whether it is another one than before.
    pub(super) fn take(&mut self, name: &str, issued: IssuedCertificate) -> bool {
        let Some(expected) = self.find(name) else {
            return false;
        };
        let before = expected.pair.as_ref().and_then(Pair::certificate);
        if before.is_some() && before == issued.leaf() {
            return false;
        }
        expected.pair = Some(issued.pair);
        expected.trouble = None;
        true
    }

    /// Why there is no other certificate for a name.
    pub(super) fn fail(&mut self, name: &str, trouble: String) {
        if let Some(expected) = self.find(name) {
            expected.trouble = Some(trouble);
        }
    }

    /// Nothing is wrong any more; whether something was.
    pub(super) fn recover(&mut self, name: &str) -> bool {
        let expected = self.find(name);
        expected.is_some_and(|expected| expected.trouble.take().is_some())
    }

    /// Until when the certificate of a name is valid.
    pub(super) fn ends(&self, name: &str) -> Option<SystemTime> {
        let expected = self.0.iter().find(|known| known.name == name)?;
        Some(expected.pair.as_ref()?.leaf.lifetime?.ends)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = &Pair> {
        self.0.iter().filter_map(|name| name.pair.as_ref())
    }

    pub(super) fn statuses(&self) -> impl Iterator<Item = CertificateStatus> {
        self.0.iter().map(|name| {
            let lifetime = name.pair.as_ref().and_then(|pair| pair.leaf.lifetime);
            let none_yet = || name.pair.is_none().then(|| NONE_YET.to_owned());
            CertificateStatus {
                name: name.name.clone(),
                trouble: name.trouble.clone().or_else(none_yet),
                lifetime,
            }
        })
    }

    fn find(&mut self, name: &str) -> Option<&mut OrderedName> {
        self.0.iter_mut().find(|known| known.name == name)
    }
}
