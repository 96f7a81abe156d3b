//! `[django]`: the application, and the secret it shares with the gateway.
//!
//! Read by `load`. Without a secret the gateway makes one beside the file, but only where every
//! upstream is on this machine, since elsewhere Django could not read it.

use std::path::PathBuf;
use std::time::Duration;

use super::app_server::AppServerConfig;
use super::document::Document;
use super::error::Location;
use super::kind::{COOKIE_NAME, DURATION_OR_ZERO, PREFIX, ValueKind};
use super::queue::QueueConfig;
use super::routes::Claims;
use super::secret_file;
use super::section::{Placed, Section};
use super::server::ServerConfig;
use super::upstream::{UpstreamAddress, read_upstreams};
use crate::secret::{SHORTEST_SECRET, Secret, Secrets};
use crate::state_folder::StateFolder;

/// How a secret is made by hand.
const MAKE_ONE: &str =
    "python3 -c 'import secrets; print(secrets.token_hex(32))' prints a good one";

/// `[django]`: the application.
#[derive(Clone, Debug)]
pub struct DjangoConfig {
    /// Where Django listens; several share the load. Never empty.
    pub upstream: Vec<UpstreamAddress>,
    /// Path prefixes Django answers, each with slashes at both ends.
    pub paths: Vec<String>,
    /// How long a request waits while Django restarts.
    pub hold: Duration,
    /// How many requests are at Django at once.
    pub queue: QueueConfig,
    /// The name of the session cookie, where Django does not say it.
    pub session_cookie: Option<String>,
    /// The shared secret.
    pub secret: SecretSource,
}

/// Where the shared secret comes from.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// The environment or a file had it.
    Given(Secrets),
    /// Development: this file, made (0600) on first start.
    DevelopmentFile(PathBuf),
}

impl Default for DjangoConfig {
    fn default() -> Self {
        Self {
            upstream: vec![UpstreamAddress::Tcp {
                host: "127.0.0.1".to_owned(),
                port: 8000,
            }],
            paths: ["/api/", "/admin/", "/accounts/"]
                .map(str::to_owned)
                .to_vec(),
            hold: Duration::from_secs(15),
            queue: QueueConfig::default(),
            session_cookie: None,
            secret: SecretSource::DevelopmentFile(StateFolder::default().secret()),
        }
    }
}

/// The name of a variable, as a shell can set it.
const VARIABLE: ValueKind<String> = ValueKind {
    expected: "the name of an environment variable, not its value",
    parse: |text| {
        let fits = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if fits && text.starts_with(|c: char| !c.is_ascii_digit()) {
            Ok(text.to_owned())
        } else {
            Err(None)
        }
    },
};

impl DjangoConfig {
    /// Reads the section.
    pub(super) fn read(
        document: &mut Document<'_>,
        claims: &mut Claims,
        started: Started<'_>,
    ) -> Self {
        let default = Self::default();
        let mut section = document.section("django");
        let upstream = read_upstream(&mut section, started.app_server).unwrap_or(default.upstream);
        started.server.refuse_itself(&mut section, &upstream);
        let paths = section.placed_list("paths", &PREFIX);
        let hold = section
            .value("hold", &DURATION_OR_ZERO)
            .unwrap_or(default.hold);
        let queue = QueueConfig::read(
            &mut section,
            started.app_server.and_then(|app_server| app_server.places),
        );
        let session_cookie = section.value("session_cookie", &COOKIE_NAME);
        let secret = read_secrets(&mut section, &upstream);
        let paths = paths.unwrap_or_else(|| {
            let place = section.place("paths");
            let paths = default.paths.into_iter();
            // Defaults in the place of wrong ones would collide with other routes for no reason.
            paths
                .filter(|_| !section.has("paths"))
                .map(|value| Placed {
                    value,
                    place: place.clone(),
                })
                .collect()
        });
        for path in &paths {
            claims.claim(document, "[django]", path);
        }
        if !claims.has("/") {
            claims.claim_rest("[django] (without a [frontend], Django answers every path)");
        }
        Self {
            upstream,
            paths: paths.into_iter().map(|path| path.value).collect(),
            hold,
            queue,
            session_cookie,
            secret,
        }
    }
}

/// What else is started.
#[derive(Clone, Copy)]
pub(super) struct Started<'a> {
    /// The gateway's own listeners.
    pub(super) server: &'a ServerConfig,
    /// Django's server, where the gateway starts it.
    pub(super) app_server: Option<&'a AppServerConfig>,
}

fn read_upstream(
    section: &mut Section<'_, '_>,
    app_server: Option<&AppServerConfig>,
) -> Option<Vec<UpstreamAddress>> {
    let given = read_upstreams(section);
    let Some(app_server) = app_server else {
        return given;
    };
    if section.has("upstream") {
        section.refuse(
            "upstream",
            "is where another Django listens, but `gatepost run -- …` starts one itself",
            Some("leave the key out, or start the gateway with `gatepost run` alone"),
        );
    }
    Some(vec![UpstreamAddress::Unix(app_server.socket.clone())])
}

fn read_secrets(section: &mut Section<'_, '_>, upstream: &[UpstreamAddress]) -> SecretSource {
    let (current, variable) =
        read_secret(section, ["secret_env", "secret_file", "GATEPOST_SECRET"]);
    let (previous, _) = read_secret(
        section,
        [
            "secret_previous_env",
            "secret_previous_file",
            "GATEPOST_SECRET_PREVIOUS",
        ],
    );
    if let Some(current) = current {
        return SecretSource::Given(Secrets { current, previous });
    }
    let missing = Location::Variable(variable);
    if previous.is_some() {
        section.findings.refuse(
            missing,
            "is not set, but the previous secret is",
            Some(MAKE_ONE),
        );
    } else if let Some(far) = upstream.iter().find(|upstream| !upstream.is_on_loopback()) {
        let message = format!(
            "is not set, but the upstream {far} of [django] is on another machine, with which \
             a secret must be shared"
        );
        section.findings.refuse(
            missing,
            message,
            Some(&format!("set it here and where Django runs; {MAKE_ONE}")),
        );
    }
    SecretSource::DevelopmentFile(StateFolder::beside(&section.findings.folder).secret())
}

/// The secret that a variable or a file has, and the name of the variable.
///
/// A variable that is set to nothing counts as unset, as container tools write it.
fn read_secret(
    section: &mut Section<'_, '_>,
    [variable_key, file_key, default]: [&'static str; 3],
) -> (Option<Secret>, String) {
    let variable = section
        .value(variable_key, &VARIABLE)
        .unwrap_or_else(|| default.to_owned());
    let file = section.path(file_key);
    let value = section
        .findings
        .environment
        .value(&variable)
        .filter(|value| !value.is_empty());
    let (bytes, place) = match (value, file) {
        (Some(value), _) => (
            value.as_bytes().to_owned(),
            Location::Variable(variable.clone()),
        ),
        (None, Some(file)) => match secret_file::read(&file) {
            Ok(bytes) => (bytes, section.place(file_key)),
            Err(message) => {
                section.refuse(file_key, &message, None);
                // Reading goes on with some secret: that it cannot be read is said already.
                (vec![0; SHORTEST_SECRET], section.place(file_key))
            }
        },
        (None, None) => return (None, variable),
    };
    if bytes.len() < SHORTEST_SECRET {
        let message = format!(
            "the secret has {} bytes, at least {SHORTEST_SECRET} are needed",
            bytes.len()
        );
        section.findings.refuse(place, message, Some(MAKE_ONE));
    } else if String::from_utf8_lossy(&bytes).contains('\u{FFFD}') {
        section
            .findings
            .refuse(place, "the secret is not UTF-8", Some(MAKE_ONE));
    }
    (Some(Secret::new(bytes)), variable)
}
