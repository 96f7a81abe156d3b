//! Keeps a certificate for each name: orders it, renews it, tries again.
//!
//! Run by the composition root. The surprise: nothing ever stops a name. Whatever fails leaves the old
//! certificate in place, is said, and is tried again after a minute, then after twice as long each time.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use instant_acme::Account;
use parking_lot::Mutex as SyncMutex;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::account;
use super::challenge_kind::ChallengeKind;
use super::error::AcmeError;
use super::folder::AcmeFolder;
use super::order::order;
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
struct Desk {
    config: AcmeConfig,
    folder: AcmeFolder,
    store: Arc<CertificateStore>,
    account: Mutex<Option<Account>>,
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
                    store.take(name, kept);
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
        let desk = Arc::new(Desk {
            config,
            folder,
            store: self.store,
            account: Mutex::default(),
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

impl Desk {
    /// Keeps the certificate of one name, for ever.
    async fn keep(&self, name: &str) {
        let mut failures = 0;
        loop {
            let held = self.look(name);
            let is_due = match &held {
                Some(issued) => self.is_due(name, issued).await,
                None => true,
            };
            let fresh = held.as_ref().filter(|_| !is_due);
            let pause = match fresh {
                Some(issued) => renewal::pause(issued),
                None => match self.renew(name).await {
                    // Where even a new one is due, its authority is not asked without a pause.
                    Ok(()) => {
                        failures = 0;
                        RETRY.min
                    }
                    Err(error) => {
                        failures += 1;
                        self.complain(name, held.as_ref(), &error);
                        RETRY.pause(failures)
                    }
                },
            };
            sleep(pause).await;
        }
    }

    /// What is kept of a name, perhaps by another gateway that shares the folder; it is served from now on.
    fn look(&self, name: &str) -> Option<IssuedCertificate> {
        let served = self.folder.certificate(name)?;
        self.store.take(name, served);
        self.folder.certificate(name)
    }

    async fn is_due(&self, name: &str, issued: &IssuedCertificate) -> bool {
        let usual = renewal::usual(issued);
        let suggested = async {
            let account = self.account().await?;
            Ok::<_, AcmeError>(renewal::suggested(&account, issued).await?)
        };
        let at = match timeout(PATIENCE, suggested).await {
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

    async fn renew(&self, name: &str) -> Result<(), AcmeError> {
        let first = *self.kind.lock();
        let kind = match self.issue(name, first).await {
            Ok(()) => first,
            Err(error) if error.is_about_challenge() && self.serves_http => {
                let other = first.other();
                tracing::info!(name, error = error.sentence(), next = %other, "trying another challenge");
                self.issue(name, other).await?;
                other
            }
            Err(error) => return Err(error),
        };
        *self.kind.lock() = kind;
        Ok(())
    }

    async fn issue(&self, name: &str, kind: ChallengeKind) -> Result<(), AcmeError> {
        // It is never closed.
        let _permit = self.permits.acquire().await;
        self.take_turn().await;
        let ordered = async {
            let account = self.account().await?;
            order(&account, self.store.challenges(), name, kind).await
        };
        let pem = timeout(PATIENCE, ordered).await;
        let pem = pem.unwrap_or(Err(AcmeError::Slow(PATIENCE)));
        if pem.as_ref().is_err_and(AcmeError::is_about_account) {
            self.folder.forget_account();
            *self.account.lock().await = None;
        }
        let pem = pem?;
        let issued = IssuedCertificate::parse(&pem).filter(|issued| issued.is_for(name));
        let issued = issued.ok_or(AcmeError::Unusable)?;
        let ends = httpdate::fmt_http_date(issued.ends());
        self.folder.keep_certificate(name, &pem)?;
        self.store.take(name, issued);
        tracing::info!(name, %ends, by = %kind, "a certificate was issued");
        Ok(())
    }

    async fn account(&self) -> Result<Account, AcmeError> {
        let mut account = self.account.lock().await;
        if let Some(account) = &*account {
            return Ok(account.clone());
        }
        let opened = account::open(&self.config, &self.folder).await?;
        *account = Some(opened.clone());
        Ok(opened)
    }

    async fn take_turn(&self) {
        let mut next = self.next.lock().await;
        sleep_until(*next).await;
        *next = Instant::now() + BETWEEN;
    }

    fn complain(&self, name: &str, held: Option<&IssuedCertificate>, error: &AcmeError) {
        let error = error.sentence();
        if let Some(issued) = held {
            let ends = httpdate::fmt_http_date(issued.ends());
            tracing::warn!(
                name, error, %ends,
                "the certificate cannot be renewed; the old one is served until it ends"
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
