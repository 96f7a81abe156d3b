//! Forwards requests to servers behind the gateway; knows nothing of Django's meaning: whoever does
//! looks on through [`intercept`].
//!
//! `route` finds who answers, `forward` rewrites and streams, `upstream` lends connections, `upload`
//! and `spool` carry request bodies, `download` carries answers, `tunnel` joins foreign WebSockets.

mod carry;
mod dial;
mod download;
mod error;
pub mod forward;
pub mod intercept;
mod patient;
mod pool;
mod reuse;
mod rewrite;
pub mod route;
mod spool;
mod streamed;
mod tunnel;
mod turns;
mod upload;
pub mod upstream;

pub use error::ForwardError;

#[cfg(test)]
mod tests;
