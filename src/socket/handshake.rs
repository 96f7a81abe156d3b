//! From a request at a socket route to a connection.
//!
//! Called by `server`. The surprise: the connection is registered with the hub before the 101 is on
//! its way, so that nothing published in between is missed; and a client that may not stay still gets
//! the 101 first, then the close that tells why.

use std::sync::Arc;
use std::time::Instant;

use http::{Request, Response, Uri, header};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tracing::Instrument as _;

use super::accept::{HandshakeError, accept, join_connection};
use super::connection::SocketClient;
use super::dialect::{Dialect, SUBPROTOCOL};
use super::guest::Guest;
use super::handshake_span::HandshakeSpan;
use super::metered::Metered;
use super::origin::PageOrigin;
use super::outcome::Outcome;
use super::parts::{Refusal, SocketParts};
use super::pending_handshake::{self, Arrival, Decision, PathView, PendingHandshake, SecondLook};
use super::topics::OwnParameters;
use super::welcome::Welcome;
use super::{OriginRule, streams, topics, view_routes};
use crate::close::CloseReason;
use crate::hub::Transport;
use crate::net::per_address::AddressPermit;
use crate::session::{AuthSubject, SessionCookies};
use crate::telemetry::span;
use crate::web::body::ResponseBody;
use crate::web::client_stream::PendingUpgrade;
use crate::web::problem::ToProblem;
use crate::web::request::Downstream;
use crate::web::request_body::{BoxedRequest, RequestBody};

/// One socket route.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of gateway.toml by itself"
)]
pub struct SocketRoute {
    /// Its path; with `view`, segments in braces stand for any one.
    pub path: Arc<str>,
    /// Who may open it.
    pub origin: OriginRule,
    /// Whether it echoes instead.
    pub echo: bool,
    /// Whether it keeps visitors, who hear topics alone.
    pub anonymous: bool,
    /// Whether those who listen to a topic here are told how many they are.
    pub presence: bool,
    /// Whether Django's own view of the path says who may listen.
    pub view: bool,
    /// What it shares with the others.
    pub parts: Arc<SocketParts>,
}

impl SocketRoute {
    /// Answers a request at this route.
    pub async fn answer(
        &self,
        mut request: BoxedRequest,
        downstream: &Downstream,
    ) -> Result<Response<ResponseBody>, HandshakeError> {
        if !self.echo && streams::is_asked_for(&request, downstream) {
            // Boxed: hyper keeps room for the larger of the two for every request.
            return Box::pin(self.stream(request, downstream)).await;
        }
        // Before the check: a handshake that passes it while a shutdown or a revocation begins is
        // older than that, and so refused when it registers.
        let asked = Instant::now();
        // Before the handshake is logged or passed on: tokens must not appear there.
        let own = OwnParameters::take(request.uri_mut());
        join_connection(request.headers_mut());
        let checked = self.check(&request, downstream);
        let (mut response, permit) =
            checked.inspect_err(|error| self.log_refusal(error, downstream))?;
        let dialect = Dialect::of(request.headers(), &own);
        match dialect.selected().filter(|_| !self.echo) {
            Some(selected) => {
                let fields = response.headers_mut();
                fields.insert(header::SEC_WEBSOCKET_PROTOCOL, selected);
            }
            None => self.log_subprotocol(&request, downstream),
        }
        let came = Arrival {
            began: asked,
            name: downstream.name(),
            own,
            transport: Transport::WebSocket,
            presence: self.presence,
        };
        let decision = self.judge(&request, downstream, came).await?;
        if let Decision::Now(settled) = &decision
            && settled.add_cookies(response.headers_mut())
        {
            let fields = response.headers();
            self.parts.follow(&request, downstream, fields);
        }
        let page = PageOrigin::of(request.headers(), &downstream.host);
        let client = SocketClient { page, dialect };
        let upgrade = PendingUpgrade::of(&mut request);
        let guest = Guest { permit, client };
        self.start(upgrade, decision, guest);
        Ok(response)
    }

    /// Decides what becomes of a client, or begins to where that takes long.
    pub(super) async fn judge(
        &self,
        request: &Request<RequestBody>,
        downstream: &Downstream,
        mut came: Arrival,
    ) -> Result<Decision, HandshakeError> {
        let span = HandshakeSpan::begin(&downstream.tracer, &self.path, &mut came);
        let keeps_visitors = self.anonymous && !self.view;
        let welcome = keeps_visitors.then(|| self.welcome(request, downstream, &came));
        let decided = self.decide(request, downstream, came).await;
        let decided = decided.inspect_err(|error| self.log_refusal(error, downstream));
        span.decided(decided.map(|decision| match welcome {
            Some(welcome) => welcome.apply(decision),
            None => decision,
        }))
    }

    fn welcome(
        &self,
        request: &Request<RequestBody>,
        downstream: &Downstream,
        came: &Arrival,
    ) -> Welcome {
        let (headers, nobody) = (request.headers(), SessionCookies::none());
        let about = AuthSubject::of(nobody, headers, &downstream.host, downstream.address);
        Welcome {
            parts: Arc::clone(&self.parts),
            path: Arc::clone(&self.path),
            about: Arc::new(about),
            came: came.clone(),
        }
    }

    /// Everything that is refused before the upgrade, cheapest first. Gives the 101 (200 over HTTP/2), and a permit.
    fn check(
        &self,
        request: &Request<RequestBody>,
        downstream: &Downstream,
    ) -> Result<(Response<ResponseBody>, AddressPermit), HandshakeError> {
        let permit = self.enter(downstream)?;
        let accepted = accept(request, downstream.upgrade)?;
        self.origin.check(request.headers(), &downstream.host)?;
        Ok((accepted, permit))
    }

    /// A place for one more connection.
    pub(super) fn enter(&self, downstream: &Downstream) -> Result<AddressPermit, HandshakeError> {
        if self.parts.drain.is_draining() {
            return Err(HandshakeError::Draining);
        }
        self.parts.limits.enter(downstream.address)
    }

    /// Browsers do not tell pages why a handshake failed, so the first refusal of a kind that more
    /// likely comes of a wrong setting than of an attack is logged with its remedy.
    pub(super) fn log_refusal(&self, error: &HandshakeError, downstream: &Downstream) {
        let label = error.label();
        self.parts.count(label);
        let (path, address) = (&*self.path, downstream.address);
        if error.is_of_settings() && self.parts.logged.is_first(label) {
            let hint = error.to_problem().hint;
            tracing::warn!(path, %address, %error, hint, "handshake refused; further ones at debug level");
        } else {
            tracing::debug!(path, %address, %error, "handshake refused");
        }
    }

    /// A browser ends a socket for which it offered a subprotocol and none is selected, and tells its
    /// page 1006 alone. What was offered is not logged: some pages hide a token there.
    fn log_subprotocol(&self, request: &Request<RequestBody>, downstream: &Downstream) {
        let offers = request
            .headers()
            .contains_key(header::SEC_WEBSOCKET_PROTOCOL);
        if offers && self.parts.logged.is_first("subprotocol") {
            let (path, address) = (&*self.path, downstream.address);
            tracing::warn!(
                path,
                %address,
                "a page offers a subprotocol, of which none is selected here but `{SUBPROTOCOL}`: browsers then \
                 end the socket with 1006; leave out the second argument of `new WebSocket(…)`. This is said once"
            );
        }
    }

    /// Judges the session, or begins to where that takes long.
    async fn decide(
        &self,
        request: &Request<RequestBody>,
        downstream: &Downstream,
        came: Arrival,
    ) -> Result<Decision, HandshakeError> {
        if self.echo {
            return Ok(Decision::Now(Outcome::Echo.into()));
        }
        let (parts, headers) = (&self.parts, request.headers());
        let Ok(view) = self.view_of(request) else {
            let nowhere = Outcome::Close(CloseReason::NotAllowed);
            return Ok(Decision::Now(nowhere.into()));
        };
        // In this order: a name that is read once it is settled is the right one.
        let is_open = parts.naming.is_open();
        let names = parts.naming.names();
        let sent = headers.get(header::COOKIE);
        let picked = parts.session(sent, &names, &downstream.host);
        let cookies = match picked.or_else(|refusal| self.as_visitor(refusal)) {
            Ok(cookies) => cookies,
            Err(refusal) => {
                let outcome = parts.refuse(refusal, headers, downstream.address);
                return Ok(Decision::Now(outcome.into()));
            }
        };
        let mut pending = PendingHandshake {
            parts: Arc::clone(parts),
            path: self.path_of(request.uri()),
            about: AuthSubject::of(cookies, headers, &downstream.host, downstream.address),
            names,
            again: None,
            view,
            came,
        };
        if !pending.is_renamed()
            && let Some(known) = pending.known()
        {
            return Ok(Decision::Now(pending.settle(Ok(known))));
        }
        let question = pending.question(request.uri());
        let sent = sent.filter(|_| is_open);
        pending.again = sent.and_then(|sent| SecondLook::of(sent, &question));
        pending.decide(question).await
    }

    /// No session, where a view may let visitors listen; else the refusal stands.
    fn as_visitor(&self, refusal: Refusal) -> Result<SessionCookies, Refusal> {
        let may_listen = self.view && self.anonymous && refusal.is_of_nobody();
        may_listen.then(SessionCookies::none).ok_or(refusal)
    }

    /// The view that says who may listen, where the route has one; an error where no view can have this path.
    fn view_of(&self, request: &Request<RequestBody>) -> Result<Option<PathView>, ()> {
        if !self.view {
            return Ok(None);
        }
        let target = topics::view_of(request.uri()).ok_or(())?;
        let anonymous = self.anonymous;
        Ok(Some(PathView { target, anonymous }))
    }

    /// The path of its connections.
    fn path_of(&self, uri: &Uri) -> Arc<str> {
        let own = self.view.then(|| view_routes::decoded(uri)).flatten();
        own.unwrap_or_else(|| Arc::clone(&self.path))
    }

    /// Starts the connection's task, which waits for the 101 to be sent and keeps the permit.
    fn start(&self, upgrade: PendingUpgrade, decision: Decision, guest: Guest) {
        let parts = Arc::clone(&self.parts);
        let run = async move {
            // An error means that the client left before the 101.
            let Ok(mut stream) = upgrade.stream().await else {
                return;
            };
            let (outcome, early) = match decision {
                Decision::Now(settled) => (settled.outcome, Vec::new()),
                // Boxed: every connection's task would hold room for it.
                Decision::Later(judging) => {
                    match Box::pin(pending_handshake::wait(&mut stream, judging)).await {
                        Some((settled, early)) => (settled.outcome, early),
                        None => return,
                    }
                }
            };
            let codec = Some(parts.settings.codec());
            let stream = Metered::new(stream, parts.settings.between_messages());
            let socket = WebSocketStream::from_partially_read(stream, early, Role::Server, codec);
            let socket = Box::pin(socket).await;
            guest.serve(parts, socket, outcome).await;
        };
        self.parts.drain.spawn(run.instrument(span::socket()));
    }
}
