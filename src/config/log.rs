//! `[log]`: what is logged, and how.

use super::document::Document;
use super::kind::ValueKind;

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

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Pretty,
            level: "info".to_owned(),
            access: AccessLog::Off,
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

impl LogConfig {
    /// Reads the section.
    pub(super) fn read(document: &mut Document<'_>) -> Self {
        let default = Self::default();
        let mut section = document.section("log");
        let access = section
            .flag("access")
            .map(|on| if on { AccessLog::On } else { AccessLog::Off });
        Self {
            format: section.value("format", &FORMAT).unwrap_or(default.format),
            level: section.value("level", &LEVEL).unwrap_or(default.level),
            access: access.unwrap_or(default.access),
        }
    }
}
