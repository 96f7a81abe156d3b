//! `[auth]`: how a handshake's session is judged.

use std::time::Duration;

use http::Uri;

use super::document::Document;
use super::kind::{COOKIE_NAME, DURATION, DURATION_OR_ZERO, Kind};

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
    /// How long an answer is relied upon for further handshakes.
    pub lease: Duration,
    /// How often live sessions are checked again.
    pub revalidate: Duration,
    /// How long sockets are kept while Django cannot be reached.
    pub grace: Duration,
}

/// Where Django judges sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthUrl {
    /// A path at the Django upstream.
    Path(String),
    /// A whole `http://` or `https://` URL.
    Absolute(String),
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            url: AuthUrl::Path("/_gatepost/auth/".to_owned()),
            cookies: Vec::new(),
            timeout: Duration::from_secs(2),
            concurrency: 8,
            lease: Duration::from_secs(10),
            revalidate: Duration::from_mins(1),
            grace: Duration::from_mins(10),
        }
    }
}

/// A path or a whole URL; signed calls go there.
pub(super) const URL: Kind<AuthUrl> = Kind {
    expected: "a path at Django such as \"/_gatepost/auth/\", or a whole http:// or https:// URL",
    parse: |text| {
        let uri: Uri = text.parse().map_err(|_| None)?;
        if text.contains('#') {
            return Err(Some("a fragment is never sent: leave it out".to_owned()));
        }
        match (uri.scheme_str(), uri.authority()) {
            (None, None) if text.starts_with('/') && !text.starts_with("//") => {
                Ok(AuthUrl::Path(text.to_owned()))
            }
            (Some("http" | "https"), Some(authority)) if authority.as_str().contains('@') => {
                Err(Some(
                    "the call is signed and needs no user and password: leave them out".to_owned(),
                ))
            }
            (Some("http" | "https"), Some(_)) => Ok(AuthUrl::Absolute(text.to_owned())),
            _ => Err(None),
        }
    },
};

impl AuthConfig {
    /// Reads the section.
    pub(super) fn read(document: &mut Document<'_>) -> Self {
        let default = Self::default();
        let mut section = document.section("auth");
        Self {
            url: section.value("url", &URL).unwrap_or(default.url),
            cookies: section
                .list("cookies", &COOKIE_NAME)
                .unwrap_or(default.cookies),
            timeout: section
                .value("timeout", &DURATION)
                .unwrap_or(default.timeout),
            concurrency: section
                .count("concurrency", 1..=1024)
                .unwrap_or(default.concurrency),
            lease: section
                .value("lease", &DURATION_OR_ZERO)
                .unwrap_or(default.lease),
            revalidate: section
                .value("revalidate", &DURATION)
                .unwrap_or(default.revalidate),
            grace: section.value("grace", &DURATION).unwrap_or(default.grace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_path_or_whole() {
        assert_eq!(
            (URL.parse)("/auth?x=1"),
            Ok(AuthUrl::Path("/auth?x=1".to_owned()))
        );
        assert_eq!(
            (URL.parse)("https://auth.test/me"),
            Ok(AuthUrl::Absolute("https://auth.test/me".to_owned()))
        );
        for text in [
            "",
            "auth/",
            "//auth/",
            "ftp://a/",
            "http://u:p@a/",
            "/a#b",
            "/a b",
        ] {
            assert!((URL.parse)(text).is_err(), "{text:?}");
        }
    }
}
