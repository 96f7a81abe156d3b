//! Forwards requests to servers behind the gateway. It knows nothing of Django: the
//! code that does sees what passes through [`intercept`].
//!
//! `route` finds who answers, `forward` rewrites and sends, `upstream` pools connections, `tunnel` joins
//! foreign WebSockets. Request bodies: `receive` reads them into a `spool`, or streams them
//! (`streamed`); `upload` is what is sent. Answers: `download` takes them
//! from a `flow`, which `compress` may make shorter; for a client that falls behind `sweep` has a `pump` fill a `store`. Both keep what waits in a
//! `buffer`.

mod abandoned;
mod answer_body;
mod backend;
mod body_rate;
pub mod buffer;
mod call_span;
mod compress;
mod concurrency;
mod detached;
mod dial;
mod download;
mod error;
mod flow;
pub mod forward;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod hand_over;
mod head;
mod idle_timeout;
pub mod intercept;
mod internal_redirect;
mod kind;
mod liveness;
mod pool;
mod pressure;
mod pump;
pub mod queue;
mod quota;
mod read_after_end;
mod receive;
mod reuse;
mod rewrite;
pub mod route;
mod spool;
mod store;
mod streamed;
mod sweep;
mod tunnel;
mod upload;
mod upload_fault;
pub mod upstream;
mod upstream_connection;

pub use compress::Encoders;
pub use error::ForwardError;
pub use internal_redirect::InternalRedirect;
pub use receive::StreamedPaths;

#[cfg(test)]
mod tests;
