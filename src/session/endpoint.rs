//! One place where Django judges sessions, and how it is called.
//!
//! Used by the authority alone. The surprise: nothing of the handshake's upgrade goes along, since WSGI
//! would run the view on it and plain ASGI answers 500 (Django 5.2 under uvicorn).

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};

use super::answer::Answer;
use super::lease::LeaseTerms;
use super::meaning::{self, Meaning};
use super::place::{Call, Place, PlaceSettings, describe, put};
use super::question::Recheck;
use crate::config::{AuthUrl, UpstreamAddress};
use crate::ids::RequestId;
use crate::secret::Secrets;

/// An answer has a handful of members; more is not an answer.
pub const LARGEST_ANSWER: usize = 64 * 1024;

/// What the authority needs to know.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// Where Django judges.
    pub url: AuthUrl,
    /// Django's upstreams, for a path.
    pub upstream: Vec<UpstreamAddress>,
    /// For one call.
    pub timeout: Duration,
    /// For connecting.
    pub connect_timeout: Duration,
    /// Calls under way at once.
    pub concurrency: usize,
    /// For how long answers are relied upon.
    pub terms: LeaseTerms,
    /// Sign the calls and key the digests.
    pub secrets: Secrets,
}

/// Why Django's judgement is not known.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuthError {
    /// Worth trying again: nothing answers, or not in time.
    #[error("cannot reach the auth view at {place}: {cause}")]
    Unreachable {
        /// Where it should be.
        place: String,
        /// What happened.
        cause: String,
    },
    /// Not worth trying again before somebody mends it.
    #[error("the auth view at {place} gave no judgement: {diagnosis}")]
    Misconfigured {
        /// Where it is.
        place: String,
        /// What is wrong, fit for a close reason.
        diagnosis: Cow<'static, str>,
    },
}

/// Why there can be no authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// `auth.url` cannot be asked.
    #[error("auth.url `{url}` is not a URL: {cause}")]
    Url {
        /// As configured.
        url: String,
        /// What is wrong.
        cause: String,
    },
    /// The system's certificates cannot be read, say.
    #[error("cannot make the client that asks Django")]
    Client(#[source] reqwest::Error),
}

/// An answer that came.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) answer: Answer,
    pub(super) headers: HeaderMap,
}

#[derive(Debug)]
pub(super) struct Endpoint {
    place: Place,
}

/// One call: whom it is about, and the handshake that makes it necessary, where there is one.
#[derive(Clone, Copy, Debug)]
pub(super) struct AuthCall<'a> {
    pub(super) about: &'a Recheck,
    pub(super) handshake: Option<(&'a str, RequestId)>,
}

impl AuthCall<'_> {
    /// The fields that tell Django of it.
    fn fields(&self) -> HeaderMap {
        let about = self.about;
        let mut headers = HeaderMap::with_capacity(12);
        let passed_on = [
            (header::USER_AGENT, &about.user_agent),
            (header::ACCEPT_LANGUAGE, &about.accept_language),
            (header::ORIGIN, &about.origin),
        ];
        for (name, value) in passed_on {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::COOKIE, about.cookies.header().clone());
        if let Some((target, request_id)) = self.handshake {
            put(&mut headers, "x-original-uri", target);
            put(&mut headers, "x-request-id", &request_id.to_string());
        }
        headers
    }
}

impl Endpoint {
    /// The endpoints of the settings: one for a whole URL, one for each of Django's addresses else.
    pub(super) fn build(settings: &AuthSettings) -> Result<Vec<Self>, AuthorityError> {
        let places = Place::build(&PlaceSettings {
            url: &settings.url,
            upstream: &settings.upstream,
            timeout: settings.timeout,
            connect_timeout: settings.connect_timeout,
        })?;
        Ok(places.into_iter().map(|place| Self { place }).collect())
    }

    /// Sends one call.
    pub(super) async fn call(
        &self,
        call: AuthCall<'_>,
        secrets: &Secrets,
    ) -> Result<reqwest::Response, reqwest::Error> {
        let call = Call {
            method: Method::GET,
            query: "",
            host: &call.about.host,
            address: call.about.address,
            headers: call.fields(),
            body: Bytes::new(),
        };
        self.place.call(call, secrets).await
    }

    /// Reads a bounded answer.
    pub(super) async fn read(
        &self,
        mut response: reqwest::Response,
    ) -> Result<Answered, AuthError> {
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.unreachable(describe(&error)))?
        {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(
                    self.misconfigured("the auth view's answer is larger than 64 KiB".into())
                );
            }
            body.extend_from_slice(&chunk);
        }
        match meaning::judge(status, &headers, &body) {
            Meaning::Fault(diagnosis) => Err(self.misconfigured(diagnosis)),
            Meaning::Unavailable => Err(self.unreachable(format!("it answered {status}"))),
            Meaning::Answer(answer) => Ok(Answered { answer, headers }),
        }
    }

    pub(super) fn unreachable(&self, cause: String) -> AuthError {
        AuthError::Unreachable {
            place: self.place.name().to_owned(),
            cause,
        }
    }

    fn misconfigured(&self, diagnosis: Cow<'static, str>) -> AuthError {
        AuthError::Misconfigured {
            place: self.place.name().to_owned(),
            diagnosis,
        }
    }
}
