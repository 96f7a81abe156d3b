//! Django's outbox view, and how it is asked.
//!
//! Used by the puller. The gateway says how large a frame may be here, so that one that is larger
//! comes as a note of it, and can never be in the way of those behind it.

use std::time::Duration;

use http::{HeaderValue, StatusCode};

use super::cursor::Cursor;
use crate::config::{AuthUrl, UpstreamAddress};
use crate::secret::Secrets;
use crate::upcall::{
    BoundedBody, Call, CallError, ClientError, ClientSettings, DjangoAddress, DjangoClient,
    NoAnswer, SignatureRefusal,
};

/// Longer than `SQLite` waits for another writer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The most items of a page.
const MOST_ITEMS: usize = 500;
/// What a page may have besides its largest frame: Django fills a page up to 1 MiB, and one more
/// publication may name its thousands of users.
const PAGE: usize = 4 << 20;
/// What is read of an answer that is no page.
const REFUSAL: usize = 16 << 10;

/// Where the outbox is asked for.
#[derive(Clone, Debug)]
pub struct SourceSettings {
    /// A path at Django, or a whole URL.
    pub url: AuthUrl,
    /// Django's upstreams, for a path.
    pub upstream: Vec<UpstreamAddress>,
    /// For connecting.
    pub connect_timeout: Duration,
    /// The origin's name, which Django allows among its hosts.
    pub host: String,
    /// The largest frame, in bytes.
    pub frame_size: usize,
    /// Sign the calls.
    pub secrets: Secrets,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    #[error("cannot reach the transactional outbox at {place}: {cause}")]
    Unreachable { place: String, cause: String },
    #[error("the transactional outbox at {place} gave no items: {diagnosis}")]
    Refused { place: String, diagnosis: String },
}

#[derive(Debug)]
pub(super) struct OutboxSource {
    client: DjangoClient,
    host: HeaderValue,
    frame_size: usize,
}

impl OutboxSource {
    pub(super) fn build(settings: &SourceSettings) -> Result<Self, ClientError> {
        let client = DjangoClient::build(ClientSettings {
            key: "outbox.url",
            url: &settings.url,
            upstream: &settings.upstream,
            timeout: TIMEOUT,
            connect_timeout: settings.connect_timeout,
            secrets: &settings.secrets,
        })?;
        let host = HeaderValue::from_str(&settings.host);
        Ok(Self {
            client,
            host: host.unwrap_or(HeaderValue::from_static("localhost")),
            frame_size: settings.frame_size,
        })
    }

    /// Asks for what comes after the cursor, or where the outbox begins for a gateway without one. A
    /// second address is tried where the first refuses: asking changes nothing that asking again would.
    pub(super) async fn ask(&self, cursor: Option<&Cursor>) -> Result<Vec<u8>, SourceError> {
        let query = self.query(cursor);
        let answered = self.client.try_each(async |address: &DjangoAddress| {
            let call = Call::get(&query, &self.host);
            Ok((address, address.call(call).await?))
        });
        let (address, response) = answered.await?;
        self.read(address, response).await
    }

    fn query(&self, cursor: Option<&Cursor>) -> String {
        let size = self.frame_size;
        match cursor {
            None => format!("limit={MOST_ITEMS}&size={size}"),
            Some(cursor) => format!(
                "after={}&uid={}&epoch={}&limit={MOST_ITEMS}&size={size}",
                cursor.sequence, cursor.uid, cursor.epoch
            ),
        }
    }

    async fn read(
        &self,
        address: &DjangoAddress,
        response: reqwest::Response,
    ) -> Result<Vec<u8>, SourceError> {
        let refused = |diagnosis: String| SourceError::Refused {
            place: address.name().to_owned(),
            diagnosis,
        };
        let status = response.status();
        let limit = match status {
            StatusCode::OK => self.frame_size.saturating_add(PAGE),
            _ => REFUSAL,
        };
        let body = BoundedBody::read(response, limit).await;
        let body = body.map_err(|cause| address.no_answer(cause))?;
        match (status, body.is_cut) {
            (StatusCode::OK, false) => Ok(body.bytes),
            (StatusCode::OK, true) => {
                Err(refused(format!("its answer is larger than {limit} bytes")))
            }
            _ => Err(refused(diagnosis(status, &body.bytes))),
        }
    }
}

impl From<NoAnswer> for SourceError {
    fn from(error: NoAnswer) -> Self {
        let cause = match error.cause {
            CallError::TimedOut => format!("no answer within {} s", TIMEOUT.as_secs()),
            cause @ CallError::Broken(_) => cause.to_string(),
        };
        Self::Unreachable {
            place: error.place,
            cause,
        }
    }
}

fn diagnosis(status: StatusCode, body: &[u8]) -> String {
    if let Some(refusal) = SignatureRefusal::read(body) {
        return format!("it answered {status}: {}", refusal.remedy());
    }
    let hint = match status.as_u16() {
        403 => "something before the outbox view forbids the call; Django's log may say what",
        404 => {
            "put \"gatepost.outbox\" into INSTALLED_APPS and path(\"_gatepost/\", \
             include(\"gatepost.urls\")) into the URLs, or correct outbox.url"
        }
        400 => "ALLOWED_HOSTS must have the first of server.hosts",
        300..=399 => "a redirect is never followed: correct outbox.url",
        503 => "its database is busy or cannot be reached, Django's log says more",
        500..=599 => "Django's log says why; are its migrations run (manage.py migrate)?",
        _ => "Django's log may say why",
    };
    format!("it answered {status}: {hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_signature_is_told_from_other_refusals() {
        let said = |body: &str| diagnosis(StatusCode::FORBIDDEN, body.as_bytes());
        let skewed = r#"{"error":"bad_signature","detail":"the clock of the signer is 75 s behind this one"}"#;
        assert!(said(skewed).contains("differ by 75 s"), "{}", said(skewed));
        let secret = said(r#"{"error":"bad_signature","detail":"another secret"}"#);
        assert!(secret.contains("GATEPOST_SECRET"), "{secret}");
        let page = said("<h1>403 Forbidden</h1>");
        assert!(page.contains("forbids the call"), "{page}");
    }
}
