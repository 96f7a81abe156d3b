//! Has the stores of this machine and its browsers trust the local CA, or trust it no longer.
//!
//! Called by `cli`. The method is mkcert's: each store is changed by its own tool. No tool is believed; a store counts
//! as changed when it shows the certificate afterwards, so that doing it twice does nothing the second time.

mod browsers;
mod certificate;
mod nss;
mod qr;
mod report;
mod system;
mod tool;

pub use certificate::{CaCertificate, CaCertificateError};
pub use nss::NssDatabase;
pub use qr::QrCode;
pub use report::{StoreChange, StoreError, StoreReport};
pub use system::{Elevation, SystemStore};

use std::path::Path;

/// The stores to change.
#[derive(Clone, Debug, Default)]
pub struct Stores {
    /// Chromium's and Firefox's.
    pub databases: Vec<NssDatabase>,
    /// What curl, Python and other programs read.
    pub system: Option<SystemStore>,
}

impl Stores {
    /// Those of the browsers of whose home folder this is.
    pub fn of_browsers(home: &Path) -> Self {
        Self {
            databases: browsers::databases(home),
            system: None,
        }
    }

    /// The system's own, too.
    #[must_use]
    pub fn with_system(mut self, system: SystemStore) -> Self {
        self.system = Some(system);
        self
    }

    /// Has all of them trust `ca`.
    pub fn install(&self, ca: &CaCertificate) -> Vec<StoreReport> {
        let databases = self.databases.iter().map(|database| database.install(ca));
        let system = self.system.iter().map(|system| system.install(ca));
        databases.chain(system).collect()
    }

    /// Has none of them trust `ca`.
    pub fn remove(&self, ca: &CaCertificate) -> Vec<StoreReport> {
        let databases = self.databases.iter().map(|database| database.remove(ca));
        let system = self.system.iter().map(|system| system.remove(ca));
        databases.chain(system).collect()
    }
}
