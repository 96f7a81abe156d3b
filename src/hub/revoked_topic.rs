//! One revocation of a topic: as Django says it, and as it is remembered and kept.
//!
//! Used by the table of revocations and by its file. A revocation is a bound on the age of tokens, so several of
//! one topic are one.

use std::time::Duration;

use crate::ids::{TopicName, UserId};
use crate::unix_time;

/// By how much the clocks of Django's machines may differ, in milliseconds.
pub(super) const SPARE: u64 = 2000;
/// Remembered at most, in some 15 MB. Beyond it no token counts that is older than the older half.
pub(super) const MOST: usize = 65_536;

/// Takes a topic away, from one user or from all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRevocation {
    /// What older grants no longer let anybody hear.
    pub topic: TopicName,
    /// The user who loses it; `None`: all.
    pub user: Option<UserId>,
    /// When, by Django's clock in unix milliseconds.
    pub at: u64,
    /// How long tokens live that were issued before.
    pub max_age: Duration,
}

/// What is remembered of one revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeptRevocation {
    /// `None` is everything.
    pub(super) revoked: Option<RevokedTopic>,
    pub(super) older: OlderTokens,
}

/// What was revoked, and whose grants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RevokedTopic {
    pub(super) topic: TopicName,
    pub(super) user: Option<UserId>,
}

/// Tokens that were issued before a moment. Both in unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OlderTokens {
    pub(super) than: u64,
    /// When the last of them has expired by itself.
    pub(super) until: u64,
}

impl KeptRevocation {
    pub(super) fn of(revocation: &TopicRevocation) -> Self {
        let kept = unix_time::milliseconds(revocation.max_age);
        let than = revocation.at.saturating_add(SPARE);
        Self {
            revoked: Some(RevokedTopic {
                topic: revocation.topic.clone(),
                user: revocation.user.clone(),
            }),
            older: OlderTokens {
                than,
                until: than.saturating_add(kept),
            },
        }
    }
}

impl OlderTokens {
    /// Those that are of either kind.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            than: self.than.max(other.than),
            until: self.until.max(other.until),
        }
    }
}
