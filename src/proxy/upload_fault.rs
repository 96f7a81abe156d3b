//! What is wrong with a client's body, or with keeping it.
//!
//! Made by `upload`, `spool` and `streamed`; part of `error`.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http::StatusCode;

use crate::web::problem::{Problem, sentence};

/// What to try again after, where there was no room.
const RETRY: u32 = 5;

/// What a client's body did wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadFault {
    /// It is larger than allowed.
    #[error("the request's body is larger than {0} bytes")]
    TooLarge(u64),
    /// Its next bytes did not come in time.
    #[error("the request's body stalled for {0:?}")]
    Stalled(Duration),
    /// It comes too slowly.
    #[error("the request's body came more slowly than {0} bytes a second")]
    TooSlow(u64),
    /// It is malformed or broke off.
    #[error("the request's body is malformed or broke off")]
    Broken,
    /// A WebSocket handshake has none.
    #[error("a WebSocket handshake has no body")]
    OnHandshake,
    /// There is no room to keep it until it is whole.
    #[error("there is no room for the request's body")]
    NoRoom,
    /// It could not be kept until it was whole.
    #[error("cannot keep the request's body in {}: {error}", folder.display())]
    Spool { folder: PathBuf, error: io::Error },
    /// What was kept of it cannot be read.
    #[error("cannot read what was kept of the request's body: {0}")]
    Unreadable(io::Error),
}

impl UploadFault {
    /// Whether the gateway, not the client, is at fault.
    pub(super) fn is_ours(&self) -> bool {
        matches!(
            self,
            Self::NoRoom | Self::Spool { .. } | Self::Unreadable(_)
        )
    }

    /// Whether the body was refused, though its client could have sent the rest.
    pub(super) fn is_refusal(&self) -> bool {
        self.is_ours() || matches!(self, Self::TooLarge(_))
    }

    pub(super) fn to_problem(&self) -> Problem {
        let (status, code) = match self {
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::Stalled(_) | Self::TooSlow(_) => (StatusCode::REQUEST_TIMEOUT, "body_timeout"),
            Self::Broken | Self::OnHandshake => (StatusCode::BAD_REQUEST, "bad_body"),
            Self::NoRoom | Self::Spool { .. } | Self::Unreadable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "no_room_for_body")
            }
        };
        let detail = if self.is_ours() {
            "The request's body cannot be kept right now.".to_owned()
        } else {
            sentence(&self.to_string())
        };
        let mut problem = Problem::new(status, code, detail).closing();
        problem.hint = self.hint();
        if self.is_ours() {
            return problem.retry_after(RETRY);
        }
        problem
    }

    fn hint(&self) -> Option<String> {
        let key = match self {
            Self::TooLarge(_) => "limits.body_size in gateway.toml says how large it may be.",
            Self::Stalled(_) => "limits.body_timeout in gateway.toml says how long it may stall.",
            Self::TooSlow(_) => "limits.body_rate in gateway.toml says how fast it must be.",
            Self::NoRoom => {
                "buffering.disk in gateway.toml says how much room there is; one address has a \
                 quarter of it."
            }
            Self::Spool { .. } | Self::Unreadable(_) => {
                return Some(format!(
                    "{}\nbuffering.folder in gateway.toml says where bodies are kept.",
                    sentence(&self.to_string())
                ));
            }
            Self::Broken | Self::OnHandshake => return None,
        };
        Some(key.to_owned())
    }
}
