//! One request to one upstream and its answer back.
//!
//! Called by `server` for routes with an upstream. The surprise: a request is sent twice only where
//! nothing of the first can have been heard, or where it does no harm: a repeatable request without
//! a body, whose connection died before any byte of an answer (a server that restarts resets those
//! it had not come to yet).

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::Either;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;

use super::answer_body::AnswerBody;
use super::body_rate::BodyPace;
use super::buffer::Buffering;
use super::call_span::CallSpan;
use super::compress::{self, Encoders};
use super::detached::Intercepted;
use super::download::Download;
use super::error::{ForwardError, ForwardFailure};
use super::flow::{BodyConnection, Origin, ResponseConnection};
use super::head;
use super::intercept::{Intercept, PassedOn};
use super::internal_redirect::{self, InternalRedirect};
pub use super::kind::UpstreamKind;
use super::liveness;
use super::pressure::Pressure;
use super::queue::QueuePlace;
use super::receive::{Receiver, StreamedPaths, UploadLimits};
use super::reuse::{self, Sent};
use super::rewrite::{self, LocalName};
use super::sweep::Sweeper;
use super::tunnel::{self, Handshake};
use super::upload::Upload;
use super::upload_fault::UploadFault;
use super::upstream::{Reuse, Upstream};
use crate::net::drain::DrainWatch;
use crate::web::body::ResponseBody;
use crate::web::client_stream::PendingUpgrade;
use crate::web::request::Downstream;
use crate::web::request_body::BoxedRequest;

/// How often a request is sent in all.
const ATTEMPTS: usize = 3;

/// What forwarding needs to know.
#[derive(Clone, Debug)]
pub struct ForwardSettings {
    /// The server.
    pub upstream: Upstream,
    /// How it is spoken to.
    pub kind: UpstreamKind,
    /// Bytes of a request's body.
    pub body_size: u64,
    /// For the next bytes of a request's body.
    pub body_timeout: Duration,
    /// Bytes a second of it; `None`: any number.
    pub body_rate: Option<u64>,
    /// Where bodies are kept.
    pub buffering: Buffering,
    /// What compresses answers.
    pub encoders: Encoders,
    /// Which requests' bodies are not.
    pub streamed: StreamedPaths,
    /// What else sees, and may change, what passes.
    pub intercept: Option<Arc<dyn Intercept>>,
}

/// Forwards requests to one upstream.
#[derive(Clone, Debug)]
pub struct Forwarder {
    upstream: Upstream,
    pub(super) kind: UpstreamKind,
    receiver: Receiver,
    sweeper: Sweeper,
    encoders: Encoders,
    pressure: Pressure,
    local: LocalName,
    intercepted: Option<Intercepted>,
    drain: DrainWatch,
}

impl Forwarder {
    /// A forwarder; tunnels it opens end with `drain`.
    pub fn new(settings: ForwardSettings, drain: DrainWatch) -> Self {
        let limit = settings.upstream.timeout();
        let intercept = settings.intercept;
        let intercepted = intercept.map(|to| Intercepted::new(to, limit, drain.clone()));
        let pressure = Pressure::default();
        Self {
            local: LocalName::new(settings.upstream.first_address()),
            upstream: settings.upstream,
            kind: settings.kind,
            sweeper: Sweeper::new(settings.buffering.clone(), pressure.clone(), drain.clone()),
            encoders: settings.encoders,
            pressure,
            receiver: Receiver {
                limits: UploadLimits {
                    size: settings.body_size,
                    pace: BodyPace {
                        stall: settings.body_timeout,
                        rate: settings.body_rate,
                    },
                },
                buffering: settings.buffering,
                streamed: settings.streamed,
            },
            intercepted,
            drain,
        }
    }

    /// The upstream's answer to an admitted request.
    pub async fn forward(
        &self,
        request: BoxedRequest,
        downstream: &Downstream,
    ) -> Result<Response<ResponseBody>, ForwardError> {
        let answered = if self.takes_websockets() && tunnel::is_asked_for(&request, downstream) {
            Box::pin(self.tunnel(request, downstream)).await
        } else {
            self.exchange(request, downstream).await
        };
        let mut response = answered.map_err(|failure| {
            failure.log(downstream);
            ForwardError::new(self.kind, failure)
        })?;
        if self.kind == UpstreamKind::DevServer {
            rewrite::response_of_dev_server(response.headers_mut(), downstream, &self.local);
        }
        Ok(response)
    }

    /// What people call its upstream.
    pub fn upstream_name(&self) -> &str {
        self.upstream.name()
    }

    /// Whether WebSockets may pass through to it.
    pub fn takes_websockets(&self) -> bool {
        self.kind.takes_websockets()
    }

    async fn exchange(
        &self,
        request: BoxedRequest,
        downstream: &Downstream,
    ) -> Result<Response<ResponseBody>, ForwardFailure> {
        let (parts, body) = request.into_parts();
        let upload = self.receiver.receive(&parts, body, downstream.address);
        let upload = upload.await?;
        let mut request = self.rewritten(parts, upload, downstream);
        let (to, pressure) = (self.intercepted.as_ref(), &self.pressure);
        let place = Intercepted::place(to, request.headers(), downstream, pressure).await?;
        let _measured = downstream.upstream_time.begin();
        let span = CallSpan::begin(&mut request, downstream, self.upstream_name());
        span.ended(self.send(request, place, downstream).await)
    }

    async fn send(
        &self,
        mut request: Request<Upload>,
        place: Option<QueuePlace>,
        downstream: &Downstream,
    ) -> Result<Response<ResponseBody>, ForwardFailure> {
        let repeatable = reuse::is_repeatable(&request);
        let intercepted = self.intercepted.as_ref();
        let sent = self.sent(&request, place);
        let mut reuse = if repeatable { reuse::ANY } else { reuse::FRESH };
        let mut attempt = 0;
        loop {
            attempt += 1;
            let pooled = self.upstream.connection(reuse, downstream.address);
            let mut pooled = self.pressure.during(pooled).await?;
            let half = pooled.connection.our_half.clone();
            let shown = intercepted.map(|to| (to, to.request(&mut request, downstream, half)));
            let spare = repeatable.then(|| reuse::copy(&request));
            let answer = pooled.connection.sender.try_send_request(request);
            let answer = match shown {
                Some((to, shown)) => Either::Left(to.response(answer, shown, &sent)),
                None => Either::Right(answer),
            };
            let (limit, progress) = (self.upstream.timeout(), sent.progress.as_ref());
            let head = head::wait(std::pin::pin!(answer), limit, progress, &self.pressure).await;
            let head = head.ok_or_else(|| ForwardFailure::late(pooled.label(), limit))?;
            let mut error = match head {
                Ok(response) => {
                    let connection = ResponseConnection::new(pooled, sent, &response);
                    return self.answer(response, connection, downstream);
                }
                Err(error) => error,
            };
            let harmless = pooled.reused || attempt == 1 || reuse::was_unread(error.error());
            let again = reuse::again(&mut error, spare.filter(|_| harmless));
            let Some(again) = again.filter(|_| attempt < ATTEMPTS) else {
                let (at, progress) = (pooled.label(), sent.progress.as_ref());
                return Err(ForwardFailure::unanswered(at, error.into_error(), progress));
            };
            request = again;
            self.upstream.count_retry();
            reuse = Reuse::Never;
        }
    }

    fn sent(&self, request: &Request<Upload>, place: Option<QueuePlace>) -> Sent {
        let intercepted = self.intercepted.as_ref();
        let goes_on = intercepted.and_then(|to| to.goes_on(request.method()));
        Sent::of(request.body(), place, goes_on)
    }

    fn answer(
        &self,
        response: Response<Incoming>,
        connection: ResponseConnection,
        downstream: &Downstream,
    ) -> Result<Response<ResponseBody>, ForwardFailure> {
        let at = || connection.pooled.label();
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(ForwardFailure::UnaskedUpgrade { at: at() });
        }
        if !rewrite::is_plainly_framed(response.headers()) {
            return Err(ForwardFailure::BadFraming { at: at() });
        }
        let idle_limit = liveness::idle_limit(response.headers(), self.upstream.timeout());
        let may_be_stored = liveness::may_be_stored(response.headers());
        // Nor is what is made to be heard at once compressed, or what does not leave the machine.
        let may_shrink = may_be_stored && self.kind != UpstreamKind::DevServer;
        let terms = downstream.compression.as_ref().filter(|_| may_shrink);
        let (mut parts, body) = response.into_parts();
        internal_redirect::record(&mut parts, self.kind);
        rewrite::response(&mut parts);
        let terms = terms.filter(|_| parts.extensions.get::<InternalRedirect>().is_none());
        let ticket = terms.and_then(|terms| {
            compress::prepare(&mut parts, terms, &self.encoders, downstream.address)
        });
        let passed_on = parts.extensions.remove::<PassedOn>();
        let body = if body.is_end_stream() {
            connection.give_back();
            ResponseBody::empty()
        } else {
            let origin = Origin {
                request_id: downstream.request_id,
                connection: BodyConnection::Pooled(connection),
            };
            let body = AnswerBody::new(body, ticket);
            let mut body = Download::new(body, origin, idle_limit);
            if may_be_stored {
                body = body.stored_by(&self.sweeper, downstream.address);
            }
            ResponseBody::stream(body)
        };
        Ok(Response::from_parts(parts, body.keeping(passed_on)))
    }

    async fn tunnel(
        &self,
        mut request: BoxedRequest,
        downstream: &Downstream,
    ) -> Result<Response<ResponseBody>, ForwardFailure> {
        let pending = PendingUpgrade::of(&mut request);
        let (parts, body) = request.into_parts();
        if !body.is_end_stream() {
            return Err(UploadFault::OnHandshake.into());
        }
        let mut request = self.rewritten(parts, Upload::Empty, downstream);
        if self.kind == UpstreamKind::DevServer {
            rewrite::name_origin(request.headers_mut(), &self.local);
        }
        let span = CallSpan::begin(&mut request, downstream, self.upstream_name());
        let handshake = Handshake {
            request,
            downstream: pending,
            request_id: downstream.request_id,
        };
        span.ended(tunnel::open(&self.upstream, handshake, &self.drain).await)
    }

    fn rewritten(
        &self,
        mut parts: Parts,
        upload: Upload,
        downstream: &Downstream,
    ) -> Request<Upload> {
        rewrite::request(&mut parts, downstream, upload.length());
        if self.kind == UpstreamKind::DevServer {
            rewrite::request_for_dev_server(&mut parts.headers, downstream, &self.local);
        }
        Request::from_parts(parts, upload)
    }
}
