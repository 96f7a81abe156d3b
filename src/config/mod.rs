//! What the program needs, typed: a [`Config`] cannot hold an invalid value.
//!
//! Made by [`load`] from command line, environment and file; read by the composition root, which
//! hands each part the section it needs. One file a section: its type, its defaults and how it is
//! read. Defaults live in each section's `Default`, and the shipped `gateway.toml` is tested to say
//! the same.

mod acme;
mod app_server;
mod auth;
mod buffering;
mod compression;
mod delivery;
mod django;
mod document;
pub(crate) mod duration;
mod environment;
mod error;
mod findings;
mod frontend;
mod headers;
mod health;
mod host;
mod hsts;
mod kind;
mod known;
mod limits;
mod listen;
pub mod load;
mod log;
mod network;
mod networks;
mod origin;
mod otel;
mod outbox;
mod pages;
mod pattern;
mod proxies;
mod queue;
mod refuse;
pub mod restart;
mod routes;
pub mod secret_file;
mod section;
mod server;
mod size;
mod sockets;
mod tls;
mod trusted;
mod unknown;
mod upstream;

pub use acme::{AcmeConfig, AcmeNames, ExternalAccount};
pub use app_server::{AppCommand, AppServerConfig, AppServerKind};
pub use auth::{AuthConfig, AuthUrl};
pub use buffering::{BufferFolder, BufferingConfig};
pub use compression::{CompressionConfig, DynamicCompression};
pub use delivery::DeliveryConfig;
pub use django::{DjangoConfig, SecretSource};
pub use environment::Environment;
pub use error::{ConfigError, ConfigErrors};
pub use frontend::FrontendConfig;
pub use headers::HeadersConfig;
pub use limits::Limits;
pub use listen::ListenAddress;
pub use log::{AccessConfig, AccessFormat, AccessTo, AddressForm, LogConfig, LogFormat};
pub use networks::Networks;
pub use otel::OtelConfig;
pub use outbox::OutboxConfig;
pub use pages::PagesConfig;
pub use proxies::{ClientAddress, ProxiesConfig};
pub use queue::QueueConfig;
pub use refuse::RefusedPath;
pub use routes::{FolderAccess, FolderConfig, UpstreamRoute};
pub use server::ServerConfig;
pub use sockets::{PresenceNotice, SocketConfig};
pub use tls::{CA_FILE, CertificateFiles, CertificateSource, TlsConfig};
pub use trusted::TrustedProxies;
pub use upstream::UpstreamAddress;

use crate::state_folder::StateFolder;

/// Everything `gateway.toml` and the command line decide.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the gateway runs for; decides error pages, where a port listens and how a frontend is treated.
    pub mode: Mode,
    /// `.gatepost/` beside the file.
    pub state: StateFolder,
    /// `[server]`
    pub server: ServerConfig,
    /// `[tls]`; `None` where HTTPS is served nowhere.
    pub tls: Option<TlsConfig>,
    /// The command behind `--`, where the gateway itself starts Django's server.
    pub app_server: Option<AppServerConfig>,
    /// `[django]`
    pub django: DjangoConfig,
    /// `[frontend]`
    pub frontend: Option<FrontendConfig>,
    /// `[[files]]`
    pub files: Vec<FolderConfig>,
    /// `[[upstreams]]`
    pub upstreams: Vec<UpstreamRoute>,
    /// `[[sockets]]`
    pub sockets: Vec<SocketConfig>,
    /// `[headers]`
    pub headers: HeadersConfig,
    /// `[errors]`
    pub errors: PagesConfig,
    /// `[auth]`
    pub auth: AuthConfig,
    /// `[limits]`
    pub limits: Limits,
    /// `[buffering]`
    pub buffering: BufferingConfig,
    /// `[compression]`
    pub compression: CompressionConfig,
    /// `[delivery]`
    pub delivery: DeliveryConfig,
    /// `[outbox]`
    pub outbox: OutboxConfig,
    /// `[log]`
    pub log: LogConfig,
    /// What OpenTelemetry's own variables say.
    pub otel: OtelConfig,
}

/// What the gateway runs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A developer: the certificate comes from the local CA.
    Dev,
    /// The public.
    Production,
}

#[cfg(test)]
mod tests;
