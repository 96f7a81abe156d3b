//! Plain HTTP: the origin itself for trusted proxies that ended TLS, the way to HTTPS for all others.
//!
//! The composition root serves it on `server.http`. A trusted proxy that does not say by which scheme
//! its client came is redirected like everybody else, which its client sees as a loop; so the log says
//! once what to set there.

use std::sync::Arc;

use http::Response;

use super::dispatch::Dispatch;
use super::service::{Handler, Peer};
use crate::telemetry::seldom::Once;
use crate::tls::store::CertificateStore;
use crate::tls::supplier::SupplyStage;
use crate::web::body::ResponseBody;
use crate::web::client::{Client, ToldScheme};
use crate::web::forwarded::Proxies;
use crate::web::request_body::BoxedRequest;

/// Answers plain HTTP.
#[derive(Debug)]
pub struct PlainHttp {
    origin: Arc<Dispatch>,
    proxies: Proxies,
    /// Whom names are asked for that are none of this origin's yet.
    certificates: Option<Arc<CertificateStore>>,
    loops: Once,
}

impl PlainHttp {
    /// Serves `origin` to trusted proxies whose clients came by HTTPS.
    pub fn new(origin: Arc<Dispatch>, proxies: Proxies) -> Self {
        Self {
            origin,
            proxies,
            certificates: None,
            loops: Once::default(),
        }
    }

    /// Has names allowed where these certificates are issued on demand: people come by plain HTTP first.
    #[must_use]
    pub fn on_demand(mut self, certificates: Option<Arc<CertificateStore>>) -> Self {
        self.certificates = certificates;
        self
    }

    /// Finds out whether a host is one of this origin's that is not known yet.
    async fn introduce(&self, client: &Client, request: &BoxedRequest) {
        let certificates = self.certificates.as_ref();
        let Some(supplier) = certificates.and_then(|store| store.supplier()) else {
            return;
        };
        let Some(host) = self.origin.redirect.foreign_host(client, request) else {
            return;
        };
        if let Some(supply) = supplier.request(&host, Some(client.address)) {
            supply.until(SupplyStage::Allowed).await;
        }
    }

    fn complain(&self, client: &Client) {
        if !self.loops.is_first() {
            return;
        }
        let field = self.proxies.scheme_field();
        tracing::warn!(
            proxy = client.peer.map(tracing::field::display),
            "a trusted proxy does not say by which scheme its client came, so the client is redirected to https, \
             for ever if that is how it came: have the proxy set {field}"
        );
    }
}

impl Handler for PlainHttp {
    async fn answer(&self, mut request: BoxedRequest, peer: Peer) -> Response<ResponseBody> {
        let client = self.proxies.client(peer.address(), request.headers_mut());
        match client.scheme {
            ToldScheme::Https => return self.origin.answer_to(client, request).await,
            ToldScheme::Missing => self.complain(&client),
            ToldScheme::Other | ToldScheme::Untrusted => {}
        }
        let mut tracked = self.origin.begin(&mut request, &client);
        tracked
            .span
            .describe(|span| span.text("url.scheme", "http"));
        self.introduce(&client, &request).await;
        let mut response = self.origin.redirect.respond(&client, &request);
        self.dress(&mut response);
        self.origin.own.add_fields(&mut response);
        tracked.answered(response)
    }

    fn dress(&self, response: &mut Response<ResponseBody>) {
        self.origin.own.dress(response);
    }
}
