//! Why Django's judgement is not known.
//!
//! Made by `ask`. Whether it is worth trying again is what callers want to know, so that is what
//! tells errors apart.

use super::diagnosis::{Diagnosis, Unreachable};
use crate::close::CloseReason;
use crate::upcall::NoAnswer;

/// Why Django's judgement is not known.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuthError {
    /// Worth trying again: nothing answers, or not in time.
    #[error("cannot reach the auth view at {place}: {cause}")]
    Unreachable {
        /// Where it should be.
        place: String,
        /// What happened.
        cause: Unreachable,
    },
    /// Not worth trying again before somebody mends it.
    #[error("the auth view at {place} gave no judgement: {diagnosis}")]
    Misconfigured {
        /// Where it is.
        place: String,
        /// What is wrong.
        diagnosis: Diagnosis,
    },
}

impl From<NoAnswer> for AuthError {
    fn from(error: NoAnswer) -> Self {
        Self::Unreachable {
            place: error.place,
            cause: error.cause.into(),
        }
    }
}

impl AuthError {
    /// Why a socket that could not be judged closes, to come back later.
    pub fn outage(&self) -> CloseReason {
        match self {
            Self::Unreachable {
                cause: Unreachable::Failing(diagnosis),
                ..
            } => CloseReason::DjangoFails(diagnosis.reason().into()),
            _ => CloseReason::DjangoUnreachable,
        }
    }

    /// Whether Django answered, and fails.
    pub(super) fn is_failure(&self) -> bool {
        let failing = |cause: &_| matches!(cause, Unreachable::Failing(_));
        matches!(self, Self::Unreachable { cause, .. } if failing(cause))
    }

    /// Whether Django does not believe the signature.
    pub(super) fn is_of_signature(&self) -> bool {
        matches!(self, Self::Misconfigured { diagnosis, .. } if diagnosis.kind.is_of_signature())
    }

    /// Whether somebody else, at another host or with other cookies, may well be judged.
    pub(super) fn spares_others(&self) -> bool {
        let kind = match self {
            Self::Misconfigured { diagnosis, .. } => diagnosis.kind,
            Self::Unreachable { .. } => return false,
        };
        kind.spares_others() || kind.is_of_host()
    }

    /// For the metrics.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Misconfigured { .. } => "misconfigured",
        }
    }
}
