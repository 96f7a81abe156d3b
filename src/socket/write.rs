//! Writes to a connection's socket, each bounded in time and by what waits behind it.
//!
//! Polled, not awaited step by step: a connection's task holds room for the largest thing it may wait for
//! as long as it lives, and here that is two words. The timer is made only for a client that does not take
//! what it is sent at once.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Sink;
use tokio::time::Sleep;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::Socket;
use super::closing::{self, ConnectionEnd};
use crate::close::CloseReason;
use crate::hub::Outbox;

/// What a client has to keep to while it is written to.
#[derive(Clone, Copy)]
pub(super) struct WriteLimits<'a> {
    /// For it to take what is written.
    pub(super) timeout: Duration,
    /// What waits for it meanwhile may not overflow.
    pub(super) outbox: &'a Outbox,
}

/// Writes what `next` gives until it gives nothing more, as one write where it fits.
pub(super) async fn write_all(
    socket: &mut Socket,
    limits: WriteLimits<'_>,
    next: impl FnMut() -> Option<Message>,
) -> Result<(), ConnectionEnd> {
    let WriteLimits { timeout, outbox } = limits;
    let mut next = Some(next);
    let mut late: Option<Pin<Box<Sleep>>> = None;
    std::future::poll_fn(|context| {
        if let Poll::Ready(written) = poll_write(socket, &mut next, context) {
            return Poll::Ready(written.map_err(|error| closing::end_of(&error)));
        }
        let late = late.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        if outbox.poll_overflow(context).is_ready() || late.as_mut().poll(context).is_ready() {
            // What is half written stays in the codec's buffer, so the close frame still fits behind it.
            return Poll::Ready(Err(ConnectionEnd::Close(CloseReason::TooSlow)));
        }
        Poll::Pending
    })
    .await
}

/// A message is taken from `next` only when there is room for it, and `next` ends with its first `None`.
fn poll_write(
    socket: &mut Socket,
    next: &mut Option<impl FnMut() -> Option<Message>>,
    context: &mut Context<'_>,
) -> Poll<Result<(), Error>> {
    let mut socket = Pin::new(socket);
    while let Some(more) = next {
        ready!(socket.as_mut().poll_ready(context))?;
        match more() {
            Some(message) => socket.as_mut().start_send(message)?,
            None => *next = None,
        }
    }
    socket.poll_flush(context)
}
