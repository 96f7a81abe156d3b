//! The part of an answer that its client has not taken yet: in memory, then in a file without a name.
//!
//! `pump` fills it, `download` empties it. The store is never so full that nothing moves. With no
//! room left, one part at a time passes through, at the client's speed; and while others wait for the
//! upstream that this holds, slow answers are cut off to make room.

mod state;

use std::io;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::state::{PartTarget, StoreState};
use super::buffer::{AnswerStanding, Buffering, KeptAnswer, Loudness, Room};
use super::error::AnswerLabel;
use super::pressure::Pressure;
use crate::telemetry::seldom::Once;
use crate::web::body::BodyError;

/// Until it is tried again to make room where no answer is slow.
const PAUSE: Duration = Duration::from_millis(50);

/// What waits for a client. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Store {
    shared: Arc<StoreInner>,
}

#[derive(Debug)]
struct StoreInner {
    inner: Mutex<StoreState>,
    /// Some was taken.
    room: Notify,
    /// The client has gone, or was cut off.
    gone: CancellationToken,
    buffering: Buffering,
    /// Felt where the upstream is held.
    pressure: Pressure,
    number: u64,
    label: AnswerLabel,
    complaint: Once,
}

impl Store {
    /// An empty one.
    pub(super) fn new(
        buffering: &Buffering,
        room: Room,
        label: AnswerLabel,
        pressure: Pressure,
    ) -> Self {
        let number = room.number();
        let shared = Arc::new(StoreInner {
            inner: Mutex::new(StoreState::new(room)),
            room: Notify::new(),
            gone: CancellationToken::new(),
            buffering: buffering.clone(),
            pressure,
            number,
            label,
            complaint: Once::default(),
        });
        let answer: Weak<StoreInner> = Arc::downgrade(&shared);
        buffering.keep(&shared.lock().room, answer);
        Self { shared }
    }

    /// Keeps a part; waits where there is no room.
    pub(super) async fn put(&self, part: Bytes) {
        let in_memory = self.shared.buffering.response();
        loop {
            let destination = self.shared.lock().destination(&part, in_memory);
            match destination {
                PartTarget::Taken => return,
                PartTarget::File(offset) if self.write(part.clone(), offset).await => return,
                PartTarget::File(_) | PartTarget::None => tokio::select! {
                    () = self.shared.room.notified() => {}
                    () = self.make_way(part.len() as u64) => {}
                },
            }
        }
    }

    /// Has a slow answer make room, as soon as others wait for the upstream.
    async fn make_way(&self, amount: u64) {
        self.shared.pressure.felt().await;
        let seeker = self.shared.lock().room.seeker(amount);
        if !self.shared.buffering.make_way(&seeker) {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// No more comes: all of it has, or it broke off.
    pub(super) fn end(&self, end: Result<(), BodyError>) {
        self.shared.lock().end(end);
    }

    /// The client wants no more.
    pub(super) fn leave(&self) {
        self.shared.gone.cancel();
    }

    /// Completes when the client wants no more.
    pub(super) async fn gone(&self) {
        self.shared.gone.cancelled().await;
    }

    /// The next part for the client.
    pub(super) fn poll_next(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        let mut inner = self.shared.lock();
        let next = ready!(inner.poll_next(context));
        drop(inner);
        self.shared.room.notify_one();
        Poll::Ready(next)
    }

    /// Whether a part was written. A disk that fails is no reason to cut an answer off: the part
    /// waits for its client instead.
    async fn write(&self, part: Bytes, offset: u64) -> bool {
        let length = part.len() as u64;
        let written = self.try_write(part, offset).await;
        let so_much = written.is_ok().then_some(length);
        self.shared.lock().wrote(so_much);
        if let Err(error) = &written
            && self.shared.complaint.is_first()
        {
            let (label, scratch) = (&self.shared.label, self.shared.buffering.scratch());
            tracing::warn!(
                upstream = label.upstream.as_ref().map(tracing::field::display),
                request_id = %label.request_id,
                folder = %scratch.folder().display(),
                %error,
                "cannot keep an answer, it waits for its client"
            );
        }
        written.is_ok()
    }

    async fn try_write(&self, part: Bytes, offset: u64) -> io::Result<()> {
        let file = self.shared.lock().file();
        let file = match file {
            Some(file) => file,
            None => self.shared.buffering.scratch().create().await?,
        };
        self.shared.lock().use_file(&file);
        file.write(vec![part], offset).await.1
    }
}

impl StoreInner {
    fn lock(&self) -> MutexGuard<'_, StoreState> {
        self.inner.lock()
    }
}

impl KeptAnswer for StoreInner {
    fn standing(&self) -> AnswerStanding {
        self.lock().standing()
    }

    fn cut_off(&self, loudness: Loudness) {
        let taken = self.lock().cut_off();
        self.gone.cancel();
        let AnswerLabel {
            upstream,
            request_id,
        } = &self.label;
        let upstream = upstream.as_ref().map(tracing::field::display);
        match loudness {
            Loudness::Aloud => tracing::warn!(
                upstream,
                %request_id,
                taken,
                "cut off an answer whose client is slow: its room was needed; see buffering.disk"
            ),
            Loudness::Quietly => tracing::debug!(
                upstream,
                %request_id,
                taken,
                "cut off an answer whose client is slow: its room was needed"
            ),
        }
    }
}

impl Drop for StoreInner {
    fn drop(&mut self) {
        self.buffering.forget(self.number);
    }
}

#[cfg(test)]
mod tests;
