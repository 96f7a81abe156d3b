//! The bounded queue of one connection: what it is to send.
//!
//! The hub pushes from any thread, the connection's task takes. An overflow empties the queue and turns it
//! into a close, so that a slow client costs a bounded number of bytes and still learns why it was closed.
//! What a client missed while it was away is not counted: it shares the history's bytes, and no client is
//! too slow for what came before it did.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::item::Item;
use crate::close::CloseReason;

/// What a client missed, and did not read yet: so many at most.
const MOST_MISSED: usize = 16_384;

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
    queue: Mutex<ItemQueue>,
    waker: AtomicWaker,
}

#[derive(Debug, Default)]
struct ItemQueue {
    waiting: VecDeque<QueuedItem>,
    /// How many of these were missed.
    missed: usize,
    /// Of all others.
    bytes: usize,
    taken: u64,
    /// The number of the publication that was queued last.
    last: u64,
    end: End,
}

#[derive(Debug)]
struct QueuedItem {
    item: Arc<Item>,
    /// Whether it was published while the client did not listen, and so counts for nothing.
    is_missed: bool,
}

/// Whether the connection is to be closed.
#[derive(Debug, Default)]
enum End {
    #[default]
    Open,
    /// Nothing more is accepted, but it stays until it is released.
    Held(Box<(CloseReason, Arc<Notify>)>),
    Closing(Box<CloseReason>),
    /// The task has taken the reason; nothing more is accepted.
    Closed,
}

/// What is left in an outbox behind a frame that was just queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Headroom {
    /// At least half.
    Enough,
    /// Less: a caller with more to send should let the client read first.
    Little,
}

/// What the connection's task gets.
#[derive(Debug)]
pub enum Taken {
    /// What to send next.
    Item(Arc<Item>),
    /// The connection is to be closed, and nothing waits any more.
    Close(CloseReason),
}

impl Outbox {
    /// Queues an item. `None` when the connection has just got it by another audience, is closing, or closes
    /// because of this item.
    pub(super) fn push(&self, item: &Arc<Item>, limits: OutboxLimits) -> Option<Headroom> {
        let size = item.size();
        let mut queue = self.lock();
        if !matches!(queue.end, End::Open) || queue.has_just_got(item) {
            return None;
        }
        if let Some(key) = item.key() {
            queue.conflate(key);
        }
        let fits = queue.counted() < limits.frames && queue.bytes + size <= limits.bytes;
        if fits {
            queue.bytes += size;
            queue.waiting.push_back(QueuedItem {
                item: Arc::clone(item),
                is_missed: false,
            });
        } else {
            queue.waiting = VecDeque::new();
            (queue.bytes, queue.missed) = (0, 0);
            queue.end = End::Closing(Box::new(CloseReason::TooSlow));
        }
        let room = queue.room(limits);
        drop(queue);
        self.waker.wake();
        fits.then_some(room)
    }

    /// Queues what was missed, in order.
    pub fn replay(&self, missed: Vec<Arc<Item>>) {
        let mut queue = self.lock();
        if matches!(queue.end, End::Open) && !missed.is_empty() {
            queue.missed += missed.len();
            let waiting = missed.into_iter().map(|item| QueuedItem {
                item,
                is_missed: true,
            });
            queue.waiting.extend(waiting);
            drop(queue);
            self.waker.wake();
        }
    }

    /// How much of what was missed may be queued.
    pub fn room_for_missed(&self) -> usize {
        MOST_MISSED.saturating_sub(self.lock().missed)
    }

    /// Takes out all that was published and waits.
    pub fn take_published(&self) -> Vec<Arc<Item>> {
        let mut queue = self.lock();
        if !matches!(queue.end, End::Open) {
            return Vec::new();
        }
        let waiting = std::mem::take(&mut queue.waiting).into_iter();
        let (published, words): (VecDeque<_>, VecDeque<_>) =
            waiting.partition(|waiting| waiting.item.position().is_some());
        queue.bytes = words.iter().map(|waiting| waiting.item.size()).sum();
        queue.missed = 0;
        queue.waiting = words;
        published.into_iter().map(|waiting| waiting.item).collect()
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

    /// Accepts nothing more from now on, and keeps the order to close back. `left` is notified where the
    /// connection goes meanwhile. False when it is closing already.
    pub(super) fn hold(&self, reason: &CloseReason, left: &Arc<Notify>) -> bool {
        let mut queue = self.lock();
        let open = matches!(queue.end, End::Open);
        if open {
            queue.end = End::Held(Box::new((reason.clone(), Arc::clone(left))));
        }
        open
    }

    /// Gives the order that was kept back.
    pub(super) fn release(&self) {
        let mut queue = self.lock();
        queue.end = match std::mem::take(&mut queue.end) {
            End::Held(kept) => End::Closing(Box::new(kept.0)),
            end => end,
        };
        drop(queue);
        self.waker.wake();
    }

    /// Its connection has gone.
    pub(super) fn leave(&self) {
        if let End::Held(kept) = &self.lock().end {
            kept.1.notify_one();
        }
    }

    /// Takes the next item, or the order to close once nothing waits.
    pub fn poll_take(&self, context: &Context<'_>) -> Poll<Taken> {
        self.waker.register(context.waker());
        let mut queue = self.lock();
        if let Some(item) = queue.take(usize::MAX) {
            return Poll::Ready(Taken::Item(item));
        }
        match std::mem::replace(&mut queue.end, End::Closed) {
            End::Closing(reason) => Poll::Ready(Taken::Close(*reason)),
            end => {
                queue.end = end;
                Poll::Pending
            }
        }
    }

    /// Whether frames were thrown away because the client reads too slowly: then it is not worth waiting
    /// for it any longer.
    pub fn poll_overflow(&self, context: &Context<'_>) -> Poll<()> {
        self.waker.register(context.waker());
        match &self.lock().end {
            End::Closing(reason) if **reason == CloseReason::TooSlow => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }

    /// Takes the next item if it waits already and has at most `room` bytes: what leaves together
    /// leaves as one write. What stays still counts against the limits.
    pub fn take_within(&self, room: usize) -> Option<Arc<Item>> {
        self.lock().take(room)
    }

    /// Frames taken so far, and frames waiting.
    pub fn counts(&self) -> (u64, usize) {
        let queue = self.lock();
        (queue.taken, queue.waiting.len())
    }

    fn lock(&self) -> MutexGuard<'_, ItemQueue> {
        // No code panics while it holds the lock; if it ever did, the queue would still be whole.
        self.queue.lock()
    }
}

impl ItemQueue {
    fn room(&self, limits: OutboxLimits) -> Headroom {
        if self.counted() > limits.frames / 2 || self.bytes > limits.bytes / 2 {
            Headroom::Little
        } else {
            Headroom::Enough
        }
    }

    /// How many count against the limit.
    fn counted(&self) -> usize {
        self.waiting.len() - self.missed
    }

    /// Counts one that waits no more.
    fn discount(&mut self, gone: &QueuedItem) {
        if gone.is_missed {
            self.missed -= 1;
        } else {
            self.bytes -= gone.item.size();
        }
    }

    /// Whether this very publication was queued last: the fan-out of one is over before the next begins.
    fn has_just_got(&mut self, item: &Item) -> bool {
        let number = item.position().map(|position| position.sequence);
        number.is_some_and(|number| std::mem::replace(&mut self.last, number) == number)
    }

    /// Drops the waiting item of `key`: a newer one takes its place at the end.
    fn conflate(&mut self, key: &str) {
        let same = |waiting: &QueuedItem| waiting.item.key() == Some(key);
        if let Some(old) = self
            .waiting
            .iter()
            .position(same)
            .and_then(|at| self.waiting.remove(at))
        {
            self.discount(&old);
        }
    }

    fn take(&mut self, room: usize) -> Option<Arc<Item>> {
        while self.waiting.front()?.item.size() <= room {
            let next = self.waiting.pop_front()?;
            self.discount(&next);
            if self.waiting.is_empty() {
                // Give the memory of the last burst back.
                self.waiting = VecDeque::new();
            }
            if !next.item.is_expired() {
                self.taken += 1;
                return Some(next.item);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Instant;

    use super::*;
    use crate::publication::{Audience, Content, Frame, Position, Publication};
    use crate::words::Word;

    const LIMITS: OutboxLimits = OutboxLimits {
        frames: 3,
        bytes: 100,
    };

    fn publication(text: &str, key: Option<&str>) -> Arc<Item> {
        expiring(text, key, None)
    }

    fn expiring(text: &str, key: Option<&str>, expires: Option<Instant>) -> Arc<Item> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let publication = Publication {
            to: vec![Audience::Everyone],
            content: Content::Frame(Frame::new(text)),
            event: None,
            end: false,
            key: key.map(Into::into),
            expires,
            exclude: None,
            socket: None,
        };
        let position = Position {
            generation: 1,
            sequence: NUMBER.fetch_add(1, Ordering::Relaxed),
        };
        Item::published(&publication, position)
    }

    fn take(outbox: &Outbox) -> Option<Taken> {
        match outbox.poll_take(&Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(taken) => Some(taken),
            Poll::Pending => None,
        }
    }

    fn texts(outbox: &Outbox) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(Taken::Item(item)) = take(outbox) {
            texts.push(item.text().unwrap().to_string());
        }
        texts
    }

    #[test]
    fn a_push_tells_whether_half_of_the_room_is_left() {
        let limits = OutboxLimits {
            frames: 4,
            bytes: 100,
        };
        let outbox = Outbox::default();
        let room = |text: &str| outbox.push(&publication(text, None), limits);
        assert_eq!(room("1"), Some(Headroom::Enough));
        assert_eq!(room("2"), Some(Headroom::Enough));
        assert_eq!(room("3"), Some(Headroom::Little));
        let large = Outbox::default();
        let pushed = large.push(&publication(&"x".repeat(51), None), limits);
        assert_eq!(pushed, Some(Headroom::Little));
    }

    #[test]
    fn frames_come_out_in_order_and_all_at_once() {
        let outbox = Outbox::default();
        assert!(outbox.push(&publication("1", None), LIMITS).is_some());
        assert!(outbox.push(&publication("2", None), LIMITS).is_some());
        assert_eq!(texts(&outbox), ["1", "2"]);
        assert!(take(&outbox).is_none());
    }

    #[test]
    fn too_many_frames_close_the_slow_client() {
        let outbox = Outbox::default();
        for _ in 0..3 {
            assert!(outbox.push(&publication("1", None), LIMITS).is_some());
        }
        assert!(outbox.push(&publication("1", None), LIMITS).is_none());
        assert!(outbox.push(&publication("1", None), LIMITS).is_none());
        assert!(matches!(
            take(&outbox),
            Some(Taken::Close(CloseReason::TooSlow))
        ));
    }

    #[test]
    fn too_many_bytes_close_the_slow_client() {
        let outbox = Outbox::default();
        assert!(
            outbox
                .push(&publication(&"x".repeat(60), None), LIMITS)
                .is_some()
        );
        assert!(
            outbox
                .push(&publication(&"x".repeat(60), None), LIMITS)
                .is_none()
        );
    }

    #[test]
    fn a_key_keeps_only_the_newest_waiting_frame() {
        let outbox = Outbox::default();
        for text in ["old", "other", "new"] {
            let key = (text != "other").then_some("k");
            assert!(outbox.push(&publication(text, key), LIMITS).is_some());
        }
        assert_eq!(texts(&outbox), ["other", "new"]);
    }

    #[test]
    fn a_publication_that_comes_by_several_audiences_is_queued_once() {
        let outbox = Outbox::default();
        let (first, second) = (publication("1", None), publication("2", None));
        let word = Item::word(Word::resync().text());
        assert!(outbox.push(&first, LIMITS).is_some());
        assert!(outbox.push(&first, LIMITS).is_none());
        assert!(outbox.push(&word, LIMITS).is_some());
        assert!(outbox.push(&first, LIMITS).is_none());
        assert!(outbox.push(&second, LIMITS).is_some());
        assert_eq!(texts(&outbox), ["1", r#"{"gatepost":"resync"}"#, "2"]);
    }

    #[test]
    fn an_expired_frame_is_not_sent() {
        let outbox = Outbox::default();
        outbox.push(&expiring("old", None, Some(Instant::now())), LIMITS);
        outbox.push(&publication("new", None), LIMITS);
        assert_eq!(texts(&outbox), ["new"]);
    }

    #[test]
    fn what_was_missed_counts_against_no_limit_and_goes_with_the_rest_where_a_client_is_too_slow() {
        let outbox = Outbox::default();
        let missed = |count| (0..count).map(|n: usize| publication(&n.to_string(), None));
        outbox.replay(missed(10).collect());
        assert_eq!(outbox.room_for_missed(), MOST_MISSED - 10);
        for text in ["a", "b", "c"] {
            assert!(outbox.push(&publication(text, None), LIMITS).is_some());
        }
        let expected: Vec<_> = (0..10).map(|n| n.to_string()).collect();
        let read = texts(&outbox);
        assert_eq!(
            (&read[..10], &read[10..]),
            (&expected[..], &["a".to_owned(), "b".into(), "c".into()][..])
        );
        assert_eq!(outbox.room_for_missed(), MOST_MISSED);
        outbox.replay(missed(2).collect());
        for _ in 0..=LIMITS.frames {
            outbox.push(&publication("1", None), LIMITS);
        }
        assert!(matches!(
            take(&outbox),
            Some(Taken::Close(CloseReason::TooSlow))
        ));
    }

    #[test]
    fn what_was_published_is_taken_out_and_words_stay() {
        let outbox = Outbox::default();
        outbox.push(&publication("1", None), LIMITS);
        outbox.push(&Item::word(Word::resync().text()), LIMITS);
        outbox.push(&publication("2", None), LIMITS);
        assert_eq!(outbox.take_published().len(), 2);
        assert_eq!(texts(&outbox), [r#"{"gatepost":"resync"}"#]);
        assert_eq!(outbox.lock().bytes, 0);
    }

    #[test]
    fn a_close_comes_after_what_waits() {
        let outbox = Outbox::default();
        outbox.push(&publication("last", None), LIMITS);
        assert!(outbox.close(&CloseReason::NotLoggedIn));
        assert!(!outbox.close(&CloseReason::TooSlow));
        assert!(matches!(take(&outbox), Some(Taken::Item(_))));
        assert!(matches!(
            take(&outbox),
            Some(Taken::Close(CloseReason::NotLoggedIn))
        ));
        assert!(take(&outbox).is_none());
    }

    #[test]
    fn what_does_not_fit_the_room_stays() {
        let outbox = Outbox::default();
        outbox.push(&publication("12345", None), LIMITS);
        assert!(outbox.take_within(4).is_none());
        assert!(outbox.take_within(5).is_some());
        assert_eq!(outbox.counts(), (1, 0));
    }

    #[test]
    fn an_overflow_is_told_to_who_waits_for_the_client() {
        let context = Context::from_waker(std::task::Waker::noop());
        let outbox = Outbox::default();
        assert!(outbox.poll_overflow(&context).is_pending());
        for _ in 0..=LIMITS.frames {
            outbox.push(&publication("1", None), LIMITS);
        }
        assert!(outbox.poll_overflow(&context).is_ready());
        // Another end lets what is under way arrive.
        let outbox = Outbox::default();
        outbox.close(&CloseReason::NotLoggedIn);
        assert!(outbox.poll_overflow(&context).is_pending());
    }
}
