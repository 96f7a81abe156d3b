//! Compresses answers on their way: zstd, brotli or gzip, as the client likes best.
//!
//! Used by `forward`. `head` judges an answer and says in its fields what becomes of it; `body` is what its
//! client gets; `encoder` does the work, for which all answers together have so much memory. The surprise:
//! it happens before answers are stored for slow clients, not after. So an encoder lives only as long as
//! the upstream's answer comes, however long its client takes, and what is stored is short.

mod body;
mod encoder;
mod head;

pub(super) use body::CompressedBody;
pub(super) use encoder::EncoderTicket;
pub use encoder::Encoders;
pub(super) use head::prepare;
