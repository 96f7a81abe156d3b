//! From a request at a socket route to a connection.
//!
//! Called by `server`. The surprise: the connection is registered with the hub before the 101 is on
//! its way, so that nothing published in between is missed; and whoever may not stay still gets the
//! 101 first, then the close that tells why.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::accept::{HandshakeError, accept, join_connection};
use super::closing::{self, End};
use super::connection::Connection;
use super::{OriginRule, SocketSettings, echo};
use crate::close::CloseReason;
use crate::hub::{Hub, Member, Membership, Outbox};
use crate::ids::ConnectionId;
use crate::net::drain::DrainWatch;
use crate::publication::Frame;
use crate::session::{
    AuthError, AuthRequest, Authority, CookieNames, LoggedIn, SessionCookies, Verdict,
};
use crate::telemetry::metrics::{Code, Metrics, Outcome};
use crate::web::body::ResponseBody;
use crate::web::problem::ToProblem;
use crate::web::request::Downstream;

/// What all socket routes share.
#[derive(Debug)]
pub struct SocketParts {
    /// Asks Django.
    pub authority: Arc<Authority>,
    /// Which cookies matter.
    pub cookies: CookieNames,
    /// Who is connected.
    pub hub: Arc<Hub>,
    /// How many connections there may be, where that is configured.
    pub connections: Option<usize>,
    /// How connections behave.
    pub settings: Arc<SocketSettings>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Runs and ends the connections' tasks.
    pub drain: DrainWatch,
    /// Whether a refused origin was told of.
    pub refused: AtomicBool,
}

/// One socket route.
#[derive(Debug)]
pub struct SocketRoute {
    /// Its exact path.
    pub path: Arc<str>,
    /// Who may open it.
    pub origin: OriginRule,
    /// Whether it echoes instead.
    pub echo: bool,
    /// What it shares with the others.
    pub parts: Arc<SocketParts>,
}

/// What becomes of a connection after its 101.
enum Admission {
    Echo,
    Close(CloseReason),
    Serve {
        membership: Membership,
        greeting: Vec<Frame>,
        set_cookies: Vec<HeaderValue>,
    },
}

impl SocketRoute {
    /// Answers a request at this route.
    pub async fn answer(
        &self,
        mut request: Request<Incoming>,
        downstream: &Downstream,
    ) -> Result<Response<ResponseBody>, HandshakeError> {
        // Before the check: a handshake that passes it while a shutdown or a revocation begins is
        // older than that, and so refused when it registers.
        let asked = Instant::now();
        join_connection(request.headers_mut());
        let checked = self.check(&request, downstream);
        let mut response = checked.inspect_err(|error| self.note(error))?;
        let admission = self.admit(&request, downstream, asked).await;
        if let Admission::Serve { set_cookies, .. } = &admission {
            for cookie in set_cookies {
                response
                    .headers_mut()
                    .append(header::SET_COOKIE, cookie.clone());
            }
        }
        let upgrade = hyper::upgrade::on(&mut request);
        self.start(upgrade, admission);
        Ok(response)
    }

    /// Everything that is refused before the upgrade, cheapest first. Gives the 101.
    fn check(
        &self,
        request: &Request<Incoming>,
        downstream: &Downstream,
    ) -> Result<Response<ResponseBody>, HandshakeError> {
        if self.parts.drain.is_draining() {
            return Err(HandshakeError::Draining);
        }
        if self
            .parts
            .connections
            .is_some_and(|limit| self.parts.hub.len() >= limit)
        {
            return Err(HandshakeError::Full);
        }
        let accepted = accept(request)?;
        self.origin.check(request.headers(), &downstream.host)?;
        Ok(accepted)
    }

    /// Browsers do not tell pages why a handshake failed, so the first wrong origin is logged: more
    /// likely a page that names the wrong host than an attack.
    fn note(&self, error: &HandshakeError) {
        self.count(error.outcome());
        if !matches!(error, HandshakeError::Origin(_)) {
            return;
        }
        let path = &*self.path;
        if self.parts.refused.swap(true, Ordering::Relaxed) {
            tracing::debug!(path, %error, "handshake refused");
        } else {
            let hint = error.to_problem().hint;
            tracing::warn!(path, %error, hint, "handshake refused; further ones at debug level");
        }
    }

    /// Judges the session.
    async fn admit(
        &self,
        request: &Request<Incoming>,
        downstream: &Downstream,
        asked: Instant,
    ) -> Admission {
        if self.echo {
            return Admission::Echo;
        }
        let parts = &self.parts;
        let cookies = request
            .headers()
            .get(header::COOKIE)
            .and_then(|cookies| SessionCookies::pick(cookies, &parts.cookies));
        let Some(cookies) = cookies else {
            self.count("no_cookie");
            return Admission::Close(CloseReason::NotLoggedIn);
        };
        let question = AuthRequest {
            cookies: &cookies,
            headers: request.headers(),
            host: &downstream.host,
            target: request
                .uri()
                .path_and_query()
                .map_or("/", |target| target.as_str()),
            address: downstream.address,
            request_id: downstream.request_id,
        };
        // Boxed: the call's future is large, and hyper keeps this one's place for every request.
        let (outcome, admission) = match Box::pin(parts.authority.judge(&question)).await {
            Ok(Verdict::LoggedIn(found)) => self.register(found, asked, downstream),
            Ok(Verdict::Anonymous) => ("anonymous", Admission::Close(CloseReason::NotLoggedIn)),
            Err(AuthError::Unreachable { .. }) => (
                "unreachable",
                Admission::Close(CloseReason::DjangoUnreachable),
            ),
            Err(AuthError::Misconfigured { diagnosis, .. }) => (
                "misconfigured",
                Admission::Close(CloseReason::Misconfigured(diagnosis)),
            ),
        };
        self.count(outcome);
        admission
    }

    /// Makes a connection of a session with a user, unless that was revoked since `asked`.
    fn register(
        &self,
        found: LoggedIn,
        asked: Instant,
        downstream: &Downstream,
    ) -> (&'static str, Admission) {
        let LoggedIn {
            identity,
            frames: greeting,
            set_cookies,
        } = found;
        let member = Member {
            id: ConnectionId::random(),
            identity,
            socket: Arc::clone(&self.path),
            address: downstream.address,
            since: SystemTime::now(),
            outbox: Outbox::default(),
        };
        match self.parts.hub.register(member, asked) {
            Ok(membership) => (
                "accepted",
                Admission::Serve {
                    membership,
                    greeting,
                    set_cookies,
                },
            ),
            Err(reason) => ("revoked", Admission::Close(reason)),
        }
    }

    /// Starts the connection's task, which waits for the 101 to be sent.
    fn start(&self, upgrade: OnUpgrade, admission: Admission) {
        let parts = Arc::clone(&self.parts);
        let run = async move {
            // An error means that the client left before the 101.
            let Ok(upgraded) = upgrade.await else { return };
            let codec = Some(parts.settings.codec());
            let stream = TokioIo::new(upgraded);
            let socket = WebSocketStream::from_raw_socket(stream, Role::Server, codec).await;
            match admission {
                // Boxed: every connection's task would hold room for it.
                Admission::Echo => Box::pin(echo::run(socket, parts.drain.clone())).await,
                Admission::Close(reason) => {
                    let code = Code {
                        code: reason.code().into(),
                    };
                    parts.metrics.closes.get_or_create(&code).inc();
                    Box::pin(closing::finish(socket, End::Close(reason))).await;
                }
                Admission::Serve {
                    membership,
                    greeting,
                    ..
                } => {
                    let (settings, metrics) = (parts.settings.clone(), parts.metrics.clone());
                    Connection::new(socket, membership, settings, metrics)
                        .run(greeting)
                        .await;
                }
            }
        };
        self.parts.drain.spawn(run);
    }

    fn count(&self, outcome: &'static str) {
        self.parts
            .metrics
            .handshakes
            .get_or_create(&Outcome { outcome })
            .inc();
    }
}
