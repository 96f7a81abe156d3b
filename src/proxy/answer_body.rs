//! What comes from an upstream as an answer's body: as it is, or compressed.
//!
//! Made by `forward`, polled by `flow`.

use std::fmt::{self, Debug, Formatter};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;

use super::compress::{CompressedBody, EncoderTicket};
use crate::web::body::BodyError;

/// An answer's body.
pub(super) enum AnswerBody {
    /// As it is.
    Plain(Incoming),
    /// Compressed while it comes. Boxed: it is the larger, and the rarer.
    Compressed(Box<CompressedBody<Incoming>>),
}

impl AnswerBody {
    /// The body, compressed where there is an encoder for it.
    pub(super) fn new(body: Incoming, ticket: Option<EncoderTicket>) -> Self {
        match ticket {
            Some(ticket) => Self::Compressed(Box::new(CompressedBody::new(body, ticket))),
            None => Self::Plain(body),
        }
    }

    /// How much the client gets, where that is known.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::Plain(body) => body.size_hint().exact(),
            Self::Compressed(_) => None,
        }
    }

    /// The next part.
    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Plain(body) => Pin::new(body).poll_frame(context).map_err(BodyError::from),
            Self::Compressed(body) => body.poll_frame(context),
        }
    }

    /// Whether the upstream has said all.
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Plain(body) => body.is_end_stream(),
            Self::Compressed(body) => body.has_ended(),
        }
    }
}

impl Debug for AnswerBody {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Compressed(_) => "Compressed",
        })
    }
}
