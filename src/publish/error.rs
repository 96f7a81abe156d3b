//! Everything the internal API refuses, and the problem (RFC 9457) it answers.
//!
//! A line of a batch that fails is the same problem as a body that fails, written into the answer of
//! its line instead of being the answer.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::json::{DecodeError, TextPosition};
use super::reload_refusal::ReloadRefusal;
use crate::web::problem::{Problem, ProblemDocument, ToProblem};
use crate::web::signature::SignatureError;

const SECRET_HINT: &str = "send `Authorization: Bearer <secret>` with the secret of gateway.toml's \
                           django.secret_env, or sign the request (Gatepost-Signature)";

const NONCE_HINT: &str = "sign each attempt again; calls of one second that are otherwise the same are \
                          told apart by a nonce: `t=…,n=<16 to 64 hex digits>,v1=…`";

const CLOCKS_HINT: &str = "set both machines' clocks, by NTP for instance";

const OUTBOX_HINT: &str = "write `url = \"/_gatepost/outbox/\"` below [outbox] of gateway.toml";

/// Why a call was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum PublishError {
    #[error(
        "there is no such call; there are /v1/publish, /v1/revoke, /v1/recheck, /v1/wake, /v1/online, \
         /v1/connections, /v1/maintenance, /v1/pause and /v1/reload"
    )]
    NoSuchCall,
    #[error("this call takes {allowed}")]
    Method { allowed: &'static str },
    #[error("this call needs the secret that gateway and Django share")]
    NoSecret,
    #[error("the secret is not the one in force here")]
    WrongSecret,
    #[error("the signature is not believed: {0}")]
    Signature(#[from] SignatureError),
    #[error("this very call was accepted before: a copy of it was sent again")]
    Replayed,
    #[error(
        "so many signed calls came that older ones, as this is by {seconds} s, are not believed"
    )]
    Crowded { seconds: u64 },
    #[error("the body must be {expected}, uncompressed")]
    MediaType { expected: &'static str },
    #[error("the body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the batch has more than {limit} lines")]
    TooManyLines { limit: usize },
    #[error("the body did not arrive within {seconds} s")]
    TooSlow { seconds: u64 },
    #[error("too many large bodies are under way")]
    Busy,
    #[error("the body broke off")]
    BrokenOff,
    #[error("this gateway pulls no transactional outbox: outbox.url is not set")]
    NoOutbox,
    #[error("{0}")]
    Query(&'static str),
    #[error(transparent)]
    Reload(#[from] ReloadRefusal),
    #[error(transparent)]
    Body(#[from] DecodeError),
}

impl ToProblem for PublishError {
    fn to_problem(&self) -> Problem {
        let (status, code) = self.kind();
        let problem = Problem::new(status, code, self.to_string());
        match self {
            Self::Signature(SignatureError::Clock { .. }) | Self::Crowded { .. } => {
                problem.with_hint(CLOCKS_HINT)
            }
            Self::NoSecret | Self::WrongSecret | Self::Signature(_) => {
                problem.with_hint(SECRET_HINT)
            }
            Self::Replayed => problem.with_hint(NONCE_HINT),
            Self::TooManyLines { .. } | Self::TooLarge { .. } => {
                problem.with_hint("send it in several calls")
            }
            Self::Busy | Self::Reload(ReloadRefusal::Busy | ReloadRefusal::Upgrading) => {
                problem.retry_after(1)
            }
            Self::NoOutbox => problem.with_hint(OUTBOX_HINT),
            Self::Body(error) => {
                let TextPosition { line, column } = error.place();
                problem.at(line, column)
            }
            _ => problem,
        }
    }
}

impl PublishError {
    /// The stable machine code.
    pub(super) fn code(&self) -> &'static str {
        self.kind().1
    }

    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoSuchCall => (StatusCode::NOT_FOUND, "no_such_call"),
            Self::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::NoSecret => (StatusCode::UNAUTHORIZED, "secret_missing"),
            Self::WrongSecret => (StatusCode::UNAUTHORIZED, "secret_wrong"),
            Self::Signature(SignatureError::Clock { .. }) => {
                (StatusCode::UNAUTHORIZED, "signature_expired")
            }
            Self::Signature(_) => (StatusCode::UNAUTHORIZED, "signature_wrong"),
            Self::Replayed => (StatusCode::UNAUTHORIZED, "signature_replayed"),
            Self::Crowded { .. } => (StatusCode::UNAUTHORIZED, "signature_expired"),
            Self::MediaType { .. } => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type"),
            Self::TooLarge { .. } | Self::TooManyLines { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large")
            }
            Self::TooSlow { .. } => (StatusCode::REQUEST_TIMEOUT, "body_too_slow"),
            Self::Busy | Self::Reload(ReloadRefusal::Busy | ReloadRefusal::Upgrading) => {
                (StatusCode::SERVICE_UNAVAILABLE, "busy")
            }
            Self::Reload(ReloadRefusal::Findings(_)) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "reload_refused")
            }
            Self::Reload(ReloadRefusal::Ending) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            Self::NoOutbox => (StatusCode::CONFLICT, "no_outbox"),
            Self::BrokenOff => (StatusCode::BAD_REQUEST, "body_broken_off"),
            Self::Query(_) => (StatusCode::BAD_REQUEST, "query_invalid"),
            Self::Body(error) => match error {
                DecodeError::NotUtf8(_) | DecodeError::NotJson { .. } => {
                    (StatusCode::BAD_REQUEST, "json_malformed")
                }
                DecodeError::Refused { .. } => (StatusCode::BAD_REQUEST, "json_refused"),
                DecodeError::TooDeep(_) => (StatusCode::BAD_REQUEST, "frame_too_deep"),
                DecodeError::FrameTooLarge { .. } => {
                    (StatusCode::PAYLOAD_TOO_LARGE, "frame_too_large")
                }
            },
        }
    }

    /// The answer of a whole call.
    pub(super) fn into_response(self) -> Response<Bytes> {
        let problem = self.to_problem();
        let mut response = Response::new(Bytes::from(to_json(&ProblemDocument::of(&problem))));
        *response.status_mut() = problem.status;
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(CONTENT_TYPE, json);
        match self {
            Self::Method { allowed } => {
                headers.insert(ALLOW, HeaderValue::from_static(allowed));
            }
            Self::NoSecret
            | Self::WrongSecret
            | Self::Signature(_)
            | Self::Replayed
            | Self::Crowded { .. } => {
                let scheme = HeaderValue::from_static("Bearer realm=\"gatepost\"");
                headers.insert(WWW_AUTHENTICATE, scheme);
            }
            _ => {}
        }
        if let Some(seconds) = problem.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response
    }

    /// The answer of one line of a batch, which was line `line` of the body.
    pub(super) fn into_line(self, line: usize) -> Vec<u8> {
        #[derive(Serialize)]
        struct Line<'a> {
            error: ProblemDocument<'a>,
        }

        let mut problem = self.to_problem();
        problem.position = problem.position.map(|(_, column)| (line, column));
        let error = ProblemDocument::of(&problem);
        to_json(&Line { error })
    }
}

/// Structs of texts and numbers always serialise.
pub(super) fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
