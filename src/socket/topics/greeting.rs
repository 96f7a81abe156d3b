//! What a new connection is sent before what its client missed.

use std::sync::Arc;

use crate::broker::Recovery;
use crate::hub::Item;
use crate::words::Word;

/// What a new connection is sent before what it missed.
#[derive(Debug)]
pub(in crate::socket) struct Greeting {
    /// From where on it hears, and whether that is all that it missed.
    pub(in crate::socket) recovery: Recovery,
    /// Words, then first frames.
    pub(in crate::socket) items: Vec<Arc<Item>>,
}

impl Greeting {
    /// Of a client that may have to fetch its data again.
    pub(super) fn of(recovery: Recovery) -> Self {
        let resync = (!recovery.recovered).then(|| Item::word(Word::resync().text()));
        Self {
            recovery,
            items: resync.into_iter().collect(),
        }
    }
}
