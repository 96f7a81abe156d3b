//! Who sent a request: decided once, where it arrives, before anything else of it is read.
//!
//! Made by [`Proxies`](super::forwarded::Proxies), handed down by `server`. What an untrusted peer says of
//! its client is not in here at all, so no code below can believe it by mistake.

use std::net::IpAddr;

use http::HeaderValue;

/// Who sent a request, as far as a trusted peer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Who is connected: the client itself, or the last proxy. `None`: somebody over a Unix socket.
    pub peer: Option<IpAddr>,
    /// Whose request it is. Loopback, where somebody over a Unix socket says nothing else.
    pub address: IpAddr,
    /// How it came to the first proxy.
    pub scheme: ToldScheme,
    /// What stands in place of `Host`, where a proxy's word for that counts; not checked yet.
    pub host: Option<HeaderValue>,
}

/// What a proxy says of the scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToldScheme {
    /// The peer is no trusted proxy, so nothing that it says counts.
    Untrusted,
    /// A trusted proxy says nothing.
    Missing,
    /// The client speaks HTTPS.
    Https,
    /// It speaks something else.
    Other,
}
