//! What a request allows of the compression of its answer.
//!
//! Made by `server`, which knows who is signed in; kept to by `proxy`, which sees the answer.

use http::HeaderValue;

use super::encoding::Encoding;
use crate::config::DynamicCompression;

/// What a request allows.
#[derive(Clone, Debug)]
pub struct CompressionTerms {
    /// What the client takes best; `Identity`: this answer is not compressed, but others may be.
    pub encoding: Encoding,
    /// Which answers may be compressed.
    pub dynamic: DynamicCompression,
    /// Answers that are known to be smaller are left alone.
    pub min_size: u64,
    /// `If-None-Match`: what the client has.
    pub held: Option<HeaderValue>,
}
