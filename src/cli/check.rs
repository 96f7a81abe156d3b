//! `gatepost check`: the configuration is fine, and this is what it makes answer which path.
//!
//! Called by the command line after loading, which reports what is wrong. Prints to stdout.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use super::CommandError;
use crate::config::{
    AcmeNames, AuthUrl, CertificateSource, Config, FolderAccess, FrontendConfig, Mode,
    SecretSource, ServerConfig, SocketConfig,
};
use crate::tls::audit::audit;

/// Prints what the configuration amounts to, or fails where its certificate cannot be used.
pub(super) fn check(path: &Path, config: &Config) -> Result<(), CommandError> {
    let wrong = config.tls.as_ref().map(|tls| audit(&tls.source));
    let wrong = wrong.unwrap_or_default();
    if !wrong.is_empty() {
        return Err(CommandError::Certificates(wrong));
    }
    // Nobody may be reading; the exit code says it all then.
    let _ = writeln!(
        io::stdout(),
        "{} is fine\n\n{}",
        path.display(),
        summary(config)
    );
    Ok(())
}

fn summary(config: &Config) -> String {
    let server = &config.server;
    let rows = [
        ("mode", mode(config)),
        ("hosts", server.hosts.join(", ")),
        ("https", https(server)),
        ("http", http(server)),
        ("internal", server.internal.to_string()),
        ("secret", secret(&config.django.secret)),
    ];
    format!("{}\n{}", table(&rows), table(&routes(config)))
}

fn https(server: &ServerConfig) -> String {
    if server.https.is_empty() {
        "off, proxies in front end TLS".to_owned()
    } else {
        joined(&server.https)
    }
}

fn http(server: &ServerConfig) -> String {
    if server.http.is_empty() {
        return "off".to_owned();
    }
    let trusted = &server.proxies.trusted;
    let what = match (trusted.is_empty(), trusted.trusts_everybody()) {
        (true, _) => "redirects to https",
        (false, false) => "serves trusted proxies, redirects others to https",
        (false, true) => {
            "serves everybody who claims to be a proxy: server.trusted_proxies is the whole Internet"
        }
    };
    format!("{}, {what}", joined(&server.http))
}

fn secret(source: &SecretSource) -> String {
    match source {
        SecretSource::Given(secrets) if secrets.previous.is_none() => "set".to_owned(),
        SecretSource::Given(_) => "set, and the previous one too".to_owned(),
        SecretSource::DevelopmentFile(path) if path.exists() => format!("in {}", path.display()),
        SecretSource::DevelopmentFile(path) => {
            format!("in {}, which the first start makes", path.display())
        }
    }
}

fn mode(config: &Config) -> String {
    let acme = config.tls.as_ref().and_then(|tls| tls.acme.as_ref());
    let mode = match config.mode {
        Mode::Dev => "dev",
        Mode::Production => "production",
    };
    match config.tls.as_ref().map(|tls| &tls.source) {
        None => format!("{mode}, without a certificate"),
        Some(CertificateSource::LocalCa { directory }) => format!(
            "{mode}, certificate from a local CA in {}",
            directory.display()
        ),
        Some(CertificateSource::Files(files)) if files.is_empty() => {
            let directory = acme.map_or("", |acme| acme.directory.as_str());
            let by_demand = match acme.map(|acme| acme.names) {
                Some(AcmeNames::Django) => ", also for names that Django allows",
                _ => "",
            };
            format!("{mode}, certificates ordered from {directory}{by_demand}")
        }
        Some(CertificateSource::Files(files)) => {
            let from: Vec<_> = files.iter().map(|pair| pair.cert.display()).collect();
            let word = if from.len() == 1 {
                "certificate"
            } else {
                "certificates"
            };
            format!("{mode}, {word} from {}", joined(&from))
        }
    }
}

/// Path and what answers it, sockets first, then the longest prefix first, as requests are matched.
fn routes(config: &Config) -> Vec<(&str, String)> {
    let django = match &config.app_server {
        Some(app_server) => format!("Django, run as `{}`", app_server.command[0]),
        None => format!("Django at {}", joined(&config.django.upstream)),
    };
    let mut prefixes: Vec<(&str, String)> = Vec::new();
    prefixes.extend(
        config
            .django
            .paths
            .iter()
            .map(|path| (path.as_str(), django.clone())),
    );
    prefixes.extend(config.files.iter().map(|folder| {
        let root = folder.root.display();
        let what = match folder.access {
            FolderAccess::Public => format!("files in {root}"),
            FolderAccess::Internal => format!("files in {root}, only where Django says so"),
        };
        (folder.path.as_str(), what)
    }));
    prefixes.extend(config.upstreams.iter().map(|route| {
        (
            route.path.as_str(),
            format!("upstream at {}", joined(&route.upstream)),
        )
    }));
    match &config.frontend {
        Some(frontend) => prefixes.push(("/", describe_frontend(frontend, config.mode))),
        None if config.django.paths.iter().all(|path| path != "/") => prefixes.push(("/", django)),
        None => {}
    }
    prefixes.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
    let sockets = config
        .sockets
        .iter()
        .map(|socket| (socket.path.as_str(), describe_socket(socket, config)));
    sockets.chain(prefixes).collect()
}

fn describe_frontend(frontend: &FrontendConfig, mode: Mode) -> String {
    match (frontend, mode) {
        (FrontendConfig::Upstream(upstream), Mode::Dev) => {
            format!("dev server at {}", joined(upstream))
        }
        (FrontendConfig::Upstream(upstream), Mode::Production) => {
            format!("frontend at {}", joined(upstream))
        }
        (FrontendConfig::Build { root, fallback }, _) => {
            format!("files in {}, unknown paths get {fallback}", root.display())
        }
    }
}

fn describe_socket(socket: &SocketConfig, config: &Config) -> String {
    if socket.echo {
        return "WebSocket, echoes every message without a login".to_owned();
    }
    if socket.view {
        return "WebSocket, Django's view of this path says who may listen".to_owned();
    }
    match &config.auth.url {
        AuthUrl::Path(path) => format!("WebSocket, sessions judged by Django at {path}"),
        AuthUrl::Absolute(url) => format!("WebSocket, sessions judged by {url}"),
    }
}

fn joined<T: ToString>(items: &[T]) -> String {
    items
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

fn table(rows: &[(&str, String)]) -> String {
    let width = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for (name, value) in rows {
        let _ = writeln!(text, "  {name:width$}  {value}");
    }
    text
}
