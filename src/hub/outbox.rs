//! The bounded queue of frames of one connection.
//!
//! The hub pushes from any thread, the connection's task takes. The surprise: an overflow empties the
//! queue and turns it into a close, so that a slow client costs a bounded number of bytes and still
//! learns why it was closed.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::task::AtomicWaker;

use crate::close::CloseReason;
use crate::publication::{Frame, Publication};

/// How much one batch may be: tungstenite keeps its largest write buffer for ever, and one batch
/// leaves as one TLS record.
const BATCH_BYTES: usize = 4 * 1024;
const BATCH_FRAMES: usize = 32;

/// What may wait for one client.
#[derive(Clone, Copy, Debug)]
pub struct OutboxLimits {
    /// In frames.
    pub frames: usize,
    /// In bytes.
    pub bytes: usize,
}

/// The queue of one connection. Allocates nothing while it is empty.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: Mutex<Queue>,
    waker: AtomicWaker,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    taken: u64,
    end: End,
}

/// Whether the connection is to be closed.
#[derive(Debug, Default)]
enum End {
    #[default]
    Open,
    Closing(Box<CloseReason>),
    /// The task has taken the reason; nothing more is accepted.
    Closed,
}

#[derive(Debug)]
struct Waiting {
    frame: Frame,
    key: Option<Box<str>>,
    expires: Option<Instant>,
}

/// What the connection's task gets.
#[derive(Debug)]
pub enum Taken {
    /// Frames were added to the batch.
    Frames,
    /// The connection is to be closed, and nothing waits any more.
    Close(CloseReason),
}

impl Outbox {
    /// Queues a frame. False when the connection is closing, or closes because of this frame.
    pub(super) fn push(&self, publication: &Publication, limits: OutboxLimits) -> bool {
        let size = publication.frame.size();
        let mut queue = self.lock();
        if !matches!(queue.end, End::Open) {
            return false;
        }
        if let Some(key) = &publication.key {
            queue.conflate(key);
        }
        let fits = queue.waiting.len() < limits.frames && queue.bytes + size <= limits.bytes;
        if fits {
            queue.bytes += size;
            queue.waiting.push_back(Waiting {
                frame: publication.frame.clone(),
                key: publication.key.clone(),
                expires: publication.expires,
            });
        } else {
            queue.waiting = VecDeque::new();
            queue.bytes = 0;
            queue.end = End::Closing(Box::new(CloseReason::TooSlow));
        }
        drop(queue);
        self.waker.wake();
        fits
    }

    /// Asks the connection to close after what waits. False when it is closing already.
    pub(super) fn close(&self, reason: &CloseReason) -> bool {
        let mut queue = self.lock();
        if !matches!(queue.end, End::Open) {
            return false;
        }
        queue.end = End::Closing(Box::new(reason.clone()));
        drop(queue);
        self.waker.wake();
        true
    }

    /// Moves a batch of frames into `batch`, or tells that the connection is to be closed.
    ///
    /// What is left behind still counts against the limits while the batch is being written.
    pub fn poll_take(&self, context: &Context<'_>, batch: &mut Vec<Frame>) -> Poll<Taken> {
        self.waker.register(context.waker());
        let mut queue = self.lock();
        queue.fill(batch);
        if !batch.is_empty() {
            return Poll::Ready(Taken::Frames);
        }
        match std::mem::replace(&mut queue.end, End::Closed) {
            End::Closing(reason) => Poll::Ready(Taken::Close(*reason)),
            end => {
                queue.end = end;
                Poll::Pending
            }
        }
    }

    /// Frames taken so far, and frames waiting.
    pub(super) fn counts(&self) -> (u64, usize) {
        let queue = self.lock();
        (queue.taken, queue.waiting.len())
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No code panics while it holds the lock; if it ever did, the queue would still be whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Drops the waiting frame of `key`: a newer one takes its place at the end.
    fn conflate(&mut self, key: &str) {
        let same = |waiting: &Waiting| waiting.key.as_deref() == Some(key);
        if let Some(old) = self
            .waiting
            .iter()
            .position(same)
            .and_then(|at| self.waiting.remove(at))
        {
            self.bytes -= old.frame.size();
        }
    }

    fn fill(&mut self, batch: &mut Vec<Frame>) {
        let mut room = BATCH_BYTES;
        while let Some(next) = self.waiting.front() {
            let size = next.frame.size();
            if !batch.is_empty() && (size > room || batch.len() == BATCH_FRAMES) {
                return;
            }
            let Some(next) = self.waiting.pop_front() else {
                return;
            };
            self.bytes -= size;
            if next.expires.is_none_or(|expires| Instant::now() < expires) {
                room = room.saturating_sub(size);
                self.taken += 1;
                batch.push(next.frame);
            }
        }
        // Empty again: give the memory of the last burst back.
        self.waiting = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publication::Audience;

    const LIMITS: OutboxLimits = OutboxLimits {
        frames: 3,
        bytes: 100,
    };

    fn publication(text: &str, key: Option<&str>) -> Publication {
        Publication {
            to: vec![Audience::Everyone],
            frame: Frame::new(text),
            key: key.map(Into::into),
            expires: None,
            exclude: None,
            socket: None,
        }
    }

    fn take(outbox: &Outbox) -> (Vec<String>, Option<Taken>) {
        let mut batch = Vec::new();
        let context = Context::from_waker(std::task::Waker::noop());
        let taken = match outbox.poll_take(&context, &mut batch) {
            Poll::Ready(taken) => Some(taken),
            Poll::Pending => None,
        };
        (
            batch.iter().map(|frame| frame.text().to_string()).collect(),
            taken,
        )
    }

    #[test]
    fn frames_come_out_in_order_and_all_at_once() {
        let outbox = Outbox::default();
        assert!(outbox.push(&publication("1", None), LIMITS));
        assert!(outbox.push(&publication("2", None), LIMITS));
        assert_eq!(take(&outbox).0, ["1", "2"]);
        assert!(take(&outbox).1.is_none());
    }

    #[test]
    fn too_many_frames_close_the_slow_client() {
        let outbox = Outbox::default();
        for _ in 0..3 {
            assert!(outbox.push(&publication("1", None), LIMITS));
        }
        assert!(!outbox.push(&publication("1", None), LIMITS));
        assert!(!outbox.push(&publication("1", None), LIMITS));
        assert!(
            matches!(take(&outbox), (none, Some(Taken::Close(CloseReason::TooSlow)))
            if none.is_empty())
        );
    }

    #[test]
    fn too_many_bytes_close_the_slow_client() {
        let outbox = Outbox::default();
        assert!(outbox.push(&publication(&"x".repeat(60), None), LIMITS));
        assert!(!outbox.push(&publication(&"x".repeat(60), None), LIMITS));
    }

    #[test]
    fn a_key_keeps_only_the_newest_waiting_frame() {
        let outbox = Outbox::default();
        for text in ["old", "other", "new"] {
            let key = (text != "other").then_some("k");
            assert!(outbox.push(&publication(text, key), LIMITS));
        }
        assert_eq!(take(&outbox).0, ["other", "new"]);
    }

    #[test]
    fn an_expired_frame_is_not_sent() {
        let outbox = Outbox::default();
        let mut old = publication("old", None);
        old.expires = Some(Instant::now());
        outbox.push(&old, LIMITS);
        outbox.push(&publication("new", None), LIMITS);
        assert_eq!(take(&outbox).0, ["new"]);
    }

    #[test]
    fn a_close_comes_after_what_waits() {
        let outbox = Outbox::default();
        outbox.push(&publication("last", None), LIMITS);
        assert!(outbox.close(&CloseReason::NotLoggedIn));
        assert!(!outbox.close(&CloseReason::TooSlow));
        assert_eq!(take(&outbox).0, ["last"]);
        assert!(matches!(
            take(&outbox).1,
            Some(Taken::Close(CloseReason::NotLoggedIn))
        ));
        assert!(take(&outbox).1.is_none());
    }

    #[test]
    fn a_batch_is_bounded_in_bytes() {
        let limits = OutboxLimits {
            frames: 100,
            bytes: 100_000,
        };
        let outbox = Outbox::default();
        for _ in 0..8 {
            outbox.push(&publication(&"x".repeat(1024), None), limits);
        }
        assert_eq!(take(&outbox).0.len(), 4);
        assert_eq!(take(&outbox).0.len(), 4);
    }
}
