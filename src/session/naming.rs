//! Which cookies matter: as configured, and from then on as Django itself says.
//!
//! Shared by all code that reads cookies. The surprise: Django's word goes before the configuration. The package
//! says along with its answers what `SESSION_COOKIE_NAME`, `_DOMAIN` and `_PATH` are, so that no key of
//! gateway.toml can differ from them. After a restart the name is the last one that was said.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;

use super::diagnosis::{Diagnosis, DiagnosisKind};

/// The field in which Django says it: `sessionid; Path=/; Domain=example.com`.
const SESSION_COOKIE: HeaderName = HeaderName::from_static("gatepost-session-cookie");
/// More is no name of a cookie with its place.
const LONGEST: usize = 1024;

/// The cookies that matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CookieNames {
    /// Django's `SESSION_COOKIE_NAME`.
    pub session: String,
    /// `auth.cookies`: further ones.
    pub others: Vec<String>,
    /// The paths of the socket routes.
    pub sockets: Vec<String>,
    /// Where Django sets its session cookie, where it said so.
    pub place: Option<CookiePlace>,
}

/// What tells a cookie from others of its name: which hosts and which paths it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookiePlace {
    /// In lower case and without a dot in front; `None`: for the one host that set it.
    pub domain: Option<String>,
    /// Its `Path`.
    pub path: String,
}

/// Which cookies matter just now.
#[derive(Debug)]
pub struct Naming {
    current: ArcSwap<CookieNames>,
    /// The field as Django sent it last.
    field: ArcSwapOption<HeaderValue>,
    /// `django.session_cookie`, where it is written.
    configured: Option<String>,
    /// Whether Django has not said it yet.
    open: AtomicBool,
    /// Held while any of these changes.
    writing: Mutex<()>,
}

impl CookieNames {
    /// Django's default, until it says something else.
    pub const DEFAULT: &'static str = "sessionid";

    /// A session cookie of this name, and nothing more.
    pub fn session(name: &str) -> Self {
        Self {
            session: name.to_owned(),
            ..Self::default()
        }
    }
}

impl CookiePlace {
    /// The place of these attributes.
    pub(super) fn of(domain: Option<&str>, path: &str) -> Self {
        let domain = domain.map(|domain| domain.strip_prefix('.').unwrap_or(domain));
        let domain = domain.filter(|domain| !domain.is_empty());
        Self {
            domain: domain.map(str::to_ascii_lowercase),
            path: path.to_owned(),
        }
    }
}

impl Naming {
    /// As configured; without a name Django's default. The rest of `names` stays whatever Django says.
    pub fn new(configured: Option<String>, names: CookieNames) -> Self {
        let session = configured.as_deref().unwrap_or(CookieNames::DEFAULT);
        let names = CookieNames {
            session: session.to_owned(),
            ..names
        };
        Self {
            current: ArcSwap::from_pointee(names),
            field: ArcSwapOption::empty(),
            configured,
            open: AtomicBool::new(true),
            writing: Mutex::default(),
        }
    }

    /// The same, with what Django has said to the one before.
    #[must_use]
    pub fn knowing(self, before: &Self) -> Self {
        if before.is_open() {
            return self;
        }
        let said = before.names();
        self.current.rcu(|names| CookieNames {
            session: said.session.clone(),
            place: said.place.clone(),
            ..CookieNames::clone(names)
        });
        self.field.store(before.field.load_full());
        self.open.store(false, Ordering::Release);
        self
    }

    /// The cookies that matter now.
    pub fn names(&self) -> Arc<CookieNames> {
        self.current.load_full()
    }

    /// Takes over what an answer of Django's says of the cookie, where it says something.
    pub fn observe(&self, fields: &HeaderMap) {
        let Some(field) = fields.get(SESSION_COOKIE) else {
            return;
        };
        if self.field.load().as_deref() == Some(field) {
            return;
        }
        let _writes = self.writing.lock();
        match read(field) {
            Some((session, place)) => {
                tracing::debug!(name = %session, "Django says what its session cookie is called");
                self.rename(session, Some(place));
            }
            None => {
                tracing::debug!("Gatepost-Session-Cookie makes no sense, and is not relied upon");
            }
        }
        // Last: code that finds it settled finds the name.
        self.field.store(Some(Arc::new(field.clone())));
        self.open.store(false, Ordering::Release);
    }

    /// The same of an answer about sessions: one that says nothing is not the package's, and none will.
    pub(super) fn observe_judgement(&self, fields: &HeaderMap) {
        self.observe(fields);
        if !self.is_open() {
            return;
        }
        let _writes = self.writing.lock();
        if self.is_open() {
            // The name that the gateway before had learned holds no longer.
            self.rename(self.initial().to_owned(), None);
            self.open.store(false, Ordering::Release);
        }
    }

    /// Whether Django has not said yet what its session cookie is called. What [`Self::names`] says
    /// afterwards may be wrong only then.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// The session cookie's name where only Django has said it, for the next gateway.
    pub(super) fn learned(&self) -> Option<String> {
        let name = &self.names().session;
        (name != self.initial()).then(|| name.clone())
    }

    /// Begins with what the gateway before learned, until Django says something.
    pub(super) fn remember(&self, name: String) {
        if self.configured.is_none() && self.is_open() && is_token(&name) {
            self.rename(name, None);
        }
    }

    /// What it is called until Django says otherwise.
    fn initial(&self) -> &str {
        self.configured.as_deref().unwrap_or(CookieNames::DEFAULT)
    }

    fn rename(&self, session: String, place: Option<CookiePlace>) {
        let before = self.names();
        self.current.store(Arc::new(CookieNames {
            session,
            others: before.others.clone(),
            sockets: before.sockets.clone(),
            place,
        }));
    }

    /// What is wrong where gateway.toml names another cookie than Django.
    pub fn conflict(&self) -> Option<Diagnosis> {
        let (names, configured) = (self.current.load(), self.configured.as_ref()?);
        let django = &names.session;
        (configured != django).then(|| {
            Diagnosis::new(
                DiagnosisKind::CookieName,
                format!("gateway.toml calls the session cookie {configured}, Django {django}"),
                format!(
                    "SESSION_COOKIE_NAME is {django}, and `session_cookie` below [django] in \
                     gateway.toml is {configured}: take the key out, Django says it itself."
                ),
            )
        })
    }
}

fn read(field: &HeaderValue) -> Option<(String, CookiePlace)> {
    let text = field.to_str().ok().filter(|text| text.len() <= LONGEST)?;
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().filter(|name| is_token(name))?;
    let (mut domain, mut path) = (None, "/");
    for part in parts {
        match part.split_once('=') {
            Some((key, value)) if key.eq_ignore_ascii_case("domain") => domain = Some(value),
            Some((key, value)) if key.eq_ignore_ascii_case("path") => path = value,
            _ => {}
        }
    }
    Some((name.to_owned(), CookiePlace::of(domain, path)))
}

fn is_token(name: &str) -> bool {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !name.is_empty() && name.chars().all(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(field: &str) -> HeaderMap {
        HeaderMap::from_iter([(SESSION_COOKIE, HeaderValue::from_str(field).unwrap())])
    }

    fn naming(configured: Option<&str>) -> Naming {
        let names = CookieNames {
            others: vec!["tenant".into()],
            ..CookieNames::default()
        };
        Naming::new(configured.map(str::to_owned), names)
    }

    #[test]
    fn djangos_word_goes_before_the_configuration() {
        for configured in [None, Some("sessionid"), Some("__Secure-sessionid")] {
            let naming = naming(configured);
            assert!(naming.is_open());
            assert_eq!(
                naming.names().session,
                configured.unwrap_or(CookieNames::DEFAULT)
            );
            naming.observe(&says("__Secure-sessionid; Path=/app/; Domain=.Example.com"));
            let names = naming.names();
            assert_eq!(names.session, "__Secure-sessionid");
            assert_eq!(names.others, ["tenant"]);
            let place = CookiePlace::of(Some("example.com"), "/app/");
            assert_eq!(names.place, Some(place));
            assert_eq!(naming.conflict().is_some(), configured == Some("sessionid"));
            assert!(!naming.is_open());
        }
    }

    #[test]
    fn an_answer_about_sessions_that_does_not_say_it_settles_it_too() {
        let naming = naming(None);
        naming.observe(&HeaderMap::new());
        assert!(naming.is_open());
        naming.observe_judgement(&HeaderMap::new());
        assert!(!naming.is_open());
        assert_eq!(naming.names().place, None);
    }

    #[test]
    fn what_the_gateway_before_had_learned_holds_until_django_says_something() {
        let name = || "__Host-sid".to_owned();
        let before = naming(None);
        assert_eq!(before.learned(), None);
        before.observe(&says("__Host-sid; Path=/app/"));
        assert_eq!(before.learned(), Some(name()));

        let after = naming(None);
        after.remember(name());
        assert_eq!(
            (&*after.names().session, after.is_open()),
            ("__Host-sid", true)
        );
        assert_eq!(after.names().place, None, "what it closes is asked about");
        assert_eq!(after.learned(), Some(name()));
        after.observe(&says("sid"));
        assert_eq!(after.names().session, "sid");
        after.remember(name());
        assert_eq!(after.names().session, "sid");

        // A view of the project's own, which names none.
        let own = naming(None);
        own.remember(name());
        own.observe_judgement(&HeaderMap::new());
        assert_eq!((&*own.names().session, own.learned()), ("sessionid", None));
        // What is written in gateway.toml was perhaps changed since.
        let configured = naming(Some("mine"));
        configured.remember(name());
        assert_eq!(configured.names().session, "mine");
        for bad in ["", "a b", "a=b"] {
            let naming = naming(None);
            naming.remember(bad.to_owned());
            assert_eq!(naming.names().session, "sessionid", "{bad}");
        }
    }

    #[test]
    fn what_makes_no_sense_changes_nothing() {
        let naming = naming(None);
        for field in [
            "",
            "; Path=/",
            "a b; Path=/",
            "a=b",
            &"x".repeat(LONGEST + 1),
        ] {
            naming.observe(&says(field));
            assert_eq!(naming.names().session, "sessionid", "{field}");
        }
        naming.observe(&says("sid"));
        assert_eq!(naming.names().place, Some(CookiePlace::of(None, "/")));
    }
}
