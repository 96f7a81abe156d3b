//! What is wrong between gateway and Django, in words for the person who can mend it.
//!
//! Made by `diagnose`, or by the views where nothing answers; logged by `diagnoses`. The reason goes
//! to every client in a close frame, so it is short and has nothing that Django would not show to
//! anybody; the remedy goes to the log and to the developer's page.

use http::StatusCode;

use crate::close::LONGEST_REASON;
use crate::upcall::CallError;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// Which kind of thing.
    pub kind: DiagnosisKind,
    reason: Box<str>,
    remedy: Box<str>,
}

/// Why there is no answer that could be judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// Nothing listens, or the connection broke off.
    #[error("{0}")]
    Broken(String),
    /// It took too long.
    #[error("it took longer than auth.timeout")]
    TimedOut,
    /// 429, 502, 503 or 504, or a page that says that it comes back.
    #[error("it answered {0}")]
    Answered(StatusCode),
    /// It fails, which may pass: its database is away, say.
    #[error("{0}")]
    Failing(Box<Diagnosis>),
    /// The gateway itself did not ask.
    #[error("{0}")]
    NotAsked(&'static str),
}

/// The kinds of things that go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DiagnosisKind {
    /// 400: the name is not in `ALLOWED_HOSTS`.
    HostRefused,
    /// 400 of gunicorn: two fields disagree about the scheme.
    SchemeConflict,
    /// 400 for another reason.
    BadRequest,
    /// `SECURE_SSL_REDIRECT` without our middleware first, and without `SECURE_PROXY_SSL_HEADER`.
    PlainHttp,
    /// `APPEND_SLASH`.
    SlashMissing,
    /// `PREPEND_WWW`.
    WwwRedirect,
    /// A login-required middleware.
    LoginRequired,
    /// The view is inside `i18n_patterns`.
    LanguagePrefix,
    /// Another redirect.
    Redirect,
    /// HTTP Basic in front of the view.
    BasicAuth,
    /// Django's CSRF check.
    Csrf,
    /// 403 with a page, which no auth view answers.
    Forbidden,
    /// Gateway and Django have different secrets.
    WrongSecret,
    /// The clocks of gateway and Django differ.
    WrongClock,
    /// 404.
    NotFound,
    /// 405.
    MethodRefused,
    /// 200 with a page: the frontend.
    Page,
    /// 200 with something else than JSON.
    NotJson,
    /// JSON that is no auth answer.
    NotAnAnswer,
    /// More than an auth answer can have.
    TooLarge,
    /// 431, or more than the gateway keeps of a handshake.
    CookiesTooLarge,
    /// A session cookie that cannot be read in one way only.
    CookieUnreadable,
    /// gateway.toml names another session cookie than Django.
    CookieName,
    /// 500.
    ServerError,
    /// A status that an auth view does not answer.
    Status,
    /// Nothing listens, or the connection broke off.
    NotRunning,
    /// No answer in time.
    TimedOut,
    /// 429, 502, 503 or 504.
    NotReady,
}

impl From<CallError> for Unreachable {
    fn from(error: CallError) -> Self {
        match error {
            CallError::TimedOut => Self::TimedOut,
            CallError::Broken(cause) => Self::Broken(cause),
        }
    }
}

impl Diagnosis {
    /// Django cannot be reached.
    pub(super) fn silence(cause: &Unreachable) -> Self {
        let (kind, remedy) = match cause {
            Unreachable::Failing(diagnosis) => return Self::clone(diagnosis),
            Unreachable::Broken(_) | Unreachable::NotAsked(_) => (
                DiagnosisKind::NotRunning,
                "Django is not running, or it is just being restarted: start it, and sockets come \
                 back by themselves.",
            ),
            Unreachable::TimedOut => (
                DiagnosisKind::TimedOut,
                "All of Django's workers are busy, or the auth view waits for something. Give Django \
                 more workers or threads, look at what keeps it busy, or raise `auth.timeout`.",
            ),
            Unreachable::Answered(_) => (
                DiagnosisKind::NotReady,
                "Django, or a proxy before it, is there but does not serve now: it is starting, \
                 overloaded, or in maintenance. Sockets come back by themselves.",
            ),
        };
        Self::new(kind, format!("Django cannot be reached: {cause}"), remedy)
    }

    /// A diagnosis; a reason that is too long for a close frame is cut.
    pub(super) fn new(
        kind: DiagnosisKind,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let mut reason = reason.into();
        reason.truncate(reason.floor_char_boundary(LONGEST_REASON));
        Self {
            kind,
            reason: reason.into(),
            remedy: remedy.into().into(),
        }
    }

    /// For the close frame: at most [`LONGEST_REASON`] bytes.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What to do about it, in a sentence or two.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl std::fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)
    }
}

impl DiagnosisKind {
    /// All of them.
    pub const ALL: [Self; 28] = [
        Self::HostRefused,
        Self::SchemeConflict,
        Self::BadRequest,
        Self::PlainHttp,
        Self::SlashMissing,
        Self::WwwRedirect,
        Self::LoginRequired,
        Self::LanguagePrefix,
        Self::Redirect,
        Self::BasicAuth,
        Self::Csrf,
        Self::Forbidden,
        Self::WrongSecret,
        Self::WrongClock,
        Self::NotFound,
        Self::MethodRefused,
        Self::Page,
        Self::NotJson,
        Self::NotAnAnswer,
        Self::TooLarge,
        Self::CookiesTooLarge,
        Self::CookieUnreadable,
        Self::CookieName,
        Self::ServerError,
        Self::Status,
        Self::NotRunning,
        Self::TimedOut,
        Self::NotReady,
    ];

    /// Its name in metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::HostRefused => "host_refused",
            Self::SchemeConflict => "scheme_conflict",
            Self::BadRequest => "bad_request",
            Self::PlainHttp => "plain_http",
            Self::SlashMissing => "slash_missing",
            Self::WwwRedirect => "www_redirect",
            Self::LoginRequired => "login_required",
            Self::LanguagePrefix => "language_prefix",
            Self::Redirect => "redirect",
            Self::BasicAuth => "basic_auth",
            Self::Csrf => "csrf",
            Self::Forbidden => "forbidden",
            Self::WrongSecret => "wrong_secret",
            Self::WrongClock => "wrong_clock",
            Self::NotFound => "not_found",
            Self::MethodRefused => "method_refused",
            Self::Page => "page",
            Self::NotJson => "not_json",
            Self::NotAnAnswer => "not_an_answer",
            Self::TooLarge => "too_large",
            Self::CookiesTooLarge => "cookies_too_large",
            Self::CookieUnreadable => "cookie_unreadable",
            Self::CookieName => "cookie_name",
            Self::ServerError => "server_error",
            Self::Status => "status",
            Self::NotRunning => "not_running",
            Self::TimedOut => "timed_out",
            Self::NotReady => "not_ready",
        }
    }

    /// Whether Django does not believe the signature.
    pub(super) fn is_of_signature(self) -> bool {
        matches!(self, Self::WrongSecret | Self::WrongClock)
    }

    /// Whether it concerns one host name alone.
    pub(super) fn is_of_host(self) -> bool {
        matches!(self, Self::HostRefused | Self::WwwRedirect)
    }

    /// Whether other clients are judged well in spite of it.
    pub(super) fn spares_others(self) -> bool {
        matches!(
            self,
            Self::LoginRequired | Self::CookiesTooLarge | Self::CookieUnreadable | Self::CookieName
        )
    }

    /// Whether there was no answer to diagnose.
    pub(super) fn is_silence(self) -> bool {
        matches!(self, Self::NotRunning | Self::TimedOut | Self::NotReady)
    }
}
