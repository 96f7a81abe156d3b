//! One request to one upstream and its answer back.
//!
//! Called by `server` for routes with an upstream. The surprise: a request is sent twice only where
//! nothing of the first can have been heard, or where it does no harm: a repeatable request without
//! a body, whose connection died before any byte of an answer (a server that restarts resets those
//! it had not come to yet).

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::Either;
use http::header::{self, HeaderMap};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::body_rate::BodyPace;
use super::buffer::Buffering;
use super::carry::Carrier;
use super::download::Download;
use super::error::{Failure, ForwardError};
use super::flow::{Borrowed, Patience};
use super::intercept::{Intercept, PassedOn};
pub use super::kind::UpstreamKind;
use super::liveness;
use super::receive::{Receiver, StreamedPaths, UploadLimits};
use super::reuse::{self, Sent};
use super::rewrite::{self, LocalName};
use super::streamed::Progress;
use super::sweep::Sweeper;
use super::tunnel;
use super::upload::Upload;
use super::upload_fault::UploadFault;
use super::upstream::{Lease, Reuse, Upstream};
use crate::net::drain::DrainWatch;
use crate::web::body::ResponseBody;
use crate::web::request::Downstream;

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
    /// Which requests' bodies are not.
    pub streamed: StreamedPaths,
    /// Who else has a say in what passes.
    pub intercept: Option<Arc<dyn Intercept>>,
}

/// Forwards requests to one upstream.
#[derive(Clone, Debug)]
pub struct Forwarder {
    upstream: Upstream,
    pub(super) kind: UpstreamKind,
    receiver: Receiver,
    sweeper: Sweeper,
    local: LocalName,
    carrier: Option<Carrier>,
    drain: DrainWatch,
}

impl Forwarder {
    /// A forwarder; tunnels it opens end with `drain`.
    pub fn new(settings: ForwardSettings, drain: DrainWatch) -> Self {
        let limit = settings.upstream.timeout();
        let carrier = settings
            .intercept
            .map(|intercept| Carrier::new(intercept, limit, drain.clone()));
        Self {
            local: LocalName::new(settings.upstream.first_address()),
            upstream: settings.upstream,
            kind: settings.kind,
            sweeper: Sweeper::new(settings.buffering.clone(), drain.clone()),
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
                drain: drain.clone(),
            },
            carrier,
            drain,
        }
    }

    /// The upstream's answer to an admitted request.
    pub async fn forward(
        &self,
        request: Request<Incoming>,
        downstream: &Downstream,
    ) -> Result<Response<ResponseBody>, ForwardError> {
        let answered = if self.is_tunnel(&request) {
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

    async fn exchange(
        &self,
        request: Request<Incoming>,
        downstream: &Downstream,
    ) -> Result<Response<ResponseBody>, Failure> {
        let (parts, body) = request.into_parts();
        let client = downstream.address;
        let upload = self.receiver.receive(&parts, body, client).await?;
        let request = self.rewritten(parts, upload, downstream);
        self.send(request, downstream).await
    }

    async fn send(
        &self,
        mut request: Request<Upload>,
        downstream: &Downstream,
    ) -> Result<Response<ResponseBody>, Failure> {
        let repeatable = reuse::is_repeatable(&request);
        let sent = Sent::of(request.body());
        let mut reuse = if repeatable { reuse::ANY } else { reuse::FRESH };
        let mut attempt = 0;
        loop {
            attempt += 1;
            let mut lease = self.upstream.lease(reuse, downstream.address).await?;
            let asked = self
                .carrier
                .as_ref()
                .map(|carrier| (carrier, carrier.show(&mut request, downstream)));
            let spare = repeatable.then(|| reuse::copy(&request));
            let answer = lease.sender.try_send_request(request);
            let answer = match asked {
                Some((carrier, asked)) => Either::Left(carrier.carry(answer, asked)),
                None => Either::Right(answer),
            };
            let mut error = match self.head(answer, &lease, sent.progress.as_ref()).await? {
                Ok(response) => {
                    let borrowed = Borrowed::new(lease, sent, &response);
                    return self.answer(response, borrowed, downstream);
                }
                Err(error) => error,
            };
            let harmless = lease.reused || attempt == 1 || reuse::was_unread(error.error());
            // The message comes back where nothing of it was written. What is no HTTP is an answer all
            // the same: somebody has heard the request.
            match error
                .take_message()
                .or(spare.filter(|_| harmless && !error.error().is_parse()))
                .filter(|_| attempt < ATTEMPTS)
            {
                Some(again) => request = again,
                None => return Err(broken(error.into_error(), &lease, sent.progress.as_ref())),
            }
            reuse = Reuse::Never;
        }
    }

    /// Waits for the answer's head; while the request's body moves, nobody is late.
    async fn head<R>(
        &self,
        answer: impl Future<Output = R>,
        lease: &Lease,
        progress: Option<&Progress>,
    ) -> Result<R, Failure> {
        let limit = self.upstream.timeout();
        let mut left = limit;
        let mut answer = std::pin::pin!(answer);
        loop {
            if let Ok(result) = tokio::time::timeout(left, answer.as_mut()).await {
                return Ok(result);
            }
            let since = progress.map_or(limit, |progress| Instant::now() - progress.last());
            left = limit.saturating_sub(since);
            if left.is_zero() {
                return Err(Failure::Timeout {
                    at: lease.place(),
                    limit,
                });
            }
        }
    }

    fn answer(
        &self,
        response: Response<Incoming>,
        borrowed: Borrowed,
        downstream: &Downstream,
    ) -> Result<Response<ResponseBody>, Failure> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let at = borrowed.lease.place();
            return Err(Failure::UnaskedUpgrade { at });
        }
        if !is_plainly_framed(response.headers()) {
            let at = borrowed.lease.place();
            return Err(Failure::BadFraming { at });
        }
        let patience = Patience::of(response.headers(), self.upstream.timeout());
        let may_be_kept = liveness::may_be_kept(response.headers());
        let (mut parts, body) = response.into_parts();
        rewrite::response(&mut parts);
        let passed_on = parts.extensions.remove::<PassedOn>();
        let body = if body.is_end_stream() {
            borrowed.give_back();
            ResponseBody::empty()
        } else {
            let mut body = Download::new(body, Some(borrowed), patience);
            if may_be_kept {
                body = body.kept_by(&self.sweeper, downstream.address);
            }
            ResponseBody::stream(body)
        };
        Ok(Response::from_parts(parts, body.keeping(passed_on)))
    }

    async fn tunnel(
        &self,
        mut request: Request<Incoming>,
        downstream: &Downstream,
    ) -> Result<Response<ResponseBody>, Failure> {
        let on_upgrade = hyper::upgrade::on(&mut request);
        let (parts, body) = request.into_parts();
        if !body.is_end_stream() {
            return Err(UploadFault::OnHandshake.into());
        }
        let mut request = self.rewritten(parts, Upload::Empty, downstream);
        if self.kind == UpstreamKind::DevServer {
            rewrite::name_origin(request.headers_mut(), &self.local);
        }
        tunnel::open(&self.upstream, request, on_upgrade, &self.drain).await
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

/// Whether its body is what hyper took it for, whoever reads it next.
fn is_plainly_framed(fields: &HeaderMap) -> bool {
    let mut codings = fields.get_all(header::TRANSFER_ENCODING).iter();
    let chunked = codings
        .next()
        .is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    chunked && codings.next().is_none()
}

/// Whose fault it is that no answer came.
fn broken(error: hyper::Error, lease: &Lease, progress: Option<&Progress>) -> Failure {
    if let Some(fault) = progress.and_then(Progress::fault) {
        return fault.into();
    }
    let at = lease.place();
    Failure::broken(at, error)
}
