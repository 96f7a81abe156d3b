//! Forwards requests to servers behind the gateway; knows nothing of Django's meaning: whoever does
//! looks on through [`intercept`].
//!
//! `route` finds who answers, `forward` rewrites and sends, `upstream` lends connections, `tunnel` joins
//! foreign WebSockets. Request bodies: `receive` reads them into a `spool`, or streams them
//! (`streamed`); `upload` is what is sent. Answers: `download`; for a client that falls behind `sweep`
//! has a `pump` fill a `store`. Both keep what waits in a `buffer`.

mod body_rate;
pub mod buffer;
mod carry;
mod dial;
mod download;
mod error;
mod flow;
pub mod forward;
pub mod intercept;
mod kind;
mod liveness;
mod patient;
mod pool;
mod pump;
mod quota;
mod receive;
mod reuse;
mod rewrite;
pub mod route;
mod spool;
mod store;
mod streamed;
mod sweep;
mod tunnel;
mod turns;
mod upload;
mod upload_fault;
pub mod upstream;

pub use error::ForwardError;
pub use receive::StreamedPaths;

#[cfg(test)]
mod tests;
