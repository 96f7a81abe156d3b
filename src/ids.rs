//! Identifiers of the domain, each a type of its own so that they cannot be mixed up.
//!
//! Used everywhere. A [`SessionDigest`] is all that the gateway ever keeps of a session key outside
//! the call that carries the cookie to Django; it is safe to log.

mod hex;
mod topic;
mod trace;
mod view;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::{hmac, rand};

use crate::secret::Secret;
pub use topic::TopicName;
pub use trace::{TraceId, TraceParent, TraceSource};
pub use view::ViewTarget;

/// A Django user's primary key, as Django spells it (`"42"`, a UUID, …).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(Arc<str>);

impl UserId {
    /// Wraps the text Django sent.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text Django sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a group that Django put a user in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupName(Arc<str>);

impl GroupName {
    /// Wraps the text Django sent.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text Django sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A keyed hash of a session cookie's value: HMAC-SHA256 with the shared secret over
/// `"gatepost-session\n"` and the value. The Django package computes the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionDigest([u8; 32]);

impl SessionDigest {
    /// The digest of a session cookie's value.
    pub fn of(secret: &Secret, cookie_value: &[u8]) -> Self {
        DigestKey::new(secret).of(cookie_value)
    }

    /// Its first half, which tells sessions apart as well.
    pub fn first_half(&self) -> [u8; 16] {
        let (halves, _) = self.0.as_chunks::<16>();
        halves[0]
    }

    /// Its first bits, which are as good as random: a small key for an index.
    pub fn first_bits(&self) -> u64 {
        let (first, _) = self.0.as_chunks::<8>();
        u64::from_be_bytes(first[0])
    }
}

/// Makes digests with one secret, whose key is worked out once.
#[derive(Clone, Debug)]
pub struct DigestKey(hmac::Key);

impl DigestKey {
    /// Digests under this secret.
    pub fn new(secret: &Secret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.expose()))
    }

    /// The digest of a session cookie's value.
    pub fn of(&self, cookie_value: &[u8]) -> SessionDigest {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(b"gatepost-session\n");
        context.update(cookie_value);
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        SessionDigest(digest)
    }
}

impl fmt::Display for SessionDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SessionDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionDigest({self})")
    }
}

/// Why a text is not an identifier.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} hexadecimal digits")]
pub struct IdError {
    expected: usize,
}

impl FromStr for SessionDigest {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = IdError { expected: 64 };
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(error);
        }
        let mut digest = [0; 32];
        for (index, byte) in digest.iter_mut().enumerate() {
            let pair = &text[index * 2..index * 2 + 2];
            *byte = u8::from_str_radix(pair, 16).map_err(|_| IdError { expected: 64 })?;
        }
        Ok(Self(digest))
    }
}

/// One connection at a socket route. Random, so that it tells nothing and never comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u64);

impl ConnectionId {
    /// A fresh identifier.
    pub fn random() -> Self {
        Self(u64::from_le_bytes(random()))
    }

    /// Half of its bits, for spreading things over connections.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low bits are what is wanted"
    )]
    pub fn low_bits(self) -> u32 {
        self.0 as u32
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for ConnectionId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = IdError { expected: 16 };
        if text.len() != 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(error);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| error)
    }
}

/// One request, named in `X-Request-ID`, in the log and on error pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId {
    node: NodeId,
    sequence: u64,
}

impl RequestId {
    /// The `sequence`th request of this process. The caller counts.
    pub fn new(node: NodeId, sequence: u64) -> Self {
        Self { node, sequence }
    }
}

impl fmt::Display for RequestId {
    /// As `{node}-{sequence:08x}`, digit by digit: every request is sent on with its name, for which the
    /// general way takes a thousand instructions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(sequence) = u32::try_from(self.sequence) else {
            return write!(f, "{}-{:x}", self.node, self.sequence);
        };
        let mut text = *b"nnnnnnnn-ssssssss";
        hex::write(&mut text[..8], self.node.0.into());
        hex::write(&mut text[9..], sequence.into());
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// What one request is called: here, and in the trace that it is a part of.
#[derive(Clone, Copy, Debug)]
pub struct RequestName {
    /// Here.
    pub id: RequestId,
    /// There.
    pub trace: TraceParent,
}

/// One run of one gateway process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeId(u32);

impl NodeId {
    /// A fresh identifier.
    pub fn random() -> Self {
        Self(u32::from_le_bytes(random()))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// Bytes that nobody can guess.
#[expect(
    clippy::expect_used,
    reason = "the system's random generator failing is not survivable"
)]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_digest_survives_its_text_form() {
        let secret = Secret::new(b"0123456789abcdef0123456789abcdef".to_vec());
        let digest = SessionDigest::of(&secret, b"abc");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_ne!(digest, SessionDigest::of(&secret, b"abd"));
    }

    #[test]
    fn a_request_is_named_by_the_process_and_its_number() {
        let node = NodeId(0x00ab_cdef);
        for (sequence, name) in [
            (1, "00abcdef-00000001"),
            (0xffff_ffff, "00abcdef-ffffffff"),
            (0x1_0000_0000, "00abcdef-100000000"),
        ] {
            assert_eq!(RequestId::new(node, sequence).to_string(), name);
        }
    }

    #[test]
    fn malformed_identifiers_are_refused() {
        assert!("xyz".parse::<SessionDigest>().is_err());
        assert!("+123456789abcdef".parse::<ConnectionId>().is_err());
    }
}
