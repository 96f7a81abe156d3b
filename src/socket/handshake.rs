//! From a request at a socket route to a connection.
//!
//! Called by `server`. The surprise: the connection is registered with the hub before the 101 is on
//! its way, so that nothing published in between is missed; and whoever may not stay still gets the
//! 101 first, then the close that tells why.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::accept::{HandshakeError, accept, join_connection};
use super::connection::Connection;
use super::entrance::Seat;
use super::parts::SocketParts;
use super::{OriginRule, echo};
use crate::close::CloseReason;
use crate::hub::Member;
use crate::net::block::AddressBlock;
use crate::publication::Frame;
use crate::session::{AuthError, LoggedIn, Question, Recheck, SessionCookies, Tab, Verdict};
use crate::web::body::ResponseBody;
use crate::web::problem::ToProblem;
use crate::web::request::Downstream;

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
    /// Close 4001, after a while.
    LogIn(Duration),
    Serve {
        tab: Tab,
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
        let (mut response, seat) = checked.inspect_err(|error| self.note(error, downstream))?;
        let admission = self.admit(&request, downstream, asked).await;
        if let Admission::Serve { set_cookies, .. } = &admission {
            for cookie in set_cookies {
                response
                    .headers_mut()
                    .append(header::SET_COOKIE, cookie.clone());
            }
        }
        let upgrade = hyper::upgrade::on(&mut request);
        self.start(upgrade, admission, seat);
        Ok(response)
    }

    /// Everything that is refused before the upgrade, cheapest first. Gives the 101, and a place.
    fn check(
        &self,
        request: &Request<Incoming>,
        downstream: &Downstream,
    ) -> Result<(Response<ResponseBody>, Seat), HandshakeError> {
        if self.parts.drain.is_draining() {
            return Err(HandshakeError::Draining);
        }
        let seat = self.parts.entrance.enter(downstream.address)?;
        let accepted = accept(request)?;
        self.origin.check(request.headers(), &downstream.host)?;
        Ok((accepted, seat))
    }

    /// Browsers do not tell pages why a handshake failed, so the first refusal of a kind that more
    /// likely comes of a wrong setting than of an attack is logged with its remedy.
    fn note(&self, error: &HandshakeError, downstream: &Downstream) {
        let outcome = error.outcome();
        self.parts.count(outcome);
        let (path, address) = (&*self.path, downstream.address);
        if error.is_of_settings() && self.parts.tells_first(outcome) {
            let hint = error.to_problem().hint;
            tracing::warn!(path, %address, %error, hint, "handshake refused; further ones at debug level");
        } else {
            tracing::debug!(path, %address, %error, "handshake refused");
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
        let headers = request.headers();
        let Some(cookies) = parts.pick(headers) else {
            self.parts.count("no_cookie");
            return self.send_to_login(headers, downstream, None);
        };
        if let Some(reason) = parts.lifecycle.refusal(&cookies) {
            self.parts.count("revoked");
            return Admission::Close(reason);
        }
        let about = Recheck::of(cookies, headers, &downstream.host, downstream.address);
        let verdict = match parts.authority.known(about.session()) {
            Some(known) => Ok(known),
            // Boxed: the call's future is large, and hyper keeps this one's place for every request.
            None => Box::pin(self.judge(request, downstream, about.clone())).await,
        };
        let (outcome, admission) = match verdict {
            Ok(Verdict::LoggedIn(found)) => self.register(found, asked, &about),
            Ok(Verdict::Anonymous) => (
                "anonymous",
                self.send_to_login(headers, downstream, Some(&about.cookies)),
            ),
            Err(AuthError::Unreachable { .. }) => (
                "unreachable",
                Admission::Close(CloseReason::DjangoUnreachable),
            ),
            Err(AuthError::Misconfigured { diagnosis, .. }) => (
                "misconfigured",
                Admission::Close(CloseReason::Misconfigured(
                    diagnosis.reason().to_owned().into(),
                )),
            ),
        };
        self.parts.count(outcome);
        admission
    }

    /// Turns a client away that has to log in first: at once, unless it comes again and again.
    fn send_to_login(
        &self,
        headers: &HeaderMap,
        downstream: &Downstream,
        cookies: Option<&SessionCookies>,
    ) -> Admission {
        let client = (
            AddressBlock::of(downstream.address),
            headers.get(header::USER_AGENT),
            cookies.map(SessionCookies::header),
        );
        Admission::LogIn(self.parts.slowing.delay(client))
    }

    /// Asks Django.
    async fn judge(
        &self,
        request: &Request<Incoming>,
        downstream: &Downstream,
        about: Recheck,
    ) -> Result<Verdict, AuthError> {
        let target = request.uri().path_and_query();
        let question = Question {
            about,
            target: target.map_or("/", |target| target.as_str()).into(),
            request_id: downstream.request_id,
        };
        self.parts.authority.judge(&question).await
    }

    /// Makes a connection of a session with a user, unless that was revoked since `asked`.
    fn register(
        &self,
        found: LoggedIn,
        asked: Instant,
        about: &Recheck,
    ) -> (&'static str, Admission) {
        let LoggedIn {
            identity,
            frames: greeting,
            set_cookies,
            asked: of_lease,
        } = found;
        let connect = |who| Member::new(who, Arc::clone(&self.path), about.address);
        let found = (identity, asked.min(of_lease));
        match self.parts.lifecycle.join(about, found, connect) {
            Ok(tab) => (
                "accepted",
                Admission::Serve {
                    tab,
                    greeting,
                    set_cookies,
                },
            ),
            Err(reason @ CloseReason::Policy(_)) => ("user_full", Admission::Close(reason)),
            Err(reason) => ("revoked", Admission::Close(reason)),
        }
    }

    /// Starts the connection's task, which waits for the 101 to be sent and keeps the place.
    fn start(&self, upgrade: OnUpgrade, admission: Admission, seat: Seat) {
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
                Admission::Close(reason) => Box::pin(parts.close(socket, reason)).await,
                Admission::LogIn(delay) => Box::pin(parts.send_to_login(socket, delay)).await,
                Admission::Serve { tab, greeting, .. } => {
                    let (settings, metrics) = (parts.settings.clone(), parts.metrics.clone());
                    Connection::new(socket, tab, settings, metrics)
                        .run(greeting, seat)
                        .await;
                }
            }
        };
        self.parts.drain.spawn(run);
    }
}
