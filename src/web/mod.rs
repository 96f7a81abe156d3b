//! HTTP words that every layer above shares: bodies, problems, headers, signatures.

pub mod admit;
pub mod allowed_names;
pub mod body;
pub mod client;
pub mod client_stream;
pub mod compression_terms;
pub mod encoding;
mod extended_connect;
pub mod forwarded;
pub mod headers;
pub mod hosts;
pub mod kept;
pub mod linger;
pub mod media_type;
pub mod notice;
mod page;
pub mod path;
pub mod problem;
pub mod render;
pub mod request;
pub mod request_body;
pub mod signature;
mod target;
pub mod trace;
pub mod upstream_time;
pub mod vouch;
