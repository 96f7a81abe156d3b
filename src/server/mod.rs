//! From an accepted connection to the part that answers: TLS, hyper, dispatch.

mod connection;
pub mod dispatch;
mod drive;
pub mod internal;
mod pace;
pub mod redirect;
pub mod serve;
mod wrap;

#[cfg(test)]
mod tests;
