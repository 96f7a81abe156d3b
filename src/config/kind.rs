//! The kinds of values a string in `gateway.toml` may be, each with what an error says it expects.
//!
//! Used by the sections' readers. A kind's parser fails with a hint only; what was expected and
//! found is said in one place, in `section`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::pattern::{in_braces, is_braced, pattern_of, plain_part};
use super::{duration, size};

/// A hint on how to write the value, where there is one.
pub(super) type Hint = Option<String>;

/// How a string becomes a value.
pub(super) struct ValueKind<T> {
    /// What an error says was expected.
    pub(super) expected: &'static str,
    /// Reads the value.
    pub(super) parse: fn(&str) -> Result<T, Hint>,
}

pub(super) const DURATION: ValueKind<Duration> = ValueKind {
    expected: "a duration above zero such as \"10s\" (ms, s, m, h or d; at most 365d)",
    parse: |text| {
        duration::parse(text)
            .filter(|value| !value.is_zero())
            .ok_or(None)
    },
};

pub(super) const DURATION_OR_ZERO: ValueKind<Duration> = ValueKind {
    expected: "a duration such as \"10s\" (ms, s, m, h or d; at most 365d)",
    parse: |text| duration::parse(text).ok_or(None),
};

pub(super) const SIZE: ValueKind<u64> = ValueKind {
    expected: "a size above zero such as \"64KiB\" (B, KiB, MiB, GiB, kB, MB or GB)",
    parse: |text| size::parse(text).filter(|value| *value > 0).ok_or(None),
};

pub(super) const RATE: ValueKind<u32> = ValueKind {
    expected: "a rate above zero such as \"20/s\"",
    parse: |text| rate(text).filter(|value| *value > 0).ok_or(None),
};

pub(super) const RATE_OR_ZERO: ValueKind<u32> = ValueKind {
    expected: "a rate such as \"200/s\" (\"0/s\": no limit)",
    parse: |text| rate(text).ok_or(None),
};

pub(super) const BYTE_RATE_OR_ZERO: ValueKind<u64> = ValueKind {
    expected: "a rate such as \"1KiB/s\" (\"0B/s\": no limit)",
    parse: |text| {
        let size = text.strip_suffix("/s").and_then(size::parse);
        size.ok_or(None)
    },
};

fn rate(text: &str) -> Option<u32> {
    text.strip_suffix("/s")?.parse().ok()
}

pub(super) const FILE_OR_NONE: ValueKind<Option<PathBuf>> = ValueKind {
    expected: "a path, or \"\"",
    parse: |text| {
        Ok(Some(text)
            .filter(|text| !text.is_empty())
            .map(PathBuf::from))
    },
};

pub(super) const FILE: ValueKind<PathBuf> = ValueKind {
    expected: "a path",
    parse: |text| {
        if text.is_empty() {
            Err(None)
        } else {
            Ok(text.into())
        }
    },
};

pub(super) const ADDRESS: ValueKind<SocketAddr> = ValueKind {
    expected: "an IP address and a port such as \"127.0.0.1:8443\"",
    parse: |text| text.parse().map_err(|_| address_hint(text)),
};

fn address_hint(text: &str) -> Hint {
    let port = text
        .rsplit(':')
        .next()
        .filter(|port| port.parse::<u16>().is_ok());
    if let Some(port) = port.filter(|port| *port == text || text.len() == port.len() + 1) {
        return Some(format!(
            "write \"127.0.0.1:{port}\", or \"0.0.0.0:{port}\" for every address of this machine"
        ));
    }
    if text.parse::<IpAddr>().is_ok() {
        return Some("the port is missing".to_owned());
    }
    let name = text.split(':').next().unwrap_or_default();
    port.filter(|_| name.eq_ignore_ascii_case("localhost"))
        .map(|port| format!("write \"127.0.0.1:{port}\""))
}

/// A header token (RFC 9110 section 5.6.2), which is what a cookie's name is.
pub(super) const COOKIE_NAME: ValueKind<String> = ValueKind {
    expected: "the name of a cookie",
    parse: |text| {
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if !text.is_empty() && text.chars().all(token) {
            Ok(text.to_owned())
        } else {
            Err(None)
        }
    },
};

/// A prefix of paths.
pub(super) const PREFIX: ValueKind<String> = ValueKind {
    expected: "a path that starts and ends with a slash such as \"/api/\"",
    parse: |text| {
        if pattern_of(text).is_some() {
            let plain = plain_part(text);
            return Err(Some(format!(
                "no patterns are known here: a prefix answers every path below it; write \"{plain}\""
            )));
        }
        check_path(text, "/")?;
        if text.ends_with('/') {
            Ok(text.to_owned())
        } else {
            Err(Some(format!("write \"{text}/\"")))
        }
    },
};

/// An exact path.
pub(super) const PATH: ValueKind<String> = ValueKind {
    expected: "an absolute path such as \"/ws/notifications/\"",
    parse: |text| match pattern_of(text) {
        Some(pattern) => Err(Some(format!(
            "`{pattern}` is no pattern here but the path itself: one socket serves all rooms, as users \
             and groups say who hears what; write \"{}\". With `view = true` a segment in braces stands for \
             any one. Consumers of Channels stay with their server, as [[upstreams]]",
            plain_part(text)
        ))),
        None => check_path(text, "").map(|()| text.to_owned()),
    },
};

/// A path at which Django's own view says who may listen.
pub(super) const VIEW_PATH: ValueKind<String> = ValueKind {
    expected: "an absolute path such as \"/ws/orders/{pk}/\"",
    parse: |text| {
        let plain = text
            .split('/')
            .map(|segment| if is_braced(segment) { "x" } else { segment });
        let plain = plain.collect::<Vec<_>>().join("/");
        if let Some(pattern) = pattern_of(&plain) {
            let written = in_braces(text);
            let known = written
                .split('/')
                .all(|segment| is_braced(segment) || pattern_of(segment).is_none());
            let instead = known.then(|| format!("; write \"{written}\""));
            return Err(Some(format!(
                "`{pattern}` is no pattern here: a whole segment in braces such as {{pk}} stands for any \
                 one, and nothing else does{}",
                instead.unwrap_or_default()
            )));
        }
        check_path(&plain, "")?;
        let first = text.trim_start_matches('/').split('/').next();
        if first.is_some_and(is_braced) {
            return Err(Some(
                "it would take every page whose path has as many segments: begin with a name, as in \
                 \"/ws/{pk}/\""
                    .to_owned(),
            ));
        }
        Ok(text.to_owned())
    },
};

/// Routes are matched against decoded, clean paths; one that no such path can match is a slip.
fn check_path(text: &str, end: &str) -> Result<(), Hint> {
    if !text.starts_with('/') {
        let plain = |c: char| c.is_alphanumeric() || "/_-.".contains(c);
        let start = text
            .strip_suffix('/')
            .filter(|_| !end.is_empty())
            .unwrap_or(text);
        let hint = || format!("write \"/{start}{end}\"");
        return Err((!start.is_empty() && text.chars().all(plain)).then(hint));
    }
    if text.starts_with("/_gatepost/") || text == "/_gatepost" {
        return Err(Some(
            "paths under /_gatepost/ belong to the gateway".to_owned(),
        ));
    }
    if text.contains('%') {
        return Err(Some(
            "write the path decoded: requests are decoded before they are matched".to_owned(),
        ));
    }
    let clean = !text.contains("//")
        && !text.contains(['?', '#', '\\', '*'])
        && !text.chars().any(char::is_control)
        && !text
            .split('/')
            .any(|segment| segment == "." || segment == "..");
    if clean {
        Ok(())
    } else {
        Err(Some(
            "no query, wildcard, backslash, empty or dot segment can be part of it".to_owned(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint<T: std::fmt::Debug>(kind: &ValueKind<T>, text: &str) -> String {
        (kind.parse)(text).unwrap_err().unwrap_or_default()
    }

    #[test]
    fn a_route_that_no_clean_path_can_match_is_refused() {
        assert!((PREFIX.parse)("/").is_ok());
        assert!((PREFIX.parse)("/überblick/").is_ok());
        assert!(hint(&PREFIX, "/api").contains("\"/api/\""));
        assert!(hint(&PREFIX, "api/").contains("\"/api/\""));
        assert!(hint(&PATH, "/_gatepost/x").contains("belong to the gateway"));
        for text in [
            "/a//b/", "/../", "/a/./", "/a?b/", "/a%20b/", "/a\\b/", "/a*/", "",
        ] {
            assert!((PREFIX.parse)(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_address_needs_ip_and_port() {
        assert!((ADDRESS.parse)("[::]:8443").is_ok());
        assert!(hint(&ADDRESS, ":8443").contains("0.0.0.0:8443"));
        assert!(hint(&ADDRESS, "8443").contains("0.0.0.0:8443"));
        assert!(hint(&ADDRESS, "localhost:8443").contains("127.0.0.1:8443"));
        assert!(hint(&ADDRESS, "127.0.0.1").contains("port"));
    }

    #[test]
    fn a_rate_is_per_second() {
        assert_eq!((RATE.parse)("20/s").unwrap(), 20);
        for text in ["20", "0/s", "20/m", "-1/s"] {
            assert!((RATE.parse)(text).is_err(), "{text:?}");
        }
        assert_eq!((RATE_OR_ZERO.parse)("0/s").unwrap(), 0);
        assert!((RATE_OR_ZERO.parse)("0").is_err());
        assert_eq!((BYTE_RATE_OR_ZERO.parse)("1KiB/s").unwrap(), 1024);
        assert_eq!((BYTE_RATE_OR_ZERO.parse)("0B/s").unwrap(), 0);
        for text in ["1KiB", "1/s", "-1B/s", "1KiB/m"] {
            assert!((BYTE_RATE_OR_ZERO.parse)(text).is_err(), "{text:?}");
        }
    }
}
