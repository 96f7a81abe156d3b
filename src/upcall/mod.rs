//! Signed calls from the gateway to Django: questions about sessions, and for the transactional outbox.
//!
//! `session` and `publish` build their clients here. Ordinary requests go through `proxy`.

mod body;
mod client;
mod error;
mod fair_timeout;
mod refusal;

pub use body::BoundedBody;
pub(crate) use client::put;
pub use client::{Call, ClientSettings, DjangoAddress, DjangoClient};
pub use error::{CallError, ClientError, NoAnswer};
pub(crate) use fair_timeout::{BACKSTOP, within};
pub use refusal::SignatureRefusal;
