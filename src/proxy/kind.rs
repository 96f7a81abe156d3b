//! What kind of server an upstream is.
//!
//! Read by `forward` and by what errors advise.

/// How an upstream is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamKind {
    /// Keeps its Host; nothing is ever upgraded.
    Django,
    /// Gets its own Host and Origin; WebSockets pass through.
    DevServer,
    /// Keeps its Host; WebSockets pass through.
    Plain,
}

impl UpstreamKind {
    /// Whether WebSockets may pass through to it.
    pub fn takes_websockets(self) -> bool {
        self != Self::Django
    }
}
