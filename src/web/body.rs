//! The body of every response the gateway gives.
//!
//! Made by the part that answers a request, consumed by `server`. Text that is ready is kept inline, so
//! that only streamed bodies cost an allocation.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;

/// Why a body broke off. Boxed, because it only ever ends the connection and is logged.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// Marks an answer without an end of its own: a client that ends its half while it lasts has left.
#[derive(Clone, Copy, Debug)]
pub struct Unending;

/// A response body.
#[derive(Debug)]
pub enum ResponseBody {
    /// Bytes that are ready; empty bytes are an empty body.
    Full(Full<Bytes>),
    /// A body that is produced while it is sent.
    Stream(UnsyncBoxBody<Bytes, BodyError>),
}

impl ResponseBody {
    /// A body without bytes.
    pub fn empty() -> Self {
        Self::full(Bytes::new())
    }

    /// A body of bytes that are ready.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self::Full(Full::new(bytes.into()))
    }

    /// A body that is produced while it is sent.
    pub fn stream<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes, Error = BodyError> + Send + 'static,
    {
        Self::Stream(UnsyncBoxBody::new(body))
    }

    /// The same body, which keeps something, where there is something, until it was taken whole or is
    /// dropped.
    #[must_use]
    pub fn keeping<K: Send + Unpin + 'static>(self, kept: Option<K>) -> Self {
        match kept {
            Some(kept) => Self::stream(Keeping {
                body: self,
                _kept: kept,
            }),
            None => self,
        }
    }
}

/// A body with something that ends with it: hyper drops a body as soon as it has taken the last of it.
struct Keeping<K> {
    body: ResponseBody,
    _kept: K,
}

impl<K: Unpin> http_body::Body for Keeping<K> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Full(body) => Pin::new(body)
                .poll_frame(context)
                .map(|frame| frame.map(|f| f.map_err(Into::into))),
            Self::Stream(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(body) => body.is_end_stream(),
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(body) => body.size_hint(),
            Self::Stream(body) => body.size_hint(),
        }
    }
}
