//! Keys of `[server]` about what proxies in front say, and where it stands.
//!
//! Read by `server`. Without `trusted_proxies` the other keys would have no effect, and a project that
//! sets one of them relies on it, so that is a finding.

use http::HeaderName;

use super::kind::{Hint, ValueKind};
use super::section::Section;
use super::trusted::TrustedProxies;

/// What proxies in front may say, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxiesConfig {
    /// Whose word counts.
    pub trusted: TrustedProxies,
    /// Where they say who the client is.
    pub client_address: ClientAddress,
    /// Whether they say which host is meant.
    pub forwarded_host: bool,
}

/// The field in which a proxy says who its client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAddress {
    /// `X-Forwarded-For`, to which each proxy appends.
    XForwardedFor,
    /// `Forwarded` (RFC 7239), likewise.
    Forwarded,
    /// A field with one value, which the proxy overwrites.
    Field(HeaderName),
}

const CLIENT_ADDRESS: ValueKind<ClientAddress> = ValueKind {
    expected: "\"X-Forwarded-For\", \"Forwarded\", or the name of a field with one address such as \
               \"CF-Connecting-IP\"",
    parse: |text| match text.to_ascii_lowercase().as_str() {
        "x-forwarded-for" => Ok(ClientAddress::XForwardedFor),
        "forwarded" => Ok(ClientAddress::Forwarded),
        _ => field(text).map(ClientAddress::Field),
    },
};

/// Fields that say something else, of which an address can never be read.
const OTHER_FIELDS: [&str; 9] = [
    "host",
    "cookie",
    "connection",
    "authorization",
    "via",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-request-id",
];

fn field(text: &str) -> Result<HeaderName, Hint> {
    let name = text.to_ascii_lowercase();
    if name.contains('_') {
        let dashed = text.replace('_', "-");
        return Err(Some(format!(
            "write \"{dashed}\": fields with an underscore in their name are dropped"
        )));
    }
    if OTHER_FIELDS.contains(&name.as_str()) || name.starts_with("gatepost-") {
        return Err(Some("that field says no client's address".to_owned()));
    }
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| None)
}

impl ProxiesConfig {
    /// Reads the keys.
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let proxies = Self {
            trusted: TrustedProxies::read(section),
            client_address: section
                .value("client_address", &CLIENT_ADDRESS)
                .unwrap_or(ClientAddress::XForwardedFor),
            forwarded_host: section.flag("forwarded_host").unwrap_or(false),
        };
        let of_no_use = [
            (
                "client_address",
                proxies.client_address != ClientAddress::XForwardedFor,
            ),
            ("forwarded_host", proxies.forwarded_host),
        ];
        for (key, _) in of_no_use.into_iter().filter(|(_, is_set)| *is_set) {
            proxies.require_trust(section, key, "is set");
        }
        proxies
    }

    /// Reports a key that has no effect without trusted proxies.
    pub(super) fn require_trust(&self, section: &mut Section<'_, '_>, key: &str, what: &str) {
        if !self.trusted.is_empty() || section.findings.are_about("server.trusted_proxies") {
            return;
        }
        let hint = "name the networks that your proxies connect from, such as \
                    trusted_proxies = [\"10.0.0.0/8\"]";
        let message = format!("{what}, but server.trusted_proxies names nobody");
        section.refuse(key, &message, Some(hint));
    }
}

impl Default for ProxiesConfig {
    fn default() -> Self {
        Self {
            trusted: TrustedProxies::default(),
            client_address: ClientAddress::XForwardedFor,
            forwarded_host: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_named_as_it_is_sent() {
        let parse = |text| (CLIENT_ADDRESS.parse)(text);
        for (text, expected) in [
            ("CF_Connecting_IP", "\"CF-Connecting-IP\""),
            ("Host", "no client's address"),
            ("X-Forwarded-Proto", "no client's address"),
        ] {
            let hint = parse(text).unwrap_err().unwrap();
            assert!(hint.contains(expected), "{text}: {hint}");
        }
        assert!(parse("two words").is_err() && parse("").is_err());
        let spelled = parse("x-forwarded-FOR").unwrap();
        assert_eq!(spelled, ClientAddress::XForwardedFor);
        let own = HeaderName::from_static("x-own");
        assert_eq!(parse("X-Own").unwrap(), ClientAddress::Field(own));
    }
}
