//! A client that was let in and is judged: what becomes of it, before or after its 101.
//!
//! Made by the handshake. The surprise: a client whose judgement takes long is accepted first and waits
//! as an open WebSocket. What it says meanwhile is kept for its connection, up to a few KiB; when it
//! leaves, that is noticed at once, so that Django is not asked in vain.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue, header};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::parts::{Refusal, SocketParts};
use super::topics::{Greeting, OwnParameters};
use super::visitors::Attendance;
use crate::close::CloseReason;
use crate::hub::{Member, Transport};
use crate::ids::RequestId;
use crate::net::block::AddressBlock;
use crate::session::{
    AuthError, AuthSubject, CookieNames, Judged, LoggedIn, SessionCookies, Verdict,
};

/// What a client may say before it is judged; then it has to wait.
const EARLY: usize = 4096;

/// A handshake that is judged, and what becomes of it.
pub(super) type Judging = Pin<Box<dyn Future<Output = Settled> + Send>>;

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
    pub(super) came: Arrival,
}

/// A handshake that came.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    /// When.
    pub(super) began: Instant,
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
    pub(super) request_id: RequestId,
}

/// What becomes of a connection after its 101, where that is known.
pub(super) enum Decision {
    Now(Settled),
    Later(Judging),
}

/// What becomes of a connection.
pub(super) enum Outcome {
    Echo,
    Close(CloseReason),
    /// Close 4001, after a while.
    LogIn(CloseReason, Duration),
    Serve {
        joined: Attendance,
        greeting: Greeting,
    },
}

impl Outcome {
    /// Whether its session lives, as Django has just said: the browser goes on with the cookies that came
    /// along, here or when it comes back.
    pub(super) fn is_of_a_session(&self) -> bool {
        matches!(
            self,
            Self::Serve {
                joined: Attendance::Session(_),
                ..
            } | Self::Close(CloseReason::SessionChanged)
        )
    }
}

/// What becomes of a connection, and the `Set-Cookie` fields for its 101.
pub(super) struct Settled {
    pub(super) outcome: Outcome,
    pub(super) set_cookies: Vec<HeaderValue>,
}

impl From<Outcome> for Settled {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            set_cookies: Vec::new(),
        }
    }
}

/// What tells a client from others behind its address, for [`LoginThrottle`].
///
/// [`LoginThrottle`]: super::LoginThrottle
#[derive(Clone, Copy)]
pub(super) struct Visitor<'a> {
    pub(super) address: IpAddr,
    pub(super) user_agent: Option<&'a HeaderValue>,
    pub(super) session: Option<&'a HeaderValue>,
}

impl<'a> Visitor<'a> {
    pub(super) fn of(
        address: IpAddr,
        headers: &'a HeaderMap,
        session: Option<&'a HeaderValue>,
    ) -> Self {
        Self {
            address,
            user_agent: headers.get(header::USER_AGENT),
            session,
        }
    }
}

impl PendingHandshake {
    /// What a judgement means for it.
    pub(super) fn settle(&self, mut verdict: Result<Verdict, AuthError>) -> Settled {
        if verdict.is_ok() && self.about.cookies.is_none() {
            // Asked for the name alone; without a session it is not let in, whatever Django answers.
            verdict = Ok(Verdict::Anonymous(Vec::new()));
        }
        let set_cookies = match &mut verdict {
            Ok(Verdict::LoggedIn(found)) => std::mem::take(&mut found.set_cookies),
            Ok(Verdict::Anonymous(set_cookies)) => std::mem::take(set_cookies),
            Err(_) => Vec::new(),
        };
        let (label, outcome) = match verdict {
            Ok(Verdict::LoggedIn(found)) => self.register(found),
            // Django has just said that it was looked for in another cookie.
            Ok(Verdict::Anonymous(_)) if self.is_renamed() => return self.come_back().into(),
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
                // What was published since Django was asked is news to who is told first what was true then.
                let told = (!found.frames.is_empty()).then_some(found.asked);
                let topics = &self.parts.topics;
                let mut greeting = topics.admit(joined.member(), &self.came.own, told);
                greeting.items.extend(self.parts.first_frames(found.frames));
                ("accepted", Outcome::Serve { joined, greeting })
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

impl SocketParts {
    /// Turns a client away without asking Django.
    pub(super) fn refuse(&self, refusal: Refusal, headers: &HeaderMap, address: IpAddr) -> Outcome {
        self.count(refusal.label);
        let session = refusal.cookies.as_ref().map(SessionCookies::header);
        self.turn_away(refusal.reason, Visitor::of(address, headers, session))
    }

    /// Turns a client away: at once, unless it has to log in and comes again and again without.
    pub(super) fn turn_away(&self, reason: CloseReason, visitor: Visitor<'_>) -> Outcome {
        if reason.code() != CloseReason::NotLoggedIn.code() {
            return Outcome::Close(reason);
        }
        let block = AddressBlock::of(visitor.address);
        let client = (block, visitor.user_agent, visitor.session);
        Outcome::LogIn(reason, self.throttle.delay(client))
    }
}

/// Waits for a judgement on an open stream. Gives what becomes of it with what the client said meanwhile,
/// or `None` where it left.
pub(super) async fn wait(
    stream: &mut (impl AsyncRead + Unpin),
    mut judging: Judging,
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
    use tokio::io::AsyncWriteExt;

    use super::*;

    fn soon() -> Judging {
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
