//! Who asks the authority: an account, made at the first order and kept.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use instant_acme::{Account, AccountBuilder, AccountCredentials, ExternalAccountKey, NewAccount};

use super::error::AcmeError;
use super::folder::AcmeFolder;
use crate::config::AcmeConfig;

/// The account that is kept, or a new one.
pub(super) async fn open(config: &AcmeConfig, folder: &AcmeFolder) -> Result<Account, AcmeError> {
    if let Some(text) = folder.account()? {
        let credentials = serde_json::from_slice::<AccountCredentials>(&text);
        let credentials = credentials.map_err(|source| AcmeError::Account {
            path: folder.account_file(),
            source,
        })?;
        return Ok(builder(config)?.from_credentials(credentials).await?);
    }
    let email = config.email.as_ref().map(|email| format!("mailto:{email}"));
    let contact: Vec<_> = email.iter().map(String::as_str).collect();
    let new = NewAccount {
        contact: &contact,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let external = external(config)?;
    let (account, credentials) = builder(config)?
        .create(&new, config.directory.clone(), external.as_ref())
        .await?;
    let text = serde_json::to_vec(&credentials).map_err(|source| AcmeError::Account {
        path: folder.account_file(),
        source,
    })?;
    folder.keep_account(&text)?;
    tracing::info!(
        directory = config.directory,
        "made an account at the certificate authority"
    );
    Ok(account)
}

fn builder(config: &AcmeConfig) -> Result<AccountBuilder, AcmeError> {
    Ok(match &config.ca {
        Some(ca) => Account::builder_with_root(ca)?,
        None => Account::builder()?,
    })
}

fn external(config: &AcmeConfig) -> Result<Option<ExternalAccountKey>, AcmeError> {
    let Some(account) = &config.eab else {
        return Ok(None);
    };
    let text = account.key.expose();
    let text = text.strip_suffix(b"=").unwrap_or(text);
    let text = text.strip_suffix(b"=").unwrap_or(text);
    let key = URL_SAFE_NO_PAD.decode(text);
    let key = key.map_err(|_| AcmeError::ExternalAccount)?;
    Ok(Some(ExternalAccountKey::new(account.id.clone(), &key)))
}
