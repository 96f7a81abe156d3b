//! What views said of sessions: relied upon for their very path alone.
//!
//! Called by the authority. Each answer is told to the hub, too, which knows by it since when a client may hear what it
//! has.

use std::time::Instant;

use aws_lc_rs::hmac;

use crate::close::CloseReason;
use crate::hub::{ViewNow, ViewSays};
use crate::identity::Identity;
use crate::ids::ViewTarget;
use crate::session::answer::Answer;
use crate::session::cookie::SessionAt;
use crate::session::lease::Leases;
use crate::session::lease::entry::{Lease, LeaseKey};
use crate::session::lease::shard::LARGEST;

/// What a view said of a session.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct ViewWord<'a> {
    pub(in crate::session) view: &'a ViewTarget,
    pub(in crate::session) answer: &'a Answer,
    /// When it was asked.
    pub(in crate::session) asked: Instant,
}

impl Leases {
    /// Relies upon what a view said, for this very path and session alone. What refuses is asked about each
    /// time.
    pub(in crate::session) fn grant_view(
        &self,
        key: LeaseKey,
        session: SessionAt<'_>,
        said: ViewWord<'_>,
    ) {
        self.hear_view(session, said);
        let ViewWord { answer, asked, .. } = said;
        let Some(listening) = &answer.listening else {
            return self.forget(&key, asked);
        };
        let until = asked + self.terms().of(answer);
        let frames = answer.lease.map(|_| answer.frames.clone().into());
        let lease = Lease {
            identity: answer.identity(self.digests(session.cookies)),
            frames: frames.unwrap_or_default(),
            listening: Some(listening.clone()),
            asked,
            until,
        };
        if lease.weight() <= LARGEST {
            self.put(key, lease);
        } else {
            self.forget(&key, asked);
        }
    }

    /// The same of a view that was asked again, where nobody has just come to get first frames: what was said
    /// before is relied upon no longer than the view says so.
    pub(in crate::session) fn confirm_view(&self, session: SessionAt<'_>, said: ViewWord<'_>) {
        self.hear_view(session, said);
        let key = self.view_key(session, said.view);
        let known = self.shard(key.session()).get(&key).cloned();
        if known.is_some_and(|known| known.listening != said.answer.listening) {
            self.forget(&key, said.asked);
        }
    }

    fn hear_view(&self, session: SessionAt<'_>, said: ViewWord<'_>) {
        let ViewWord {
            view,
            answer,
            asked,
        } = said;
        let digests = self.digests(session.cookies);
        let digest = digests.first().copied();
        let digest = digest.filter(|_| !session.cookies.is_none());
        let identity = answer.identity(digests).unwrap_or_else(Identity::visitor);
        let says = match &answer.listening {
            Some(granted) => ViewSays::Topics(&granted.topics, granted.expires),
            None => ViewSays::Nothing(&CloseReason::NotAllowed),
        };
        let now = ViewNow { view, asked, says };
        let granted = answer.listening.as_ref().map(|_| &identity);
        self.hub.grants().hear(digest, granted, &now);
    }

    /// What a lease of a view's answer about a session is kept under.
    pub(in crate::session) fn view_key(
        &self,
        session: SessionAt<'_>,
        view: &ViewTarget,
    ) -> LeaseKey {
        let LeaseKey(mut key) = self.key(session);
        let mut context = hmac::Context::with_key(&self.keys.load().lease);
        context.update(b"gatepost-view\n");
        context.update(&key);
        context.update(view.as_str().as_bytes());
        key[16..].copy_from_slice(&context.sign().as_ref()[..16]);
        LeaseKey(key)
    }
}
