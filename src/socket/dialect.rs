//! How what waits for a connection is written to its client.
//!
//! Used by the connection. A plain client gets what Django wrote, byte for byte.

use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::hub::Item;

/// What a client understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Frames and texts as Django wrote them, and words of the gateway's own beside them.
    #[default]
    Plain,
}

impl Dialect {
    /// The message that an item is; none where this client needs not hear of it.
    pub(super) fn write(self, item: &Item) -> Option<Utf8Bytes> {
        match self {
            Self::Plain => item.text(),
        }
    }
}
