//! `[[sockets]]`: paths at which the gateway ends WebSockets.

use super::document::Document;
use super::kind::PATH;
use super::origin::ORIGIN;
use super::routes::{Claims, required};
use super::section::Placed;
use super::server::ServerConfig;

/// Whether somebody is told how many are present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PresenceNotice {
    /// Nobody.
    #[default]
    Off,
    /// Those who listen.
    On,
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
    /// Whether connections without a session are kept; they hear topics alone.
    pub anonymous: bool,
    /// Whether those who listen to a topic here are told how many they are.
    pub presence: PresenceNotice,
}

impl SocketConfig {
    /// Reads every entry.
    pub(super) fn read_all(
        document: &mut Document<'_>,
        claims: &mut Claims,
        server: &ServerConfig,
    ) -> Vec<Self> {
        let mut sockets = Vec::<Self>::new();
        for entry in document.entries("sockets") {
            let mut section = document.entry(entry);
            let path = required(&mut section, "path", |section| section.value("path", &PATH));
            let allowed_origins = section.list("allowed_origins", &ORIGIN).unwrap_or_default();
            let require_origin = section.flag("require_origin").unwrap_or(false);
            let echo = section.flag("echo").unwrap_or(false);
            let anonymous = section.flag("anonymous").unwrap_or(false);
            let presence = match section.flag("presence") {
                Some(true) => PresenceNotice::On,
                _ => PresenceNotice::Off,
            };
            if echo && !server.is_on_loopback() {
                let hint = "echo routes ask for no login; for a conformance suite \
                            leave server.lan out, or set server.https = \"127.0.0.1:8443\"";
                section.refuse(
                    "echo",
                    "is true, but server.https is not on loopback",
                    Some(hint),
                );
            }
            let place = section.place("path");
            let Some(path) = path else { continue };
            // An exact path beats the `/` of frontend or Django.
            if path != "/" || sockets.iter().any(|socket| socket.path == path) {
                let value = path.clone();
                claims.claim(document, "[[sockets]]", &Placed { value, place });
            }
            sockets.push(Self {
                path,
                allowed_origins,
                require_origin,
                echo,
                anonymous,
                presence,
            });
        }
        sockets
    }
}
