//! Makes the certificates.
//!
//! Used by the composition root, and by `gatepost trust` before the first start.

use std::sync::Arc;

use super::addresses::OwnAddresses;
use super::error::StartError;
use super::shared::SharedParts;
use crate::config::Config;
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
    Ok(Some(Arc::new(store)))
}
