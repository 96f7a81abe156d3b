//! Who a session is, as Django said.
//!
//! Made by `session::authority` from an auth answer; shared by the connections of a session.

use std::time::SystemTime;

use crate::ids::{GroupName, SessionDigest, UserId};

/// An authenticated session: its user, groups and end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's primary key.
    pub user: UserId,
    /// Groups whose publications this session gets.
    pub groups: Box<[GroupName]>,
    /// Digests of the session cookie, under the current secret and then, while secrets are rotated,
    /// under the previous one: Django may still address the session by it.
    pub sessions: Box<[SessionDigest]>,
    /// When the session ends by itself, where Django knows.
    pub expires_at: Option<SystemTime>,
}

impl Identity {
    /// Who has no session. Django's users have an id.
    pub fn visitor() -> Self {
        Self {
            user: UserId::new(""),
            groups: Box::default(),
            sessions: Box::default(),
            expires_at: None,
        }
    }

    /// Whether this is a visitor, who hears topics alone.
    pub fn is_visitor(&self) -> bool {
        self.user.as_str().is_empty()
    }
}
