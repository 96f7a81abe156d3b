//! What is answered in place of a reload.
//!
//! Said by the composition root, through an [`Operator`](super::operator::Operator).

/// Why everything is as it was before a reload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReloadRefusal {
    /// What is wrong with the configuration, as `gatepost check` says it.
    #[error("{0}")]
    Findings(String),
    /// Others wait already.
    #[error("too many ask for a reload at once")]
    Busy,
    /// A new program is about to take over.
    #[error("a new program is being started, which reads the configuration itself")]
    Upgrading,
    /// There is nothing to reload.
    #[error("the gateway ends")]
    Ending,
}
