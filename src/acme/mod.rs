//! Certificates that an authority issues by itself (ACME, RFC 8555), and their renewal.
//!
//! Made and run by the composition root where there is `[tls.acme]`. Each name has a certificate and a task of
//! its own, so that a name that is refused holds no other back. `folder` is what is kept, `account` who asks,
//! `authority` whom, `order` one order, `renewal` when the next is due, `desk` in which order,
//! and `keeper` what runs.

mod account;
mod authority;
mod challenge_kind;
mod desk;
mod error;
mod folder;
mod keeper;
mod on_demand;
mod order;
mod renewal;
#[cfg(test)]
mod scripted;

pub use keeper::{AcmeKeeper, AcmeSettings};
pub use on_demand::{HostsView, HostsViewSettings};
