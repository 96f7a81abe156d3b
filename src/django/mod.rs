//! The session-aware edge: what takes sight of both Django's answers and the sockets.
//!
//! `edge` looks on at everything that passes between browsers and the Django upstream: it signs requests,
//! tells Django of the sender's connections (`presence`), hands on what rides on answers (`field`), watches
//! over the session cookie (`watch`), and lets a browser have the response that closes its sockets before
//! they close (`farewell`).

pub mod edge;
mod farewell;
mod field;
mod presence;
mod watch;

/// What fuzz targets may call (`fuzz/`).
#[cfg(fuzzing)]
pub mod fuzzing {
    use http::{HeaderMap, HeaderName};

    use super::field;

    /// The texts in a field of Django's that is meant for the gateway.
    pub fn texts(fields: &HeaderMap, name: HeaderName) -> Vec<Vec<u8>> {
        field::texts(fields, name).filter_map(Result::ok).collect()
    }
}
