//! Signed calls from the gateway to Django: questions about sessions, and for the transactional outbox.
//!
//! `session` and `publish` build their clients here. Ordinary requests go through `proxy`.

mod client;
mod fair_timeout;

pub use client::{AuthorityError, Call, CallError, Place, PlaceSettings, describe};
pub(crate) use client::{put, read};
pub(crate) use fair_timeout::{BACKSTOP, within};
