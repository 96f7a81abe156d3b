//! Keeps a certificate for each name: orders it, renews it, tries again.
//!
//! Run by the composition root. Each name of the configuration has a task of its own, which nothing ever stops.

use std::sync::Arc;

use tokio::time::sleep;

use super::authority::DirectoryAuthority;
use super::desk::{Desk, KeptName, RETRY};
use super::folder::AcmeFolder;
use crate::config::AcmeConfig;
use crate::net::drain::DrainWatch;
use crate::tls::store::CertificateStore;

/// What is kept, and how.
#[derive(Debug)]
pub struct AcmeSettings {
    /// `[tls.acme]`
    pub config: AcmeConfig,
    /// The names, in lower case, that no other certificate holds.
    pub names: Vec<String>,
    /// Whether plain HTTP is served, so that an authority may ask there.
    pub serves_http: bool,
}

/// Keeps certificates.
#[derive(Debug)]
pub struct AcmeKeeper {
    settings: AcmeSettings,
    store: Arc<CertificateStore>,
}

impl AcmeKeeper {
    /// Keeps certificates in this store, which has those of the gateway before at once.
    pub fn new(settings: AcmeSettings, store: Arc<CertificateStore>) -> Self {
        let config = &settings.config;
        // Why it cannot be opened is said by what runs.
        if let Ok(folder) = AcmeFolder::open(&config.folder, &config.directory) {
            for name in &settings.names {
                if let Some(kept) = folder.certificate(name) {
                    store.restore(name, kept);
                }
            }
        }
        Self { settings, store }
    }

    /// Begins to keep them: each name has a task of its own.
    pub async fn run(self, drain: DrainWatch) {
        let folder = tokio::select! {
            folder = self.open_folder() => folder,
            () = drain.draining() => return,
        };
        let AcmeSettings {
            config,
            names,
            serves_http,
        } = self.settings;
        let challenges = Arc::clone(self.store.challenges());
        let authority = DirectoryAuthority::new(config, folder.clone(), challenges);
        let desk = Arc::new(Desk::new(authority, self.store, serves_http));
        for name in names {
            let (desk, folder, watch) = (Arc::clone(&desk), folder.clone(), drain.clone());
            drain.spawn(async move {
                let kept = KeptName {
                    name: &name,
                    folder: &folder,
                };
                tokio::select! {
                    () = desk.keep(kept) => {}
                    () = watch.draining() => {}
                }
            });
        }
    }

    async fn open_folder(&self) -> AcmeFolder {
        let config = &self.settings.config;
        let mut failures = 0;
        loop {
            let error = match AcmeFolder::open(&config.folder, &config.directory) {
                Ok(folder) => return folder,
                Err(error) => error.sentence(),
            };
            failures += 1;
            tracing::error!(error, "no certificates can be ordered");
            for name in &self.settings.names {
                self.store.fail(name, error.clone());
            }
            sleep(RETRY.pause(failures)).await;
        }
    }
}
