//! What a view lets one connection listen to, as the desk gets it.

use std::time::Instant;

use crate::hub::{Grant, Granter, HeardView};
use crate::ids::ViewTarget;
use crate::session::GrantedTopics;

/// What a view lets a connection listen to.
#[derive(Debug)]
pub(in crate::socket) struct ViewGrant {
    pub(in crate::socket) view: ViewTarget,
    pub(in crate::socket) listening: GrantedTopics,
    /// When it was asked.
    pub(in crate::socket) asked: Instant,
}

impl ViewGrant {
    /// As the connection goes by it; whether it is the one of its own path.
    pub(super) fn heard(&self, is_own: bool) -> HeardView {
        HeardView {
            view: self.view.clone(),
            asked: self.asked,
            expires: self.listening.expires,
            is_own,
        }
    }

    /// What it grants.
    pub(super) fn grants(&self, heard: &HeardView) -> impl Iterator<Item = Grant> {
        self.listening.topics.iter().map(|topic| Grant {
            topic: topic.clone(),
            by: Granter::View(heard.clone()),
        })
    }
}
