//! One place where Django judges sessions, and how it is called.
//!
//! Used by the authority alone. The surprise: nothing of the handshake's upgrade goes along, since WSGI
//! would run the view on it and plain ASGI answers 500 (Django 5.2 under uvicorn).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use parking_lot::{Mutex, MutexGuard};

use crate::config::{AuthUrl, UpstreamAddress};
use crate::ids::RequestId;
use crate::secret::Secrets;
use crate::session::answer::Answer;
use crate::session::ask::diagnose::{Response, host_refused, may_refuse_host};
use crate::session::ask::meaning::{self, Meaning};
use crate::session::diagnosis::{Diagnosis, Kind, Silence};
use crate::session::error::AuthError;
use crate::session::lease::LeaseTerms;
use crate::session::naming::Naming;
use crate::session::question::Recheck;
use crate::upcall::AuthorityError;
use crate::upcall::BACKSTOP;
use crate::upcall::{Call, Place, PlaceSettings, describe, put};

/// An answer has a handful of members; more is not an answer.
pub const LARGEST_ANSWER: usize = 64 * 1024;
/// How long it is believed that a host is refused, or is not, without trying again.
const PROOF: Duration = Duration::from_secs(10);

/// A batch may take as long as so many single calls.
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
}

/// An answer that came.
#[derive(Debug)]
pub(in crate::session) struct Answered {
    pub(in crate::session) answer: Answer,
    pub(in crate::session) headers: HeaderMap,
}

#[derive(Debug)]
pub(in crate::session) struct Endpoint {
    place: Place,
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

/// One call: whom it is about, and the handshake that makes it necessary, where there is one.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct AuthCall<'a> {
    pub(in crate::session) about: &'a Recheck,
    pub(in crate::session) handshake: Option<(&'a str, RequestId)>,
}

impl AuthCall<'_> {
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
        if let Some((target, request_id)) = self.handshake {
            put(&mut headers, "x-original-uri", target);
            put(&mut headers, "x-request-id", &request_id.to_string());
        }
        headers
    }
}

impl Endpoint {
    /// The endpoints of the settings: one for a whole URL, one for each of Django's addresses else.
    pub(in crate::session) fn build(settings: &AuthSettings) -> Result<Vec<Self>, AuthorityError> {
        let places = Place::build(&PlaceSettings {
            url: &settings.url,
            upstream: &settings.upstream,
            // The caller's own limit is the one that counts.
            timeout: settings.timeout * BACKSTOP,
            connect_timeout: settings.connect_timeout,
        })?;
        let endpoint = |place| Self {
            place,
            proof: Mutex::default(),
        };
        Ok(places.into_iter().map(endpoint).collect())
    }

    /// Sends one call.
    pub(in crate::session) async fn call(
        &self,
        call: AuthCall<'_>,
        secrets: &Secrets,
    ) -> Result<reqwest::Response, reqwest::Error> {
        self.call_named(&call.about.host, call, secrets).await
    }

    async fn call_named(
        &self,
        host: &HeaderValue,
        call: AuthCall<'_>,
        secrets: &Secrets,
    ) -> Result<reqwest::Response, reqwest::Error> {
        let call = Call {
            method: Method::GET,
            query: "",
            host,
            address: call.about.address,
            headers: call.fields(),
            body: Bytes::new(),
        };
        self.place.call(call, secrets).await
    }

    /// Reads a bounded answer to `call`.
    pub(in crate::session) async fn read(
        &self,
        mut response: reqwest::Response,
        call: AuthCall<'_>,
        secrets: &Secrets,
    ) -> Result<Answered, AuthError> {
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let body = beginning(&mut response).await;
        let body = body.map_err(|error| self.unreachable(describe(&error).into()))?;
        if status == StatusCode::OK && body.len() > LARGEST_ANSWER {
            return Err(self.misconfigured(too_large()));
        }
        let response = Response {
            status,
            headers: &headers,
            body: &body,
            host: &call.about.host,
            path: self.place.path(),
        };
        match meaning::judge(&response) {
            Meaning::Fault(_)
                if may_refuse_host(&response) && self.refuses_host(call, secrets).await =>
            {
                Err(self.misconfigured(host_refused(&call.about.host)))
            }
            Meaning::Fault(diagnosis) => Err(self.misconfigured(diagnosis)),
            Meaning::Unavailable => Err(self.unreachable(Silence::Answered(status))),
            Meaning::Failing(diagnosis) => {
                Err(self.unreachable(Silence::Failing(diagnosis.into())))
            }
            Meaning::Answer(answer) => Ok(Answered { answer, headers }),
        }
    }

    /// Whether Django, which answered 400, takes the same call under the name `localhost`. Asked once
    /// for many handshakes.
    async fn refuses_host(&self, call: AuthCall<'_>, secrets: &Secrets) -> bool {
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
        let again = self.call_named(&other, call, secrets).await;
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

    pub(in crate::session) fn unreachable(&self, cause: Silence) -> AuthError {
        AuthError::Unreachable {
            place: self.place.name().to_owned(),
            cause,
        }
    }

    fn misconfigured(&self, diagnosis: Diagnosis) -> AuthError {
        AuthError::Misconfigured {
            place: self.place.name().to_owned(),
            diagnosis,
        }
    }
}

/// A little more than an answer may have, at most: enough to say what is wrong.
async fn beginning(response: &mut reqwest::Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while body.len() <= LARGEST_ANSWER
        && let Some(chunk) = response.chunk().await?
    {
        let room = LARGEST_ANSWER + 1 - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    Ok(body)
}

fn too_large() -> Diagnosis {
    Diagnosis::new(
        Kind::TooLarge,
        "the auth view's answer is larger than 64 KiB",
        "The auth view's answer is larger than 64 KiB: Django's log says whose, and whether by groups (let \
         GATEPOST['GROUPS'] name fewer) or by first frames (let INITIAL_FRAMES say less). If it says \
         nothing, check that `auth.url` is the auth view's.",
    )
}
