//! Drives a connection of hyper's to its end, which comes from either side, from the drain or from
//! the pace.
//!
//! Called by `connection`. The surprise: one alarm a connection, moved only when it would ring too
//! late; a deadline that moved away is found out when the alarm rings. And it is never further than
//! the write time, because the bodies of HTTP/2 are polled in tasks of their own, and one that
//! waits for its client's window wakes nothing here.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use http::header::CONNECTION;
use http::{HeaderValue, Response, StatusCode, Version};
use thiserror::Error;
use tokio::time::{Instant, Sleep, sleep_until};

use super::deadlines::{Deadlines, DrainMark, Due};
use crate::net::drain::DrainWatch;
use crate::web::body::ResponseBody;

/// Why a connection ended before its time.
#[derive(Debug, Error)]
pub(super) enum ConnectionError {
    /// hyper gave it up.
    #[error("{0}")]
    Http(#[from] hyper::Error),
    /// The client did not keep the pace.
    #[error("the client is too slow")]
    TooSlow,
}

/// When a connection is told to go.
#[derive(Clone, Copy, Debug)]
pub(super) enum LeavingBy<'a> {
    /// At once: its client hears which of its requests will be answered.
    Notice(&'a DrainWatch),
    /// With an answer, until the gateway ends: its client would not know.
    Answer(&'a DrainWatch),
}

impl LeavingBy<'_> {
    async fn begun(self) {
        match self {
            Self::Notice(drain) => drain.leaving().await,
            Self::Answer(drain) => drain.draining().await,
        }
    }

    fn has_begun(self) -> bool {
        match self {
            Self::Notice(drain) => drain.is_leaving(),
            Self::Answer(drain) => drain.is_draining(),
        }
    }
}

/// The answer; where the gateway leaves, the last one over HTTP/1.1, which says so (RFC 9112 9.6).
pub(super) fn parting(
    mut response: Response<ResponseBody>,
    version: Version,
    drain: &DrainWatch,
) -> Response<ResponseBody> {
    let ends = version != Version::HTTP_2 && drain.is_leaving();
    if ends && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

/// Polls `connection` until it ends; `tell_to_go` makes it finish what is under way.
pub(super) async fn drive<C>(
    connection: C,
    tell_to_go: impl Fn(Pin<&mut C>),
    deadlines: &Deadlines,
    leaving: LeavingBy<'_>,
) -> Result<(), ConnectionError>
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut connection = pin!(connection);
    let mut draining = pin!(leaving.begun());
    let mut watch = DeadlineAlarm {
        deadlines,
        alarm: pin!(sleep_until(deadlines.look_by())),
        mark: None,
    };
    // The first look enrols this task's waker; afterwards the flag is cheaper than the future.
    let mut drained = false;
    let mut enrolled = false;
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(ended.map_err(ConnectionError::from));
            }
            let look = !enrolled || leaving.has_begun();
            enrolled = true;
            if look && !drained && draining.as_mut().poll(cx).is_ready() {
                drained = true;
                watch.mark = Some(deadlines.mark());
                tell_to_go(connection.as_mut());
                continue;
            }
            match watch.poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Due::TooSlow) => return Poll::Ready(Err(ConnectionError::TooSlow)),
                Poll::Ready(Due::Idle) => {
                    watch.mark = Some(deadlines.mark());
                    tell_to_go(connection.as_mut());
                }
            }
        }
    })
    .await
}

/// Rings when the client has fallen behind.
struct DeadlineAlarm<'a> {
    deadlines: &'a Deadlines,
    alarm: Pin<&'a mut Sleep>,
    mark: Option<DrainMark>,
}

impl DeadlineAlarm<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        loop {
            let next = self.deadlines.deadline(self.mark);
            if let Some((at, _)) = next
                && at < self.alarm.deadline()
            {
                self.alarm.as_mut().reset(at);
            }
            if self.alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            match next {
                Some((at, due)) if at <= now => match self.mark {
                    // A last answer may take its time, as long as it moves.
                    Some(mark) if self.deadlines.moves_on(mark) => {
                        self.mark = Some(self.deadlines.mark());
                    }
                    _ => return Poll::Ready(due),
                },
                Some((at, _)) => self.alarm.as_mut().reset(at.min(self.deadlines.look_by())),
                None => self.alarm.as_mut().reset(self.deadlines.look_by()),
            }
        }
    }
}
