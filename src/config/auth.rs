//! `[auth]`: how a handshake's session is judged.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use super::document::Document;
use super::kind::{COOKIE_NAME, DURATION, DURATION_OR_ZERO, ValueKind};
use crate::state_folder::StateFolder;

/// `[auth]`: how a handshake's session is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthConfig {
    /// Where Django judges.
    pub url: AuthUrl,
    /// Where it judges many at once, where it does.
    pub batch_url: Option<AuthUrl>,
    /// Cookies sent besides the session cookie.
    pub cookies: Vec<String>,
    /// How long one call may take.
    pub timeout: Duration,
    /// Calls under way at once.
    pub concurrency: usize,
    /// How long a handshake waits before it is accepted and judged afterwards.
    pub accept_after: Duration,
    /// How long an answer is relied upon for further handshakes.
    pub lease: Duration,
    /// How often live sessions are checked again.
    pub revalidate: Duration,
    /// How long sockets are kept while Django cannot be reached.
    pub grace: Duration,
    /// Where leases wait for the next gateway.
    pub lease_file: PathBuf,
    /// Where revocations of topics are kept.
    pub topic_file: PathBuf,
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
            batch_url: Some(AuthUrl::Path("/_gatepost/sessions/".to_owned())),
            cookies: Vec::new(),
            timeout: Duration::from_secs(2),
            concurrency: 8,
            accept_after: Duration::from_secs(2),
            lease: Duration::from_secs(10),
            revalidate: Duration::from_mins(1),
            grace: Duration::from_mins(10),
            lease_file: StateFolder::default().leases(),
            topic_file: StateFolder::default().topics(),
        }
    }
}

/// Where the package says which names are the site's.
const HOSTS_PATH: &str = "/_gatepost/hosts/";

/// A path or a whole URL; signed calls go there.
pub(super) const URL: ValueKind<AuthUrl> = ValueKind {
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
            (Some("http" | "https"), Some(_)) => match reqwest::Url::parse(text) {
                Ok(_) => Ok(AuthUrl::Absolute(text.to_owned())),
                Err(error) => Err(Some(format!("it is no URL: {error}"))),
            },
            _ => Err(None),
        }
    },
};

const URL_OR_NONE: ValueKind<Option<AuthUrl>> = ValueKind {
    expected: "a path at Django such as \"/_gatepost/sessions/\", a whole http:// or https:// URL, or \"\"",
    parse: |text| match text {
        "" => Ok(None),
        _ => (URL.parse)(text).map(Some),
    },
};

impl AuthConfig {
    /// Where Django says which names are its own: beside the package's auth view.
    pub fn hosts_url(&self) -> AuthUrl {
        let beside = |url: &str| {
            let bare = url.split('?').next().unwrap_or_default();
            let folder = bare.strip_suffix("/_gatepost/auth/")?;
            Some(format!("{folder}{HOSTS_PATH}"))
        };
        let found = match &self.url {
            AuthUrl::Path(path) => beside(path).map(AuthUrl::Path),
            AuthUrl::Absolute(url) => beside(url).map(AuthUrl::Absolute),
        };
        found.unwrap_or_else(|| AuthUrl::Path(HOSTS_PATH.to_owned()))
    }

    /// Reads the section.
    pub(super) fn read(document: &mut Document<'_>) -> Self {
        let default = Self::default();
        let state = StateFolder::beside(&document.findings.folder);
        let mut section = document.section("auth");
        let url = section.value("url", &URL).unwrap_or(default.url.clone());
        // An auth view of one's own may say no where the package's batch view would say yes.
        let batch_url = (url == default.url).then_some(default.batch_url).flatten();
        Self {
            url,
            batch_url: section
                .value("batch_url", &URL_OR_NONE)
                .unwrap_or(batch_url),
            cookies: section
                .list("cookies", &COOKIE_NAME)
                .unwrap_or(default.cookies),
            timeout: section
                .value("timeout", &DURATION)
                .unwrap_or(default.timeout),
            concurrency: section
                .count("concurrency", 1..=1024)
                .unwrap_or(default.concurrency),
            accept_after: section
                .value("accept_after", &DURATION_OR_ZERO)
                .unwrap_or(default.accept_after),
            lease: section
                .value("lease", &DURATION_OR_ZERO)
                .unwrap_or(default.lease),
            revalidate: section
                .value("revalidate", &DURATION)
                .unwrap_or(default.revalidate),
            grace: section.value("grace", &DURATION).unwrap_or(default.grace),
            lease_file: state.leases(),
            topic_file: state.topics(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_asked_about_beside_the_package_s_auth_view_and_at_its_usual_path_else() {
        let path = |text: &str| AuthUrl::Path(text.to_owned());
        let absolute = |text: &str| AuthUrl::Absolute(text.to_owned());
        for (url, expected) in [
            (path("/_gatepost/auth/"), path("/_gatepost/hosts/")),
            (
                path("/app/_gatepost/auth/?x=1"),
                path("/app/_gatepost/hosts/"),
            ),
            (path("/who-is-it/"), path("/_gatepost/hosts/")),
            (
                absolute("http://a.test/_gatepost/auth/"),
                absolute("http://a.test/_gatepost/hosts/"),
            ),
            (absolute("https://sso.test/me"), path("/_gatepost/hosts/")),
        ] {
            let config = AuthConfig {
                url,
                ..AuthConfig::default()
            };
            assert_eq!(config.hosts_url(), expected);
        }
    }

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
            "http://1.2.3.4.5/",
            "http://a:99999/",
        ] {
            assert!((URL.parse)(text).is_err(), "{text:?}");
        }
    }
}
