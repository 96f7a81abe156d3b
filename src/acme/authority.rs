//! The authority as the keeper sees it: asked when to renew, and for certificates.
//!
//! `keeper` knows the trait alone, so that its patience is tested against one that follows a script. An
//! account that the authority has lost is made anew at once, as waiting would mend nothing.

use std::sync::Arc;
use std::time::SystemTime;

use instant_acme::Account;
use tokio::sync::Mutex;

use super::account;
use super::error::AcmeError;
use super::folder::AcmeFolder;
use super::order::{self, CertificateRequest};
use super::renewal;
use crate::config::AcmeConfig;
use crate::tls::challenges::Challenges;
use crate::tls::issued::IssuedCertificate;

/// Issues certificates.
pub(super) trait CertificateAuthority: Send + Sync + 'static {
    /// When it wishes a certificate to be renewed; `None` where it has no wish.
    fn suggested(
        &self,
        issued: &IssuedCertificate,
    ) -> impl Future<Output = Result<Option<SystemTime>, AcmeError>> + Send;

    /// Issues one. Returns the key, a new one, and the chain as PEM.
    fn issue(
        &self,
        request: CertificateRequest<'_>,
    ) -> impl Future<Output = Result<String, AcmeError>> + Send;
}

/// The one of `tls.acme.directory`.
pub(super) struct DirectoryAuthority {
    config: AcmeConfig,
    folder: AcmeFolder,
    challenges: Arc<Challenges>,
    account: Mutex<Option<Account>>,
}

impl DirectoryAuthority {
    /// Asked by the account of this folder; its questions are answered there.
    pub(super) fn new(config: AcmeConfig, folder: AcmeFolder, challenges: Arc<Challenges>) -> Self {
        Self {
            config,
            folder,
            challenges,
            account: Mutex::default(),
        }
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

    /// Lets go of an account, unless another name's task has done so already.
    async fn forget(&self, lost: &Account) {
        let mut account = self.account.lock().await;
        if account.as_ref().is_some_and(|now| now.id() == lost.id()) {
            self.folder.forget_account();
            *account = None;
        }
    }
}

impl CertificateAuthority for DirectoryAuthority {
    async fn suggested(&self, issued: &IssuedCertificate) -> Result<Option<SystemTime>, AcmeError> {
        let account = self.account().await?;
        Ok(renewal::suggested(&account, issued).await?)
    }

    async fn issue(&self, request: CertificateRequest<'_>) -> Result<String, AcmeError> {
        let account = self.account().await?;
        match order::order(&account, &self.challenges, request).await {
            Err(error) if error.is_about_account() => {
                let error = error.sentence();
                tracing::warn!(
                    error,
                    name = request.name,
                    "the certificate authority does not know the account; making another one"
                );
                self.forget(&account).await;
                let account = self.account().await?;
                order::order(&account, &self.challenges, request).await
            }
            ordered => ordered,
        }
    }
}
