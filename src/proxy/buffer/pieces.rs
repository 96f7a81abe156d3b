//! Bytes in memory, in the pieces in which they came.
//!
//! Used by `spool` and `store`. The surprise: a piece keeps the whole buffer alive that it was cut
//! from, so small ones are copied together; otherwise a body of single bytes would hold thousands of
//! times its size.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// A piece below this size is copied.
const SMALL: usize = 4 * 1024;
/// Copied pieces become one of this size.
const GATHERED: usize = 16 * 1024;

/// Bytes that wait.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Pieces {
    whole: VecDeque<Bytes>,
    small: BytesMut,
    length: u64,
}

impl Pieces {
    /// How many bytes there are.
    pub(in crate::proxy) fn length(&self) -> u64 {
        self.length
    }

    /// Adds a piece behind the others.
    pub(in crate::proxy) fn push(&mut self, piece: Bytes) {
        self.length += piece.len() as u64;
        if piece.len() < SMALL {
            self.small.extend_from_slice(&piece);
            if self.small.len() >= GATHERED {
                self.close_small();
            }
            return;
        }
        self.close_small();
        self.whole.push_back(piece);
    }

    /// The first piece.
    pub(in crate::proxy) fn pop(&mut self) -> Option<Bytes> {
        if self.whole.is_empty() {
            self.close_small();
        }
        let piece = self.whole.pop_front()?;
        self.length -= piece.len() as u64;
        Some(piece)
    }

    /// All of them, in order.
    pub(in crate::proxy) fn take(&mut self) -> Vec<Bytes> {
        self.close_small();
        self.length = 0;
        std::mem::take(&mut self.whole).into()
    }

    fn close_small(&mut self) {
        if !self.small.is_empty() {
            self.whole.push_back(self.small.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_out_in_order_and_small_ones_together() {
        let mut pieces = Pieces::default();
        pieces.push(Bytes::from_static(b"a"));
        pieces.push(Bytes::from_static(b"b"));
        pieces.push(Bytes::from(vec![b'c'; SMALL]));
        pieces.push(Bytes::from_static(b"d"));
        assert_eq!(pieces.length(), 3 + SMALL as u64);
        assert_eq!(pieces.pop().unwrap(), "ab");
        assert_eq!(pieces.pop().unwrap().len(), SMALL);
        assert_eq!(pieces.pop().unwrap(), "d");
        assert!(pieces.pop().is_none());
        assert_eq!(pieces.length(), 0);
    }

    #[test]
    fn single_bytes_do_not_keep_the_buffers_that_they_came_in() {
        let mut pieces = Pieces::default();
        for _ in 0..GATHERED {
            pieces.push(Bytes::from(vec![0; SMALL]).slice(..1));
        }
        assert_eq!(pieces.take().len(), 1);
    }
}
