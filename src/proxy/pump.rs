//! Takes an answer from its upstream at the upstream's own speed, and keeps what its client has not
//! taken.
//!
//! Begun by `sweep` for clients that have fallen behind. At the end of the answer the connection and
//! its permit are free, however long the client still takes.

use std::future::poll_fn;

use super::flow::Direct;
use super::store::Store;

/// Runs until the answer has ended, or its client has gone.
pub(super) async fn pump(mut answer: Direct, store: Store) {
    let end_on_drop = EndOnDrop(store.clone());
    let is_gone = tokio::select! {
        biased;
        () = store.gone() => true,
        () = fill(&mut answer, &store) => false,
    };
    if is_gone {
        answer.leave();
    }
    drop(end_on_drop);
}

async fn fill(answer: &mut Direct, store: &Store) {
    while let Some(part) = poll_fn(|context| answer.poll(context)).await {
        match part.map(http_body::Frame::into_data) {
            Ok(Ok(bytes)) => store.put(bytes).await,
            // Trailers end an answer, and are dropped.
            Ok(Err(_)) => break,
            Err(error) => return store.end(Err(error)),
        }
    }
    store.end(Ok(()));
}

/// Ends an answer that ended in no other way: its client must not wait for ever.
struct EndOnDrop(Store);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end(Err("the answer was given up".into()));
    }
}
