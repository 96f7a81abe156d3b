//! The auth view, where Django judges one session, and how it is called; and the views of sockets' paths.
//!
//! Used by `client`. The surprise: nothing of the handshake's upgrade goes along, since WSGI
//! would run the view on it and plain ASGI answers 500 (Django 5.2 under uvicorn).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use parking_lot::{Mutex, MutexGuard};

use crate::config::{AuthUrl, UpstreamAddress};
use crate::ids::{RequestName, TraceParent, ViewTarget};
use crate::secret::Secrets;
use crate::session::answer::Answer;
use crate::session::ask::diagnose::{host_refused, may_refuse_host};
use crate::session::ask::meaning::{self, Meaning};
use crate::session::ask::response::{AskedView, Response};
use crate::session::ask::view_faults::of_view;
use crate::session::diagnosis::{Diagnosis, DiagnosisKind, Unreachable};
use crate::session::error::AuthError;
use crate::session::lease::LeaseTerms;
use crate::session::naming::Naming;
use crate::session::question::AuthSubject;
use crate::telemetry::otel::Tracer;
use crate::upcall::{
    BACKSTOP, BoundedBody, Call, CallError, ClientError, ClientSettings, DjangoAddress,
    DjangoClient, put, within,
};

/// An answer has a handful of members; more is not an answer.
pub const LARGEST_ANSWER: usize = 64 * 1024;
/// How long it is believed that a host is refused, or is not, without trying again.
const PROOF: Duration = Duration::from_secs(10);

/// A batch may take as long as this many single calls.
pub(in crate::session) const LONGEST_BATCH: u32 = 5;

/// What the authority needs to know.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// Where Django judges.
    pub url: AuthUrl,
    /// Where Django judges many at once, where it does.
    pub batch_url: Option<AuthUrl>,
    /// Django's upstreams, for a path.
    pub upstream: Vec<UpstreamAddress>,
    /// For one call.
    pub timeout: Duration,
    /// For connecting.
    pub connect_timeout: Duration,
    /// Calls under way at once.
    pub concurrency: usize,
    /// How long a handshake waits before it is accepted and judged afterwards.
    pub accept_after: Duration,
    /// How long it is tried to reach Django.
    pub hold: Duration,
    /// For how long answers are relied upon.
    pub terms: LeaseTerms,
    /// Sign the calls and key the digests.
    pub secrets: Secrets,
    /// Hears what Django calls its session cookie.
    pub naming: Arc<Naming>,
    /// Makes spans of calls.
    pub tracer: Tracer,
}

/// An answer that came.
#[derive(Debug)]
pub(in crate::session) struct Answered {
    pub(in crate::session) answer: Answer,
    pub(in crate::session) headers: HeaderMap,
}

/// Calls the view.
#[derive(Debug)]
pub(in crate::session) struct AuthView {
    client: DjangoClient,
    /// Where the project itself is, for the views of its paths.
    project: DjangoClient,
    /// For one call.
    timeout: Duration,
    /// Whether Django answered 400 because of the host.
    proof: Mutex<Option<Proof>>,
}

/// What came of calling Django `localhost` instead of this host.
#[derive(Debug)]
struct Proof {
    host: HeaderValue,
    at: Instant,
    refuses_host: bool,
}

/// One call: who it is about, and the target of the handshake that makes it necessary, where there is one.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct AuthCall<'a> {
    pub(in crate::session) about: &'a AuthSubject,
    pub(in crate::session) handshake: Option<&'a str>,
    pub(in crate::session) request: Option<RequestName>,
    /// Where in a trace it is made.
    pub(in crate::session) trace: Option<TraceParent>,
    /// Asked in place of the auth view.
    pub(in crate::session) view: Option<&'a ViewTarget>,
}

impl<'a> AuthCall<'a> {
    /// The call, made in the name of `host`.
    fn request(&self, host: &'a HeaderValue) -> Call<'a> {
        Call {
            method: Method::GET,
            target: self.view.map(ViewTarget::as_str),
            query: "",
            host,
            address: self.about.address,
            headers: self.fields(),
            body: Bytes::new(),
        }
    }

    /// The fields that tell Django of it.
    fn fields(&self) -> HeaderMap {
        let about = self.about;
        let mut headers = HeaderMap::with_capacity(12);
        let cookies = Some(about.cookies.header()).filter(|cookies| !cookies.is_empty());
        let passed_on = [
            (header::COOKIE, cookies),
            (header::USER_AGENT, about.user_agent.as_ref()),
            (header::ACCEPT_LANGUAGE, about.accept_language.as_ref()),
            (header::ORIGIN, about.origin.as_ref()),
        ];
        for (name, value) in passed_on {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        // A view is asked about its own path.
        if let Some(target) = self.view.map(ViewTarget::as_str).or(self.handshake) {
            put(&mut headers, "x-original-uri", target);
        }
        if let Some(request) = self.request {
            put(&mut headers, "x-request-id", &request.id.to_string());
        }
        if let Some(trace) = self.trace {
            put(&mut headers, "traceparent", &trace.to_string());
        }
        headers
    }
}

impl AuthView {
    /// The view of the settings.
    pub(in crate::session) fn build(settings: &AuthSettings) -> Result<Self, ClientError> {
        let client = |key, url| {
            DjangoClient::build(ClientSettings {
                key,
                url,
                upstream: &settings.upstream,
                // The limit below is the one that counts.
                timeout: settings.timeout * BACKSTOP,
                connect_timeout: settings.connect_timeout,
                secrets: &settings.secrets,
            })
        };
        let root = AuthUrl::Path("/".to_owned());
        Ok(Self {
            client: client("auth.url", &settings.url)?,
            project: client("django.upstream", &root)?,
            timeout: settings.timeout,
            proof: Mutex::default(),
        })
    }

    /// Asks about one session.
    pub(in crate::session) async fn ask(&self, call: AuthCall<'_>) -> Result<Answered, AuthError> {
        let client = match call.view {
            Some(_) => &self.project,
            None => &self.client,
        };
        let answered = client.try_each(|address| {
            let answered = async {
                let response = address.call(call.request(&call.about.host)).await?;
                Ok(self.read(address, response, call).await)
            };
            async move {
                let answered = within(self.timeout, answered).await;
                answered.unwrap_or(Err(CallError::TimedOut))
            }
        });
        answered.await?
    }

    /// An error for a call that is not made.
    pub(in crate::session) fn not_asked(&self, cause: &'static str) -> AuthError {
        unreachable(self.client.first(), Unreachable::NotAsked(cause))
    }

    /// Reads a bounded answer to `call`.
    async fn read(
        &self,
        address: &DjangoAddress,
        mut response: reqwest::Response,
        call: AuthCall<'_>,
    ) -> Result<Answered, AuthError> {
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        // The beginning of what is too large is enough to say what is wrong.
        let body = BoundedBody::read(response, LARGEST_ANSWER).await;
        let body = body.map_err(|cause| address.no_answer(cause))?;
        let response = Response {
            status,
            headers: &headers,
            body: &body.bytes,
            host: &call.about.host,
            path: call.view.map_or(address.path(), ViewTarget::path),
            of: match call.view {
                Some(_) => AskedView::Path,
                None => AskedView::Auth,
            },
        };
        if status == StatusCode::OK && body.is_cut {
            let found = of_view(&response, too_large());
            return Err(misconfigured(address, call, found));
        }
        match meaning::judge(&response) {
            Meaning::Fault(_)
                if may_refuse_host(&response) && self.refuses_host(address, call).await =>
            {
                Err(misconfigured(address, call, host_refused(&call.about.host)))
            }
            Meaning::Fault(diagnosis) => Err(misconfigured(address, call, diagnosis)),
            Meaning::Unavailable => Err(unreachable(address, Unreachable::Answered(status))),
            Meaning::Failing(diagnosis) => {
                Err(unreachable(address, Unreachable::Failing(diagnosis.into())))
            }
            Meaning::Answer(answer) => Ok(Answered { answer, headers }),
        }
    }

    /// Whether Django, which answered 400, takes the same call under the name `localhost`. Asked once
    /// for many handshakes.
    async fn refuses_host(&self, address: &DjangoAddress, call: AuthCall<'_>) -> bool {
        let host = &call.about.host;
        let now = Instant::now();
        let known = self.proof().as_ref().and_then(|proof| {
            let fresh = proof.host == host && now - proof.at < PROOF;
            fresh.then_some(proof.refuses_host)
        });
        if let Some(refuses_host) = known {
            return refuses_host;
        }
        let other = HeaderValue::from_static("localhost");
        let again = AuthCall { ..call };
        let again = address.call(again.request(&other)).await;
        let refuses_host = again.is_ok_and(|again| again.status() != StatusCode::BAD_REQUEST);
        *self.proof() = Some(Proof {
            host: host.clone(),
            at: now,
            refuses_host,
        });
        refuses_host
    }

    fn proof(&self) -> MutexGuard<'_, Option<Proof>> {
        self.proof.lock()
    }
}

fn unreachable(address: &DjangoAddress, cause: Unreachable) -> AuthError {
    AuthError::Unreachable {
        place: address.name().to_owned(),
        cause,
    }
}

fn misconfigured(address: &DjangoAddress, call: AuthCall<'_>, diagnosis: Diagnosis) -> AuthError {
    let place = match call.view {
        Some(view) => format!("{} at {}", view.path(), address.name()),
        None => address.name().to_owned(),
    };
    AuthError::Misconfigured { place, diagnosis }
}

fn too_large() -> Diagnosis {
    Diagnosis::new(
        DiagnosisKind::TooLarge,
        "the auth view's answer is larger than 64 KiB",
        "The auth view's answer is larger than 64 KiB: Django's log says whose, and whether by groups (let \
         GATEPOST['GROUPS'] name fewer) or by first frames (let INITIAL_FRAMES say less). If it says \
         nothing, check that `auth.url` is the auth view's.",
    )
}
