//! HTTP words that every layer above shares: bodies, problems, headers, signatures.

pub mod body;
pub mod problem;
pub mod request;
pub mod signature;
