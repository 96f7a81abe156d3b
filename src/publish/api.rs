//! The calls under `/v1/`: what Django publishes and revokes, what it asks, and what operators order.
//!
//! `server` calls [`Api::answer`] for the internal listener. The surprise: a batch is answered line by
//! line, so that 202 means that the batch was read; each publication's own line says what became of it.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body;

use super::backpressure::Backpressure;
use super::body::BodyReader;
use super::call::{ApiCall, JSON, NDJSON, Resource};
use super::caller::Authenticator;
use super::connections;
use super::error::PublishError;
use super::intake::{Intake, RevocationCount};
use super::operator::{self, Operator};
use super::publication::Decoded;
use super::publication_span::PublicationSpan;
use super::query;
use super::replays::Replays;
use super::wake::Wake;
use crate::broker::Receipt;
use crate::hub::Hub;
use crate::secret::{Secret, Secrets};
use crate::telemetry::seldom::Once;
use crate::web::body::ResponseBody;
use crate::web::linger;
use crate::web::trace;

/// The largest body of a call, in bytes.
const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// How long a recheck is waited for before it is said to be under way.
const PATIENCE: Duration = Duration::from_millis(300);

/// The most lines of a batch: their answers are made in memory.
const MOST_LINES: usize = 50_000;

/// What the API needs to know.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// Who may call.
    pub secrets: Secrets,
    /// What the operator on this machine may call with, but for what is Django's alone.
    pub token: Option<Secret>,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
}

/// The internal API.
#[derive(Debug)]
pub struct Api {
    authenticator: Authenticator,
    bodies: BodyReader,
    intake: Arc<Intake>,
    hub: Arc<Hub>,
    outbox: Option<Wake>,
    operator: Arc<dyn Operator>,
    /// Whether somebody was refused already: said once in the log, or anybody could fill it.
    refused: Once,
}

/// What the API talks to.
#[derive(Clone, Debug)]
pub struct ApiParts {
    /// Takes publications and revocations.
    pub intake: Arc<Intake>,
    /// Knows connections.
    pub hub: Arc<Hub>,
    /// Wakes the puller of the transactional outbox, where there is one.
    pub outbox: Option<Wake>,
    /// Which signatures were believed already.
    pub replays: Arc<Replays>,
    /// Does what operators order.
    pub operator: Arc<dyn Operator>,
}

impl Api {
    /// The API of a gateway.
    pub fn new(settings: ApiSettings, parts: ApiParts) -> Self {
        Self {
            authenticator: Authenticator::new(settings.secrets, settings.token, parts.replays),
            bodies: BodyReader::new(LARGEST_BODY, settings.body_timeout),
            intake: parts.intake,
            hub: parts.hub,
            outbox: parts.outbox,
            operator: parts.operator,
            refused: Once::default(),
        }
    }

    /// Answers a request for a path under `/v1/`.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<ResponseBody>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
    {
        let (request, mut body) = request.into_parts();
        match self.respond(&request, &mut body).await {
            Ok(response) => response,
            Err(error) => {
                self.log_refusal(&request, &error);
                linger::answer(error.into_response(), &request.headers, body).await
            }
        }
    }

    async fn respond<B>(
        &self,
        request: &Parts,
        body: &mut B,
    ) -> Result<Response<ResponseBody>, PublishError>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let resource = Resource::of(request.uri.path())?;
        resource.check_method(&request.method)?;
        let credentials = self
            .authenticator
            .credentials(&request.headers, resource.role())?;
        let call = resource.call(&request.headers)?;
        let body = self.bodies.read(&request.headers, body).await?;
        self.authenticator.prove(&credentials, request, &body)?;
        match call {
            ApiCall::Publish => self.publish(request, &body).await,
            ApiCall::PublishBatch => self.publish_batch(request, &body).await,
            ApiCall::Revoke => self.revoke(&body),
            ApiCall::Recheck => self.recheck(&body).await,
            ApiCall::Wake => self.wake(),
            ApiCall::Online => self.online(request),
            ApiCall::Connections => self.connections(request),
            ApiCall::Maintenance => Ok(json(operator::maintenance(&*self.operator, &body)?)),
            ApiCall::Reload => Ok(json(operator::reload(&*self.operator).await?)),
            ApiCall::Pause => Ok(json(operator::pause(&*self.operator, &body)?)),
        }
    }

    async fn publish(
        &self,
        request: &Parts,
        body: &[u8],
    ) -> Result<Response<ResponseBody>, PublishError> {
        let mut span = self.span(request);
        let decoded = self.intake.decode(body);
        let decoded = decoded.inspect_err(|_| span.refused())?;
        let mut answer = Vec::with_capacity(128);
        let receipt = self.take(&decoded, &mut answer);
        span.published(&receipt);
        Backpressure::default().let_read(receipt).await;
        Ok(response(StatusCode::ACCEPTED, JSON, answer))
    }

    async fn publish_batch(
        &self,
        request: &Parts,
        body: &[u8],
    ) -> Result<Response<ResponseBody>, PublishError> {
        let lines = body.split(|byte| *byte == b'\n').count();
        if lines > MOST_LINES {
            return Err(PublishError::TooManyLines { limit: MOST_LINES });
        }
        let mut answers = Vec::with_capacity(128 * lines);
        let mut span = self.span(request);
        let mut backpressure = Backpressure::default();
        for (index, line) in body.split(|byte| *byte == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            match self.intake.decode(line) {
                Ok(decoded) => {
                    let receipt = self.take(&decoded, &mut answers);
                    span.published(&receipt);
                    backpressure.let_read(receipt).await;
                }
                Err(error) => {
                    span.refused();
                    answers.extend(PublishError::Body(error).into_line(index + 1));
                }
            }
            answers.push(b'\n');
        }
        Ok(response(StatusCode::ACCEPTED, NDJSON, answers))
    }

    fn span(&self, request: &Parts) -> PublicationSpan {
        PublicationSpan::of_call(&self.intake.tracer, trace::of(&request.headers))
    }

    fn take(&self, decoded: &Decoded, answer: &mut Vec<u8>) -> Receipt {
        let receipt = self.intake.publish(decoded, None);
        write_receipt(answer, decoded.id.as_deref(), &receipt);
        receipt
    }

    fn revoke(&self, body: &[u8]) -> Result<Response<ResponseBody>, PublishError> {
        let answer = match self.intake.revoke(body)? {
            RevocationCount::Connections(closed) => format!(r#"{{"closed":{closed}}}"#),
            RevocationCount::Subscriptions(ended) => {
                format!(r#"{{"closed":0,"unsubscribed":{ended}}}"#)
            }
        };
        Ok(response(StatusCode::OK, JSON, answer.into_bytes()))
    }

    fn wake(&self) -> Result<Response<ResponseBody>, PublishError> {
        let outbox = self.outbox.as_ref().ok_or(PublishError::NoOutbox)?;
        outbox.wake();
        Ok(response(StatusCode::ACCEPTED, JSON, b"{}".to_vec()))
    }

    /// Waits for Django only a moment: it may be Django that calls, and busy with that.
    async fn recheck(&self, body: &[u8]) -> Result<Response<ResponseBody>, PublishError> {
        let closed = self.intake.recheck(body)?;
        let (status, closed) = match tokio::time::timeout(PATIENCE, closed).await {
            Ok(closed) => (StatusCode::OK, closed),
            Err(_) => (StatusCode::ACCEPTED, 0),
        };
        let answer = format!(r#"{{"closed":{closed}}}"#);
        Ok(response(status, JSON, answer.into_bytes()))
    }

    fn online(&self, request: &Parts) -> Result<Response<ResponseBody>, PublishError> {
        let named = query::named(request.uri.query())?;
        if named.users.is_empty() && named.topics.is_empty() {
            let hint = "who? Ask for /v1/online?user=1&user=2&topic=shop.order:17";
            return Err(PublishError::Query(hint));
        }
        let answer = connections::online(&self.hub, &named);
        Ok(response(StatusCode::OK, JSON, answer))
    }

    fn connections(&self, request: &Parts) -> Result<Response<ResponseBody>, PublishError> {
        let whose = query::audience(request.uri.query())?;
        let answer = connections::connections(&self.hub, &whose);
        Ok(response(StatusCode::OK, JSON, answer))
    }

    fn log_refusal(&self, request: &Parts, error: &PublishError) {
        // Without its query, which may name users.
        let (method, path) = (&request.method, request.uri.path());
        let denied = matches!(
            error,
            PublishError::NoSecret | PublishError::WrongSecret | PublishError::Signature(_)
        );
        // Only these texts are the gateway's own: others may quote the caller's body.
        if denied && self.refused.is_first() {
            tracing::warn!(%method, path, %error, "call to the internal API refused; further ones at debug level");
        } else {
            tracing::debug!(%method, path, code = error.code(), "call to the internal API refused");
        }
    }
}

/// Writes `{"id":…,"position":…,"sockets":…,"offline":…}`. A publication without an id of its own is
/// named by its position.
fn write_receipt(answer: &mut Vec<u8>, id: Option<&str>, receipt: &Receipt) {
    let position = receipt.position;
    answer.extend_from_slice(br#"{"id":"#);
    // Writing to a vector never fails.
    let _ = match id {
        Some(id) => serde_json::to_writer(&mut *answer, id).map_err(Into::into),
        None => write!(answer, r#""{position}""#),
    };
    let (sockets, offline) = (receipt.delivery.sockets, receipt.delivery.offline);
    let _ = write!(
        answer,
        r#","position":"{position}","sockets":{sockets},"offline":{offline}"#
    );
    answer.extend_from_slice(if receipt.duplicate {
        br#","duplicate":true}"#
    } else {
        b"}"
    });
}

fn json(answer: Vec<u8>) -> Response<ResponseBody> {
    response(StatusCode::OK, JSON, answer)
}

fn response(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

#[cfg(test)]
mod tests;
