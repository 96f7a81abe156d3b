//! What a new connection is sent before what its client missed.

use std::sync::Arc;
use std::time::Instant;

use crate::broker::{Recovery, Since};
use crate::hub::Item;
use crate::ids::ViewTarget;
use crate::words::Word;

/// What a new connection is sent before what it missed.
#[derive(Debug)]
pub(in crate::socket) struct Greeting {
    /// From where on it hears, and whether that is all that it missed.
    pub(in crate::socket) recovery: Recovery,
    /// Words, then first frames, but for the word that something may be missing.
    pub(in crate::socket) items: Vec<Arc<Item>>,
}

/// A client that Django tells something first.
#[derive(Clone, Debug)]
pub(in crate::socket) struct ToldFirst {
    /// By which view.
    pub(in crate::socket) view: ViewTarget,
    /// What the client has already.
    pub(in crate::socket) since: Since,
    /// When Django was asked for what it is told first.
    pub(in crate::socket) asked: Instant,
}

impl Greeting {
    /// All of it for a client that is told by a word that it may have to fetch its data again.
    pub(in crate::socket) fn with_resync(self) -> Vec<Arc<Item>> {
        let resync = || Item::word(Word::resync().text());
        let resync = (!self.recovery.recovered).then(resync);
        resync.into_iter().chain(self.items).collect()
    }
}
