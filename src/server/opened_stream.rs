//! Streams of HTTP/2 that become WebSockets (RFC 8441): what lasts as long as they do, and ends with them.
//!
//! `connection` makes an [`Opening`] of each `CONNECT`, `http_config` spawns what hyper wants spawned. The surprise: hyper hands
//! such a stream over in halves. A task of its own writes what the WebSocket gives it; while the client's window is shut it
//! waits for that alone, however long its WebSocket has been gone. So it is ended with its WebSocket, which resets the
//! stream; and since hyper spawns it from within the stream's first task, that is where it is recognised.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Method, Request, StatusCode};
use pin_project_lite::pin_project;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::deadlines::Deadlines;
use super::wrap::InFlight;
use crate::net::per_address::{AddressPermit, NoPlace, PerAddress};
use crate::web::client_stream::StreamHold;

thread_local! {
    /// Of the stream whose task is polled right now: ends the task that writes.
    static OPENED: Cell<Option<CancellationToken>> = const { Cell::new(None) };
}

/// A stream that may become a WebSocket.
#[derive(Debug)]
pub(super) struct Opening(CancellationToken);

/// What a WebSocket has of its connection: for the deadlines it is a request under way, and it has a place of its own, since it
/// may cost as much as a connection does, and a descriptor where it goes on to an upstream.
#[derive(Debug)]
struct OpenedHold {
    _place: AddressPermit,
    _in_flight: InFlight,
    _ended: DropGuard,
}

impl Opening {
    /// Of a `CONNECT`, which goes on with what ends with its WebSocket.
    pub(super) fn of<B>(
        request: &mut Request<B>,
        deadlines: &Arc<Deadlines>,
        places: &Arc<PerAddress>,
    ) -> Result<Option<Self>, NoPlace> {
        if *request.method() != Method::CONNECT {
            return Ok(None);
        }
        let ended = CancellationToken::new();
        let hold = StreamHold::new(OpenedHold {
            _place: places.take(None)?,
            _in_flight: InFlight::begin(deadlines),
            _ended: ended.clone().drop_guard(),
        });
        request.extensions_mut().insert(hold);
        Ok(Some(Self(ended)))
    }

    /// Right before hyper gets the answer.
    pub(super) fn answers(self, status: StatusCode) {
        if status.is_success() {
            OPENED.set(Some(self.0));
        }
    }
}

/// What ends the task that is spawned right now, where it is the one that writes to an opened stream.
pub(super) fn end_of_spawned() -> Option<CancellationToken> {
    OPENED.take()
}

pin_project! {
    /// A task of a stream: what it spawns is its own.
    pub(super) struct StreamTask<F> {
        #[pin]
        task: F,
    }
}

impl<F> StreamTask<F> {
    pub(super) fn new(task: F) -> Self {
        Self { task }
    }
}

impl<F: Future> Future for StreamTask<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let polled = self.project().task.poll(context);
        // Where hyper could not send the answer it spawns nothing.
        OPENED.take();
        polled
    }
}
