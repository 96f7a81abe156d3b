//! The internal API: what Django tells the gateway.
//!
//! `server` hands it the requests of the internal listener under `/v1/`. A publication passes, in this
//! order: `caller` (who asks), `body` (bounded), `publication` or `revocation` (decoded), then the
//! broker or the hub. The surprise: a frame is checked to be JSON and is then copied as it stands,
//! never parsed into values, so that the browser gets the bytes Django wrote.

pub mod api;
pub mod intake;
pub mod piggyback;
pub mod puller;
pub mod wake;

mod backpressure;
mod body;
mod call;
mod caller;
mod connections;
mod error;
mod json;
mod publication;
mod query;
mod recheck;
mod replays;
mod revocation;
mod text;

/// What fuzz targets may call (`fuzz/`).
#[cfg(fuzzing)]
pub mod fuzzing {
    use std::time::Instant;

    use super::{json, publication, recheck, revocation};

    /// Decodes a body of the internal API, whichever it may be.
    pub fn decode(body: &[u8]) {
        let _ = publication::decode(body, 256 * 1024, Instant::now());
        let _ = revocation::decode(body);
        let _ = recheck::decode(body);
        let _ = json::decode_array(body);
    }
}
