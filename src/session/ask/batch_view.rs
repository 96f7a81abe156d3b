//! The batch view: up to 500 sessions judged by one request.
//!
//! Used by `scheduler`. The surprise: a project need not have one. Whatever is no batch answer (404, a page, a
//! refusal) means that sessions are asked for one by one for a while, see `offer`; only the auth view's own
//! answer is ever taken for a diagnosis.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::session::answer::Answer;
use crate::session::ask::auth_view::{AuthSettings, LONGEST_BATCH};
use crate::session::ask::meaning::is_json;
use crate::session::ask::offer::{Failure, Offer, Stray};
use crate::session::diagnosis::Unreachable;
use crate::session::error::AuthError;
use crate::session::naming::Naming;
use crate::session::question::AuthSubject;
use crate::upcall::{
    BACKSTOP, BoundedBody, Call, ClientError, ClientSettings, DjangoAddress, DjangoClient, within,
};

/// Cookies of one request in bytes, in which Django's `DATA_UPLOAD_MAX_MEMORY_SIZE` (2.5 MB) is safe.
pub(in crate::session) const LARGEST_REQUEST: usize = 1024 * 1024;
/// Answers of one request in bytes.
const LARGEST_ANSWER: usize = 8 * 1024 * 1024;

/// Sessions of one host that are asked for together, at least one.
#[derive(Debug)]
pub(in crate::session) struct Together<'a> {
    pub(in crate::session) sessions: Vec<&'a AuthSubject>,
    pub(in crate::session) frames: Frames,
}

/// What a batch came to.
#[derive(Debug)]
pub(in crate::session) enum Batched {
    /// An answer for each session, in order; `None` where the session must be asked for by itself.
    Answers(Vec<Option<Answer>>),
    /// None came: each session must be asked for by itself.
    NotOffered,
}

#[derive(Debug)]
pub(in crate::session) struct BatchView {
    client: DjangoClient,
    /// For one call.
    timeout: Duration,
    pub(in crate::session) offer: Offer,
}

/// Whether the answers go to new connections, which get frames first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Frames {
    Wanted,
    Unwanted,
}

#[derive(Serialize)]
struct BatchQuestion<'a> {
    sessions: Vec<&'a str>,
    frames: bool,
}

#[derive(Deserialize)]
struct BatchAnswer<'a> {
    #[serde(borrow)]
    sessions: Vec<&'a RawValue>,
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
            offer: Offer::default(),
        }))
    }

    /// Whether it is worth asking, as far as is known.
    pub(in crate::session) fn is_offered(&self) -> bool {
        self.offer.is_open(Instant::now())
    }

    /// Asks about sessions.
    pub(in crate::session) async fn ask(
        &self,
        question: &Together<'_>,
        naming: &Naming,
    ) -> Result<Batched, AuthError> {
        let Some(body) = question.body() else {
            return Ok(Batched::NotOffered);
        };
        let batched = within(self.timeout, async {
            let called = self.client.try_each(async |address: &DjangoAddress| {
                let response = address.call(question.call(body.clone())).await?;
                Ok((address, response))
            });
            let (address, response) = called.await?;
            naming.observe(response.headers());
            self.read(address, response, question.sessions.len()).await
        });
        let took_too_long = || Err(unreachable(self.client.first(), Unreachable::TimedOut));
        batched.await.unwrap_or_else(took_too_long)
    }

    async fn read(
        &self,
        address: &DjangoAddress,
        response: reqwest::Response,
        count: usize,
    ) -> Result<Batched, AuthError> {
        let status = response.status();
        let silent = matches!(status.as_u16(), 408 | 425 | 429 | 502..=504)
            || status.is_server_error()
                && status != StatusCode::NOT_IMPLEMENTED
                && self.offer.failed(Instant::now()) == Failure::Silence;
        if silent {
            return Err(unreachable(address, Unreachable::Answered(status)));
        }
        let fits = status == StatusCode::OK && is_json(response.headers());
        let body = BoundedBody::read(response, LARGEST_ANSWER).await;
        let body = body.map_err(|cause| address.no_answer(cause))?.whole();
        let answers = body.filter(|_| fits).and_then(|body| answers(&body, count));
        Ok(if let Some(answers) = answers {
            self.offer.answered();
            Batched::Answers(answers)
        } else {
            self.record_stray(address, status);
            Batched::NotOffered
        })
    }

    fn record_stray(&self, address: &DjangoAddress, status: StatusCode) {
        let stray = match status.as_u16() {
            404 | 405 | 501 => Stray::No,
            _ => Stray::Other,
        };
        if self.offer.strayed(stray, Instant::now()) {
            let status = status.as_u16();
            tracing::info!(
                place = address.name(),
                status,
                "no batch of sessions is answered, they are asked for one by one \
                 (auth.batch_url = \"\" says that there is no batch view)"
            );
        }
    }
}

fn unreachable(address: &DjangoAddress, cause: Unreachable) -> AuthError {
    AuthError::Unreachable {
        place: address.name().to_owned(),
        cause,
    }
}

impl Together<'_> {
    /// The request's body. `None` where a cookie is no text, which none ever is.
    fn body(&self) -> Option<Bytes> {
        let cookies = self.sessions.iter().map(|one| one.cookies.header());
        let sessions = cookies.map(|cookies| std::str::from_utf8(cookies.as_bytes()).ok());
        let body = serde_json::to_vec(&BatchQuestion {
            sessions: sessions.collect::<Option<_>>()?,
            frames: self.frames == Frames::Wanted,
        });
        body.ok().map(Bytes::from)
    }

    fn call(&self, body: Bytes) -> Call<'_> {
        let json = HeaderValue::from_static("application/json");
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(header::ACCEPT, json.clone());
        headers.insert(header::CONTENT_TYPE, json);
        headers.insert(header::USER_AGENT, HeaderValue::from_static("Gatepost"));
        Call {
            method: Method::POST,
            query: "",
            host: &self.sessions[0].host,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            headers,
            body,
        }
    }
}

/// The answers in a body, where it has as many as were asked for.
pub(in crate::session) fn answers(body: &[u8], count: usize) -> Option<Vec<Option<Answer>>> {
    // serde takes a JSON array for a struct, too.
    let body = Some(body).filter(|body| body.trim_ascii_start().starts_with(b"{"))?;
    let said: BatchAnswer<'_> = serde_json::from_slice(body).ok()?;
    let answers = said.sessions.iter();
    let answers: Vec<_> = answers
        .map(|answer| Answer::decode(answer.get().as_bytes()).ok())
        .collect();
    (answers.len() == count).then_some(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_the_order_of_the_question_or_not_at_all() {
        let body = br#"{"sessions":[{"user":"1"},{"user":null},null,{"user":true}]}"#;
        let answers = answers(body, 4).unwrap();
        let users = answers.iter().map(|answer| {
            let answer = answer.as_ref()?;
            Some(answer.user.as_ref().map(ToString::to_string))
        });
        let users: Vec<_> = users.collect();
        assert_eq!(users, [Some(Some("1".to_owned())), Some(None), None, None]);
    }

    #[test]
    fn too_few_or_too_many_answers_are_none() {
        for body in [
            r#"{"sessions":[{"user":"1"}]}"#,
            r#"{"sessions":[{"user":"1"},{"user":"2"},{"user":"3"}]}"#,
            r#"{"sessions":{}}"#,
            r#"{"user":"1"}"#,
            "[]",
            r#"[[{"user":"1"},{"user":"2"}]]"#,
            "",
        ] {
            assert!(answers(body.as_bytes(), 2).is_none(), "{body}");
        }
    }
}
