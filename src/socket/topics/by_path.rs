//! Subscriptions by path that one connection has under way: one is asked about, a few more wait.
//!
//! Kept by the connection, polled beside its socket, so that they end with it. The answer is acted upon by the
//! connection itself, when who it is and what was revoked meanwhile is known.

use std::collections::VecDeque;
use std::pin::Pin;

use serde_json::value::RawValue;

use super::grant::ViewGrant;
use super::request::{TopicRequest, Wish};
use crate::broker::Since;
use crate::ids::UserId;
use crate::session::LONGEST_TARGET;

/// A page that shows a list asks for a few at once.
const MOST_WAITING: usize = 16;
/// How often is asked anew, where what Django said is out of date each time.
const MOST_TRIES: u8 = 3;

/// What is under way to Django for one connection.
type PathFuture = Pin<Box<dyn Future<Output = PathAnswer> + Send>>;

/// A path that a connection asks for.
#[derive(Debug)]
pub(in crate::socket) struct PathRequest {
    pub(in crate::socket) path: Box<str>,
    pub(super) id: Option<Box<RawValue>>,
    pub(super) since: Since,
    tries: u8,
}

/// What came of it.
#[derive(Debug)]
pub(in crate::socket) struct PathAnswer {
    pub(in crate::socket) request: PathRequest,
    pub(in crate::socket) said: ViewSaid,
}

/// What a view said, or why nothing is granted.
#[derive(Debug)]
pub(in crate::socket) enum ViewSaid {
    /// These topics may be heard, by this user; `None` is a visitor.
    Grants {
        grant: ViewGrant,
        user: Option<UserId>,
    },
    /// Nothing, for a reason that a page understands.
    Nothing(&'static str),
}

/// What one connection has under way. Takes no room while that is nothing.
#[derive(Default)]
pub(in crate::socket) struct PathRequests(Option<Box<UnderWay>>);

struct UnderWay {
    asking: PathFuture,
    waiting: VecDeque<PathRequest>,
}

impl PathRequest {
    /// What a message asks for, where that is a path.
    pub(in crate::socket) fn of(request: &TopicRequest<'_>) -> Option<Self> {
        let Wish::Path { path, since } = &request.wish else {
            return None;
        };
        Some(Self {
            path: path.as_ref().into(),
            id: request.id.map(ToOwned::to_owned),
            since: *since,
            tries: 0,
        })
    }

    /// The same once more; `None`: that was tried often enough.
    pub(in crate::socket) fn again(mut self) -> Result<Self, Self> {
        self.tries += 1;
        if self.tries < MOST_TRIES {
            Ok(self)
        } else {
            Err(self)
        }
    }
}

impl PathRequests {
    /// Takes a request: `ask` begins to ask Django. Gives it back with the reason where it is not to wait: what waits
    /// is bounded, in number and in bytes.
    pub(in crate::socket) fn push(
        &mut self,
        request: PathRequest,
        ask: impl FnOnce(PathRequest) -> PathFuture,
    ) -> Result<(), (PathRequest, &'static str)> {
        match &mut self.0 {
            _ if request.path.len() > LONGEST_TARGET => Err((request, "not_allowed")),
            Some(under_way) if under_way.waiting.len() >= MOST_WAITING => {
                Err((request, "too_many"))
            }
            Some(under_way) => {
                under_way.waiting.push_back(request);
                Ok(())
            }
            none => {
                *none = Some(Box::new(UnderWay {
                    asking: ask(request),
                    waiting: VecDeque::new(),
                }));
                Ok(())
            }
        }
    }

    /// Waits for what comes of the one that is asked about; for ever where none is.
    pub(in crate::socket) async fn answer(&mut self) -> PathAnswer {
        match &mut self.0 {
            Some(under_way) => (&mut under_way.asking).await,
            None => std::future::pending().await,
        }
    }

    /// Goes on when an answer came: with this one, or with the next that waits.
    pub(in crate::socket) fn go_on(
        &mut self,
        again: Option<PathRequest>,
        ask: impl FnOnce(PathRequest) -> PathFuture,
    ) {
        let Some(under_way) = &mut self.0 else { return };
        match again.or_else(|| under_way.waiting.pop_front()) {
            Some(next) => under_way.asking = ask(next),
            None => self.0 = None,
        }
    }
}
