//! `/live` and `/ready`.
//!
//! `server` asks, the composition root wires. The surprise: Django's absence does not make the gateway
//! unready: its sockets and its pages that say so are still worth the traffic.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::operations::Operations;
use crate::net::drain::DrainWatch;
use crate::proxy::queue::RequestQueue;
use crate::tls::store::CertificateStore;
use crate::web::body::ResponseBody;

/// Whether traffic is welcome; handed to the code that binds the listeners and closes them.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicU8>);

/// The listeners are not bound yet, are bound, are about to be closed.
const STARTING: u8 = 0;
const READY: u8 = 1;
const LEAVING: u8 = 2;

/// Whether Django answered when it was last asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DjangoState {
    /// It answered.
    Reachable,
    /// It did not.
    Unreachable,
    /// It was not asked yet.
    Unknown,
}

/// Answers the health checks.
pub struct Health {
    readiness: Readiness,
    drain: DrainWatch,
    django: Box<dyn Fn() -> DjangoState + Send + Sync>,
    queue: Option<RequestQueue>,
    operations: Option<Operations>,
    certificates: Option<Arc<CertificateStore>>,
}

/// A certificate as `/ready` tells of it.
#[derive(Serialize)]
struct CertificateText<'a> {
    name: &'a str,
    /// In seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl Readiness {
    /// Not ready yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// All listeners are bound.
    pub fn set_ready(&self) {
        self.0.store(READY, Ordering::Release);
    }

    /// The gateway is about to end: load balancers should send traffic elsewhere.
    pub fn set_leaving(&self) {
        self.0.store(LEAVING, Ordering::Release);
    }

    /// Whether traffic is welcome.
    pub fn is_welcoming(&self) -> bool {
        self.state() == READY
    }

    fn state(&self) -> u8 {
        self.0.load(Ordering::Acquire)
    }
}

impl Health {
    /// Health of a gateway that ends by `drain`; `django` tells of Django without asking it.
    pub fn new(
        readiness: Readiness,
        drain: DrainWatch,
        django: impl Fn() -> DjangoState + Send + Sync + 'static,
    ) -> Self {
        Self {
            readiness,
            drain,
            django: Box::new(django),
            queue: None,
            operations: None,
            certificates: None,
        }
    }

    /// Tells of the queue, too, where there is one.
    #[must_use]
    pub fn with_queue(mut self, queue: Option<RequestQueue>) -> Self {
        self.queue = queue;
        self
    }

    /// Tells of what operators have ordered.
    #[must_use]
    pub fn with_operations(mut self, operations: Operations) -> Self {
        self.operations = Some(operations);
        self
    }

    /// Tells when the certificates end, too, where there are any.
    #[must_use]
    pub fn with_certificates(mut self, certificates: Option<Arc<CertificateStore>>) -> Self {
        self.certificates = certificates;
        self
    }

    /// The answer to `/live`: the process serves.
    pub fn live(&self) -> Response<ResponseBody> {
        answer(StatusCode::OK, "text/plain; charset=utf-8", "ok".into())
    }

    /// The answer to `/ready`: traffic is welcome, or not.
    pub fn ready(&self) -> Response<ResponseBody> {
        let (status, text) = match self.readiness.state() {
            _ if self.drain.is_draining() => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            STARTING => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
            READY => (StatusCode::OK, "ready"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        };
        let django = match (self.django)() {
            DjangoState::Reachable => "reachable",
            DjangoState::Unreachable => "unreachable",
            DjangoState::Unknown => "unknown",
        };
        let queue = self.queue.as_ref().map(queue_text).unwrap_or_default();
        let ordered = self.operations.as_ref().map_or("", ordered_text);
        let certificates = self.certificates.as_deref().map(certificates_text);
        let certificates = certificates.unwrap_or_default();
        let body =
            format!(r#"{{"status":"{text}","django":"{django}"{queue}{ordered}{certificates}}}"#);
        answer(status, "application/json", body)
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health")
            .field("readiness", &self.readiness)
            .finish_non_exhaustive()
    }
}

/// How many requests are at Django, of how many at most, and how many wait.
fn queue_text(queue: &RequestQueue) -> String {
    let status = queue.status();
    format!(
        r#","queue":{{"concurrency":{},"at_django":{},"waiting":{{"known":{},"anonymous":{}}}}}"#,
        status.places, status.taken, status.known, status.anonymous
    )
}

/// What is ordered; traffic is welcome all the same: files and sockets go on, and the rest is told why not.
fn ordered_text(operations: &Operations) -> &'static str {
    match (operations.maintenance.is_on(), operations.pause.is_on()) {
        (false, false) => "",
        (true, false) => r#","maintenance":true"#,
        (false, true) => r#","paused":true"#,
        (true, true) => r#","maintenance":true,"paused":true"#,
    }
}

/// Which certificates are served, when they end, and what hinders their renewal.
fn certificates_text(certificates: &CertificateStore) -> String {
    let statuses = certificates.statuses();
    let told: Vec<_> = statuses
        .iter()
        .map(|status| CertificateText {
            name: &status.name,
            expires: status.expires(),
            error: status.trouble.as_deref(),
        })
        .collect();
    let told = serde_json::to_string(&told).unwrap_or_default();
    format!(r#","certificates":{told}"#)
}

fn answer(status: StatusCode, media_type: &'static str, body: String) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;

    use super::*;
    use crate::net::drain::Drain;

    async fn said(response: Response<ResponseBody>) -> (u16, String) {
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn ready_means_bound_and_not_draining() {
        let (readiness, drain) = (Readiness::new(), Drain::new());
        let health = Health::new(readiness.clone(), drain.watch(), || {
            DjangoState::Unreachable
        });
        let starting = r#"{"status":"starting","django":"unreachable"}"#;
        assert_eq!(said(health.ready()).await, (503, starting.into()));
        readiness.set_ready();
        let ready = r#"{"status":"ready","django":"unreachable"}"#;
        assert_eq!(said(health.ready()).await, (200, ready.into()));
        let draining = r#"{"status":"draining","django":"unreachable"}"#;
        readiness.set_leaving();
        assert_eq!(said(health.ready()).await, (503, draining.into()));
        drain.drain(Duration::ZERO).await;
        let draining = r#"{"status":"draining","django":"unreachable"}"#;
        assert_eq!(said(health.ready()).await, (503, draining.into()));
        assert_eq!(said(health.live()).await, (200, "ok".into()));
    }
}
