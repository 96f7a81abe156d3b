//! From an accepted connection to the part that answers: TLS, hyper, dispatch.

pub mod internal;
