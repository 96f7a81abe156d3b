//! What all socket routes share, and how a client is turned away.
//!
//! Made by the composition root, used by the handshake. The log is told of the first refusal of a
//! kind alone, since a crowd meets a limit thousands of times.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Request, header};

use super::closing::{self, ConnectionEnd};
use super::connection_limits::ConnectionLimits;
use super::login_throttle::LoginThrottle;
use super::topics::TopicDesk;
use super::view_routes::ViewRoutes;
use super::visitors::Visitors;
use super::{Socket, SocketSettings};
use crate::close::CloseReason;
use crate::hub::{Item, Member};
use crate::net::drain::DrainWatch;
use crate::publication::{Content, Frame};
use crate::session::{
    About, AuthSubject, Authority, Change, CookieNames, Lifecycle, Naming, NoSession,
    ObservedChange, Scope, SessionCookies,
};
use crate::telemetry::metrics::{CodeLabel, Metrics, OutcomeLabel};
use crate::telemetry::seldom::OncePerKey;
use crate::web::request::Downstream;
use crate::words;

/// Why a client is closed without Django being asked.
pub(super) struct Refusal {
    /// For the metrics.
    pub(super) label: &'static str,
    pub(super) reason: CloseReason,
    /// What the client came with.
    pub(super) cookies: Option<SessionCookies>,
}

impl Refusal {
    /// Whether it is of somebody without a session, and not of somebody whose session cannot be told.
    pub(super) fn is_of_nobody(&self) -> bool {
        self.reason.code() == CloseReason::NotLoggedIn.code()
    }

    fn new(label: &'static str, reason: CloseReason, cookies: Option<SessionCookies>) -> Self {
        Self {
            label,
            reason,
            cookies,
        }
    }
}

/// What all socket routes share.
#[derive(Debug)]
pub struct SocketParts {
    /// Asks Django.
    pub authority: Arc<Authority>,
    /// Knows which cookies matter.
    pub naming: Arc<Naming>,
    /// Knows the sessions of the connections, and follows what becomes of them.
    pub lifecycle: Arc<Lifecycle>,
    /// Lets handshakes in.
    pub limits: ConnectionLimits,
    /// Slows down clients that are turned away again and again.
    pub throttle: Arc<LoginThrottle>,
    /// How connections behave.
    pub settings: Arc<SocketSettings>,
    /// Lets visitors in, at routes that keep them.
    pub visitors: Visitors,
    /// Lets connections listen to topics.
    pub topics: TopicDesk,
    /// The routes at which views say who may listen.
    pub views: ViewRoutes,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Runs and ends the connections' tasks.
    pub drain: DrainWatch,
    /// Which kinds of refusals and closes the log was told of.
    pub logged: OncePerKey<&'static str>,
}

impl SocketParts {
    /// The session about which Django is to be asked for a handshake, or why it is not asked.
    pub(super) fn session(
        &self,
        sent: Option<&HeaderValue>,
        names: &CookieNames,
        host: &HeaderValue,
    ) -> Result<SessionCookies, Refusal> {
        let picked = sent.map_or(Err(NoSession::Absent), |sent| {
            SessionCookies::pick(sent, names)
        });
        match picked {
            Ok(cookies) => match self.lifecycle.refusal(&cookies) {
                Some(reason) => Err(Refusal::new("revoked", reason, Some(cookies))),
                None => Ok(cookies),
            },
            // It may be there under a name that Django has not told yet.
            Err(NoSession::Absent) if sent.is_some() && self.naming.is_open() => {
                Ok(SessionCookies::none())
            }
            Err(why) => {
                let wrong = why.diagnosis(&names.session);
                let Some(wrong) = wrong.or_else(|| self.naming.conflict()) else {
                    return Err(Refusal::new("no_cookie", CloseReason::NotLoggedIn, None));
                };
                self.authority.log(&wrong, host);
                let reason = CloseReason::Misconfigured(wrong.reason().to_owned().into());
                Err(Refusal::new("misconfigured", reason, None))
            }
        }
    }

    /// A session whose auth answer gives the browser another cookie goes on under that one: a view of
    /// the project's own may save the session at each call.
    pub(super) fn follow<B>(
        &self,
        request: &Request<B>,
        downstream: &Downstream,
        fields: &HeaderMap,
    ) {
        let (headers, host) = (request.headers(), &downstream.host);
        let scope = Scope {
            host,
            path: request.uri().path(),
            cookies: headers.get(header::COOKIE),
        };
        let names = self.naming.names();
        let old = scope.cookies.map(|sent| SessionCookies::pick(sent, &names));
        let (Some(change), Some(Ok(old))) = (names.session_change(fields, scope), old) else {
            return;
        };
        let about = |cookies| AuthSubject::of(cookies, headers, host, downstream.address);
        // That the session lives is what Django has just said: what it takes away is another cookie.
        if change.kind == Change::Deleted && change.about == About::Perhaps {
            return;
        }
        let new = names.after(fields, scope);
        self.lifecycle.follow(ObservedChange {
            old: about(old),
            change,
            new: new.map(about),
            stated: None,
            asked: Instant::now(),
            placed: names.place.is_some(),
        });
    }

    /// What Django says to a new connection, but for what could be taken for the gateway's own words.
    pub(super) fn first_frames(
        &self,
        path: &str,
        frames: Vec<Frame>,
    ) -> impl Iterator<Item = Arc<Item>> {
        let frames = frames.into_iter().filter(move |frame| {
            let is_word = words::is_one(&frame.text());
            if is_word && self.logged.is_first("first_frames") {
                tracing::warn!(
                    path,
                    "a first frame of Django's is an object with the member `gatepost`, which only the \
                     gateway itself says: it is left out. This is said once"
                );
            }
            !is_word
        });
        frames.map(|frame| Item::first(Content::Frame(frame), None))
    }

    /// Ends a connection that was told to log in, after a while.
    pub(super) async fn send_to_login(
        &self,
        mut socket: Socket,
        reason: CloseReason,
        delay: Duration,
    ) {
        self.throttle.hold(&mut socket, delay, &self.drain).await;
        self.close(socket, reason).await;
    }

    /// Ends a connection that never was registered.
    pub(super) async fn close(&self, socket: Socket, reason: CloseReason) {
        let code = reason.code().into();
        self.metrics.closes.get_or_create(&CodeLabel { code }).inc();
        closing::finish(socket, ConnectionEnd::Close(reason)).await;
    }

    /// A connection has ended.
    pub(super) fn record_end(&self, member: &Member, end: &ConnectionEnd) {
        self.metrics.connections.dec();
        let (id, path, address) = (member.id, &*member.socket, member.address);
        if let ConnectionEnd::Close(reason) = end {
            let code = reason.code().into();
            self.metrics.closes.get_or_create(&CodeLabel { code }).inc();
            self.log_close(path, address, reason);
        }
        tracing::debug!(connection = %id, path, %address, ?end, "connection ends");
    }

    /// A page's developer sees a code and a reason at best, so the first close of a kind that comes of
    /// what a client did is logged with what to do.
    pub(super) fn log_close(&self, path: &str, address: IpAddr, reason: &CloseReason) {
        let (kind, hint) = match reason {
            CloseReason::Policy(kind) => (*kind, hint_for(kind)),
            CloseReason::MessageTooBig => (
                "message too big",
                "limits.message_size says how large one may be",
            ),
            CloseReason::ProtocolError => ("protocol error", "the client breaks RFC 6455"),
            CloseReason::InvalidUtf8 => ("text is not UTF-8", "the client breaks RFC 6455"),
            _ => return,
        };
        let code = reason.code();
        if self.logged.is_first(kind) {
            tracing::warn!(path, %address, code, reason = kind, hint,
                "a client was closed for what it did; further ones of this kind at debug level");
        } else {
            tracing::debug!(path, %address, code, reason = kind, "a client was closed for what it did");
        }
    }

    /// Counts a handshake.
    pub(super) fn count(&self, label: &'static str) {
        self.metrics
            .handshakes
            .get_or_create(&OutcomeLabel { outcome: label })
            .inc();
    }
}

fn hint_for(kind: &str) -> &'static str {
    match kind {
        "too many messages" => "limits.message_rate in gateway.toml says how many a second",
        "too many visitors from this address" => {
            "limits.anonymous_per_address in gateway.toml says how many"
        }
        "too many connections" => "limits.connections_per_user in gateway.toml says how many",
        _ => "the page's code has to change",
    }
}
