//! The session-aware edge: what only somebody can do who sees both Django's answers and the sockets.
//!
//! `edge` looks on at everything that passes between browsers and the Django upstream: it signs requests
//! (`target`), tells Django of the sender's connections (`presence`), hands on what rides on answers
//! (`field`), and watches over the session cookie (`watch`).

pub mod edge;
mod field;
mod presence;
mod target;
mod watch;
