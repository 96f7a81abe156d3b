//! Keeps a certificate for each name: orders it, renews it, tries again.
//!
//! Run by the composition root. Nothing ever stops a name. Whatever fails leaves the old certificate in
//! place, is said, and is tried again after a minute, then after twice as long each time.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex as SyncMutex;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::authority::{CertificateAuthority, DirectoryAuthority};
use super::challenge_kind::ChallengeKind;
use super::error::AcmeError;
use super::folder::AcmeFolder;
use super::order::CertificateRequest;
use super::renewal;
use crate::config::AcmeConfig;
use crate::net::backoff::ExponentialBackoff;
use crate::net::drain::DrainWatch;
use crate::tls::issued::IssuedCertificate;
use crate::tls::store::CertificateStore;

/// Authorities count failures by the hour.
const RETRY: ExponentialBackoff = ExponentialBackoff {
    min: Duration::from_mins(1),
    max: Duration::from_hours(6),
    jitter: 0.2,
};

/// For one order, from the first word to the certificate.
const PATIENCE: Duration = Duration::from_mins(2);

/// How many orders are under way at once.
const AT_ONCE: usize = 4;

/// Ten orders a minute.
const BETWEEN: Duration = Duration::from_secs(6);

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

/// What the tasks of all names share.
struct Desk<A> {
    authority: A,
    folder: AcmeFolder,
    store: Arc<CertificateStore>,
    /// What worked last is tried first.
    kind: SyncMutex<ChallengeKind>,
    serves_http: bool,
    permits: Semaphore,
    /// When the next order may begin.
    next: Mutex<Instant>,
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
        let first = if serves_http {
            ChallengeKind::Http01
        } else {
            ChallengeKind::TlsAlpn01
        };
        let challenges = Arc::clone(self.store.challenges());
        let authority = DirectoryAuthority::new(config, folder.clone(), challenges);
        let desk = Arc::new(Desk {
            authority,
            folder,
            store: self.store,
            kind: SyncMutex::new(first),
            serves_http,
            permits: Semaphore::new(AT_ONCE),
            next: Mutex::new(Instant::now()),
        });
        for name in names {
            let (desk, watch) = (Arc::clone(&desk), drain.clone());
            drain.spawn(async move {
                tokio::select! {
                    () = desk.keep(&name) => {}
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

impl<A: CertificateAuthority> Desk<A> {
    /// Keeps the certificate of one name, for ever.
    async fn keep(&self, name: &str) {
        let mut failures = 0;
        loop {
            let held = self.look(name);
            let is_due = match &held {
                Some(issued) => self.is_due(name, issued).await,
                None => true,
            };
            if let Some(fresh) = held.as_ref().filter(|_| !is_due) {
                failures = 0;
                self.store.recover(name);
                sleep(renewal::pause(fresh)).await;
                continue;
            }
            let renewed = self.renew(name, held.as_ref()).await;
            let fresh = match renewed {
                Ok(()) => self.look(name).filter(renewal::is_fresh),
                Err(_) => None,
            };
            if let Some(fresh) = fresh {
                failures = 0;
                sleep(renewal::pause(&fresh)).await;
                continue;
            }
            failures += 1;
            match renewed {
                // A clock is wrong, here or there: going on would use up what a name gets in a week.
                Ok(()) => tracing::warn!(
                    name,
                    "the new certificate is due for renewal already; is this machine's clock right?"
                ),
                Err(error) => self.complain(name, &error),
            }
            sleep(RETRY.pause(failures)).await;
        }
    }

    /// What is kept of a name, perhaps by another gateway that shares the folder; it is served from now on.
    fn look(&self, name: &str) -> Option<IssuedCertificate> {
        let served = self.folder.certificate(name)?;
        self.store.restore(name, served);
        self.folder.certificate(name)
    }

    async fn is_due(&self, name: &str, issued: &IssuedCertificate) -> bool {
        let usual = renewal::usual(issued);
        let at = match timeout(PATIENCE, self.authority.suggested(issued)).await {
            Ok(Ok(suggested)) => suggested.unwrap_or(usual),
            Ok(Err(error)) => {
                let error = error.sentence();
                tracing::debug!(name, error, "the authority does not say when to renew");
                usual
            }
            Err(_) => usual,
        };
        at.min(issued.ends()) <= SystemTime::now()
    }

    async fn renew(&self, name: &str, held: Option<&IssuedCertificate>) -> Result<(), AcmeError> {
        let first = *self.kind.lock();
        let request = CertificateRequest {
            name,
            kind: first,
            replaced: held,
        };
        let kind = match self.issue(request).await {
            Ok(()) => first,
            Err(error) if error.is_about_challenge() && self.serves_http => {
                let other = first.other();
                tracing::info!(name, error = error.sentence(), next = %other, "trying another challenge");
                let request = CertificateRequest {
                    kind: other,
                    ..request
                };
                self.issue(request).await?;
                other
            }
            Err(error) => return Err(error),
        };
        *self.kind.lock() = kind;
        Ok(())
    }

    async fn issue(&self, request: CertificateRequest<'_>) -> Result<(), AcmeError> {
        let CertificateRequest { name, kind, .. } = request;
        // It is never closed.
        let _permit = self.permits.acquire().await;
        self.take_turn().await;
        let pem = timeout(PATIENCE, self.authority.issue(request)).await;
        let pem = pem.unwrap_or(Err(AcmeError::Slow(PATIENCE)))?;
        let issued = IssuedCertificate::parse(&pem).filter(|issued| issued.is_for(name));
        let issued = issued.ok_or(AcmeError::Unusable)?;
        let ends = httpdate::fmt_http_date(issued.ends());
        self.folder.keep_certificate(name, &pem)?;
        self.store.take(name, issued);
        tracing::info!(name, %ends, by = %kind, "a certificate was issued");
        Ok(())
    }

    async fn take_turn(&self) {
        let mut next = self.next.lock().await;
        sleep_until(*next).await;
        *next = Instant::now() + BETWEEN;
    }

    fn complain(&self, name: &str, error: &AcmeError) {
        let error = error.sentence();
        // Not what is kept alone: after a change of the directory, another authority's is served on.
        if let Some(ends) = self.store.ends(name) {
            let ends = httpdate::fmt_http_date(ends);
            tracing::warn!(
                name, error, %ends,
                "the certificate cannot be renewed; the old one is served on"
            );
        } else {
            tracing::error!(
                name,
                error,
                "there is no certificate, so the handshakes of this name are refused"
            );
        }
        self.store.fail(name, error);
    }
}

#[cfg(test)]
mod tests;
