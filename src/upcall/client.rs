//! Where Django is called by the gateway itself, and what one call does.
//!
//! Used by `session` for questions about sessions, and by `publish` for the transactional outbox.
//! Connections that were kept are let go before Django's own servers would close them, so that a call
//! rarely meets one that is just being closed.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::error::{CallError, ClientError, NoAnswer};
use crate::config::{AuthUrl, UpstreamAddress};
use crate::secret::Secrets;
use crate::web::signature::{BodyHash, Signer};
use crate::web::vouch::{Vouched, vouch};

/// Below gunicorn's two seconds.
const POOL_IDLE: Duration = Duration::from_millis(1500);

/// Where Django is called, and how long that may take.
#[derive(Clone, Copy, Debug)]
pub struct ClientSettings<'a> {
    /// The key of gateway.toml that names the URL, for errors.
    pub key: &'static str,
    /// A path at Django, or a whole URL.
    pub url: &'a AuthUrl,
    /// Django's upstreams, for a path.
    pub upstream: &'a [UpstreamAddress],
    /// For one call.
    pub timeout: Duration,
    /// For connecting.
    pub connect_timeout: Duration,
    /// Sign the calls.
    pub secrets: &'a Secrets,
}

/// What one call says besides where it goes.
#[derive(Debug)]
pub struct Call<'a> {
    /// The method.
    pub method: Method,
    /// Path and query in place of the address's own.
    pub target: Option<&'a str>,
    /// Added to the address's own query; empty for none.
    pub query: &'a str,
    /// Whose origin it is called in the name of.
    pub host: &'a HeaderValue,
    /// The address of the client that it is called for.
    pub address: IpAddr,
    /// Further fields.
    pub headers: HeaderMap,
    /// Empty for none.
    pub body: Bytes,
}

impl<'a> Call<'a> {
    /// A question of the gateway's own, for no client, that JSON answers.
    pub fn get(query: &'a str, host: &'a HeaderValue) -> Self {
        let json = HeaderValue::from_static("application/json");
        Self {
            method: Method::GET,
            target: None,
            query,
            host,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            headers: HeaderMap::from_iter([(header::ACCEPT, json)]),
            body: Bytes::new(),
        }
    }
}

/// Calls one of Django's views.
#[derive(Debug)]
pub struct DjangoClient {
    /// At least one.
    addresses: Vec<DjangoAddress>,
    /// Calls begin at one address after another.
    next: AtomicUsize,
}

/// The view at one of Django's addresses.
#[derive(Debug)]
pub struct DjangoAddress {
    client: reqwest::Client,
    url: reqwest::Url,
    name: String,
    secrets: Secrets,
}

impl DjangoClient {
    /// One address for a whole URL, one for each of Django's upstreams else. Connects to nothing yet.
    pub fn build(settings: ClientSettings<'_>) -> Result<Self, ClientError> {
        let addresses = match settings.url {
            AuthUrl::Absolute(url) => vec![DjangoAddress::build(
                &settings,
                settings.http_client(),
                url,
                url.clone(),
            )?],
            AuthUrl::Path(path) => {
                let upstream = settings.upstream.iter();
                let at = |address| DjangoAddress::of_upstream(&settings, address, path);
                upstream.map(at).collect::<Result<_, _>>()?
            }
        };
        Ok(Self {
            addresses,
            next: AtomicUsize::new(0),
        })
    }

    /// Where the next call goes first.
    pub fn first(&self) -> &DjangoAddress {
        let next = self.next.load(Ordering::Relaxed);
        &self.addresses[next % self.addresses.len()]
    }

    /// Calls until there is an answer: each address once, and a single one twice, since a connection
    /// that was kept may turn out to be dead. Only what may be called twice is called like this. After a
    /// time-out nothing else is tried: Django has the call, and is busy.
    pub async fn try_each<'a, T, F>(
        &'a self,
        attempt: impl Fn(&'a DjangoAddress) -> F,
    ) -> Result<T, NoAnswer>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut left = self.addresses.len().max(2);
        loop {
            let address = &self.addresses[(first + left) % self.addresses.len()];
            left -= 1;
            match attempt(address).await {
                Ok(answer) => return Ok(answer),
                Err(CallError::Broken(_)) if left > 0 => {}
                Err(cause) => return Err(address.no_answer(cause)),
            }
        }
    }
}

impl ClientSettings<'_> {
    fn http_client(&self) -> reqwest::ClientBuilder {
        reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(self.connect_timeout)
            .timeout(self.timeout)
            .pool_idle_timeout(POOL_IDLE)
            .http1_only()
    }
}

impl DjangoAddress {
    fn of_upstream(
        settings: &ClientSettings<'_>,
        address: &UpstreamAddress,
        path: &str,
    ) -> Result<Self, ClientError> {
        let client = settings.http_client();
        match address {
            UpstreamAddress::Tcp { host, port } => {
                let host = if host.contains(':') {
                    format!("[{host}]")
                } else {
                    host.clone()
                };
                let url = format!("http://{host}:{port}{path}");
                Self::build(settings, client, &url, url.clone())
            }
            UpstreamAddress::Unix(socket) => {
                let name = format!("{path} at unix:{}", socket.display());
                let client = client.unix_socket(socket.as_path());
                Self::build(settings, client, &format!("http://localhost{path}"), name)
            }
        }
    }

    fn build(
        settings: &ClientSettings<'_>,
        client: reqwest::ClientBuilder,
        url: &str,
        name: String,
    ) -> Result<Self, ClientError> {
        let url = reqwest::Url::parse(url).map_err(|cause| ClientError::Url {
            key: settings.key,
            url: url.to_owned(),
            cause: cause.to_string(),
        })?;
        Ok(Self {
            client: client.build().map_err(ClientError::Client)?,
            url,
            name,
            secrets: settings.secrets.clone(),
        })
    }

    /// For people: where it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The view's path, without a query.
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// An error that says where there was no answer.
    pub fn no_answer(&self, cause: CallError) -> NoAnswer {
        NoAnswer {
            place: self.name.clone(),
            cause,
        }
    }

    /// Makes one signed call.
    pub async fn call(&self, call: Call<'_>) -> Result<reqwest::Response, CallError> {
        let url = match call.target {
            Some(target) => self.url_of(target),
            None => self.url_with(call.query),
        };
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
        vouch(&Signer::new(&self.secrets.current), vouched, &mut headers);
        let mut request = self.client.request(call.method, url).headers(headers);
        if !call.body.is_empty() {
            request = request.body(call.body);
        }
        request.send().await.map_err(|error| CallError::of(&error))
    }

    /// The place's own address with another path and query.
    fn url_of(&self, target: &str) -> reqwest::Url {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let mut url = self.url.clone();
        url.set_path(path);
        url.set_query(query);
        url
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::secret::Secret;

    fn client(url: &AuthUrl, upstream: &[UpstreamAddress]) -> Result<DjangoClient, ClientError> {
        DjangoClient::build(ClientSettings {
            key: "outbox.url",
            url,
            upstream,
            timeout: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(1),
            secrets: &Secrets {
                current: Secret::new(vec![7; 32]),
                previous: None,
            },
        })
    }

    fn upstream(ports: &[u16]) -> Vec<UpstreamAddress> {
        let at = |port: &u16| UpstreamAddress::Tcp {
            host: "a.test".to_owned(),
            port: *port,
        };
        ports.iter().map(at).collect()
    }

    /// The addresses that are called where each call ends like this.
    async fn called(client: &DjangoClient, error: CallError) -> (Vec<String>, NoAnswer) {
        let called = RefCell::new(Vec::new());
        let result: Result<(), _> = client
            .try_each(async |address: &DjangoAddress| {
                called.borrow_mut().push(address.name().to_owned());
                Err(error.clone())
            })
            .await;
        (called.into_inner(), result.unwrap_err())
    }

    #[test]
    fn a_call_s_query_is_added_to_the_address_s_own() {
        let signed = |url: &str, query| {
            let client = client(&AuthUrl::Absolute(url.to_owned()), &[]).unwrap();
            target(&client.first().url_with(query))
        };
        assert_eq!(signed("http://a.test/x/", ""), "/x/");
        assert_eq!(signed("http://a.test/x/", "after=1"), "/x/?after=1");
        assert_eq!(signed("http://a.test/x/?k=v", "after=1"), "/x/?k=v&after=1");
        assert_eq!(signed("http://a.test/x/?", "after=1"), "/x/?after=1");
    }

    #[test]
    fn an_error_names_the_key_that_it_is_about() {
        let absolute = AuthUrl::Absolute("http://[::1/".to_owned());
        let error = client(&absolute, &[]).unwrap_err().to_string();
        assert!(error.starts_with("outbox.url: "), "{error}");
        let named = [UpstreamAddress::Tcp {
            host: "a b".to_owned(),
            port: 1,
        }];
        let path = AuthUrl::Path("/x/".to_owned());
        let error = client(&path, &named).unwrap_err().to_string();
        assert!(error.contains("http://a b:1/x/"), "{error}");
    }

    #[tokio::test]
    async fn each_address_is_called_once_and_a_single_one_twice() {
        let path = AuthUrl::Path("/x/".to_owned());
        let broken = || CallError::Broken("refused".to_owned());
        let three = client(&path, &upstream(&[1, 2, 3])).unwrap();
        let (mut names, error) = called(&three, broken()).await;
        assert_eq!(names.last(), Some(&error.place));
        names.sort_unstable();
        let each = [1, 2, 3].map(|port| format!("http://a.test:{port}/x/"));
        assert_eq!(names, each);
        let one = client(&path, &upstream(&[1])).unwrap();
        assert_eq!(called(&one, broken()).await.0.len(), 2);
    }

    #[tokio::test]
    async fn nothing_else_is_called_after_a_time_out_and_calls_begin_in_turn() {
        let path = AuthUrl::Path("/x/".to_owned());
        let two = client(&path, &upstream(&[1, 2])).unwrap();
        let (first, error) = called(&two, CallError::TimedOut).await;
        assert_eq!((first.len(), error.cause), (1, CallError::TimedOut));
        let (second, _) = called(&two, CallError::TimedOut).await;
        assert_ne!(first, second);
    }
}
