//! Django's view that says which names are the site's, and how it is asked.

use std::time::Duration;

use http::{HeaderValue, StatusCode};
use serde::Deserialize;

use crate::config::{AuthUrl, UpstreamAddress};
use crate::secret::Secrets;
use crate::telemetry::seldom::Seldom;
use crate::upcall::{
    BoundedBody, Call, ClientError, ClientSettings, DjangoAddress, DjangoClient, NoAnswer,
    SignatureRefusal,
};

/// What is read of an answer.
const LARGEST: usize = 4 << 10;
/// How often it is said that the project does not say which names are its own.
const QUIET: Duration = Duration::from_hours(1);
/// What the package answers then.
const NOT_SET: &str = "hosts_not_set";

/// Whether a name is the site's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::acme) enum NameVerdict {
    Allowed,
    Refused,
}

/// Why Django does not say.
#[derive(Debug, thiserror::Error)]
pub(in crate::acme) enum UnsaidError {
    #[error(transparent)]
    Silent(#[from] NoAnswer),
    #[error("{place} answers {status}{}{error}", if error.is_empty() { "" } else { ": " })]
    Answered {
        place: String,
        status: StatusCode,
        /// As the package names it, or what is to be done; or empty.
        error: String,
    },
}

/// Says whether a name is the site's.
pub(in crate::acme) trait NameJudge: Send + Sync + 'static {
    fn judge(&self, name: &str) -> impl Future<Output = Result<NameVerdict, UnsaidError>> + Send;
}

/// Where the view is, and how it is asked.
#[derive(Debug)]
pub struct HostsViewSettings<'a> {
    /// A path at Django, or a whole URL.
    pub url: &'a AuthUrl,
    /// Django's upstreams, for a path.
    pub upstream: &'a [UpstreamAddress],
    /// For one call.
    pub timeout: Duration,
    /// For connecting.
    pub connect_timeout: Duration,
    /// The origin's name, which Django allows among its hosts.
    pub host: &'a str,
    /// Sign the calls.
    pub secrets: &'a Secrets,
}

/// The view.
#[derive(Debug)]
pub struct HostsView {
    client: DjangoClient,
    host: HeaderValue,
    not_set: Seldom,
}

/// What the package's refusals say.
#[derive(Default, Deserialize)]
struct RefusalBody {
    #[serde(default)]
    error: String,
    #[serde(default)]
    detail: String,
}

impl HostsView {
    /// Connects to nothing yet.
    pub fn build(settings: &HostsViewSettings<'_>) -> Result<Self, ClientError> {
        let client = DjangoClient::build(ClientSettings {
            key: "auth.url",
            url: settings.url,
            upstream: settings.upstream,
            timeout: settings.timeout,
            connect_timeout: settings.connect_timeout,
            secrets: settings.secrets,
        })?;
        let host = HeaderValue::from_str(settings.host);
        Ok(Self {
            client,
            host: host.unwrap_or(HeaderValue::from_static("localhost")),
            not_set: Seldom::new(QUIET),
        })
    }

    fn read(&self, status: StatusCode, body: &[u8]) -> Result<NameVerdict, String> {
        let refusal: RefusalBody = serde_json::from_slice(body).unwrap_or_default();
        match status {
            StatusCode::NO_CONTENT => Ok(NameVerdict::Allowed),
            StatusCode::NOT_FOUND => {
                if refusal.error == NOT_SET && self.not_set.is_due() {
                    let detail = refusal.detail.escape_debug();
                    tracing::warn!(%detail, "Django allows no name to have a certificate");
                }
                Ok(NameVerdict::Refused)
            }
            _ => {
                if let Some(refusal) = SignatureRefusal::read(body) {
                    return Err(refusal.remedy());
                }
                let is_plain = |c: char| c.is_ascii_lowercase() || c == '_';
                Err(refusal.error.chars().filter(|c| is_plain(*c)).collect())
            }
        }
    }
}

impl NameJudge for HostsView {
    async fn judge(&self, name: &str) -> Result<NameVerdict, UnsaidError> {
        // A name that is asked about needs no quoting.
        let query = format!("name={name}");
        let answered = self.client.try_each(async |address: &DjangoAddress| {
            let response = address.call(Call::get(&query, &self.host)).await?;
            let status = response.status();
            let body = BoundedBody::read(response, LARGEST).await?;
            Ok((address, status, body))
        });
        let (address, status, body) = answered.await?;
        let read = self.read(status, &body.bytes);
        read.map_err(|error| UnsaidError::Answered {
            place: address.name().to_owned(),
            status,
            error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn only_204_allows_and_only_404_refuses() {
        let view = HostsView::build(&HostsViewSettings {
            url: &AuthUrl::Path("/_gatepost/hosts/".to_owned()),
            upstream: &[UpstreamAddress::Unix("/run/django.sock".into())],
            timeout: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(1),
            host: "example.com",
            secrets: &Secrets {
                current: Secret::new(vec![7; 32]),
                previous: None,
            },
        });
        let view = view.unwrap();
        let read = |status, body: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            view.read(status, body.as_bytes())
        };
        assert_eq!(read(204, ""), Ok(NameVerdict::Allowed));
        assert_eq!(read(404, "<h1>Not Found</h1>"), Ok(NameVerdict::Refused));
        assert_eq!(
            read(404, r#"{"error":"not_allowed"}"#),
            Ok(NameVerdict::Refused)
        );
        for status in [200, 201, 301, 302, 400, 401, 410, 429, 500, 503] {
            assert_eq!(read(status, "{}"), Err(String::new()), "{status}");
        }
        let refused = r#"{"error":"bad_\nrequest","detail":"…"}"#;
        assert_eq!(read(400, refused), Err("bad_request".to_owned()));
        let unbelieved = read(403, r#"{"error":"bad_signature"}"#).unwrap_err();
        assert!(unbelieved.contains("different secrets"), "{unbelieved}");
    }
}
