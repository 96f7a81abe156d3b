//! From command line, environment and file to a [`Config`], in that order of precedence.
//!
//! Called by `cli`; tests call [`parse`]. Syntax errors, wrong values, unknown keys and what does
//! not go together are all reported at once. After a syntax error the parser guesses, so only what
//! is certainly wrong is reported besides.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::django::Started;
use super::document::Document;
use super::error::Location;
use super::findings::Findings;
use super::known::Known;
use super::routes::Claims;
use super::{
    AppCommand, AppServerConfig, AuthConfig, BufferingConfig, CertificateSource, CompressionConfig,
    Config, ConfigError, ConfigErrors, DeliveryConfig, DjangoConfig, Environment, FolderConfig,
    FrontendConfig, HeadersConfig, Limits, LogConfig, LogFormat, Mode, OtelConfig, OutboxConfig,
    PagesConfig, ServerConfig, SocketConfig, TlsConfig, UpstreamRoute,
};
use crate::state_folder::StateFolder;

/// A longer file is no configuration.
const LONGEST_FILE: u64 = 1 << 20;

/// What the command line says.
#[derive(Debug)]
pub struct LoadOptions {
    /// The file.
    pub path: PathBuf,
    /// The variables of the process.
    pub environment: Environment,
    /// `--log-format`, which beats `log.format`.
    pub log_format: Option<LogFormat>,
    /// The command behind `--`.
    pub app: Option<AppCommand>,
}

/// Reads the configuration.
pub fn load(options: &LoadOptions) -> Result<Config, ConfigErrors> {
    let text = read_file(&options.path)?;
    let app = options.app.as_ref();
    let mut config = parse_for(&text, &options.path, &options.environment, app)?;
    if let Some(format) = options.log_format {
        config.log.format = format;
    }
    Ok(config)
}

fn read_file(path: &Path) -> Result<String, ConfigError> {
    let place = || Location::File(path.to_owned());
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                ConfigError::new(place(), "there is no such file").hint(Some(
                    "write one beside manage.py (docs/quick-start.md has one of ten lines, gateway.toml in \
                 Gatepost's repository lists every key), or name another with --config FILE",
                ))
            }
            _ => ConfigError::new(place(), format!("cannot be read: {error}")),
        })?;
    if bytes.len() as u64 > LONGEST_FILE {
        return Err(ConfigError::new(
            place(),
            "is longer than 1 MiB, which no configuration is",
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
            .split(|byte| *byte == b'\n')
            .count();
        ConfigError::new(place(), format!("is not UTF-8 in line {line}"))
    })
}

/// Reads the configuration from a text; relative paths in it are resolved beside `path`.
pub fn parse(text: &str, path: &Path, environment: &Environment) -> Result<Config, ConfigErrors> {
    parse_for(text, path, environment, None)
}

/// The same for a gateway that starts Django's server itself.
pub(super) fn parse_for(
    text: &str,
    path: &Path,
    environment: &Environment,
    app: Option<&AppCommand>,
) -> Result<Config, ConfigErrors> {
    let (root, syntax_errors) = DeTable::parse_recoverable(text);
    let mut document = Document {
        root: root.get_ref(),
        findings: Findings {
            text,
            path,
            folder: folder_of(path),
            environment,
            broken: !syntax_errors.is_empty(),
            known: Known::default(),
            errors: Vec::new(),
        },
    };
    let config = read_sections(&mut document, app);
    if !document.findings.broken {
        document.refuse_unknown_keys();
    }
    document.refuse_unknown_variables();
    add_syntax_errors(&mut document, &syntax_errors);
    if document.findings.errors.is_empty() {
        Ok(config)
    } else {
        Err(ConfigErrors::new(document.findings.errors))
    }
}

/// The folder that relative paths of a configuration are resolved beside.
pub fn folder_of(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.parent().unwrap_or(Path::new("/")).to_owned()
}

fn read_sections(document: &mut Document<'_>, app: Option<&AppCommand>) -> Config {
    let mut claims = Claims::default();
    let tls = TlsConfig::read(document);
    let (server, mode) = ServerConfig::read(document, usual_mode(&tls));
    tls.check(document, &server);
    let frontend = FrontendConfig::read(document, &mut claims, &server);
    let app_server = app.map(|command| AppServerConfig::read(document, command));
    let started = Started {
        server: &server,
        app_server: app_server.as_ref(),
    };
    let django = DjangoConfig::read(document, &mut claims, started);
    let files = FolderConfig::read_all(document, &mut claims);
    let upstreams = UpstreamRoute::read_all(document, &mut claims, &server);
    let sockets = SocketConfig::read_all(document, &mut claims, &server);
    let limits = Limits::read(document);
    Config {
        mode,
        state: StateFolder::beside(&document.findings.folder),
        tls: Some(tls).filter(|_| !server.https.is_empty()),
        server,
        app_server,
        django,
        frontend,
        files,
        upstreams,
        sockets,
        headers: HeadersConfig::read(document),
        errors: PagesConfig::read(document),
        auth: AuthConfig::read(document),
        buffering: BufferingConfig::read(document, &limits),
        compression: CompressionConfig::read(document),
        delivery: DeliveryConfig::read(document, &limits),
        limits,
        outbox: OutboxConfig::read(document),
        log: LogConfig::read(document),
        otel: OtelConfig::read(document.findings.environment),
    }
}

fn usual_mode(tls: &TlsConfig) -> Mode {
    match tls.source {
        CertificateSource::LocalCa { .. } => Mode::Dev,
        CertificateSource::Files(_) => Mode::Production,
    }
}

/// Adds what the parser found, instead of whatever else was found on the same lines.
fn add_syntax_errors(document: &mut Document<'_>, errors: &[toml::de::Error]) {
    let found: Vec<_> = errors
        .iter()
        .map(|error| {
            let end = document.findings.text.len();
            let place = document.findings.at(error.span().unwrap_or(end..end));
            ConfigError::new(place, error.message())
        })
        .collect();
    let lines: Vec<_> = found
        .iter()
        .filter_map(|finding| finding.place().line())
        .collect();
    document.findings.errors.retain(|finding| {
        finding
            .place()
            .line()
            .is_none_or(|line| !lines.contains(&line))
    });
    document.findings.errors.extend(found);
}

/// Every section with its keys, for the test that holds the shipped file complete.
#[cfg(test)]
pub(super) fn known_keys() -> Vec<(&'static str, &'static str)> {
    let text = "[[files]]\n[[upstreams]]\n[[sockets]]\n";
    let root = DeTable::parse(text).unwrap();
    let environment = Environment::default();
    let mut document = Document {
        root: root.get_ref(),
        findings: Findings {
            text,
            path: Path::new("gateway.toml"),
            folder: PathBuf::new(),
            environment: &environment,
            broken: false,
            known: Known::default(),
            errors: Vec::new(),
        },
    };
    read_sections(&mut document, None);
    document.findings.known.all().collect()
}
