//! What spans stand for.

/// What a span stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanRole {
    /// Somebody asks the gateway.
    Server,
    /// The gateway asks somebody.
    Client,
    /// A step inside.
    Internal,
}
