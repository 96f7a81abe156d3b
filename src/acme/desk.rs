//! What the tasks of all names share: the authority, and in which order and how often it is asked.
//!
//! Used by `keeper`. Whatever fails leaves the old certificate in place, is said, and is
//! tried again after a minute, then after twice as long each time.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex as SyncMutex;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::authority::CertificateAuthority;
use super::challenge_kind::ChallengeKind;
use super::error::AcmeError;
use super::folder::AcmeFolder;
use super::order::CertificateRequest;
use super::renewal;
use crate::net::backoff::ExponentialBackoff;
use crate::tls::issued::IssuedCertificate;
use crate::tls::store::CertificateStore;

/// Authorities count failures by the hour.
pub(super) const RETRY: ExponentialBackoff = ExponentialBackoff {
    min: Duration::from_mins(1),
    max: Duration::from_hours(6),
    jitter: 0.2,
};

/// For one order, from the first word to the certificate.
pub(super) const PATIENCE: Duration = Duration::from_mins(2);

/// How many orders are under way at once.
const AT_ONCE: usize = 4;

/// Ten orders a minute.
const BETWEEN: Duration = Duration::from_secs(6);

/// Orders, looks and serves.
pub(super) struct Desk<A> {
    pub(super) authority: A,
    pub(super) store: Arc<CertificateStore>,
    /// What worked last is tried first.
    kind: SyncMutex<ChallengeKind>,
    serves_http: bool,
    permits: Semaphore,
    /// When the next order may begin.
    next: Mutex<Instant>,
}

/// A name whose certificate is kept, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeptName<'a> {
    pub(super) name: &'a str,
    pub(super) folder: &'a AcmeFolder,
}

impl<A: CertificateAuthority> Desk<A> {
    /// Nothing was ordered yet.
    pub(super) fn new(authority: A, store: Arc<CertificateStore>, serves_http: bool) -> Self {
        let first = if serves_http {
            ChallengeKind::Http01
        } else {
            ChallengeKind::TlsAlpn01
        };
        Self {
            authority,
            store,
            kind: SyncMutex::new(first),
            serves_http,
            permits: Semaphore::new(AT_ONCE),
            next: Mutex::new(Instant::now()),
        }
    }

    /// What is there of a name, perhaps by another gateway that shares the folder, and whether another one is
    /// due. It is served from now on.
    pub(super) async fn look(&self, kept: KeptName<'_>) -> (Option<IssuedCertificate>, bool) {
        let Some(held) = self.restore(kept) else {
            return (None, true);
        };
        let is_due = self.is_due(kept.name, &held).await;
        (Some(held), is_due)
    }

    fn restore(&self, kept: KeptName<'_>) -> Option<IssuedCertificate> {
        let served = kept.folder.certificate(kept.name)?;
        self.store.restore(kept.name, served);
        kept.folder.certificate(kept.name)
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

    /// Orders a certificate in place of the one that is held. Returns how long until the next look.
    pub(super) async fn replace(
        &self,
        kept: KeptName<'_>,
        held: Option<&IssuedCertificate>,
        failures: &mut u32,
    ) -> Duration {
        let name = kept.name;
        let renewed = self.renew(kept, held).await;
        let fresh = match renewed {
            Ok(()) => self.restore(kept).filter(renewal::is_fresh),
            Err(_) => None,
        };
        if let Some(fresh) = fresh {
            *failures = 0;
            return renewal::pause(&fresh);
        }
        *failures += 1;
        match renewed {
            // A clock is wrong, here or there: going on would use up what a name gets in a week.
            Ok(()) => tracing::warn!(
                name,
                "the new certificate is due for renewal already; is this machine's clock right?"
            ),
            Err(error) => self.complain(name, &error),
        }
        RETRY.pause(*failures)
    }

    async fn renew(
        &self,
        kept: KeptName<'_>,
        held: Option<&IssuedCertificate>,
    ) -> Result<(), AcmeError> {
        let name = kept.name;
        let first = *self.kind.lock();
        let request = CertificateRequest {
            name,
            kind: first,
            replaced: held,
        };
        let kind = match self.issue(kept, request).await {
            Ok(()) => first,
            Err(error) if error.is_about_challenge() && self.serves_http => {
                let other = first.other();
                tracing::info!(name, error = error.sentence(), next = %other, "trying another challenge");
                let request = CertificateRequest {
                    kind: other,
                    ..request
                };
                self.issue(kept, request).await?;
                other
            }
            Err(error) => return Err(error),
        };
        *self.kind.lock() = kind;
        Ok(())
    }

    async fn issue(
        &self,
        kept: KeptName<'_>,
        request: CertificateRequest<'_>,
    ) -> Result<(), AcmeError> {
        let CertificateRequest { name, kind, .. } = request;
        // It is never closed.
        let _permit = self.permits.acquire().await;
        self.take_turn().await;
        let pem = timeout(PATIENCE, self.authority.issue(request)).await;
        let pem = pem.unwrap_or(Err(AcmeError::Slow(PATIENCE)))?;
        let issued = IssuedCertificate::parse(&pem).filter(|issued| issued.is_for(name));
        let issued = issued.ok_or(AcmeError::Unusable)?;
        let ends = httpdate::fmt_http_date(issued.ends());
        kept.folder.keep_certificate(name, &pem)?;
        self.store.take(name, issued);
        tracing::info!(name, %ends, by = %kind, "a certificate was issued");
        Ok(())
    }

    async fn take_turn(&self) {
        let mut next = self.next.lock().await;
        sleep_until(*next).await;
        *next = Instant::now() + BETWEEN;
    }

    /// Says why there is no other certificate.
    pub(super) fn complain(&self, name: &str, error: &AcmeError) {
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

    /// Keeps the certificate of one name, for ever.
    pub(super) async fn keep(&self, kept: KeptName<'_>) {
        let mut failures = 0;
        loop {
            let pause = match self.look(kept).await {
                (Some(fresh), false) => {
                    failures = 0;
                    self.store.recover(kept.name);
                    renewal::pause(&fresh)
                }
                (held, _) => self.replace(kept, held.as_ref(), &mut failures).await,
            };
            sleep(pause).await;
        }
    }
}

#[cfg(test)]
mod tests;
