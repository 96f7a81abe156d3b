//! Keeps a certificate for each name: orders it, renews it, tries again.
//!
//! Run by the composition root. Each name of the configuration has a task of its own, which nothing ever stops; names
//! that Django allows come and go (`on_demand`).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::authority::DirectoryAuthority;
use super::desk::{Desk, KeptName, RETRY};
use super::error::AcmeError;
use super::folder::AcmeFolder;
use super::on_demand::{Attendant, DemandLimits, HostsView, OnDemand, is_askable};
use super::renewal;
use crate::config::AcmeConfig;
use crate::net::drain::DrainWatch;
use crate::telemetry::metrics::CertificateMetrics;
use crate::tls::store::CertificateStore;
use crate::web::allowed_names::AllowedNames;

/// What is kept, and how.
#[derive(Clone, Debug)]
pub struct AcmeSettings {
    /// `[tls.acme]`
    pub config: AcmeConfig,
    /// The names, in lower case, that no other certificate holds.
    pub names: Vec<String>,
    /// Whether plain HTTP is served, so that an authority may ask there.
    pub serves_http: bool,
    /// Where the names are written that Django allows, if it is asked.
    pub allowed: Option<Arc<AllowedNames>>,
    /// Counts what Django says of names.
    pub metrics: CertificateMetrics,
}

/// Keeps certificates.
#[derive(Debug)]
pub struct AcmeKeeper {
    settings: AcmeSettings,
    store: Arc<CertificateStore>,
}

impl AcmeKeeper {
    /// Keeps certificates in this store, which has those of the gateway before at once, but for those of names by demand.
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

    /// Has the store serve names by demand that have a certificate of before, perhaps thousands; returns them. One that
    /// is not due for renewal is allowed: Django has said so when it was ordered.
    pub fn readmit(&self) -> Vec<String> {
        let Some(allowed) = &self.settings.allowed else {
            return Vec::new();
        };
        // Why they cannot be opened is said by what runs.
        match self.try_folders() {
            Ok([_, folder]) => readmit(&folder, &self.store, allowed),
            Err(_) => Vec::new(),
        }
    }

    /// Begins to keep them; `hosts_view` is asked which further names Django allows.
    pub async fn run(self, hosts_view: Option<HostsView>, drain: DrainWatch) {
        let folders = tokio::select! {
            folders = self.open_folders() => folders,
            () = drain.draining() => return,
        };
        let [folder, by_demand] = folders;
        let settings = self.settings.clone();
        let challenges = Arc::clone(self.store.challenges());
        let authority = DirectoryAuthority::new(settings.config, folder.clone(), challenges);
        let store = Arc::clone(&self.store);
        let desk = Arc::new(Desk::new(authority, store, settings.serves_http));
        for name in &settings.names {
            let (desk, folder, watch) = (Arc::clone(&desk), folder.clone(), drain.clone());
            let name = name.clone();
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
        if let (Some(view), Some(allowed)) = (hosts_view, settings.allowed) {
            let attendant = Attendant {
                desk,
                judge: view,
                folder: by_demand,
                allowed,
                metrics: settings.metrics,
                table: Mutex::default(),
                limits: DemandLimits::new(),
            };
            let expected = HashSet::from_iter(settings.names);
            let on_demand = OnDemand::new(attendant, expected, drain);
            self.run_on_demand(on_demand).await;
        }
    }

    async fn run_on_demand(self, on_demand: OnDemand<DirectoryAuthority, HostsView>) {
        let store = Arc::clone(&self.store);
        // Files are read: not on a thread that serves clients.
        let kept = spawn_blocking(move || self.readmit()).await;
        on_demand.resume(kept.unwrap_or_default());
        store.be_supplied(Some(Arc::new(on_demand)));
    }

    async fn open_folders(&self) -> [AcmeFolder; 2] {
        let mut failures = 0;
        loop {
            let error = match self.try_folders() {
                Ok(folders) => return folders,
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

    fn try_folders(&self) -> Result<[AcmeFolder; 2], AcmeError> {
        let config = &self.settings.config;
        let folder = AcmeFolder::open(&config.folder, &config.directory)?;
        let by_demand = match self.settings.allowed {
            Some(_) => folder.by_demand()?,
            None => folder.clone(),
        };
        Ok([folder, by_demand])
    }
}

fn readmit(folder: &AcmeFolder, store: &CertificateStore, allowed: &AllowedNames) -> Vec<String> {
    let (mut kept, mut fresh) = (Vec::new(), HashSet::new());
    for name in folder.names().into_iter().filter(|name| is_askable(name)) {
        let Some(certificate) = folder.certificate(&name) else {
            continue;
        };
        if certificate.ends() <= SystemTime::now() {
            folder.forget_certificate(&name);
            continue;
        }
        if renewal::is_fresh(&certificate) {
            fresh.insert(name.clone());
        }
        kept.push((name, certificate));
    }
    let names = kept.iter().map(|(name, _)| name.clone()).collect();
    allowed.replace(fresh);
    store.readmit(kept);
    names
}
