//! All certificates that a gateway serves, wherever they come from.
//!
//! Owned by the store, which looks once a second.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;

use super::error::TlsError;
use super::files::Pair;
use super::local::LocalCertificate;
use super::names::CertificateNames;
use super::status::CertificateStatus;
use super::watched::WatchedPair;
use crate::config::CertificateSource;

/// The certificates and where they come from.
pub(super) enum Certificates {
    /// None only where names get their certificates by themselves.
    Files(Vec<WatchedPair>),
    Local(Box<LocalCertificate>),
}

/// What a look has found.
#[derive(Default)]
pub(super) struct Looked {
    /// Whether a certificate is another one now.
    pub(super) renewed: bool,
    /// What cannot be used, each error once.
    pub(super) errors: Vec<TlsError>,
}

impl Certificates {
    /// Reads all of them, or says why one cannot be served.
    pub(super) fn load(
        config: &CertificateSource,
        names: &CertificateNames,
    ) -> Result<Self, TlsError> {
        let certificates = match config {
            CertificateSource::LocalCa { directory } => {
                Self::Local(Box::new(LocalCertificate::load(directory, names)?))
            }
            CertificateSource::Files(files) => {
                let pairs = files.iter().map(WatchedPair::load);
                Self::Files(pairs.collect::<Result<_, _>>()?)
            }
        };
        certificates.warn_of_shared_names();
        Ok(certificates)
    }

    /// Takes what has changed. What is broken leaves the old certificate in its place, and the others
    /// alone.
    pub(super) fn look(&mut self, addresses: Vec<IpAddr>) -> Looked {
        let mut looked = Looked::default();
        let mut note = |outcome: Result<bool, TlsError>| match outcome {
            Ok(renewed) => looked.renewed |= renewed,
            Err(error) => looked.errors.push(error),
        };
        match self {
            Self::Files(pairs) => pairs.iter_mut().for_each(|pair| note(pair.look())),
            Self::Local(local) => note(local.look(addresses)),
        }
        if looked.renewed {
            self.warn_of_shared_names();
        }
        looked
    }

    pub(super) fn pairs(&self) -> Vec<&Pair> {
        match self {
            Self::Files(pairs) => pairs.iter().map(|pair| &pair.pair).collect(),
            Self::Local(local) => vec![&local.pair],
        }
    }

    pub(super) fn statuses(&self) -> Vec<CertificateStatus> {
        match self {
            Self::Files(pairs) => {
                let status =
                    |pair: &WatchedPair| status(&pair.pair, pair.place(), pair.trouble.clone());
                pairs.iter().map(status).collect()
            }
            Self::Local(local) => {
                let place = local.ca_file().display().to_string();
                vec![status(&local.pair, place, local.trouble.clone())]
            }
        }
    }

    pub(super) fn ca_file(&self) -> Option<PathBuf> {
        match self {
            Self::Files(_) => None,
            Self::Local(local) => Some(local.ca_file()),
        }
    }

    fn warn_of_shared_names(&self) {
        let Self::Files(pairs) = self else { return };
        for shared in shared_names(pairs) {
            tracing::warn!(
                name = shared.name,
                first = shared.first,
                second = shared.second,
                "two certificates hold the same name; the first is served"
            );
        }
    }
}

/// A name that two certificates hold.
pub(super) struct SharedName {
    pub(super) name: String,
    pub(super) first: String,
    pub(super) second: String,
}

/// The first shared name of each certificate that holds one of another's.
pub(super) fn shared_names(pairs: &[WatchedPair]) -> Vec<SharedName> {
    let mut holders: HashMap<&str, &WatchedPair> = HashMap::new();
    let mut shared = Vec::new();
    for pair in pairs {
        let names = &pair.pair.leaf.names;
        if let Some((name, first)) = names.iter().find_map(|name| {
            let first = holders.get(name.as_str())?;
            Some((name, first.place()))
        }) {
            shared.push(SharedName {
                name: name.clone(),
                first,
                second: pair.place(),
            });
        }
        for name in names {
            holders.entry(name).or_insert(pair);
        }
    }
    shared
}

fn status(pair: &Pair, place: String, trouble: Option<String>) -> CertificateStatus {
    CertificateStatus {
        name: pair.leaf.names.first().cloned().unwrap_or(place),
        trouble,
        lifetime: pair.leaf.lifetime,
    }
}
