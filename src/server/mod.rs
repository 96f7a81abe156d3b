//! From an accepted connection to the part that answers: TLS, hyper, dispatch.

pub mod access;
pub mod by_permission;
pub mod ca_page;
pub mod challenged;
pub mod compression;
mod connection;
pub mod current;
mod deadlines;
pub mod dispatch;
mod drive;
pub mod health;
mod http1;
mod http2;
mod http_config;
pub mod internal;
mod introduce;
mod opened_stream;
mod outcomes;
pub mod own_answers;
pub mod plain;
pub mod redirect;
mod refusal;
pub mod request_limits;
mod request_names;
mod request_span;
mod rest;
pub mod route;
pub mod serve;
pub mod service;
mod shown;
pub mod unrouted;
pub mod upstream_handler;
mod wrap;

/// What fuzz targets may call (`fuzz/`).
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use super::http2::fuzzing::frames;
}

#[cfg(test)]
mod tests;
