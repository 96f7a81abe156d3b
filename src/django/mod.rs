//! The session-aware edge: what only somebody can do who sees both Django's answers and the sockets.
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
