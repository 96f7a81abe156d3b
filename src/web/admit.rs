//! The first thing every request passes: after it, only one reading of the request is left.
//!
//! Called by `server` before any route is looked up. Refuses what two HTTP readers could take
//! differently and removes what a client may not claim. The surprise: a request body with both
//! `Content-Length` and `Transfer-Encoding` never shows here, hyper has already dropped the length
//! and will close the connection (RFC 9112 6.3).

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode, Version};

use super::client::Client;
use super::extended_connect;
use super::headers;
use super::hosts::{HostStanding, Hosts, is_same_authority, split_authority};
use super::path;
use super::problem::Problem;
use super::request::Upgrade;
use crate::ids::ConnectionId;

/// How a page names its own connection, and how Django hears of it.
pub const CONNECTION_CLAIM: HeaderName = HeaderName::from_static("gatepost-connection");

/// Of a host that is no name.
const LONGEST_SHOWN: usize = 100;

/// Judges requests.
#[derive(Clone, Debug)]
pub struct Admission {
    hosts: Arc<Hosts>,
    limits: AdmitLimits,
}

/// What a request's head may take.
#[derive(Clone, Copy, Debug)]
pub struct AdmitLimits {
    /// Bytes of the request's target.
    pub uri_size: usize,
    /// Fields in the header section, cookie crumbs joined.
    pub headers: usize,
}

/// What is known of an admitted request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The authority with its port, as the browser wrote it; also the request's `Host` field now.
    pub host: HeaderValue,
    /// The path, decoded once.
    pub path: String,
    /// Whether the request is to be sent on to the canonical host.
    pub is_moved: bool,
    /// What the connection is to become.
    pub upgrade: Upgrade,
    /// The connection that the client says it has, taken out of the request: no more than a claim.
    pub claimed: Option<ConnectionId>,
}

impl Admission {
    /// Judges by these hosts and limits.
    pub fn new(hosts: Arc<Hosts>, limits: AdmitLimits) -> Self {
        Self { hosts, limits }
    }

    /// Judges a request of this client's, and removes from it what a client may not say.
    pub fn admit<B>(&self, request: &mut Request<B>, client: &Client) -> Result<Admitted, Problem> {
        let connects = extended_connect::take(request)?;
        check_method(request.method())?;
        check_framing(request.version(), request.headers())?;
        let path = self.check_target(request)?;
        let (host, standing) = self.check_host(request, client)?;
        check_expect(request.headers())?;

        let fields = request.headers_mut();
        let claimed = claimed_connection(fields);
        headers::remove_claims(fields);
        headers::join_cookies(fields);
        let upgrade = if connects {
            Upgrade::ExtendedConnect
        } else {
            upgrade(fields)
        };
        if fields.len() > self.limits.headers {
            return Err(too_many_fields(self.limits.headers));
        }
        Ok(Admitted {
            host,
            path,
            is_moved: standing == HostStanding::Moved,
            upgrade,
            claimed,
        })
    }

    fn check_target<B>(&self, request: &Request<B>) -> Result<String, Problem> {
        let uri = request.uri();
        let query = uri.query().unwrap_or_default();
        if uri.path().len() + query.len() > self.limits.uri_size {
            let detail = format!("The address is longer than {} bytes.", self.limits.uri_size);
            return Err(
                Problem::new(StatusCode::URI_TOO_LONG, "uri_too_long", detail)
                    .with_hint("limits.uri_size in gateway.toml says how long it may be.")
                    .closing(),
            );
        }
        path::decode(uri.path())
            .and_then(|path| path::check_query(query).map(|()| path))
            .map_err(|error| bad_request("bad_path", &error.to_string()))
    }

    fn check_host<B>(
        &self,
        request: &mut Request<B>,
        client: &Client,
    ) -> Result<(HeaderValue, HostStanding), Problem> {
        let sent = authority(request)?;
        let (host, standing) = if let Some(told) = &client.host {
            (told.clone(), self.standing_of_told(told)?)
        } else {
            let (name, _port) = split(&sent)?;
            let standing = self.hosts.standing(name);
            if standing == HostStanding::Foreign {
                return Err(misdirected(name));
            }
            (sent, standing)
        };
        if request.version() >= Version::HTTP_2 || client.host.is_some() {
            request.headers_mut().insert(header::HOST, host.clone());
        }
        Ok((host, standing))
    }

    /// Of a host that a proxy names in place of `Host`.
    fn standing_of_told(&self, told: &HeaderValue) -> Result<HostStanding, Problem> {
        let text = told.to_str().unwrap_or_default();
        let name = split_authority(text).map(|(name, _port)| name);
        match name.map(|name| self.hosts.standing(name)) {
            None | Some(HostStanding::Foreign) => Err(misdirected_by_proxy(text)),
            Some(standing) => Ok(standing),
        }
    }
}

/// Host and port of an authority that a request names.
pub fn split(authority: &HeaderValue) -> Result<(&str, Option<u16>), Problem> {
    let text = authority.to_str().unwrap_or_default();
    split_authority(text)
        .ok_or_else(|| bad_request("bad_host", "the Host field is not a host and a port"))
}

/// The one authority a request names, wherever it does.
pub fn authority<B>(request: &Request<B>) -> Result<HeaderValue, Problem> {
    let mut fields = request.headers().get_all(header::HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(bad_request("bad_host", "there is more than one Host field"));
    }
    let target = request.uri().authority();
    let modern = request.version() >= Version::HTTP_2;
    match (field, target) {
        (None, Some(target)) if modern => HeaderValue::from_str(target.as_str())
            .map_err(|_| bad_request("bad_host", "the :authority field is not a host and a port")),
        (None, _) => Err(bad_request("bad_host", "the Host field is missing")),
        (Some(field), None) => Ok(field.clone()),
        (Some(field), Some(target)) => {
            let usual_port = match request.uri().scheme_str() {
                Some("https") => 443,
                Some("http") => 80,
                _ => {
                    return Err(bad_request(
                        "bad_target",
                        "the request's target is no http(s) URL",
                    ));
                }
            };
            let named = field.to_str().unwrap_or_default();
            if !is_same_authority(named, target.as_str(), usual_port) {
                return Err(bad_request(
                    "bad_host",
                    "Host and the request's target disagree",
                ));
            }
            Ok(field.clone())
        }
    }
}

/// The upgrade that is asked for. Any other than to a WebSocket is taken out of the request.
fn upgrade(fields: &mut HeaderMap) -> Upgrade {
    if !fields.contains_key(header::UPGRADE) {
        return Upgrade::None;
    }
    if headers::is_websocket_upgrade(fields) {
        return Upgrade::WebSocket;
    }
    fields.remove(header::UPGRADE);
    Upgrade::None
}

/// A claim that is made twice, or in other words, does not count.
fn claimed_connection(fields: &HeaderMap) -> Option<ConnectionId> {
    let mut claims = fields.get_all(CONNECTION_CLAIM).iter();
    let claim = claims.next()?;
    if claims.next().is_some() {
        return None;
    }
    claim.to_str().ok()?.parse().ok()
}

fn check_method(method: &Method) -> Result<(), Problem> {
    if matches!(*method, Method::CONNECT | Method::TRACE) {
        let allow = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
        return Err(Problem::method_not_allowed(method, allow).closing());
    }
    if method
        .as_str()
        .bytes()
        .all(|b| b.is_ascii_uppercase() || b == b'-')
    {
        return Ok(());
    }
    let detail = "The request's method is not known.";
    Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "method_unknown", detail).closing())
}

fn check_framing(version: Version, headers: &HeaderMap) -> Result<(), Problem> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        let single = codings.next().is_none();
        if version != Version::HTTP_11 || !single {
            return Err(bad_request(
                "bad_framing",
                "Transfer-Encoding is not allowed like this",
            ));
        }
        if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            let detail = "Only the transfer coding \"chunked\" is understood.";
            return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "bad_framing", detail).closing());
        }
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    let digits =
        length.is_none_or(|l| !l.is_empty() && l.as_bytes().iter().all(u8::is_ascii_digit));
    if lengths.next().is_some() || !digits {
        return Err(bad_request(
            "bad_framing",
            "Content-Length must be one number",
        ));
    }
    Ok(())
}

fn check_expect(headers: &HeaderMap) -> Result<(), Problem> {
    let known = headers
        .get_all(header::EXPECT)
        .iter()
        .all(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if known {
        return Ok(());
    }
    let detail = "Only the expectation \"100-continue\" is understood.";
    Err(Problem::new(StatusCode::EXPECTATION_FAILED, "expectation_failed", detail).closing())
}

fn bad_request(code: &'static str, what: &str) -> Problem {
    let detail = format!("The request cannot be taken: {what}.");
    Problem::new(StatusCode::BAD_REQUEST, code, detail).closing()
}

fn too_many_fields(limit: usize) -> Problem {
    let detail = format!("The request has more than {limit} header fields.");
    Problem::new(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "too_many_headers",
        detail,
    )
    .closing()
}

fn misdirected(name: &str) -> Problem {
    let detail = format!("\"{name}\" is not a host of this origin.");
    let hint = format!("Add \"{name}\" to `hosts` of [server] in gateway.toml, and restart.");
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "unknown_host", detail).with_hint(hint)
}

fn misdirected_by_proxy(told: &str) -> Problem {
    let told: String = told.chars().take(LONGEST_SHOWN).collect();
    let told = told.escape_debug();
    let detail = format!("\"{told}\" is not a host of this origin.");
    let hint = "a proxy in front names it as the request's host, since `forwarded_host` of [server] is on in \
                gateway.toml: it has to name one of `hosts`, once";
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "unknown_host", detail).with_hint(hint)
}

#[cfg(test)]
mod tests;
