//! An answer's body on its way to the client, as fast as the client takes it.
//!
//! Made by `forward`. The body's `flow` holds the upstream connection; read to its end it gives the
//! connection back, dropped before (the client went away) it closes it, which tells the upstream.
//! Where the client falls behind, `sweep` takes the connection away and this goes on with what is
//! stored for it.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::answer_body::AnswerBody;
use super::flow::{Flow, Origin};
use super::sweep::{Enrolment, Sweeper};
use crate::web::body::BodyError;

/// An answer's body.
#[derive(Debug)]
pub(super) struct Download {
    flow: Arc<Flow>,
    /// How much is still to come; `None`: nobody has said.
    left: Option<u64>,
    enrolment: Option<Enrolment>,
}

impl Download {
    /// A body to be handed on, at the client's speed alone.
    pub(super) fn new(body: AnswerBody, origin: Origin, idle_limit: Option<Duration>) -> Self {
        let left = body.length();
        Self {
            flow: Arc::new(Flow::new(body, origin, idle_limit)),
            left,
            enrolment: None,
        }
    }

    /// What this client does not take in time is stored for it.
    pub(super) fn stored_by(mut self, sweeper: &Sweeper, client: IpAddr) -> Self {
        self.enrolment = Some(sweeper.enrol(Arc::clone(&self.flow), client));
        self
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let next = ready!(self.flow.poll(context));
        if let (Some(left), Some(Ok(frame))) = (&mut self.left, &next) {
            *left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.enrolment = None;
        self.flow.leave();
    }
}
