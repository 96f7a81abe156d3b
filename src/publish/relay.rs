//! What one of two processes is told that concerns clients of the other too, while a new program takes this one's place.
//!
//! `intake` says it, the composition root carries it. Bounded: where the other one does not take it in time nothing more is
//! said, but that something is missing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::broker::SentPublication;
use crate::publication::Publication;

/// How much waits, in pieces and in bytes.
const MOST: usize = 8192;
const MOST_BYTES: usize = 64 << 20;
/// What each costs besides its text.
const EACH: usize = 256;

/// What the other process is told.
#[derive(Debug, Serialize, Deserialize)]
pub enum Relayed {
    /// A publication, with the id that makes it idempotent.
    Publication(Option<Box<str>>, SentPublication),
    /// A revocation, in the form of `POST /v1/revoke`.
    Revocation(String),
    /// What Django is to be asked about again, in the form of `POST /v1/recheck`.
    Recheck(String),
    /// Every client is to fetch anew: it was ordered, or something could not be told.
    Resync,
}

/// Where it is said. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Relay(Arc<ArcSwapOption<RelayQueue>>);

#[derive(Debug)]
struct RelayQueue {
    sender: mpsc::Sender<Relayed>,
    bytes: Arc<AtomicUsize>,
}

/// What waits to be told.
#[derive(Debug)]
pub struct RelayedItems {
    receiver: mpsc::Receiver<Relayed>,
    bytes: Arc<AtomicUsize>,
    relay: Relay,
    is_told: bool,
}

impl Relayed {
    fn size(&self) -> usize {
        EACH + match self {
            Self::Publication(_, publication) => publication.size(),
            Self::Revocation(text) | Self::Recheck(text) => text.len(),
            Self::Resync => 0,
        }
    }
}

impl Relay {
    /// Begins to say it.
    pub fn begin(&self) -> RelayedItems {
        let (sender, receiver) = mpsc::channel(MOST);
        let bytes = Arc::<AtomicUsize>::default();
        self.0.store(Some(Arc::new(RelayQueue {
            sender,
            bytes: Arc::clone(&bytes),
        })));
        RelayedItems {
            receiver,
            bytes,
            relay: self.clone(),
            is_told: true,
        }
    }

    /// Says no more.
    pub fn end(&self) {
        self.0.store(None);
    }

    /// Says that something was published.
    pub(super) fn publication(&self, publication: &Publication, id: Option<&str>) {
        self.say(|| {
            let sent = SentPublication::of(publication, Instant::now());
            Some(Relayed::Publication(id.map(Into::into), sent))
        });
    }

    /// Says that something was ordered, in this form.
    pub(super) fn order(&self, text: &[u8], order: impl FnOnce(String) -> Relayed) {
        self.say(|| str::from_utf8(text).ok().map(|text| order(text.to_owned())));
    }

    /// Says that every client is to fetch anew.
    pub(super) fn resync(&self) {
        self.say(|| Some(Relayed::Resync));
    }

    fn say(&self, item: impl FnOnce() -> Option<Relayed>) {
        let queue = self.0.load();
        let Some((queue, item)) = queue.as_ref().and_then(|queue| Some((queue, item()?))) else {
            return;
        };
        let size = item.size();
        let waits = queue.bytes.fetch_add(size, Ordering::Relaxed) + size;
        if waits > MOST_BYTES || queue.sender.try_send(item).is_err() {
            // The end of the queue says that something is missing.
            queue.bytes.store(usize::MAX / 2, Ordering::Relaxed);
            self.end();
        }
    }
}

impl RelayedItems {
    /// The next; `None` at the end. Where not all could be said, the last is that something is missing.
    pub async fn next(&mut self) -> Option<Relayed> {
        if let Some(item) = self.receiver.recv().await {
            self.bytes.fetch_sub(item.size(), Ordering::Relaxed);
            return Some(item);
        }
        let is_missing = self.bytes.load(Ordering::Relaxed) > MOST_BYTES;
        (is_missing && std::mem::take(&mut self.is_told)).then(|| {
            tracing::error!(
                "too much waited for the other process: its clients are told that something is missing"
            );
            Relayed::Resync
        })
    }
}

impl Drop for RelayedItems {
    fn drop(&mut self) {
        self.relay.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_too_much_ends_with_the_word_that_something_is_missing() {
        let relay = Relay::default();
        relay.resync();
        let mut items = relay.begin();
        for number in 0..MOST + 10 {
            relay.order(number.to_string().as_bytes(), Relayed::Recheck);
        }
        for number in 0..MOST {
            let item = items.next().await;
            let Some(Relayed::Recheck(text)) = item else {
                panic!("{item:?}")
            };
            assert_eq!(text, number.to_string());
        }
        assert!(matches!(items.next().await, Some(Relayed::Resync)));
        assert!(items.next().await.is_none());
    }

    #[tokio::test]
    async fn what_is_said_before_its_end_is_told() {
        let relay = Relay::default();
        let mut items = relay.begin();
        relay.order(b"{}", Relayed::Revocation);
        relay.end();
        relay.order(b"late", Relayed::Revocation);
        assert!(matches!(items.next().await, Some(Relayed::Revocation(_))));
        assert!(items.next().await.is_none());
    }
}
