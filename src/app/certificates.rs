//! Makes the certificates.
//!
//! Used by the composition root alone.

use std::sync::Arc;

use super::error::StartError;
use super::shared::SharedParts;
use crate::config::Config;
use crate::tls::names::CertificateNames;
use crate::tls::store::CertificateStore;
use crate::tls::tickets::TicketFile;

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
