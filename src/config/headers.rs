//! `[headers]`: fields of what the gateway answers itself.
//!
//! The names are free, so there are no unknown keys: what is refused is a name that the gateway sets
//! by what it answers, or that only a server behind it may set.

use http::{HeaderName, HeaderValue};

use super::document::Document;
use super::findings::found;

/// Fields that say what the answer is, or are set elsewhere, and where.
const TAKEN: [(&str, &str); 21] = [
    ("strict-transport-security", "write it as hsts of [server]"),
    (
        "x-content-type-options",
        "the gateway says nosniff by itself",
    ),
    ("accept-ranges", ""),
    ("allow", ""),
    ("cache-control", ""),
    ("connection", ""),
    ("content-encoding", ""),
    ("content-length", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("date", ""),
    ("etag", ""),
    ("last-modified", ""),
    ("location", ""),
    ("retry-after", ""),
    ("set-cookie", ""),
    ("trailer", ""),
    ("transfer-encoding", ""),
    ("upgrade", ""),
    ("vary", ""),
    ("x-request-id", ""),
];

/// `[headers]`: fields of what the gateway answers itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadersConfig(pub Vec<(HeaderName, HeaderValue)>);

impl HeadersConfig {
    /// Reads the section.
    pub(super) fn read(document: &mut Document<'_>) -> Self {
        document.findings.known.free("headers");
        let section = document.section("headers");
        let Some(table) = section.table else {
            return Self::default();
        };
        let findings = section.findings;
        let mut headers = Vec::new();
        for (key, value) in table {
            let shown = key.get_ref().escape_debug();
            let name = match name(key.get_ref()) {
                Ok(name) => name,
                Err((message, hint)) => {
                    let hint = Some(hint).filter(|hint| !hint.is_empty());
                    findings.refuse(
                        findings.at(key.span()),
                        format!("headers: `{shown}` {message}"),
                        hint,
                    );
                    continue;
                }
            };
            let text = value.get_ref().as_str();
            if let Some(Ok(value)) = text.map(HeaderValue::from_str) {
                headers.push((name, value));
            } else {
                let found = found(value.get_ref());
                let message = format!("headers.{shown}: expected a line of text, found {found}");
                findings.refuse(findings.at(value.span()), message, None);
            }
        }
        Self(headers)
    }
}

fn name(text: &str) -> Result<HeaderName, (&'static str, &'static str)> {
    let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
        return Err(("is no name of a header", ""));
    };
    if let Some((_, hint)) = TAKEN.iter().find(|(taken, _)| *taken == name.as_str()) {
        return Err(("is set by the gateway itself", hint));
    }
    if name.as_str().starts_with("gatepost-") || name.as_str().starts_with("x-accel-") {
        return Err(("is between Django and the gateway", ""));
    }
    Ok(name)
}
