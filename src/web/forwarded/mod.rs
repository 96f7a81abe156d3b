//! What proxies say of a request: read where one is trusted, and nowhere else.
//!
//! Made by the composition root, asked by `server` for each request, before a client's claims are
//! removed from it. Lists are read from the right, where the nearest proxy writes; what stands
//! further left than the first address that is not trusted was written by anybody.

mod elements;
mod hop;

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::client::{Client, ToldScheme};
use crate::config::{ClientAddress, ProxiesConfig};
use elements::elements;
use hop::Hop;

const FORWARDED: HeaderName = http::header::FORWARDED;
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Real chains of proxies are shorter.
const MOST_HOPS: usize = 64;
/// No authority is longer.
const LONGEST_HOST: usize = 260;
/// Stands for several hosts, or for a malformed one: no host has this name.
const SEVERAL: HeaderValue = HeaderValue::from_static("several hosts");

/// Reads what proxies say.
#[derive(Clone, Debug, Default)]
pub struct Proxies(ProxiesConfig);

impl Proxies {
    /// Believes the proxies that the configuration trusts.
    pub fn new(config: ProxiesConfig) -> Self {
        Self(config)
    }

    /// Who sent a request with these fields; `peer` is the address that is connected, `None` over a Unix
    /// socket. A field of the project's own choice is removed: no code below may read it again.
    pub fn client(&self, peer: Option<IpAddr>, fields: &mut HeaderMap) -> Client {
        let peer = peer.map(|address| address.to_canonical());
        let mut client = Client {
            peer,
            address: peer.unwrap_or(Ipv4Addr::LOCALHOST.into()),
            scheme: ToldScheme::Untrusted,
            host: None,
        };
        let is_trusted = self.0.trusted.trusts(peer);
        if is_trusted {
            client.scheme = ToldScheme::Missing;
            match self.0.client_address {
                ClientAddress::Forwarded => self.read_forwarded(&mut client, fields),
                _ => self.read_x_forwarded(&mut client, fields),
            }
            if !self.0.forwarded_host {
                client.host = None;
            }
        }
        if let ClientAddress::Field(name) = &self.0.client_address {
            if is_trusted && let Some(Hop::Address(address)) = only(fields, name) {
                client.address = address;
            }
            fields.remove(name);
        }
        client
    }

    /// Where a proxy says by which scheme its client came, as one writes it.
    pub fn scheme_field(&self) -> &'static str {
        match self.0.client_address {
            ClientAddress::Forwarded => "`Forwarded: for=…;proto=https`",
            _ => "`X-Forwarded-Proto: https` (nginx: proxy_set_header X-Forwarded-Proto $scheme;)",
        }
    }

    fn read_x_forwarded(&self, client: &mut Client, fields: &HeaderMap) {
        if self.0.client_address == ClientAddress::XForwardedFor {
            let lines = fields.get_all(X_FORWARDED_FOR).iter().rev();
            let entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
            let entries = entries.filter(|entry| !entry.trim_ascii().is_empty());
            for entry in entries.take(MOST_HOPS) {
                if self.passes(client, Hop::parse(entry)) == Reading::Ends {
                    break;
                }
            }
        }
        let proto = fields.get_all(X_FORWARDED_PROTO).iter().next_back();
        let proto = proto.and_then(|line| line.as_bytes().rsplit(|byte| *byte == b',').next());
        if let Some(proto) = proto {
            client.scheme = scheme(proto);
        }
        let mut hosts = fields.get_all(X_FORWARDED_HOST).iter();
        client.host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => Some(host.clone()),
            (None, _) => None,
            (Some(_), Some(_)) => Some(SEVERAL),
        };
    }

    fn read_forwarded(&self, client: &mut Client, fields: &HeaderMap) {
        let lines = fields.get_all(FORWARDED).iter().rev();
        let all = lines.flat_map(|line| elements(line.as_bytes()));
        for element in all.take(MOST_HOPS) {
            let Some(element) = element else { return };
            if let (Some(proto), ToldScheme::Missing) = (element.proto, client.scheme) {
                client.scheme = scheme(&proto);
            }
            if let Some(host) = element.host {
                let is_first = client.host.is_none() && host.len() <= LONGEST_HOST;
                let host = HeaderValue::from_bytes(&host).ok().filter(|_| is_first);
                client.host = Some(host.unwrap_or(SEVERAL));
            }
            if self.passes(client, element.hop) == Reading::Ends {
                return;
            }
        }
    }

    /// Takes one step away from us.
    fn passes(&self, client: &mut Client, hop: Option<Hop>) -> Reading {
        let is_trusted = match hop {
            None => false,
            Some(Hop::Unix) => self.0.trusted.trusts(None),
            Some(Hop::Address(address)) => {
                client.address = address;
                self.0.trusted.trusts_address(address)
            }
        };
        if is_trusted {
            Reading::GoesOn
        } else {
            Reading::Ends
        }
    }
}

/// Whether what stands further left was written by a trusted proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    GoesOn,
    Ends,
}

/// The one address of a field that is there once.
fn only(fields: &HeaderMap, name: &HeaderName) -> Option<Hop> {
    let mut lines = fields.get_all(name).iter();
    let line = lines.next()?;
    lines
        .next()
        .is_none()
        .then(|| Hop::parse(line.as_bytes()))?
}

/// A WebSocket's scheme is written by some (Traefik).
fn scheme(text: &[u8]) -> ToldScheme {
    let text = text.trim_ascii();
    let is_secure = [&b"https"[..], b"wss"]
        .iter()
        .any(|secure| text.eq_ignore_ascii_case(secure));
    if is_secure {
        ToldScheme::Https
    } else {
        ToldScheme::Other
    }
}

#[cfg(test)]
mod tests;
