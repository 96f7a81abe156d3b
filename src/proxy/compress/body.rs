//! An answer's body, compressed while it comes.
//!
//! Polled by `flow`. What an upstream sends in pieces leaves in pieces, since a user may watch a page
//! grow. Only where the length was said, so that the rest is under way, a moment is waited for it: a
//! page that comes in three reads would else be cut into three, and longer for it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body, Frame};
use tokio::time::Sleep;

use super::encoder::{Encoder, EncoderTicket};
use crate::web::body::BodyError;

/// So much is compressed at once, a millisecond's work; then others have their turn.
const PORTION: usize = 64 << 10;
/// So much is handed on at once, if there is so much.
const PIECE: usize = 16 << 10;
/// How long the rest of a known length is waited for.
const MOMENT: Duration = Duration::from_millis(10);

/// A body that is compressed.
pub(in crate::proxy) struct CompressedBody<B> {
    body: B,
    stage: CompressionStage,
    /// Came, and is not compressed yet.
    input: Bytes,
    /// Compressed since others had their turn.
    worked: usize,
    /// What went into the encoder may not have come out.
    unflushed: bool,
    moment: Option<Pin<Box<Sleep>>>,
    length_is_known: bool,
}

enum CompressionStage {
    /// The encoder is made when it is needed: a client that opens no window costs nothing.
    Ready(EncoderTicket),
    Working(Box<Encoder>),
    Ended,
}

impl<B> CompressedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
{
    pub(in crate::proxy) fn new(body: B, ticket: EncoderTicket) -> Self {
        Self {
            body,
            length_is_known: ticket.length.is_some(),
            stage: CompressionStage::Ready(ticket),
            input: Bytes::new(),
            worked: 0,
            unflushed: false,
            moment: None,
        }
    }

    /// Whether the upstream has nothing more to say.
    pub(in crate::proxy) fn has_ended(&self) -> bool {
        matches!(self.stage, CompressionStage::Ended)
    }

    /// The next part. Trailers are dropped.
    pub(in crate::proxy) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let next = ready!(self.poll_piece(context)).transpose();
        if matches!(next, None | Some(Err(_))) {
            self.stage = CompressionStage::Ended;
        }
        Poll::Ready(next.map(|piece| piece.map(Frame::data)))
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        loop {
            if self.worked >= PORTION {
                self.worked = 0;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.has_ended() {
                return Poll::Ready(Ok(None));
            }
            if !self.input.is_empty() {
                self.work()?;
                if self.encoder()?.ready() >= PIECE {
                    return Poll::Ready(Ok(self.take()));
                }
                continue;
            }
            let Poll::Ready(next) = Pin::new(&mut self.body).poll_frame(context) else {
                return self.poll_flush(context);
            };
            self.moment = None;
            match next.transpose().map_err(Into::into)?.map(Frame::into_data) {
                Some(Ok(data)) => self.input = data,
                Some(Err(_)) | None => return Poll::Ready(self.finish()),
            }
        }
    }

    fn work(&mut self) -> Result<(), BodyError> {
        let portion = self.input.len().min(PORTION);
        let portion = self.input.split_to(portion);
        self.encoder()?.write(&portion)?;
        self.worked += portion.len();
        self.unflushed = true;
        if !self.input.has_remaining() {
            // What it was cut from may be large.
            self.input = Bytes::new();
        }
        Ok(())
    }

    /// There is nothing more for now.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        if !self.unflushed {
            return Poll::Pending;
        }
        if self.length_is_known {
            let moment = self.moment.take();
            let moment = moment.unwrap_or_else(|| Box::pin(tokio::time::sleep(MOMENT)));
            ready!(self.moment.insert(moment).as_mut().poll(context));
            self.moment = None;
        }
        self.unflushed = false;
        self.encoder()?.flush()?;
        Poll::Ready(Ok(self.take()))
    }

    fn finish(&mut self) -> Result<Option<Bytes>, BodyError> {
        // Also of nothing at all: an empty body is no gzip.
        self.encoder()?;
        match std::mem::replace(&mut self.stage, CompressionStage::Ended) {
            CompressionStage::Working(encoder) => Ok(Some(encoder.finish()?.into())),
            CompressionStage::Ready(_) | CompressionStage::Ended => Ok(None),
        }
    }

    fn take(&mut self) -> Option<Bytes> {
        match &mut self.stage {
            CompressionStage::Working(encoder) => Some(encoder.take().into()),
            CompressionStage::Ready(_) | CompressionStage::Ended => None,
        }
    }

    fn encoder(&mut self) -> Result<&mut Encoder, BodyError> {
        if let CompressionStage::Ready(_) = self.stage
            && let CompressionStage::Ready(ticket) =
                std::mem::replace(&mut self.stage, CompressionStage::Ended)
        {
            self.stage = CompressionStage::Working(Box::new(Encoder::new(ticket)?));
        }
        match &mut self.stage {
            CompressionStage::Working(encoder) => Ok(encoder),
            CompressionStage::Ready(_) | CompressionStage::Ended => {
                Err("the answer has ended".into())
            }
        }
    }
}

#[cfg(test)]
mod tests;
