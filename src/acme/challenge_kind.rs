//! The two ways in which an authority finds out that a name is this gateway's.

use std::fmt;

use instant_acme::ChallengeType;

/// How the authority finds out that a name is this gateway's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChallengeKind {
    /// It asks for a file over plain HTTP.
    Http01,
    /// It begins a TLS handshake.
    TlsAlpn01,
}

impl ChallengeKind {
    /// The other one.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Http01 => Self::TlsAlpn01,
            Self::TlsAlpn01 => Self::Http01,
        }
    }

    /// What has to be reachable.
    pub(super) fn port(self) -> &'static str {
        match self {
            Self::Http01 => "port 80 (server.http)",
            Self::TlsAlpn01 => "port 443 (server.https)",
        }
    }

    pub(super) fn of_protocol(self) -> ChallengeType {
        match self {
            Self::Http01 => ChallengeType::Http01,
            Self::TlsAlpn01 => ChallengeType::TlsAlpn01,
        }
    }
}

impl fmt::Display for ChallengeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http01 => "HTTP-01",
            Self::TlsAlpn01 => "TLS-ALPN-01",
        })
    }
}
