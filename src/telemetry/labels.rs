//! The labels of metrics.
//!
//! Known to the rest by `metrics`. But for the names of upstreams and certificates they are from fixed sets, so that no
//! client can make the exposition grow.

use prometheus_client::encoding::EncodeLabelSet;

/// A label that names what happened, from a fixed set.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabel {
    /// `ok`, `unreachable`, …
    pub outcome: &'static str,
}

/// A close code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CodeLabel {
    /// The code, such as 4001.
    pub code: u32,
}

/// Something that came on a response of Django's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PiggybackLabel {
    /// `publication`, `revocation` or `identity`.
    pub what: &'static str,
    /// `taken` or `refused`.
    pub outcome: &'static str,
}

/// A label that names a kind, from a fixed set.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    /// `host_refused`, `not_found`, …
    pub kind: &'static str,
}

/// Why a request was refused: the code of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    /// `refused`, `too_fast`, `queue_full`, …
    pub reason: &'static str,
}

/// An upstream, as gateway.toml calls it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct UpstreamName {
    /// `django`, `frontend`, a route's path.
    pub upstream: String,
}

/// A certificate, by the first of its names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CertificateName {
    /// `www.example.com`
    pub name: String,
}

/// Where bodies are kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PlaceLabel {
    /// `memory` or `disk`.
    pub r#where: &'static str,
}
