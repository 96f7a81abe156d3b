//! What Django is told, signed, of a request: where it comes from, how, and what it asks for.
//!
//! Used for every request to Django: those that `django` passes on, and those that `session` and
//! `publish` make. The surprise: servers own `X-Forwarded-*` (waitress removes them, uvicorn and gunicorn
//! act on them), so what is vouched for has names that no server knows.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::headers;
use super::signature::{ADDRESS, BodyHash, SCHEME, SIGNATURE, SignedParts, Signer};
use super::target::survives_quoting;
use crate::unix_time;

/// The signed target as it was sent, for servers that keep only the decoded path from Django.
const TARGET: HeaderName = HeaderName::from_static("gatepost-target");

/// What is vouched for besides the fields.
#[derive(Clone, Copy, Debug)]
pub struct Vouched<'a> {
    /// The method.
    pub method: &'a Method,
    /// Path and query, as they are sent.
    pub target: &'a str,
    /// The client's address.
    pub address: IpAddr,
    /// The body.
    pub body: BodyHash,
}

/// Signs a request in the moment it is sent. Its fields have `Host` already, and none of a client's claims.
pub fn vouch(signer: &Signer, request: Vouched<'_>, fields: &mut HeaderMap) {
    headers::set_address(fields, ADDRESS, request.address);
    // The gateway serves nothing but redirects in plain text.
    fields.insert(SCHEME, HeaderValue::from_static("https"));
    if !survives_quoting(request.target)
        && let Ok(told) = HeaderValue::from_str(request.target)
    {
        fields.insert(TARGET, told);
    }
    let parts = SignedParts::of(request.method, request.target, fields, request.body);
    let signature = signer.sign(&parts, unix_time::seconds());
    fields.insert(SIGNATURE, signature);
}
