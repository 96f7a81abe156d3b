//! Why the gateway cannot go on with an answer of Django's, and what its client is told.
//!
//! Made by `hand_over` and what it uses. A client that met a limit is told so, as at a socket route; all else is a
//! mistake between gateway and Django, and the log says which.

use http::StatusCode;

use super::description::{DescriptionError, LARGEST};
use crate::ids::RequestId;
use crate::socket::accept::HandshakeError;
use crate::web::body::BodyError;
use crate::web::problem::{Problem, ToProblem};

/// Why the gateway cannot go on with an answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandOverError {
    #[error("it has another status than 200, or Gatepost-Stream twice")]
    NotOne,
    #[error(
        "its MAC does not hold for this request: it was made with another secret, or for another request, \
         as by a cache in front of the middleware"
    )]
    Mac,
    #[error("its description has more than {LARGEST} bytes")]
    TooLarge,
    #[error("it broke off: {0}")]
    Broken(BodyError),
    #[error("what it describes makes no sense: {0}")]
    Description(#[from] DescriptionError),
    #[error("it is about another session than the browser has after this response")]
    OtherSession,
    #[error("it has more topics than `limits.topics_per_connection` in gateway.toml allows")]
    TooManyTopics,
    #[error(transparent)]
    Refused(#[from] HandshakeError),
}

impl HandOverError {
    /// One line for each: it is one request in vain.
    pub(super) fn log(&self, path: &str, request_id: RequestId) {
        if let Self::Refused(error) = self {
            return tracing::debug!(path, %request_id, %error, "stream refused");
        }
        tracing::warn!(
            path,
            %request_id,
            reason = %self,
            "cannot go on with the stream that Django hands over"
        );
    }

    pub(super) fn into_problem(self) -> Problem {
        let detail = "Django hands over a stream that the gateway cannot go on with.";
        match self {
            Self::Refused(error) => error.to_problem(),
            _ => Problem::new(StatusCode::BAD_GATEWAY, "stream_refused", detail)
                .with_hint(format!("Of the answer with `Gatepost-Stream`: {self}.")),
        }
    }
}
