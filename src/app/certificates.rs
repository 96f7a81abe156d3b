//! Makes the certificates, and what orders those that no file has.
//!
//! Used by the composition root, and by `gatepost trust` before the first start.

use std::sync::Arc;

use super::addresses::OwnAddresses;
use super::error::StartError;
use super::shared::SharedParts;
use crate::acme::{AcmeKeeper, AcmeSettings};
use crate::config::{AcmeConfig, Config};
use crate::tls::names::CertificateNames;
use crate::tls::store::CertificateStore;
use crate::tls::tickets::TicketFile;

/// What the local CA's certificate names now.
pub(super) fn names(config: &Config) -> CertificateNames {
    CertificateNames {
        hosts: [&config.server.hosts[..], &config.server.redirect_hosts].concat(),
        addresses: OwnAddresses::of(config).now(),
    }
}

/// Makes the local CA and its certificate as a start would, where they are missing.
pub fn make_certificates(config: &Config) -> Result<(), StartError> {
    if let Some(tls) = &config.tls {
        CertificateStore::load(&tls.source, &names(config))?;
    }
    Ok(())
}

/// What is served by HTTPS; nothing where a proxy in front ends TLS.
pub(super) fn load(
    shared: &SharedParts,
    config: &Config,
    names: &CertificateNames,
) -> Result<Option<Arc<CertificateStore>>, StartError> {
    let Some(tls) = &config.tls else {
        return Ok(None);
    };
    let tickets = TicketFile {
        path: tls.ticket_file.clone(),
        secrets: shared.secrets.clone(),
    };
    let store = CertificateStore::load(&tls.source, names)?
        .keeping_tickets(tickets)?
        .counting(&shared.metrics.certificates);
    let store = Arc::new(store);
    // For what the gateway before has ordered, which the first client gets.
    drop(keeper(config, &store));
    Ok(Some(store))
}

/// What orders certificates from here on, where an authority is to issue some. The store serves what is
/// there of them at once.
pub(super) fn keeper(config: &Config, store: &Arc<CertificateStore>) -> Option<AcmeKeeper> {
    let Some(acme) = config.tls.as_ref().and_then(|tls| tls.acme.as_ref()) else {
        store.expect(&[]);
        return None;
    };
    let hosts = names(config).hosts;
    for host in hosts.iter().filter(|host| host.starts_with("*.")) {
        tracing::debug!(
            host,
            "no certificate by ACME: a name with a star needs one of your own, as files"
        );
    }
    let public = hosts.into_iter().filter(|host| AcmeConfig::is_public(host));
    let settings = AcmeSettings {
        config: acme.clone(),
        names: store.expect(&public.collect::<Vec<_>>()),
        serves_http: !config.server.http.is_empty(),
    };
    Some(AcmeKeeper::new(settings, Arc::clone(store)))
}
