//! Makes the certificates, and what orders those that no file has.
//!
//! Used by the composition root, and by `gatepost trust` before the first start.

use std::collections::HashSet;
use std::sync::Arc;

use super::addresses::OwnAddresses;
use super::error::StartError;
use super::outbox;
use super::shared::SharedParts;
use crate::acme::{AcmeKeeper, AcmeSettings, HostsView, HostsViewSettings};
use crate::config::{AcmeConfig, AcmeNames, Config};
use crate::tls::names::CertificateNames;
use crate::tls::store::CertificateStore;
use crate::tls::tickets::TicketFile;
use crate::upcall::ClientError;

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
    if let Some(keeper) = keeper(shared, config, &store) {
        keeper.readmit();
    }
    Ok(Some(store))
}

/// What orders certificates from here on, where an authority is to issue some. The store serves what is
/// there of them at once.
pub(super) fn keeper(
    shared: &SharedParts,
    config: &Config,
    store: &Arc<CertificateStore>,
) -> Option<AcmeKeeper> {
    let acme = acme(config);
    if !acme.is_some_and(is_on_demand) {
        store.be_supplied(None);
        store.readmit(Vec::new());
        shared.allowed.replace(HashSet::new());
    }
    let Some(acme) = acme else {
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
        allowed: is_on_demand(acme).then(|| Arc::clone(&shared.allowed)),
        metrics: shared.metrics.certificates.clone(),
    };
    Some(AcmeKeeper::new(settings, Arc::clone(store)))
}

/// What Django is asked by, where it says which further names may have certificates.
pub(super) fn hosts_view(
    shared: &SharedParts,
    config: &Config,
) -> Result<Option<HostsView>, ClientError> {
    if !acme(config).is_some_and(is_on_demand) {
        return Ok(None);
    }
    let view = HostsView::build(&HostsViewSettings {
        url: &config.auth.hosts_url(),
        upstream: &config.django.upstream,
        timeout: config.auth.timeout,
        connect_timeout: config.limits.upstream_connect_timeout,
        host: outbox::canonical_host(config),
        secrets: &shared.secrets,
    });
    view.map(Some)
}

fn acme(config: &Config) -> Option<&AcmeConfig> {
    config.tls.as_ref()?.acme.as_ref()
}

fn is_on_demand(acme: &AcmeConfig) -> bool {
    acme.names == AcmeNames::Django
}
