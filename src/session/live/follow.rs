//! What follows from a response that changes the session's cookie, or perhaps another one of its name.
//!
//! Called by `django` and `socket`. What only may be about this session closes nothing and refuses nothing;
//! Django, which knows whether the session still lives, is asked once. Whether a signed cookie is still in
//! the browser Django cannot know: then the browser is told to come back with what it has.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::close::CloseReason;
use crate::ids::SessionDigest;
use crate::session::answer::Answer;
use crate::session::change::{About, Change, CookieChange};
use crate::session::live::answers::RecheckAnswers;
use crate::session::live::doubts::Doubt;
use crate::session::live::lifecycle::{Lifecycle, Replacement};
use crate::session::question::AuthSubject;

/// Sites that take a namesake away do so with every page; Django is asked no more often than this.
const SELDOM: Duration = Duration::from_secs(1);

/// A response that changes a session's cookie, as far as can be seen.
#[derive(Clone, Debug)]
pub struct ObservedChange<'a> {
    /// What its request came with.
    pub old: AuthSubject,
    /// What it says of the cookie.
    pub change: CookieChange,
    /// What Django can be asked about from now on.
    pub new: Option<AuthSubject>,
    /// What it said of that on the way.
    pub stated: Option<&'a Answer>,
    /// When the request went to Django.
    pub asked: std::time::Instant,
    /// Whether Django has said where its session cookie is.
    pub placed: bool,
}

impl Lifecycle {
    /// Follows a session where a response changes its cookie.
    pub fn follow(self: &Arc<Self>, observed: ObservedChange<'_>) {
        let ObservedChange {
            old,
            change,
            new,
            stated,
            asked,
            placed,
        } = observed;
        // The browser has the new cookie only after this: a handshake with it asks Django later.
        let at = Instant::now();
        let stated =
            stated.filter(|answer| self.still_counts(answer, [Some(&old), new.as_ref()], asked));
        let same = new
            .as_ref()
            .is_some_and(|new| new.cookies.is_same_session(&old.cookies));
        match (change.kind, new) {
            (Change::Set { max_age, .. }, Some(_)) if same => self.renewed(&old.cookies, max_age),
            (Change::Deleted, _) if change.about == About::This => {
                self.ended(&old.cookies, "logged out");
            }
            (Change::Set { .. }, Some(new)) if change.about == About::This || stated.is_some() => {
                let known = stated.cloned();
                self.replaced(&old.cookies, Replacement { new, known, at });
            }
            // Every write to a signed session looks like this, and the old one stays good.
            (Change::Set { .. }, Some(new))
                if !placed && old.cookies.is_signed() && new.cookies.is_signed() =>
            {
                self.replaced(&old.cookies, Replacement::unjudged(new, at));
            }
            (_, new) => self.doubt(Doubt {
                old,
                new,
                placed,
                at,
            }),
        }
    }

    /// Whether nothing has happened since a request went to Django that its answer cannot know of.
    fn still_counts(
        &self,
        answer: &Answer,
        sessions: [Option<&AuthSubject>; 2],
        asked: std::time::Instant,
    ) -> bool {
        let digests = sessions.into_iter().flatten();
        let digests = digests.flat_map(|about| self.parts.digests(&about.cookies));
        let identity = answer.identity(digests.collect());
        identity.is_none_or(|identity| self.parts.hub.revoked(&identity, asked).is_none())
    }

    /// Asks Django whether a session still lives, where the session is known here.
    fn doubt(self: &Arc<Self>, doubt: Doubt) {
        let Some(session) = self.parts.digest(&doubt.old.cookies) else {
            return;
        };
        let parts = &self.parts;
        let is_known = parts.live.user_of(&session).is_some()
            || parts.leases.user_of(doubt.old.session()).is_some();
        let Some(first) = is_known
            .then(|| self.doubts.begin(session, doubt))
            .flatten()
        else {
            return;
        };
        let this = Arc::clone(self);
        parts.drain.spawn(async move {
            let mut next = Some(first);
            while let Some(doubt) = next {
                this.resolve(&session, doubt).await;
                if !this.parts.is_over(SELDOM).await {
                    return;
                }
                next = this.doubts.next(&session);
            }
        });
    }

    async fn resolve(self: &Arc<Self>, session: &SessionDigest, doubt: Doubt) {
        let Doubt {
            old,
            new,
            placed,
            at,
        } = doubt;
        let live = &self.parts.live;
        let sockets = live.of_session(session);
        let answers = if sockets.is_empty() {
            let asked = Instant::now();
            // What it says becomes the lease.
            let heard = self.parts.asker.recheck(std::slice::from_ref(&old)).await;
            RecheckAnswers::of_nobody(heard, asked)
        } else {
            self.rechecks.question(&sockets).await
        };
        match (answers.is_end(), new) {
            // However long Django was asked about the old one: the new one came with the response.
            (true, Some(new)) => self.replaced(&old.cookies, Replacement::unjudged(new, at)),
            (true, None) => drop(self.ended(&old.cookies, "logged out")),
            (false, new) => {
                self.rechecks.act(&answers);
                live.end_turn(&sockets, self.rechecks.settings.get().revalidate);
                if new.is_none() && !placed && old.cookies.is_signed() {
                    live.end(session, &CloseReason::SessionChanged);
                }
            }
        }
    }
}
