//! Why a request could not be forwarded, and what the browser and the developer are told.
//!
//! Made in every file of `proxy`, rendered by `server`. The public sentence names the upstream but
//! never its address; address, cause and advice are the hint, for developers only.

use std::fmt;
use std::io;
use std::time::Duration;

use http::StatusCode;

use super::kind::UpstreamKind;
use super::queue::QueueRefusal;
use super::streamed::UploadProgress;
use super::upload_fault::UploadFault;
use crate::causes;
use crate::ids::RequestId;
use crate::web::problem::{Problem, ToProblem, sentence};
use crate::web::request::Downstream;

/// A request that was not answered by its upstream.
#[derive(Debug, thiserror::Error)]
#[error("{failure}")]
pub struct ForwardError {
    kind: UpstreamKind,
    #[source]
    failure: ForwardFailure,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum ForwardFailure {
    /// Nobody listens there, and nobody began to within the hold.
    #[error("cannot reach upstream {at}: {cause}")]
    Refused { at: UpstreamLabel, cause: io::Error },
    /// Connecting took too long.
    #[error("upstream {at} did not take the connection within {limit:?}")]
    ConnectTimeout { at: UpstreamLabel, limit: Duration },
    /// Too many requests are under way or wait.
    #[error("upstream `{name}` has too many requests under way")]
    Busy { name: String },
    /// The connection broke before the answer's head was complete.
    #[error("upstream {at} broke the connection without an answer")]
    Lost {
        at: UpstreamLabel,
        source: hyper::Error,
    },
    /// What came was not HTTP.
    #[error("upstream {at} answered with something that is not HTTP")]
    NotHttp {
        at: UpstreamLabel,
        source: hyper::Error,
    },
    /// Its head is longer than is taken.
    #[error("upstream {at} answered with a head of more than 128 KiB or 100 fields")]
    LongHead { at: UpstreamLabel },
    /// Its body has a transfer coding that nobody agreed upon.
    #[error("upstream {at} answered with a Transfer-Encoding other than chunked")]
    BadFraming { at: UpstreamLabel },
    /// No answer came in time.
    #[error("upstream {at} did not answer within {limit:?}")]
    Timeout { at: UpstreamLabel, limit: Duration },
    /// It switched protocols although nobody asked.
    #[error("upstream {at} switched protocols unasked")]
    UnaskedUpgrade { at: UpstreamLabel },
    /// It did not open the WebSocket that a client of HTTP/2 asked for, nor refuse it.
    #[error("upstream {at} did not open a WebSocket: {why}")]
    NotUpgraded {
        at: UpstreamLabel,
        why: &'static str,
    },
    /// No answer came to a WebSocket handshake.
    #[error("no one at upstream {at} answers WebSocket {path} within {limit:?}")]
    NoWebSocket {
        at: UpstreamLabel,
        path: String,
        limit: Duration,
    },
    /// The client's body is at fault.
    #[error(transparent)]
    Upload(#[from] UploadFault),
    /// There is no place for it.
    #[error(transparent)]
    Queue(#[from] QueueRefusal),
}

/// Which upstream, at which address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UpstreamLabel {
    pub(super) name: String,
    pub(super) address: String,
}

/// Which answer, in the log.
#[derive(Clone, Debug)]
pub(super) struct AnswerLabel {
    /// Whose, where that is still known.
    pub(super) upstream: Option<UpstreamLabel>,
    /// To which request.
    pub(super) request_id: RequestId,
}

impl fmt::Display for UpstreamLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` at {}", self.name, self.address)
    }
}

impl ForwardError {
    pub(super) fn new(kind: UpstreamKind, failure: impl Into<ForwardFailure>) -> Self {
        let failure = failure.into();
        Self { kind, failure }
    }
}

impl ToProblem for ForwardError {
    fn to_problem(&self) -> Problem {
        match &self.failure {
            ForwardFailure::Upload(fault) => fault.to_problem(),
            ForwardFailure::Queue(refusal) => refusal.to_problem(),
            failure => failure.to_problem(self.kind),
        }
    }
}

impl ForwardFailure {
    /// No answer came: the fault of the request's body, or of the upstream.
    pub(super) fn unanswered(
        at: UpstreamLabel,
        error: hyper::Error,
        progress: Option<&UploadProgress>,
    ) -> Self {
        let fault = progress.and_then(UploadProgress::fault);
        fault.map_or_else(|| Self::broken(at, error), Self::from)
    }

    /// No answer came in time.
    pub(super) fn late(at: UpstreamLabel, limit: Duration) -> Self {
        Self::Timeout { at, limit }
    }

    /// A connection that broke, told apart by what came before.
    pub(super) fn broken(at: UpstreamLabel, source: hyper::Error) -> Self {
        if source.is_parse_too_large() {
            return Self::LongHead { at };
        }
        if source.is_parse() {
            return Self::NotHttp { at, source };
        }
        Self::Lost { at, source }
    }

    /// Ties the request id on the public's page to the cause. That an upstream is away was logged once,
    /// when it went; a client's fault is not logged.
    pub(super) fn log(&self, downstream: &Downstream) {
        let (request_id, error) = (downstream.request_id, causes::chain(self));
        match self {
            Self::Upload(fault) if fault.is_ours() => {
                tracing::warn!(%request_id, error, "request was not forwarded");
            }
            Self::Refused { .. }
            | Self::ConnectTimeout { .. }
            | Self::Upload(_)
            | Self::Queue(_) => {
                tracing::debug!(%request_id, error, "request was not forwarded");
            }
            _ => tracing::warn!(%request_id, error, "request was not answered"),
        }
    }

    fn to_problem(&self, kind: UpstreamKind) -> Problem {
        let (status, code, retry) = self.class();
        let problem = Problem::new(status, code, self.public_sentence());
        let problem = problem.with_hint(format!(
            "{}\n{}",
            sentence(&causes::chain(self)),
            self.advice(kind)
        ));
        match retry {
            Some(seconds) => problem.retry_after(seconds),
            None => problem,
        }
    }

    /// For machines: what went wrong.
    pub(super) fn code(&self) -> &'static str {
        let (_, code, _) = self.class();
        code
    }

    fn class(&self) -> (StatusCode, &'static str, Option<u32>) {
        match self {
            Self::Refused { .. } => (StatusCode::BAD_GATEWAY, "upstream_refused", Some(2)),
            Self::Lost { .. } => (StatusCode::BAD_GATEWAY, "upstream_lost", Some(2)),
            Self::NotHttp { .. } => (StatusCode::BAD_GATEWAY, "upstream_not_http", None),
            Self::LongHead { .. } => (StatusCode::BAD_GATEWAY, "upstream_long_head", None),
            Self::BadFraming { .. } => (StatusCode::BAD_GATEWAY, "upstream_bad_framing", None),
            Self::UnaskedUpgrade { .. } => (StatusCode::BAD_GATEWAY, "upstream_upgraded", None),
            Self::NotUpgraded { .. } => (StatusCode::BAD_GATEWAY, "upstream_not_upgraded", None),
            Self::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, "upstream_busy", Some(2)),
            Self::ConnectTimeout { .. } | Self::Timeout { .. } => {
                (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", Some(5))
            }
            Self::NoWebSocket { .. } => {
                (StatusCode::GATEWAY_TIMEOUT, "upstream_no_websocket", None)
            }
            Self::Upload(_) => (StatusCode::BAD_REQUEST, "bad_body", None),
            Self::Queue(_) => (StatusCode::SERVICE_UNAVAILABLE, "queue_full", None),
        }
    }

    fn public_sentence(&self) -> String {
        match self {
            Self::Refused { at, .. } => format!("The server \"{}\" cannot be reached.", at.name),
            Self::Lost { at, .. } => {
                format!("The server \"{}\" broke off without an answer.", at.name)
            }
            Self::NotHttp { at, .. }
            | Self::LongHead { at }
            | Self::BadFraming { at }
            | Self::NotUpgraded { at, .. }
            | Self::UnaskedUpgrade { at } => {
                format!(
                    "The server \"{}\" gave an answer that makes no sense.",
                    at.name
                )
            }
            Self::Busy { name } => format!("The server \"{name}\" has too much to do right now."),
            Self::ConnectTimeout { at, .. } | Self::Timeout { at, .. } => {
                format!("The server \"{}\" did not answer in time.", at.name)
            }
            Self::NoWebSocket { at, path, .. } => {
                format!(
                    "No one at the server \"{}\" answers WebSocket {path}.",
                    at.name
                )
            }
            Self::Upload(fault) => fault.to_string(),
            Self::Queue(refusal) => refusal.to_string(),
        }
    }

    fn advice(&self, kind: UpstreamKind) -> String {
        match self {
            Self::Refused { at, .. } | Self::ConnectTimeout { at, .. } => start_advice(kind, at),
            Self::Lost { .. } => "Its log says why: it may have crashed or been restarted during the request.".into(),
            Self::NotHttp { .. } => match kind {
                UpstreamKind::DevServer => "Next.js answers like this where it refuses an Origin: add this origin to \
                    allowedDevOrigins in next.config.js. Otherwise the address belongs to another program."
                    .into(),
                _ => "Does an HTTP server listen there, without TLS?".into(),
            },
            Self::LongHead { .. } => "Which field is it? Many cookies set at once, or a huge policy?".into(),
            Self::BadFraming { .. } => "HTTP servers behind a gateway may only use chunked.".into(),
            Self::UnaskedUpgrade { .. } => "Requests to Django are never upgraded here; name sockets in [[sockets]], or \
                route an ASGI server with [[upstreams]]."
                .into(),
            Self::NotUpgraded { .. } => "Does it serve a WebSocket at this path?".into(),
            Self::Busy { .. } => "Requests come faster than it answers: give it more workers.".into(),
            Self::Timeout { .. } => "Its log says what it was doing. limits.upstream_timeout in gateway.toml says how \
                long an answer may take."
                .into(),
            Self::NoWebSocket { .. } => "Dev servers leave handshakes open that nothing matches: check the path and the \
                subprotocol of the client."
                .into(),
            Self::Upload(_) | Self::Queue(_) => String::new(),
        }
    }
}

fn start_advice(kind: UpstreamKind, at: &UpstreamLabel) -> String {
    match kind {
        UpstreamKind::Django => {
            let start = if at.address.starts_with("unix:") {
                format!("gunicorn --bind {} yourproject.wsgi", at.address)
            } else {
                format!("python manage.py runserver {}", at.address)
            };
            format!(
                "Is Django running there? Start it with: `{start}`\n\
                 Where it runs and does not listen, its terminal says why: a mistake in the code, above all.\n\
                 `[django] upstream` in gateway.toml says where it is looked for."
            )
        }
        UpstreamKind::DevServer => {
            "Is the dev server running there? Start it with: `npm run dev`\n\
             `[frontend] upstream` in gateway.toml says where it is looked for."
                .into()
        }
        UpstreamKind::Plain => "Start it, or correct its address in gateway.toml.".into(),
    }
}
