//! One place at Django that the gateway calls: its address, its client, and how calls are signed.
//!
//! Used by the authority's endpoint and by `publish`'s puller. The surprise: connections that were
//! kept are let go before Django's own servers would close them, so that a call rarely meets one that
//! is just being closed.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::config::{AuthUrl, UpstreamAddress};
use crate::secret::Secrets;
use crate::web::signature::{BodyHash, Signer};
use crate::web::vouch::{Vouched, vouch};

/// Below gunicorn's two seconds.
const POOL_IDLE: Duration = Duration::from_millis(1500);

/// Where Django is called, and how long that may take.
#[derive(Clone, Debug)]
pub struct PlaceSettings<'a> {
    /// A path at Django, or a whole URL.
    pub url: &'a AuthUrl,
    /// Django's upstreams, for a path.
    pub upstream: &'a [UpstreamAddress],
    /// For one call.
    pub timeout: Duration,
    /// For connecting.
    pub connect_timeout: Duration,
}

/// What one call says besides where it goes.
#[derive(Debug)]
pub struct Call<'a> {
    /// The method.
    pub method: Method,
    /// Added to the place's own query; empty for none.
    pub query: &'a str,
    /// Whose origin it is called in the name of.
    pub host: &'a HeaderValue,
    /// Whom it is called for.
    pub address: IpAddr,
    /// Further fields.
    pub headers: HeaderMap,
    /// Empty for none.
    pub body: Bytes,
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It took too long.
    #[error("it took too long")]
    TimedOut,
    /// Nothing listens, or the connection broke off.
    #[error("{0}")]
    Broken(String),
}

/// Why there can be no authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A view of Django's cannot be asked: the upstream's name or the path makes no URL.
    #[error("Django cannot be asked at `{url}`, which is no URL: {cause}")]
    Url {
        /// As it would be asked.
        url: String,
        /// What is wrong.
        cause: String,
    },
    /// The system's certificates cannot be read, say.
    #[error("cannot make the client that asks Django")]
    Client(#[source] reqwest::Error),
}

/// A place at one of Django's addresses.
#[derive(Debug)]
pub struct Place {
    client: reqwest::Client,
    url: reqwest::Url,
    name: String,
}

impl Place {
    /// The places of the settings: one for a whole URL, one for each of Django's addresses else.
    pub fn build(settings: &PlaceSettings<'_>) -> Result<Vec<Self>, AuthorityError> {
        let client = || {
            reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(settings.connect_timeout)
                .timeout(settings.timeout)
                .pool_idle_timeout(POOL_IDLE)
                .http1_only()
        };
        let path = match settings.url {
            AuthUrl::Absolute(url) => return Ok(vec![Self::new(client(), url, url.clone())?]),
            AuthUrl::Path(path) => path,
        };
        let at = |address: &UpstreamAddress| match address {
            UpstreamAddress::Tcp { host, port } => {
                let host = if host.contains(':') {
                    format!("[{host}]")
                } else {
                    host.clone()
                };
                let url = format!("http://{host}:{port}{path}");
                Self::new(client(), &url, url.clone())
            }
            UpstreamAddress::Unix(socket) => {
                let name = format!("{path} at unix:{}", socket.display());
                let client = client().unix_socket(socket.as_path());
                Self::new(client, &format!("http://localhost{path}"), name)
            }
        };
        settings.upstream.iter().map(at).collect()
    }

    fn new(
        client: reqwest::ClientBuilder,
        url: &str,
        name: String,
    ) -> Result<Self, AuthorityError> {
        let url = reqwest::Url::parse(url).map_err(|cause| AuthorityError::Url {
            url: url.to_owned(),
            cause: cause.to_string(),
        })?;
        let client = client.build().map_err(AuthorityError::Client)?;
        Ok(Self { client, url, name })
    }

    /// For people: where it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its path, without a query.
    pub(crate) fn path(&self) -> &str {
        self.url.path()
    }

    /// Makes one signed call.
    pub async fn call(
        &self,
        call: Call<'_>,
        secrets: &Secrets,
    ) -> Result<reqwest::Response, reqwest::Error> {
        let url = self.url_with(call.query);
        let target = target(&url);
        let mut headers = call.headers;
        headers.insert(header::HOST, call.host.clone());
        let address = call.address.to_canonical().to_string();
        put(&mut headers, "x-forwarded-for", &address);
        put(&mut headers, "x-forwarded-proto", "https");
        let vouched = Vouched {
            method: &call.method,
            target: &target,
            address: call.address,
            body: BodyHash::of(&call.body),
        };
        vouch(&Signer::new(&secrets.current), vouched, &mut headers);
        let mut request = self.client.request(call.method, url).headers(headers);
        if !call.body.is_empty() {
            request = request.body(call.body);
        }
        request.send().await
    }

    fn url_with(&self, query: &str) -> reqwest::Url {
        let mut url = self.url.clone();
        if !query.is_empty() {
            let whole = match url.query() {
                Some(own) if !own.is_empty() => format!("{own}&{query}"),
                _ => query.to_owned(),
            };
            url.set_query(Some(&whole));
        }
        url
    }
}

/// Reads an answer's body; `None` where it is larger than `limit`.
pub(crate) async fn read(
    mut response: reqwest::Response,
    limit: usize,
) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// Path and query, as they are signed.
fn target(url: &reqwest::Url) -> String {
    let query = url.query().map(|query| format!("?{query}"));
    format!("{}{}", url.path(), query.unwrap_or_default())
}

/// Adds a field of ours. A value that is no field text (it never is) is left out.
pub(crate) fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// The innermost cause, which is the one that tells something ("connection refused").
pub fn describe(error: &reqwest::Error) -> CallError {
    if error.is_timeout() {
        return CallError::TimedOut;
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    CallError::Broken(cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Place {
        let url = AuthUrl::Absolute(url.to_owned());
        let settings = PlaceSettings {
            url: &url,
            upstream: &[],
            timeout: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(1),
        };
        Place::build(&settings).unwrap().remove(0)
    }

    #[test]
    fn a_call_s_query_is_added_to_the_place_s_own() {
        let signed = |url, query| target(&place(url).url_with(query));
        assert_eq!(signed("http://a.test/x/", ""), "/x/");
        assert_eq!(signed("http://a.test/x/", "after=1"), "/x/?after=1");
        assert_eq!(signed("http://a.test/x/?k=v", "after=1"), "/x/?k=v&after=1");
        assert_eq!(signed("http://a.test/x/?", "after=1"), "/x/?after=1");
    }
}
