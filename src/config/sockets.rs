//! `[[sockets]]`: paths at which the gateway ends WebSockets.

use super::document::Document;
use super::kind::{PATH, VIEW_PATH};
use super::origin::ORIGIN;
use super::pattern::bare_braces;
use super::routes::{Claims, required};
use super::section::{Placed, Section};
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
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of gateway.toml by itself"
)]
pub struct SocketConfig {
    /// The exact path; where a view says who may listen, a segment in braces stands for any one.
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
    /// Whether Django's own view of the path says who may listen.
    pub view: bool,
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
            let view = section.flag("view").unwrap_or(false);
            let kind = if view { &VIEW_PATH } else { &PATH };
            let path = required(&mut section, "path", |section| section.value("path", kind));
            let allowed_origins = section.list("allowed_origins", &ORIGIN).unwrap_or_default();
            let require_origin = section.flag("require_origin").unwrap_or(false);
            let echo = section.flag("echo").unwrap_or(false);
            let anonymous = section.flag("anonymous").unwrap_or(false);
            let presence = match section.flag("presence") {
                Some(true) => PresenceNotice::On,
                _ => PresenceNotice::Off,
            };
            if echo {
                check_echo(&mut section, view, server);
            }
            let place = section.place("path");
            let Some(path) = path else { continue };
            // An exact path beats the `/` of frontend or Django.
            if path != "/" || sockets.iter().any(|socket| socket.path == path) {
                // However the segments are called, they stand for the same paths.
                let value = bare_braces(&path);
                claims.claim(document, "[[sockets]]", &Placed { value, place });
            }
            sockets.push(Self {
                path,
                allowed_origins,
                require_origin,
                echo,
                anonymous,
                presence,
                view,
            });
        }
        sockets
    }
}

/// An echo route asks nobody for anything.
fn check_echo(section: &mut Section<'_, '_>, view: bool, server: &ServerConfig) {
    if !server.is_on_loopback() {
        let hint = "echo routes ask for no login; for a conformance suite \
                    leave server.lan out, or set server.https = \"127.0.0.1:8443\"";
        section.refuse(
            "echo",
            "is true, but server.https is not on loopback",
            Some(hint),
        );
    }
    if view {
        let hint = "take one of the two out: an echo route asks nobody";
        section.refuse("view", "is true, and so is echo", Some(hint));
    }
}
