//! The internal API: what Django tells the gateway.
//!
//! `server` hands it the requests of the internal listener under `/v1/`. A publication passes, in this
//! order: `caller` (who asks), `body` (bounded), `publication` or `revocation` (decoded), then the
//! broker or the hub. A frame is checked to be JSON and is then copied as it stands, never parsed into
//! values, so that the browser gets the bytes Django wrote.

pub mod api;
pub mod intake;
pub mod operator;
pub mod piggyback;
pub mod puller;
pub mod relay;
pub mod replays;
pub mod wake;

mod backpressure;
mod body;
mod call;
mod caller;
mod connections;
mod error;
mod json;
mod publication;
mod publication_span;
mod query;
mod recheck;
mod reload_refusal;
mod revocation;
mod text;

/// What fuzz targets may call (`fuzz/`).
#[cfg(fuzzing)]
pub mod fuzzing {
    use std::time::Instant;

    use super::{json, publication, query, recheck, revocation};

    pub use super::puller::fuzzing::{cursor, page};

    /// Decodes a body of the internal API, whichever it may be.
    pub fn decode(body: &[u8]) {
        let _ = publication::decode(body, 256 * 1024, Instant::now());
        let _ = revocation::decode(body);
        let _ = recheck::decode(body);
        for entry in json::decode_array(body).unwrap_or_default() {
            let _ = publication::decode(entry.get().as_bytes(), 256 * 1024, Instant::now());
            let _ = recheck::is_one(entry.get().as_bytes());
        }
    }

    /// Reads the query of a call of the internal API.
    pub fn query(text: &str) {
        let named = query::named(Some(text));
        for user in named.map(|named| named.users).unwrap_or_default() {
            assert!((1..=255).contains(&user.to_string().len()));
        }
        let _ = query::audience(Some(text));
    }
}
