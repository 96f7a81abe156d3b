//! The session-aware edge: what only somebody can do who sees both Django's answers and the sockets.
//!
//! `edge` looks on at everything that passes between browsers and the Django upstream.

pub mod edge;
mod field;
mod target;
