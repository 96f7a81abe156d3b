//! Makes what the public listeners answer with.
//!
//! Used by the composition root alone.

use std::sync::Arc;

use super::error::StartError;
use super::routes::{self, Routes};
use super::shared::SharedParts;
use crate::admin::health::Readiness;
use crate::admin::operations::OperationsGate;
use crate::admin::pause::PauseTerms;
use crate::config::{Config, Mode};
use crate::server::access::{AccessLog, AccessWriter};
use crate::server::compression::CompressionPolicy;
use crate::server::dispatch::{Dispatch, DispatchParts};
use crate::server::health::HealthCheck;
use crate::server::own_answers::OwnAnswers;
use crate::server::plain::PlainHttp;
use crate::server::redirect::{Lasts, Redirect};
use crate::server::request_limits::RequestLimits;
use crate::server::unrouted::Unrouted;
use crate::tls::store::CertificateStore;
use crate::web::admit::{Admission, AdmitLimits};
use crate::web::forwarded::Proxies;
use crate::web::hosts::Hosts;
use crate::web::request::ErrorPages;

/// What writes the access log, if there is to be one.
pub(super) fn access(
    shared: &SharedParts,
    config: &Config,
) -> Result<Option<AccessWriter>, StartError> {
    let lost = shared.metrics.access_lines_lost.clone();
    Ok(AccessWriter::open(&config.log.access, lost)?)
}

/// What the origin itself answers with.
pub(super) fn dispatch(
    shared: &SharedParts,
    config: &Config,
    redirect: Arc<Redirect>,
    access: Option<AccessLog>,
) -> Dispatch {
    let admit = AdmitLimits {
        uri_size: config.limits.uri_size,
        headers: config.limits.headers,
    };
    let pages = match config.mode {
        Mode::Dev => ErrorPages::Developer,
        Mode::Production => ErrorPages::Public,
    };
    let admission = Admission::new(Arc::clone(&shared.hosts), admit);
    let routes = Routes { shared, config }.table();
    let shown = routes::is_all_local(config).then(|| shared.authority.diagnoses());
    let limits = RequestLimits::new(&config.limits, Arc::clone(&shared.metrics));
    let parts = DispatchParts {
        proxies: Proxies::new(config.server.proxies.clone()),
        admission,
        limits,
        gate: OperationsGate {
            operations: shared.operations.clone(),
            terms: PauseTerms {
                timeout: config.django.queue.timeout,
                most: config.django.queue.length,
            },
        },
        redirect,
        routes,
        metrics: Arc::clone(&shared.metrics),
        tracer: shared.tracer.clone(),
        unrouted: unrouted(config),
        compression: CompressionPolicy {
            config: config.compression,
            naming: Arc::clone(&shared.naming),
        },
        own: own_answers(config),
        access,
    };
    Dispatch::new(pages, parts).showing(shown)
}

fn own_answers(config: &Config) -> OwnAnswers {
    let hsts = config.server.hsts.clone();
    OwnAnswers {
        fields: config.headers.0.clone(),
        pages: config.errors.clone(),
        // A developer's browser would keep it.
        hsts: hsts.filter(|_| config.mode == Mode::Production),
    }
}

/// Remembers WebSockets that no route takes.
fn unrouted(config: &Config) -> Unrouted {
    let django = config.django.upstream.first();
    let sockets = config.sockets.iter().map(|socket| socket.path.clone());
    Unrouted::new(
        django.map(ToString::to_string).unwrap_or_default(),
        sockets.collect(),
    )
}

/// The way to where HTTPS listens; the usual port where it does not.
pub(super) fn redirect(mode: Mode, port: Option<u16>, hosts: &Arc<Hosts>) -> Arc<Redirect> {
    let lasts = match mode {
        Mode::Dev => Lasts::JustNow,
        Mode::Production => Lasts::ForGood,
    };
    let port = port.unwrap_or(443);
    Arc::new(Redirect::new(port, Arc::clone(hosts), lasts))
}

/// What plain HTTP is answered with.
pub(super) fn plain(
    origin: &Arc<Dispatch>,
    config: &Config,
    certificates: Option<&Arc<CertificateStore>>,
) -> PlainHttp {
    let proxies = Proxies::new(config.server.proxies.clone());
    PlainHttp::new(Arc::clone(origin), proxies).on_demand(certificates.cloned())
}

/// What load balancers are answered.
pub(super) fn health_check(config: &Config, readiness: &Readiness) -> Option<HealthCheck> {
    let path = config.server.health.as_deref()?;
    Some(HealthCheck {
        path: path.into(),
        readiness: readiness.clone(),
    })
}
