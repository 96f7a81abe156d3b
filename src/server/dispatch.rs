//! From a request on the public listener to the part that answers it.
//!
//! Called by `serve` for every request; built by the composition root. A WebSocket that is only
//! passed through to an upstream has its Origin checked here too, since the servers behind (Vite,
//! many Channels apps) do not.

use std::sync::Arc;

use http::{HeaderValue, Request, Response};

use super::access::{AccessLog, Tracked};
use super::compression::CompressionPolicy;
use super::outcomes::OutcomeCounters;
use super::own_answers::OwnAnswers;
use super::redirect::Redirect;
use super::request_limits::RequestLimits;
use super::request_names::RequestNames;
use super::request_span;
use super::route::{Route, check_origin, not_found, refuse_stream};
use super::service::{Handler, Peer};
use super::shown::{self, DeveloperNotice};
use super::unrouted::Unrouted;
use crate::admin::operations::OperationsGate;
use crate::proxy::route::RouteTable;
use crate::session::Diagnoses;
use crate::socket::{HandshakeError, SocketRoute};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::otel::Tracer;
use crate::web::admit::Admission;
use crate::web::body::ResponseBody;
use crate::web::client::Client;
use crate::web::forwarded::Proxies;
use crate::web::kept;
use crate::web::notice;
use crate::web::problem::{Problem, ToProblem};
use crate::web::render::{ResponseFormat, render};
use crate::web::request::{Downstream, ErrorPages, Reader};
use crate::web::request_body::{BoxedRequest, RequestBody};

/// Answers the public listener.
#[derive(Debug)]
pub struct Dispatch {
    proxies: Proxies,
    admission: Admission,
    limits: RequestLimits,
    gate: OperationsGate,
    pub(super) redirect: Arc<Redirect>,
    routes: RouteTable<Arc<Route>>,
    pages: ErrorPages,
    access: Option<AccessLog>,
    names: RequestNames,
    outcomes: OutcomeCounters,
    shown: Option<Arc<Diagnoses>>,
    unrouted: Unrouted,
    compression: CompressionPolicy,
    pub(super) own: OwnAnswers,
}

/// What requests meet.
#[derive(Debug)]
pub struct DispatchParts {
    /// Reads what proxies in front say.
    pub proxies: Proxies,
    /// Refuses what is no request of this origin's.
    pub admission: Admission,
    /// Refuses what nobody should ask for, or so often.
    pub limits: RequestLimits,
    /// What operators have ordered.
    pub gate: OperationsGate,
    /// Sends requests for hosts that moved on to where they went.
    pub redirect: Arc<Redirect>,
    /// What answers which path.
    pub routes: RouteTable<Arc<Route>>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Makes spans.
    pub tracer: Tracer,
    /// Remembers WebSockets that no route takes.
    pub unrouted: Unrouted,
    /// Judges which answers from behind the gateway may be compressed.
    pub compression: CompressionPolicy,
    /// What the project adds to what is answered here.
    pub own: OwnAnswers,
    /// Takes a line for each request.
    pub access: Option<AccessLog>,
}

impl Dispatch {
    /// Answers by the routes among these parts; `pages` says who error pages are for.
    pub fn new(pages: ErrorPages, parts: DispatchParts) -> Self {
        Self {
            proxies: parts.proxies,
            admission: parts.admission,
            limits: parts.limits,
            gate: parts.gate,
            redirect: parts.redirect,
            routes: parts.routes,
            pages,
            access: parts.access,
            names: RequestNames::new(parts.tracer),
            outcomes: OutcomeCounters::of(&parts.metrics),
            shown: None,
            unrouted: parts.unrouted,
            compression: parts.compression,
            own: parts.own,
        }
    }

    /// Shows in pages what is known to be wrong: for a developer who is alone with the gateway.
    #[must_use]
    pub fn showing(mut self, diagnoses: Option<Arc<Diagnoses>>) -> Self {
        self.shown = diagnoses;
        self
    }

    /// A request comes, inside of its span.
    pub(super) fn begin(&self, request: &mut Request<RequestBody>, client: &Client) -> Tracked {
        let tracked = self.names.name(request);
        match &self.access {
            Some(log) => tracked.logged(log, request, client),
            None => tracked,
        }
    }

    /// What the page that is asked for should show; the request is then changed so that it can.
    fn to_show(
        &self,
        request: &mut Request<RequestBody>,
        host: &HeaderValue,
    ) -> Option<DeveloperNotice> {
        let shown = self
            .shown
            .as_ref()
            .filter(|_| notice::is_for_page(request))?;
        let shown = DeveloperNotice::of(shown.standing(host), &self.unrouted)?;
        notice::ask_for_whole(request.headers_mut());
        Some(shown)
    }

    async fn route(
        &self,
        request: BoxedRequest,
        path: &str,
        downstream: &Downstream,
    ) -> Result<Response<ResponseBody>, Problem> {
        let Some(route) = self.routes.find(path) else {
            return Err(not_found("no route of gateway.toml has this path"));
        };
        if route.counts_requests() {
            self.limits.enter(downstream)?;
        }
        if route.reaches_servers() && self.gate.is_limited() {
            Box::pin(self.gate.pass(downstream.address)).await?;
        }
        if let Some(taken) = route.takes_websockets()
            && downstream.upgrade.is_websocket()
        {
            check_origin(&request, downstream)?;
            if !taken {
                self.unrouted.record(path);
                refuse_stream(downstream.upgrade)?;
            }
        }
        match &**route {
            // Boxed: every request would keep room for it.
            Route::Socket(socket) => Ok(Box::pin(self.open(socket, request, downstream)).await),
            Route::Upstream(upstream) => upstream.answer(request, downstream).await,
            Route::Folder { prefix, folder } => {
                let inside = path.strip_prefix(prefix.as_str()).unwrap_or_default();
                let mut answer = folder.serve(*request, inside).await?;
                self.own.add_fields(&mut answer);
                if self.pages == ErrorPages::Developer {
                    kept::revalidate(&mut answer);
                }
                Ok(answer)
            }
            Route::Internal => Err(not_found("only Django gives these files out")),
            Route::Reserved => Err(not_found("this path is the gateway's own")),
        }
    }

    /// Opens a WebSocket, or renders why not.
    async fn open(
        &self,
        socket: &SocketRoute,
        request: BoxedRequest,
        downstream: &Downstream,
    ) -> Response<ResponseBody> {
        let (asked, version) = (ResponseFormat::of(&request), request.version());
        let error = match socket.answer(request, downstream).await {
            Ok(response) => return response,
            Err(error) => error,
        };
        let mut problem = error.to_problem();
        if let (HandshakeError::NotAnUpgrade, Some(shown)) = (&error, &self.shown)
            && let Some(standing) = shown.standing(&downstream.host)
        {
            problem = problem.with_hint(format!("{standing}\n{}", standing.remedy()));
        }
        let mut response = render(&problem, asked, Some(downstream.reader()));
        error.add_fields(version, response.headers_mut());
        response
    }

    /// The last step of every answer: takes away what a browser must not keep, counts it and logs it.
    fn finish(
        &self,
        tracked: Tracked,
        mut response: Response<ResponseBody>,
    ) -> Response<ResponseBody> {
        if self.pages == ErrorPages::Developer {
            kept::forget(&mut response);
        }
        self.dress(&mut response);
        self.outcomes.count(response.status());
        tracked.answered(response)
    }
}

impl Dispatch {
    /// Answers a request of this client's over HTTPS, which a proxy may have ended.
    pub async fn answer_to(
        &self,
        client: Client,
        mut request: BoxedRequest,
    ) -> Response<ResponseBody> {
        let mut tracked = self.begin(&mut request, &client);
        tracked
            .span
            .describe(|span| span.text("url.scheme", "https"));
        let asked = ResponseFormat::of(&request);
        let response = match self.serve(&mut tracked, &client, request).await {
            Ok(answer) => answer,
            Err(problem) => {
                let reader = Reader {
                    request_id: tracked.name.id,
                    audience: self.pages,
                };
                render(&problem, asked, Some(reader))
            }
        };
        self.finish(tracked, response)
    }

    async fn serve(
        &self,
        tracked: &mut Tracked,
        client: &Client,
        mut request: BoxedRequest,
    ) -> Result<Response<ResponseBody>, Problem> {
        let admitted = self.admission.admit(&mut request, client)?;
        if let Some(refusal) = self.limits.refusal(&admitted.path, request.version()) {
            return Ok(refusal);
        }
        if admitted.is_moved {
            let (method, uri) = (request.method(), request.uri());
            let mut moved = self.redirect.to_canonical(client, method, uri);
            self.own.add_fields(&mut moved);
            return Ok(moved);
        }
        let mut downstream = Downstream {
            address: client.address,
            request_id: tracked.name.id,
            trace: tracked.name.trace,
            host: admitted.host,
            upgrade: admitted.upgrade,
            audience: self.pages,
            claimed: admitted.claimed,
            compression: self.compression.terms(request.headers()),
            upstream_time: tracked.upstream_time(),
            tracer: self.names.tracer(),
        };
        tracked.span.describe(|span| {
            // Looked up here as well, for a span alone.
            if let Some(route) = self.routes.find(&admitted.path) {
                request_span::routed(span, route, request.method(), &downstream.host);
            }
        });
        let shown = self.to_show(&mut request, &downstream.host);
        if shown.is_some() {
            // Nothing can stand behind a page that is compressed.
            downstream.compression = None;
        }
        let answer = self.route(request, &admitted.path, &downstream).await?;
        Ok(shown::add(shown.as_ref(), answer))
    }
}

impl Handler for Dispatch {
    async fn answer(&self, mut request: BoxedRequest, peer: Peer) -> Response<ResponseBody> {
        let client = self.proxies.client(peer.address(), request.headers_mut());
        self.answer_to(client, request).await
    }

    fn dress(&self, response: &mut Response<ResponseBody>) {
        self.own.dress(response);
        self.own.secure(response);
    }
}
