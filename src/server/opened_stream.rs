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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
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

/// Places for the WebSockets of one connection. Each may cost as much as a connection does, and a descriptor where it goes on to
/// an upstream; so the first has the place that the connection itself takes, and all others take one.
#[derive(Clone, Debug)]
pub(super) struct StreamPlaces {
    own: Arc<Semaphore>,
    further: Arc<PerAddress>,
}

/// One of them.
#[derive(Debug)]
#[expect(dead_code, reason = "what they do is to be dropped")]
enum StreamPlace {
    Own(OwnedSemaphorePermit),
    Further(AddressPermit),
}

/// What a WebSocket has of its connection: for the deadlines it is a request under way.
#[derive(Debug)]
struct OpenedHold {
    _place: StreamPlace,
    _in_flight: InFlight,
    _ended: DropGuard,
}

impl StreamPlaces {
    /// Of a connection that has a place among these.
    pub(super) fn new(further: Arc<PerAddress>) -> Self {
        let own = Arc::new(Semaphore::new(1));
        Self { own, further }
    }

    fn take(&self) -> Result<StreamPlace, NoPlace> {
        let own = Arc::clone(&self.own).try_acquire_owned();
        own.map(StreamPlace::Own)
            .or_else(|_| self.further.take(None).map(StreamPlace::Further))
    }
}

impl Opening {
    /// Of a `CONNECT`, which goes on with what ends with its WebSocket.
    pub(super) fn of<B>(
        request: &mut Request<B>,
        deadlines: &Arc<Deadlines>,
        places: &StreamPlaces,
    ) -> Result<Option<Self>, NoPlace> {
        if *request.method() != Method::CONNECT {
            return Ok(None);
        }
        let ended = CancellationToken::new();
        let hold = StreamHold::new(OpenedHold {
            _place: places.take()?,
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::net::per_address::PlaceLimits;
    use crate::server::deadlines::Allowed;

    #[tokio::test]
    async fn the_first_websocket_of_a_connection_has_its_place_and_all_others_take_one() {
        let long = Duration::from_mins(1);
        let deadlines = Deadlines::new(Allowed {
            header: long,
            idle: long,
            write: long,
        });
        let places = StreamPlaces::new(PerAddress::new(PlaceLimits {
            total: Some(1),
            each: None,
        }));
        let open = || {
            let mut request = Request::connect("https://localhost/").body(()).unwrap();
            let opening = Opening::of(&mut request, &deadlines, &places);
            opening.map(|opening| opening.map(|_| request).unwrap())
        };
        let first = open().unwrap();
        let second = open().unwrap();
        assert!(matches!(open(), Err(NoPlace::Total)));
        drop(first);
        let third = open().unwrap();
        assert!(open().is_err());
        drop((second, third));
        assert!(open().is_ok());
    }
}
