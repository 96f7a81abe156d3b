//! The internal listener: health and metrics for all clients that reach it, the API for callers that
//! know the secret.
//!
//! The composition root serves it on `server.internal`. The surprise: it refuses browsers. Loopback is
//! in reach of every page its user visits, so a request that a page made (`Origin`, `Sec-Fetch-Site`)
//! or that came through a rebound DNS name is an attacker's.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::header::ORIGIN;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;

use super::service::{Handler, Peer};
use crate::admin::health::Health;
use crate::admin::metrics::Exposition;
use crate::publish::api::Api;
use crate::web::admit;
use crate::web::body::ResponseBody;
use crate::web::problem::Problem;
use crate::web::render::{ResponseFormat, render};
use crate::web::request_body::BoxedRequest;

/// What answers on the internal listener.
#[derive(Debug)]
pub struct Internal {
    /// Under `/v1/`.
    pub api: Api,
    /// `/live` and `/ready`.
    pub health: Health,
    /// `/metrics`.
    pub exposition: Exposition,
}

impl Internal {
    /// The answer to a request; `peer` is where it came from, nowhere for a Unix socket.
    async fn respond<B>(
        &self,
        request: Request<B>,
        peer: Option<SocketAddr>,
    ) -> Response<ResponseBody>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
    {
        if let Err(problem) = check_no_browser(&request, peer) {
            tracing::debug!(code = problem.code, "internal request refused");
            return render(&problem, ResponseFormat::of(&request), None);
        }
        if request.uri().path().starts_with("/v1/") {
            return self.api.answer(request).await;
        }
        self.operator(&request)
    }

    fn operator<B>(&self, request: &Request<B>) -> Response<ResponseBody> {
        let path = request.uri().path();
        let problem = match path {
            "/live" | "/ready" | "/metrics" if !is_read(request.method()) => {
                Problem::method_not_allowed(request.method(), "GET, HEAD")
            }
            "/live" => return self.health.live(),
            "/ready" => return self.health.ready(),
            "/metrics" => return self.exposition.answer(request.headers()),
            _ => Problem::new(
                StatusCode::NOT_FOUND,
                "no_such_path",
                "The internal listener answers /live, /ready, /metrics and what is under /v1/; the site itself is at server.https.",
            ),
        };
        render(&problem, ResponseFormat::of(request), None)
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

impl Handler for Internal {
    async fn answer(&self, request: BoxedRequest, peer: Peer) -> Response<ResponseBody> {
        let peer = match peer {
            Peer::Tcp(address) => Some(address),
            Peer::Unix => None,
        };
        self.respond(*request, peer).await
    }
}

/// Refuses what a web page made the user's browser send.
fn check_no_browser<B>(request: &Request<B>, peer: Option<SocketAddr>) -> Result<(), Problem> {
    let headers = request.headers();
    // `none` is a person who typed the address.
    let by_page = headers
        .get("sec-fetch-site")
        .is_some_and(|site| site != "none");
    if by_page || headers.contains_key(ORIGIN) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "browser_refused",
            "The internal listener does not answer web pages. Call it from Django, without `Origin` \
             and `Sec-Fetch-Site`.",
        ));
    }
    let local = peer.is_none_or(|peer| peer.ip().to_canonical().is_loopback());
    let host = admit::authority(request)?;
    let (name, _port) = admit::split(&host)?;
    if local && !is_local_name(name) {
        return Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "host_refused",
            "On loopback the internal listener answers to an IP address, `localhost` or another name \
             that nobody can register: any other may be a web page's. Call it by its address.",
        ));
    }
    Ok(())
}

/// Whether a host cannot be a name that a web page got from the public DNS. One in brackets is an
/// address.
fn is_local_name(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    !name.contains('.')
        || name.starts_with('[')
        || name.parse::<IpAddr>().is_ok()
        || is_private(&name.to_ascii_lowercase())
}

/// Domains that nobody can register, such as that of `host.docker.internal`.
fn is_private(name: &str) -> bool {
    [".localhost", ".internal", ".test"]
        .iter()
        .any(|domain| name.ends_with(domain))
}

#[cfg(test)]
mod tests;
