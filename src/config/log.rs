//! `[log]`: what is logged, and how.

use std::path::PathBuf;

use super::document::Document;
use super::kind::ValueKind;

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// How lines look.
    pub format: LogFormat,
    /// The least severe level shown: `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// Whether each request gets a line, and what of it.
    pub access: AccessConfig,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// The access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessConfig {
    /// How its lines look; `None`: there are none.
    pub format: Option<AccessFormat>,
    /// Where they go.
    pub to: AccessTo,
    /// How a client's address is written.
    pub address: AddressForm,
}

/// How lines of the access log look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessFormat {
    /// As Apache and nginx write them.
    Combined,
    /// One JSON object a line.
    Json,
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessTo {
    /// stdout.
    Stdout,
    /// This file.
    File(PathBuf),
}

/// How much of a client's address is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressForm {
    /// All of it.
    Full,
    /// Its network: /24, or /48.
    Masked,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Pretty,
            level: "info".to_owned(),
            access: AccessConfig::default(),
        }
    }
}

impl Default for AccessConfig {
    fn default() -> Self {
        Self {
            format: None,
            to: AccessTo::Stdout,
            address: AddressForm::Full,
        }
    }
}

const FORMAT: ValueKind<LogFormat> = ValueKind {
    expected: "\"pretty\" or \"json\"",
    parse: |text| match text {
        "pretty" => Ok(LogFormat::Pretty),
        "json" => Ok(LogFormat::Json),
        _ => Err(None),
    },
};

const LEVEL: ValueKind<String> = ValueKind {
    expected: "\"error\", \"warn\", \"info\", \"debug\" or \"trace\"",
    parse: |text| match text {
        "error" | "warn" | "info" | "debug" | "trace" => Ok(text.to_owned()),
        _ => Err(None),
    },
};

const ACCESS: ValueKind<Option<AccessFormat>> = ValueKind {
    expected: "\"off\", \"combined\" or \"json\"",
    parse: |text| match text {
        "off" => Ok(None),
        "combined" => Ok(Some(AccessFormat::Combined)),
        "json" => Ok(Some(AccessFormat::Json)),
        _ => Err(None),
    },
};

const ADDRESS: ValueKind<AddressForm> = ValueKind {
    expected: "\"full\" or \"masked\"",
    parse: |text| match text {
        "full" => Ok(AddressForm::Full),
        "masked" => Ok(AddressForm::Masked),
        _ => Err(None),
    },
};

impl LogConfig {
    /// Reads the section.
    pub(super) fn read(document: &mut Document<'_>) -> Self {
        let default = Self::default();
        let mut section = document.section("log");
        let access = AccessConfig {
            format: section.value("access", &ACCESS).flatten(),
            to: match section.path("access_file") {
                Some(path) => AccessTo::File(path),
                None => AccessTo::Stdout,
            },
            address: section
                .value("address", &ADDRESS)
                .unwrap_or(AddressForm::Full),
        };
        Self {
            format: section.value("format", &FORMAT).unwrap_or(default.format),
            level: section.value("level", &LEVEL).unwrap_or(default.level),
            access,
        }
    }
}
