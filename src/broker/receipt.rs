//! What a caller of the broker gets back.
//!
//! Remembered for a while under the publication's id, so that a retry gets the same one.

use crate::hub::Delivery;
use crate::publication::Position;

/// What became of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its number.
    pub position: Position,
    /// How far it got.
    pub delivery: Delivery,
    /// Whether it was published before under the same id: this is the answer of that time.
    pub duplicate: bool,
}
