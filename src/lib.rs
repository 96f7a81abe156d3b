//! Gatepost: one HTTPS origin in front of Django, with session-aware WebSockets.
//!
//! The crate reads top-down like the way of a request. An import may only point to a lower layer,
//! and siblings of one layer never import each other; `tests/architecture/` holds this table.
//!
//! | layer | modules |
//! |---|---|
//! | 10 | `main.rs`: command line in, exit code out |
//! | 9 | [`cli`]: one file a command |
//! | 8 | [`app`]: the only place that constructs and wires |
//! | 7 | [`server`]: accept, TLS, hyper, dispatch |
//! | 6 | [`socket`], [`admin`], [`django`] |
//! | 5 | [`publish`]: the internal API |
//! | 4 | [`session`], [`broker`], [`acme`] |
//! | 3 | [`proxy`], [`files`], [`hub`], [`upcall`], [`app_server`] |
//! | 2 | [`tls`], [`net`], [`web`], [`trust`], and below them [`telemetry`] |
//! | 1 | [`config`] |
//! | 0 | the vocabulary: [`words`] over [`identity`], [`publication`], [`close`] and [`token`] over [`ids`], [`mac`] and [`sealing`] over [`secret`], [`setting`], [`state_folder`], [`unix_time`], [`causes`] and [`median`] |

pub mod acme;
pub mod admin;
pub mod app;
pub mod app_server;
pub mod broker;
pub mod causes;
pub mod cli;
pub mod close;
pub mod config;
pub mod django;
pub mod files;
pub mod hub;
pub mod identity;
pub mod ids;
pub mod mac;
pub mod median;
pub mod net;
pub mod proxy;
pub mod publication;
pub mod publish;
pub mod sealing;
pub mod secret;
pub mod server;
pub mod session;
pub mod setting;
pub mod socket;
pub mod state_folder;
pub mod telemetry;
pub mod tls;
pub mod token;
pub mod trust;
pub mod unix_time;
pub mod upcall;
pub mod web;
pub mod words;
