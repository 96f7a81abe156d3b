//! Reads a request's body whole, bounded in size, time and number.
//!
//! Used by `api`. A small body, which nearly every publication is, arrives in one piece and is
//! neither copied nor counted; only large ones take one of a few places.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::Semaphore;

use super::error::PublishError;

/// A body beyond this many bytes takes one of the places for large ones.
const LARGE: usize = 256 * 1024;

/// With the limit of one body this bounds the memory of all.
const LARGE_AT_ONCE: usize = 8;

/// Reads bodies.
#[derive(Debug)]
pub(super) struct BodyReader {
    limit: usize,
    timeout: Duration,
    large: Semaphore,
}

impl BodyReader {
    pub(super) fn new(limit: usize, timeout: Duration) -> Self {
        Self {
            limit,
            timeout,
            large: Semaphore::new(LARGE_AT_ONCE),
        }
    }

    /// The whole body; refused before it is read where its announced length is too large.
    pub(super) async fn read<B>(
        &self,
        headers: &HeaderMap,
        body: &mut B,
    ) -> Result<Bytes, PublishError>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        if announced(headers).is_some_and(|length| length > self.limit) {
            return Err(self.too_large());
        }
        tokio::time::timeout(self.timeout, self.collect(body))
            .await
            .map_err(|_| PublishError::TooSlow {
                seconds: self.timeout.as_secs(),
            })?
    }

    async fn collect<B>(&self, body: &mut B) -> Result<Bytes, PublishError>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let first = next(body).await?.unwrap_or_default();
        if body.is_end_stream() {
            return if first.len() > self.limit {
                Err(self.too_large())
            } else {
                Ok(first)
            };
        }
        let mut whole = BytesMut::from(first);
        let mut place = None;
        loop {
            if whole.len() > self.limit {
                return Err(self.too_large());
            }
            if whole.len() > LARGE && place.is_none() {
                place = Some(self.large.try_acquire().map_err(|_| PublishError::Busy)?);
            }
            match next(body).await? {
                Some(data) => whole.extend_from_slice(&data),
                None => return Ok(whole.freeze()),
            }
        }
    }

    fn too_large(&self) -> PublishError {
        PublishError::TooLarge { limit: self.limit }
    }
}

/// The next data of a body; trailers are of no interest.
async fn next<B>(body: &mut B) -> Result<Option<Bytes>, PublishError>
where
    B: Body<Data = Bytes> + Unpin,
{
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| PublishError::BrokenOff)?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
