//! The local CA: a certificate for developers, made on first start and kept under `certs/`.
//!
//! Called by the store. The CA can vouch for local names, `server.hosts` and this machine's
//! addresses only, so that its key is of no use for the rest of the web. Trust is never thrown away
//! for an address. A CA that cannot vouch for a new address leaves it out and says so; only a host
//! that the user has configured makes a new CA.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::error::TlsError;
use super::files::{self, Pair};
use super::folder::{LockedFolder, Readers};
use super::issue::{self, Issued};
use super::leaf::Leaf;
use super::names::{CertificateNames, CertifiedName};
use crate::config::CA_FILE;

/// A certificate that ends sooner is replaced.
pub(super) const RENEWAL: Duration = Duration::from_hours(30 * 24);

/// The CA under one folder.
pub(super) struct LocalCa {
    directory: PathBuf,
}

/// The CA's certificate with its signing half.
struct Ca {
    cert: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// What the certificate shall name.
struct Wanted {
    hosts: Vec<CertifiedName>,
    addresses: Vec<CertifiedName>,
}

impl LocalCa {
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    pub(super) fn ca_file(&self) -> PathBuf {
        self.directory.join(CA_FILE)
    }

    /// A valid certificate for `names`: the stored one where it still fits.
    pub(super) fn leaf(&self, names: &CertificateNames) -> Result<Pair, TlsError> {
        let wanted = Wanted::new(names)?;
        let folder = LockedFolder::lock(&self.directory)?;
        folder.close_to_others("ca.key");
        folder.close_to_others("leaf.key");
        let mut ca = match self.read_ca()? {
            Some(ca) => ca,
            None => self.make_ca(&folder, &wanted)?,
        };
        if let Some(pair) = self.stored_leaf(&ca, &wanted) {
            return Ok(pair);
        }
        if let Some(host) = wanted.hosts.iter().find(|host| !ca.covers(host)) {
            let (host, file) = (&host.written, self.ca_file());
            tracing::warn!(
                host,
                ca = %file.display(),
                "the local CA may not vouch for a configured host and is replaced: \
                 browsers must be told to trust it again"
            );
            ca = self.make_ca(&folder, &wanted)?;
        }
        self.make_leaf(&folder, &ca, wanted)
    }

    /// The stored CA; `None` where there is none or where it ends soon.
    fn read_ca(&self) -> Result<Option<Ca>, TlsError> {
        let (cert, key) = (self.ca_file(), self.directory.join("ca.key"));
        // A start that was cut off in between leaves a key alone.
        if !cert.exists() {
            return Ok(None);
        }
        let broken = |source| TlsError::broken_ca(&self.directory, source);
        let ca = Ca::read(&cert, &key).map_err(broken)?;
        if ends_soon(&Leaf::of(&ca.cert)) {
            let ca = cert.display();
            tracing::warn!(%ca, "the local CA is about to expire and is replaced: trust the new one");
            return Ok(None);
        }
        Ok(Some(ca))
    }

    fn make_ca(&self, folder: &LockedFolder, wanted: &Wanted) -> Result<Ca, TlsError> {
        let machine = rustix::system::uname();
        let owner = machine.nodename().to_string_lossy();
        let made = issue::ca(&owner, &wanted.all())?;
        folder.write("ca.key", &made.key, Readers::Owner)?;
        folder.write(CA_FILE, &made.cert, Readers::All)?;
        let (cert, key) = (self.ca_file(), self.directory.join("ca.key"));
        tracing::info!(ca = %cert.display(), "made a local CA");
        Ca::read(&cert, &key).map_err(|source| TlsError::broken_ca(&self.directory, source))
    }

    /// The stored leaf, if clients will accept it for exactly what is wanted now.
    fn stored_leaf(&self, ca: &Ca, wanted: &Wanted) -> Option<Pair> {
        let pair = files::load(
            &self.directory.join("leaf.pem"),
            &self.directory.join("leaf.key"),
        )
        .ok()?;
        let leaf = pair.certificate()?;
        let wanted = wanted.all();
        let named: BTreeSet<&str> = pair.leaf.names.iter().map(String::as_str).collect();
        let fits = named == wanted.iter().map(|name| name.written.as_str()).collect()
            && !ends_soon(&pair.leaf)
            && issue::accepts(&ca.cert, leaf, &wanted).is_ok();
        fits.then_some(pair)
    }

    fn make_leaf(
        &self,
        folder: &LockedFolder,
        ca: &Ca,
        mut wanted: Wanted,
    ) -> Result<Pair, TlsError> {
        wanted.addresses.retain(|address| {
            let covered = ca.covers(address);
            if !covered {
                let address = &address.written;
                tracing::warn!(
                    address,
                    "the local CA may not vouch for this address, which is left out of the \
                     certificate; put it in `server.hosts` to have a new CA made"
                );
            }
            covered
        });
        let (der, Issued { cert, key }) = issue::leaf(&ca.issuer, &wanted.all())?;
        folder.write("leaf.key", &key, Readers::Owner)?;
        folder.write("leaf.pem", &cert, Readers::All)?;
        let private = files::read_key(&self.directory.join("leaf.key"))?;
        files::pair(vec![der], private).map_err(TlsError::Setup)
    }
}

impl Ca {
    fn read(cert: &Path, key: &Path) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let pair = files::load(cert, key)?;
        let cert = pair.certificate().cloned().ok_or("it is empty")?;
        let PrivateKeyDer::Pkcs8(key) = files::read_key(key)? else {
            return Err("ca.key is not in PKCS#8 form".into());
        };
        let issuer = Issuer::from_ca_cert_der(&cert, KeyPair::try_from(&key)?)?;
        Ok(Self { cert, issuer })
    }

    /// Whether clients that trust this CA accept its word for `name`.
    fn covers(&self, name: &CertifiedName) -> bool {
        let names = std::slice::from_ref(name);
        issue::leaf(&self.issuer, names)
            .is_ok_and(|(probe, _)| issue::accepts(&self.cert, &probe, names).is_ok())
    }
}

impl Wanted {
    fn new(names: &CertificateNames) -> Result<Self, TlsError> {
        let host = |host: &String| {
            CertifiedName::of(host).ok_or_else(|| TlsError::Name { host: host.clone() })
        };
        let hosts: Vec<_> = names.hosts.iter().map(host).collect::<Result<_, _>>()?;
        let loopback = ["127.0.0.1", "::1"].iter().filter_map(|a| a.parse().ok());
        let mut addresses: Vec<CertifiedName> = Vec::new();
        for address in loopback.chain(names.addresses.iter().copied()) {
            let name = CertifiedName::from(address);
            if !hosts.contains(&name) && !addresses.contains(&name) {
                addresses.push(name);
            }
        }
        Ok(Self { hosts, addresses })
    }

    fn all(&self) -> Vec<CertifiedName> {
        self.hosts.iter().chain(&self.addresses).cloned().collect()
    }
}

fn ends_soon(certificate: &Leaf) -> bool {
    let lifetime = certificate.lifetime;
    lifetime.is_none_or(|life| life.ends < SystemTime::now() + RENEWAL)
}
