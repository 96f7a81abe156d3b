//! How long a browser's sockets stay when a response logs it out: until the browser has the response.
//!
//! Used by `edge` before it acts upon a response. The surprise: having the response is not always enough. A
//! browser that goes to another page shows it some time later, and its old page's socket closes by itself then;
//! closed before, what that page does about it would take the place of the page that comes.

use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap};
use http::{HeaderName, StatusCode};
use tokio::sync::oneshot;

use crate::hub::{Hold, Hub};
use crate::ids::SessionDigest;
use crate::net::drain::DrainWatch;
use crate::proxy::intercept::{PassedOn, Purpose, RequestSummary};
use crate::session::{Lifecycle, Naming, SessionCookies};

/// Sockets stay no longer than this after the response's head, whatever becomes of the response: with all
/// that lies in between they are closed within a second.
const LONGEST: Duration = Duration::from_millis(900);
/// For a page's JavaScript to see its answer before it sees its socket close.
const SCRIPT: Duration = Duration::from_millis(50);
/// What the response tells of ended sessions.
pub(super) const REVOKE: HeaderName = HeaderName::from_static("gatepost-revoke");

/// For the end of the answer to leave, which another task writes.
const WRITE: Duration = Duration::from_millis(2);

/// Keeps sockets until a response was passed on.
#[derive(Debug)]
pub(super) struct Farewell {
    pub(super) naming: Arc<Naming>,
    pub(super) hub: Arc<Hub>,
    pub(super) lifecycle: Arc<Lifecycle>,
    pub(super) drain: DrainWatch,
}

impl Farewell {
    /// Keeps the sockets of the browser that asked, where this response may be about their end.
    pub(super) fn begin(
        &self,
        asked: &RequestSummary,
        status: StatusCode,
        fields: &HeaderMap,
    ) -> Option<PassedOn> {
        let may_end = fields.contains_key(REVOKE) || fields.contains_key(header::SET_COOKIE);
        if !may_end || self.hub.is_empty() {
            return None;
        }
        let names = self.naming.names();
        let cookies = SessionCookies::pick(asked.cookies.as_ref()?, &names).ok()?;
        let sessions = self.lifecycle.bound_to(&cookies);
        (!sessions.is_empty()).then(|| self.hold(sessions, moment(asked.purpose, status)))
    }

    /// Keeps them until `moment` after the response was passed on.
    fn hold(&self, sessions: Box<[SessionDigest]>, moment: Duration) -> PassedOn {
        let (passed_on, passing) = oneshot::channel::<()>();
        let (hold, drain) = (self.hub.hold(sessions), self.drain.clone());
        self.drain.spawn(async move {
            let passed_on = async {
                // The other half is only ever dropped.
                let _ = passing.await;
                tokio::time::sleep(moment).await;
            };
            tokio::select! {
                () = passed_on => {}
                () = Hold::somebody_left(&hold) => {}
                () = tokio::time::sleep(LONGEST) => {}
                () = drain.draining() => {}
            }
        });
        PassedOn::drops(passed_on)
    }
}

/// How long a client needs, once it has a response of this status, to do what it does with it.
fn moment(purpose: Purpose, status: StatusCode) -> Duration {
    match purpose {
        Purpose::Unknown => WRITE,
        Purpose::Subresource if !status.is_redirection() => SCRIPT,
        // Another request follows, or a page is built: however long that takes.
        Purpose::Subresource | Purpose::Navigation => LONGEST,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::task::Context;

    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::close::CloseReason;
    use crate::hub::{Member, Membership, OutboxLimits, Taken};
    use crate::identity::Identity;
    use crate::ids::UserId;
    use crate::net::drain::Drain;
    use crate::publication::Audience;
    use crate::secret::Secret;
    use crate::session::CookieNames;
    use crate::session::tests::scripted::lifecycle;

    struct Stage {
        hub: Arc<Hub>,
        farewell: Farewell,
        drain: Drain,
    }

    fn session() -> SessionDigest {
        SessionDigest::of(&Secret::new(vec![7; 32]), b"anns")
    }

    impl Stage {
        fn new() -> Self {
            let limits = OutboxLimits {
                frames: 8,
                bytes: 1024,
            };
            let (hub, drain) = (Arc::new(Hub::new(limits)), Drain::new());
            let farewell = Farewell {
                naming: Arc::new(Naming::new(None, CookieNames::default())),
                hub: Arc::clone(&hub),
                lifecycle: lifecycle(&hub),
                drain: drain.watch(),
            };
            Self {
                hub,
                farewell,
                drain,
            }
        }

        fn tab(&self) -> Membership {
            let identity = Identity {
                user: UserId::new("42"),
                groups: [].into(),
                sessions: [session()].into(),
                expires_at: None,
            };
            let member = Member::new(identity.into(), "/ws/".into(), Ipv4Addr::LOCALHOST.into());
            self.hub
                .register(member, std::time::Instant::now())
                .unwrap()
        }

        /// A response that logs out, and what is kept until it was passed on.
        fn logs_out(&self, moment: Duration) -> PassedOn {
            let passed_on = self.farewell.hold([session()].into(), moment);
            let reason = CloseReason::SessionEnded("logged out".into());
            self.hub.close(&Audience::Session(session()), &reason);
            passed_on
        }
    }

    /// How long it takes until a connection is told to close.
    async fn closed_after(tab: &Membership) -> Duration {
        let begun = Instant::now();
        let taken = std::future::poll_fn(|context: &mut Context<'_>| {
            tab.member().outbox.poll_take(context)
        });
        assert!(matches!(taken.await, Taken::Close(reason) if reason.code() == 4001));
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn sockets_close_a_moment_after_the_response_was_passed_on() {
        let stage = Stage::new();
        let (one, two) = (stage.tab(), stage.tab());
        let passed_on = stage.logs_out(SCRIPT);
        sleep(Duration::from_millis(300)).await;
        drop(passed_on);
        for (tab, expected) in [(one, SCRIPT), (two, Duration::ZERO)] {
            let after = closed_after(&tab).await;
            assert!(after >= expected && after < expected + WRITE, "{after:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn sockets_do_not_wait_for_a_response_that_goes_on_and_on() {
        let stage = Stage::new();
        let tab = stage.tab();
        let _passed_on = stage.logs_out(WRITE);
        let after = closed_after(&tab).await;
        assert!(
            after >= LONGEST && after < Duration::from_secs(1),
            "{after:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn once_the_page_has_gone_the_other_tabs_close() {
        let stage = Stage::new();
        let (going, other) = (stage.tab(), stage.tab());
        drop(stage.logs_out(LONGEST));
        sleep(Duration::from_millis(100)).await;
        drop(going);
        assert!(closed_after(&other).await < WRITE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_gateway_that_goes_away_waits_for_no_response() {
        let stage = Stage::new();
        let tab = stage.tab();
        let _passed_on = stage.logs_out(WRITE);
        let drained = tokio::join!(
            closed_after(&tab),
            stage.drain.drain(Duration::from_secs(5))
        );
        assert!(drained.0 < WRITE && drained.1 == 0, "{drained:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_while_the_response_is_on_its_way_waits_too_and_later_ends_do_not() {
        let stage = Stage::new();
        let tab = stage.tab();
        let passed_on = stage.farewell.hold([session()].into(), WRITE);
        sleep(Duration::from_millis(100)).await;
        let reason = CloseReason::SessionEnded("session ended".into());
        let user = Audience::User(UserId::new("42"));
        assert_eq!(stage.hub.close(&user, &reason), 1);
        assert_eq!(stage.hub.close(&user, &reason), 0, "closing already");
        drop(passed_on);
        assert!(closed_after(&tab).await >= WRITE);
        let late = stage.tab();
        assert_eq!(stage.hub.close(&user, &reason), 1);
        assert_eq!(closed_after(&late).await, Duration::ZERO);
    }

    #[test]
    fn only_what_a_browser_goes_on_from_is_given_more_than_a_moment() {
        let found = StatusCode::FOUND;
        for (purpose, status, expected) in [
            (Purpose::Navigation, StatusCode::OK, LONGEST),
            (Purpose::Navigation, found, LONGEST),
            (Purpose::Subresource, StatusCode::OK, SCRIPT),
            (Purpose::Subresource, found, LONGEST),
            (Purpose::Unknown, StatusCode::OK, WRITE),
            (Purpose::Unknown, found, WRITE),
        ] {
            assert_eq!(moment(purpose, status), expected, "{purpose:?} {status}");
        }
    }
}
