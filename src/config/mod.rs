//! What the program needs, typed: a [`Config`] cannot hold an invalid value.
//!
//! Made by `load` from command line, environment and file; read by the composition root, which hands
//! each part the section it needs. The surprise: defaults live in each section's `Default`, and the
//! shipped `gateway.toml` is tested to say the same.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secrets;

/// Everything `gateway.toml` decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whom the gateway runs for; decides error pages, LAN hosts and how a frontend is treated.
    pub mode: Mode,
    /// `[server]`
    pub server: ServerConfig,
    /// `[tls]`
    pub tls: TlsConfig,
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
    /// `[auth]`
    pub auth: AuthConfig,
    /// `[limits]`
    pub limits: Limits,
    /// `[delivery]`
    pub delivery: DeliveryConfig,
    /// `[log]`
    pub log: LogConfig,
}

/// Whom the gateway runs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A developer: the certificate comes from the local CA.
    Dev,
    /// The public.
    Production,
}

/// `[server]`: addresses and names of the origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Where HTTPS is served.
    pub https: Vec<SocketAddr>,
    /// Where requests are redirected to HTTPS; may be empty.
    pub http: Vec<SocketAddr>,
    /// Lower-case names of this origin, the canonical one first. Never empty.
    pub hosts: Vec<String>,
    /// Whether this machine's own addresses count as hosts (in dev).
    pub lan: bool,
    /// Where the internal listener is.
    pub internal: InternalAddress,
}

/// Where the internal listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InternalAddress {
    /// A TCP address, on loopback unless the user says else.
    Tcp(SocketAddr),
    /// A Unix socket, made with mode 0600.
    Unix(PathBuf),
}

/// `[tls]`: where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsConfig {
    /// A local CA under this directory, made on first start.
    LocalCa {
        /// `certs/` beside `gateway.toml`.
        directory: PathBuf,
    },
    /// PEM files, the leaf first in `cert`.
    Files {
        /// The certificate chain.
        cert: PathBuf,
        /// The private key.
        key: PathBuf,
    },
}

/// `[django]`: the application.
#[derive(Clone, Debug)]
pub struct DjangoConfig {
    /// Where Django listens; several share the load.
    pub upstream: Vec<UpstreamAddress>,
    /// Path prefixes Django answers, each with slashes at both ends.
    pub paths: Vec<String>,
    /// How long a request waits while Django restarts.
    pub hold: Duration,
    /// The name of the session cookie.
    pub session_cookie: String,
    /// The shared secret.
    pub secret: SecretSource,
}

/// Where the shared secret comes from.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// The environment had it.
    Given(Secrets),
    /// Development: this file, made (0600) on first start.
    DevelopmentFile(PathBuf),
}

/// `[frontend]`: what answers everything that no other route does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrontendConfig {
    /// A server: in dev a dev server, in production an ordinary upstream.
    Upstream(Vec<UpstreamAddress>),
    /// A built folder.
    Build {
        /// The folder.
        root: PathBuf,
        /// The file, relative to `root`, that answers unknown paths.
        fallback: String,
    },
}

/// `[[files]]`: a folder served by the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderConfig {
    /// The path prefix, with slashes at both ends.
    pub path: String,
    /// The folder.
    pub root: PathBuf,
}

/// `[[upstreams]]`: a further server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamRoute {
    /// The path prefix, with slashes at both ends.
    pub path: String,
    /// Where it listens.
    pub upstream: Vec<UpstreamAddress>,
}

/// Where an upstream listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamAddress {
    /// A name or address and a port, from `http://host:port`. An IPv6 address has no brackets.
    Tcp {
        /// The name or address.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket, from `unix:/path`.
    Unix(PathBuf),
}

/// `[[sockets]]`: a path at which the gateway ends WebSockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketConfig {
    /// The exact path.
    pub path: String,
    /// Origins allowed besides the gateway's own, as a browser writes them.
    pub allowed_origins: Vec<String>,
    /// Whether a handshake without `Origin` is refused.
    pub require_origin: bool,
    /// Whether the route echoes every message, unauthenticated, for conformance suites.
    pub echo: bool,
}

/// `[auth]`: how a handshake's session is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthConfig {
    /// Where Django judges.
    pub url: AuthUrl,
    /// Cookies sent besides the session cookie.
    pub cookies: Vec<String>,
    /// How long one call may take.
    pub timeout: Duration,
    /// Calls under way at once.
    pub concurrency: usize,
}

/// Where Django judges sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthUrl {
    /// A path at the Django upstream.
    Path(String),
    /// A whole `http://` or `https://` URL.
    Absolute(String),
}

/// `[limits]`: what a client may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's header section.
    pub header_size: usize,
    /// Fields in a request's header section.
    pub headers: usize,
    /// Bytes of a request's target.
    pub uri_size: usize,
    /// Bytes of a request's body.
    pub body_size: u64,
    /// Bytes of a client's WebSocket message.
    pub message_size: usize,
    /// Client messages a second, on average.
    pub message_rate: u32,
    /// Connections in all; `None`: what the descriptors allow.
    pub connections: Option<usize>,
    /// For the TLS handshake.
    pub tls_timeout: Duration,
    /// For a request's header section.
    pub header_timeout: Duration,
    /// For the next bytes of a request's body.
    pub body_timeout: Duration,
    /// For the next request on an idle connection.
    pub idle_timeout: Duration,
    /// For a client to take the next bytes of an answer.
    pub write_timeout: Duration,
    /// For connecting to an upstream.
    pub upstream_connect_timeout: Duration,
    /// For an upstream's next bytes.
    pub upstream_timeout: Duration,
    /// For everything under way to end at shutdown.
    pub drain_timeout: Duration,
    /// Over which sockets are closed at shutdown.
    pub drain_spread: Duration,
}

/// `[delivery]`: how frames reach clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryConfig {
    /// Frames that may wait for one client.
    pub outbox_frames: usize,
    /// Bytes that may wait for one client.
    pub outbox_size: usize,
    /// Between protocol pings, jittered.
    pub ping: Duration,
    /// How long a publication's `id` is remembered.
    pub idempotency: Duration,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// How lines look.
    pub format: LogFormat,
    /// The least severe level shown: `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// Whether each request gets a line.
    pub access: AccessLog,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Whether each request gets a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// It does.
    On,
    /// It does not.
    Off,
}
