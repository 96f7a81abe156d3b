//! A client that was let in and is judged: what becomes of it, before or after its 101.
//!
//! Made by the handshake. A client whose judgement takes long is accepted first and waits as an open
//! WebSocket. What it says meanwhile is kept for its connection, up to a few KiB; when it leaves, that
//! is noticed at once, so that Django is not asked in vain.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::outcome::{Outcome, Settled, Visitor};
use super::parts::{Refusal, SocketParts};
use super::topics::{Entitlement, OwnParameters, ViewGrant};
use super::visitors::Attendance;
use crate::close::CloseReason;
use crate::hub::{Member, Transport};
use crate::ids::{RequestName, ViewTarget};
use crate::net::block::AddressBlock;
use crate::publication::Frame;
use crate::session::{
    AuthError, AuthSubject, CookieNames, GrantedTopics, Judged, LetIn, LoggedIn, SessionCookies,
    Verdict,
};

/// What a client may say before it is judged; then it has to wait.
const EARLY: usize = 4096;

/// A handshake that is judged, and what becomes of it.
pub(super) type SettledFuture = Pin<Box<dyn Future<Output = Settled> + Send>>;

/// A client that is judged.
#[derive(Debug)]
pub(super) struct PendingHandshake {
    pub(super) parts: Arc<SocketParts>,
    /// The path of its socket route.
    pub(super) path: Arc<str>,
    /// The session it comes with, and its browser.
    pub(super) about: AuthSubject,
    /// What the session cookie was called then.
    pub(super) names: Arc<CookieNames>,
    /// What it takes to look again, where Django has not said yet what it is called.
    pub(super) again: Option<Box<SecondLook>>,
    /// The view that says who may listen at its path, where one does.
    pub(super) view: Option<PathView>,
    pub(super) came: Arrival,
}

/// The view of a handshake's path.
#[derive(Clone, Debug)]
pub(super) struct PathView {
    pub(super) target: ViewTarget,
    /// Whether its route keeps visitors.
    pub(super) anonymous: bool,
}

/// A handshake that came.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    /// When.
    pub(super) began: Instant,
    /// What it is called, and where in a trace it is.
    pub(super) name: RequestName,
    /// What its page has, and is to listen to.
    pub(super) own: OwnParameters,
    /// What it becomes.
    pub(super) transport: Transport,
    /// Whether its route tells who is present.
    pub(super) presence: bool,
}

/// What it takes to look for a session once more, under another name; at most 10 KiB.
#[derive(Debug)]
pub(super) struct SecondLook {
    /// The `Cookie` field as it came.
    pub(super) sent: HeaderValue,
    pub(super) target: Box<str>,
    pub(super) request: Option<RequestName>,
}

/// What Django tells a new connection first, and when it was asked.
struct FirstFrames {
    frames: Vec<Frame>,
    asked: Instant,
}

/// What becomes of a connection after its 101, where that is known.
pub(super) enum Decision {
    Now(Settled),
    Later(SettledFuture),
}

impl PendingHandshake {
    /// What a judgement means for it.
    pub(super) fn settle(&self, mut verdict: Result<Verdict, AuthError>) -> Settled {
        if self.about.cookies.is_none()
            && let Ok(Verdict::LoggedIn(_) | Verdict::Anonymous(_)) = &verdict
        {
            // Asked for the name alone: without a session no client is let in, whatever Django answers.
            verdict = Ok(Verdict::Anonymous(Vec::new()));
        }
        let set_cookies = match &mut verdict {
            Ok(Verdict::LoggedIn(found)) => std::mem::take(&mut found.set_cookies),
            Ok(Verdict::Anonymous(set_cookies)) => std::mem::take(set_cookies),
            Ok(Verdict::Visitor(_) | Verdict::Refused) | Err(_) => Vec::new(),
        };
        let (label, outcome) = match verdict {
            Ok(Verdict::LoggedIn(found)) => self.register(found),
            // Django has just said that it was looked for in another cookie.
            Ok(_) if self.is_renamed() => return self.come_back().into(),
            Ok(Verdict::Visitor(found)) => self.visit(found),
            Ok(Verdict::Refused) => ("not_allowed", self.turn_away(CloseReason::NotAllowed)),
            Ok(Verdict::Anonymous(_)) => ("anonymous", self.turn_away(CloseReason::NotLoggedIn)),
            Err(AuthError::Unreachable { .. }) if self.parts.drain.is_draining() => (
                "draining",
                Outcome::Close(self.parts.lifecycle.going_away()),
            ),
            Err(error @ AuthError::Unreachable { .. }) => {
                ("unreachable", Outcome::Close(error.outage()))
            }
            Err(AuthError::Misconfigured { diagnosis, .. }) => (
                "misconfigured",
                Outcome::Close(CloseReason::Misconfigured(
                    diagnosis.reason().to_owned().into(),
                )),
            ),
        };
        self.parts.count(label);
        Settled {
            outcome,
            set_cookies,
        }
    }

    /// Its session was looked for in another cookie.
    pub(super) fn come_back(&self) -> Outcome {
        self.parts.count("renamed");
        Outcome::Close(CloseReason::SessionChanged)
    }

    /// Whether Django has said since that its session cookie has another name.
    pub(super) fn is_renamed(&self) -> bool {
        self.parts.naming.names().session != self.names.session
    }

    /// Closes it for a reason that is known before it is a connection.
    pub(super) fn turn_away(&self, reason: CloseReason) -> Outcome {
        let about = &self.about;
        let visitor = Visitor {
            address: about.address,
            user_agent: about.user_agent.as_ref(),
            session: Some(about.cookies.header()),
        };
        self.parts.turn_away(reason, visitor)
    }

    /// Makes a connection of a session with a user, unless that was revoked since Django was asked,
    /// or since the handshake came.
    fn register(&self, found: LoggedIn) -> (&'static str, Outcome) {
        let (transport, presence) = (self.came.transport, self.came.presence);
        let connect = |who| {
            let member = Member::new(who, Arc::clone(&self.path), self.about.address);
            member.over(transport).present(presence)
        };
        let judged = Judged {
            identity: found.identity,
            asked: self.came.began.min(found.asked),
        };
        match self.parts.lifecycle.join(&self.about, judged, connect) {
            Ok(member) => {
                let joined = Attendance::Session(member);
                let asked = found.asked;
                let heard = found.listening.and_then(|says| self.heard(says, asked));
                let first = FirstFrames {
                    frames: found.frames,
                    asked,
                };
                let outcome = self.serve(joined, heard, first);
                ("accepted", outcome)
            }
            Err(reason @ CloseReason::Policy(_)) => {
                self.parts
                    .log_close(&self.path, self.about.address, &reason);
                ("user_full", Outcome::Close(reason))
            }
            Err(reason) => ("revoked", self.turn_away(reason)),
        }
    }
}

impl PendingHandshake {
    /// Makes a visitor of a client that a view lets listen without a session, where its route keeps visitors.
    fn visit(&self, found: LetIn) -> (&'static str, Outcome) {
        if !self.view.as_ref().is_some_and(|view| view.anonymous) {
            return ("anonymous", self.turn_away(CloseReason::NotLoggedIn));
        }
        let about = Arc::new(self.about.clone());
        let visitors = &self.parts.visitors;
        let connect = |nobody| {
            let member = Member::new(nobody, Arc::clone(&self.path), about.address);
            member.over(self.came.transport)
        };
        match visitors.join(about.address, self.came.began, connect) {
            Ok(visit) => {
                let visit = visit.known(&self.parts.lifecycle, Arc::clone(&about));
                let joined = Attendance::Visitor(visit);
                let asked = found.asked;
                let heard = self.heard(found.listening, asked);
                let first = FirstFrames {
                    frames: found.frames,
                    asked,
                };
                ("visitor", self.serve(joined, heard, first))
            }
            Err(reason) => {
                self.parts.log_close(&self.path, about.address, &reason);
                ("visitors_full", Outcome::Close(reason))
            }
        }
    }

    fn serve(&self, joined: Attendance, heard: Option<ViewGrant>, first: FirstFrames) -> Outcome {
        let topics = &self.parts.topics;
        // What was published since Django was asked is news to who is told first what was true then.
        let since = (!first.frames.is_empty()).then_some(first.asked);
        let mut greeting = topics.admit(
            joined.member(),
            &self.came.own,
            Entitlement { since, heard },
        );
        let frames = self.parts.first_frames(&self.path, first.frames);
        greeting.items.extend(frames);
        Outcome::Serve { joined, greeting }
    }

    /// What its path's view grants.
    fn heard(&self, listening: GrantedTopics, asked: Instant) -> Option<ViewGrant> {
        let view = self.view.as_ref()?.target.clone();
        Some(ViewGrant {
            view,
            listening,
            asked,
        })
    }
}

impl SocketParts {
    /// Turns a client away without asking Django.
    pub(super) fn refuse(&self, refusal: Refusal, headers: &HeaderMap, address: IpAddr) -> Outcome {
        self.count(refusal.label);
        let session = refusal.cookies.as_ref().map(SessionCookies::header);
        self.turn_away(refusal.reason, Visitor::of(address, headers, session))
    }

    /// Turns a client away: at once, unless it has to log in, or may not come, and comes again and again.
    pub(super) fn turn_away(&self, reason: CloseReason, visitor: Visitor<'_>) -> Outcome {
        let stays_away = [&CloseReason::NotLoggedIn, &CloseReason::NotAllowed];
        if !stays_away.iter().any(|one| one.code() == reason.code()) {
            return Outcome::Close(reason);
        }
        let block = AddressBlock::of(visitor.address);
        let client = (block, visitor.user_agent, visitor.session);
        Outcome::StayAway(reason, self.throttle.delay(client))
    }
}

/// Waits for a judgement on an open stream. Gives what becomes of it with what the client said meanwhile,
/// or `None` where it left.
pub(super) async fn wait(
    stream: &mut (impl AsyncRead + Unpin),
    mut judging: SettledFuture,
) -> Option<(Settled, Vec<u8>)> {
    let mut early = BytesMut::new();
    loop {
        let room = EARLY - early.len();
        tokio::select! {
            settled = &mut judging => return Some((settled, early.into())),
            read = read_some(stream, &mut early, room), if room > 0 => {
                if read == 0 {
                    return None;
                }
            }
        }
    }
}

/// Reads at most `room` bytes; 0 is the end.
async fn read_some(
    stream: &mut (impl AsyncRead + Unpin),
    early: &mut BytesMut,
    room: usize,
) -> usize {
    let mut limited = stream.take(u64::try_from(room).unwrap_or(u64::MAX));
    limited.read_buf(early).await.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt;

    use super::*;

    fn soon() -> SettledFuture {
        Box::pin(async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Outcome::Close(CloseReason::NotLoggedIn).into()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_client_says_early_is_kept_up_to_a_limit() {
        let (mut client, mut stream) = tokio::io::duplex(64 * 1024);
        client.write_all(&[7; 10_000]).await.unwrap();
        let (settled, early) = wait(&mut stream, soon()).await.unwrap();
        assert!(matches!(settled.outcome, Outcome::Close(_)));
        assert_eq!(early, [7; EARLY]);
        let mut rest = vec![0; 10_000 - EARLY];
        stream.read_exact(&mut rest).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_leaves_is_not_waited_for() {
        let (client, mut stream) = tokio::io::duplex(64);
        drop(client);
        assert!(wait(&mut stream, soon()).await.is_none());
    }
}
