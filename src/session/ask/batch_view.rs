//! The batch view: up to 500 sessions, or sessions and paths, judged by one request.
//!
//! Used by `client`. A project need not have one. Whatever is no batch answer (404, a page, a refusal)
//! means that sessions are asked for one by one for a while, see `offer`; only the auth view's own answer
//! is ever taken for a diagnosis.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::ids::TraceParent;
use crate::session::ask::auth_view::{AuthSettings, LONGEST_BATCH};
use crate::session::ask::batch::{
    self, BatchItem, BatchKind, Together, TopicAnswer, TopicQuestion,
};
use crate::session::ask::meaning::is_json;
use crate::session::ask::offer::{Failure, Offer, Stray};
use crate::session::diagnosis::Unreachable;
use crate::session::error::AuthError;
use crate::session::naming::Naming;
use crate::upcall::{
    BACKSTOP, BoundedBody, Call, ClientError, ClientSettings, DjangoAddress, DjangoClient, put,
    within,
};

/// Cookies and paths of one request in bytes, in which Django's `DATA_UPLOAD_MAX_MEMORY_SIZE` (2.5 MB) is safe.
pub(in crate::session) const LARGEST_REQUEST: usize = 1024 * 1024;
/// Answers of one request in bytes.
const LARGEST_ANSWER: usize = 8 * 1024 * 1024;

/// What a batch came to.
#[derive(Debug)]
pub(in crate::session) enum Batched<T> {
    /// What it says of each, in order.
    Answers(Vec<T>),
    /// Nothing: each session must be asked for by itself.
    NotOffered,
}

#[derive(Debug)]
pub(in crate::session) struct BatchView {
    client: DjangoClient,
    /// For one call.
    timeout: Duration,
    sessions: Offer,
    views: Offer,
    naming: Arc<Naming>,
}

/// One call, and what is expected of its answer.
struct BatchCall<'a> {
    host: &'a HeaderValue,
    kind: BatchKind,
    body: Bytes,
    trace: Option<TraceParent>,
}

impl BatchView {
    /// The view of the settings, where there is one.
    pub(in crate::session) fn build(settings: &AuthSettings) -> Result<Option<Self>, ClientError> {
        let Some(url) = &settings.batch_url else {
            return Ok(None);
        };
        let timeout = settings.timeout * LONGEST_BATCH;
        let client = DjangoClient::build(ClientSettings {
            key: "auth.batch_url",
            url,
            upstream: &settings.upstream,
            // The limit below is the one that counts.
            timeout: timeout * BACKSTOP,
            connect_timeout: settings.connect_timeout,
            secrets: &settings.secrets,
        })?;
        Ok(Some(Self {
            client,
            timeout,
            sessions: Offer::default(),
            views: Offer::default(),
            naming: Arc::clone(&settings.naming),
        }))
    }

    /// Whether it is worth asking, as far as is known.
    pub(in crate::session) fn is_offered(&self, kind: BatchKind) -> bool {
        self.offer(kind).is_open(Instant::now())
    }

    /// A single call went well, or did not.
    pub(in crate::session) fn record_single(&self, went_well: bool) {
        self.sessions.record_single(went_well);
        self.views.record_single(went_well);
    }

    /// Asks about sessions, at this place in a trace.
    pub(in crate::session) async fn ask(
        &self,
        question: &Together<'_>,
        trace: Option<TraceParent>,
    ) -> Result<Batched<BatchItem>, AuthError> {
        let (kind, count) = (question.kind, question.asked.len());
        let host = question.asked.first().map(|asked| &asked.about.host);
        let body = question.body(self.timeout.as_secs_f64());
        let Some((host, body)) = host.zip(body) else {
            return Ok(Batched::NotOffered);
        };
        let call = BatchCall {
            host,
            kind,
            body,
            trace,
        };
        let read = |body: &[u8]| batch::answers(body, kind, count);
        self.call(&call, read).await
    }

    /// Asks who may still listen to topics by tokens.
    pub(in crate::session) async fn ask_topics(
        &self,
        host: &HeaderValue,
        topics: &[TopicQuestion],
        trace: Option<TraceParent>,
    ) -> Result<Batched<TopicAnswer>, AuthError> {
        let call = BatchCall {
            host,
            kind: BatchKind::Views,
            body: batch::topics_body(topics, self.timeout.as_secs_f64()),
            trace,
        };
        let read = |body: &[u8]| batch::topic_answers(body, topics.len());
        self.call(&call, read).await
    }

    async fn call<T>(
        &self,
        call: &BatchCall<'_>,
        read: impl Fn(&[u8]) -> Option<Vec<T>>,
    ) -> Result<Batched<T>, AuthError> {
        let said = within(self.timeout, async {
            let called = self.client.try_each(async |address: &DjangoAddress| {
                let response = address.call(call.request()).await?;
                Ok((address, response))
            });
            let (address, response) = called.await?;
            self.naming.observe(response.headers());
            let status = response.status();
            let body = self.body(address, response, call.kind).await?;
            Ok(if let Some(answers) = body.and_then(|body| read(&body)) {
                self.offer(call.kind).answered();
                Batched::Answers(answers)
            } else {
                self.record_stray(address, status, call.kind);
                Batched::NotOffered
            })
        });
        let took_too_long = || Err(unreachable(self.client.first(), Unreachable::TimedOut));
        said.await.unwrap_or_else(took_too_long)
    }

    /// The body of an answer, where this may be one.
    async fn body(
        &self,
        address: &DjangoAddress,
        response: reqwest::Response,
        kind: BatchKind,
    ) -> Result<Option<Vec<u8>>, AuthError> {
        let status = response.status();
        let silent = matches!(status.as_u16(), 408 | 425 | 429 | 502..=504)
            || status.is_server_error()
                && status != StatusCode::NOT_IMPLEMENTED
                && self.offer(kind).failed(Instant::now()) == Failure::Silence;
        if silent {
            return Err(unreachable(address, Unreachable::Answered(status)));
        }
        let fits = status == StatusCode::OK && is_json(response.headers());
        let body = BoundedBody::read(response, LARGEST_ANSWER).await;
        let body = body.map_err(|cause| address.no_answer(cause))?.whole();
        Ok(body.filter(|_| fits))
    }

    fn record_stray(&self, address: &DjangoAddress, status: StatusCode, kind: BatchKind) {
        let stray = match status.as_u16() {
            404 | 405 | 501 => Stray::No,
            _ => Stray::Other,
        };
        if self.offer(kind).strayed(stray, Instant::now()) {
            let status = status.as_u16();
            tracing::info!(
                place = address.name(),
                status,
                "no batch of sessions is answered, they are asked for one by one \
                 (auth.batch_url = \"\" says that there is no batch view)"
            );
        }
    }

    fn offer(&self, kind: BatchKind) -> &Offer {
        match kind {
            BatchKind::Sessions => &self.sessions,
            BatchKind::Views => &self.views,
        }
    }
}

fn unreachable(address: &DjangoAddress, cause: Unreachable) -> AuthError {
    AuthError::Unreachable {
        place: address.name().to_owned(),
        cause,
    }
}

impl BatchCall<'_> {
    fn request(&self) -> Call<'_> {
        let json = HeaderValue::from_static("application/json");
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(header::ACCEPT, json.clone());
        headers.insert(header::CONTENT_TYPE, json);
        headers.insert(header::USER_AGENT, HeaderValue::from_static("Gatepost"));
        if let Some(trace) = self.trace {
            put(&mut headers, "traceparent", &trace.to_string());
        }
        Call {
            method: Method::POST,
            target: None,
            query: "",
            host: self.host,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            headers,
            body: self.body.clone(),
        }
    }
}
