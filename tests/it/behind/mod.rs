//! Behind other proxies: who the client is, by which scheme it came, and which host it means.

mod claims;
mod health;
mod hosts;
mod introduction;
mod plain;
