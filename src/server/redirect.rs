//! Redirects: the way to the same place over HTTPS, under the name that people should use.
//!
//! Used by `plain`, which serves `server.http`, and by `dispatch` for hosts that moved. Only a host of this origin is
//! sent on, so that the gateway cannot be used to send people elsewhere (an open redirect).

use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, HOST, LOCATION, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};

use crate::web::body::ResponseBody;
use crate::web::client::{Client, ToldScheme};
use crate::web::hosts::{HostStanding, Hosts, is_same_authority, split_authority};
use crate::web::path;
use crate::web::problem::Problem;
use crate::web::render::{ResponseFormat, render};

/// Where HTTPS is served unless a URL says otherwise.
const HTTPS: u16 = 443;
const HTTP: u16 = 80;
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Sends every request on to HTTPS.
#[derive(Debug)]
pub struct Redirect {
    port: u16,
    hosts: Arc<Hosts>,
    lasts: Lasts,
}

/// For how long a browser may go to HTTPS by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasts {
    /// For good.
    ForGood,
    /// Just now: on a developer's machine the next project may have this port.
    JustNow,
}

impl Redirect {
    /// Sends on to `port` of the host that was asked for, if it is one of `hosts`.
    pub fn new(port: u16, hosts: Arc<Hosts>, lasts: Lasts) -> Self {
        Self { port, hosts, lasts }
    }

    /// The answer to a request of this client's, whose body is not read.
    pub fn respond<B>(&self, client: &Client, request: &Request<B>) -> Response<ResponseBody> {
        // The body is not read, so the connection is not kept.
        let body = [CONTENT_LENGTH, TRANSFER_ENCODING];
        let has_body = body.iter().any(|name| request.headers().contains_key(name));
        let mut response = self.judge(client, request);
        if has_body {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        response
    }

    fn judge<B>(&self, client: &Client, request: &Request<B>) -> Response<ResponseBody> {
        match self.host(client, request) {
            Ok((_, HostStanding::Moved)) => {
                self.to_canonical(client, request.method(), request.uri())
            }
            Ok((host, _)) => {
                // Unlike 301 and 302, both keep the method and the body of a form.
                let status = match self.lasts {
                    Lasts::ForGood => StatusCode::PERMANENT_REDIRECT,
                    Lasts::JustNow => StatusCode::TEMPORARY_REDIRECT,
                };
                self.to(&self.origin(host, client), request.uri(), status)
            }
            Err(problem) => render(&problem, ResponseFormat::of(request), None),
        }
    }

    /// The answer to a request for a host that moved: the way to the canonical one.
    pub fn to_canonical(
        &self,
        client: &Client,
        method: &Method,
        uri: &Uri,
    ) -> Response<ResponseBody> {
        // Of 301 every program has heard; but it makes a GET of a form that is posted.
        let status = match *method {
            Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
            _ => StatusCode::PERMANENT_REDIRECT,
        };
        let host = self.hosts.canonical().unwrap_or_default();
        self.to(&self.origin(host, client), uri, status)
    }

    fn origin(&self, host: &str, client: &Client) -> String {
        // Where a proxy speaks HTTPS, only it knows; nearly always it is the usual port.
        match (self.port, client.scheme) {
            (port, ToldScheme::Untrusted) if port != HTTPS => format!("https://{host}:{port}"),
            _ => format!("https://{host}"),
        }
    }

    fn to(&self, origin: &str, uri: &Uri, status: StatusCode) -> Response<ResponseBody> {
        let path = match uri.path_and_query() {
            Some(path) if path.as_str().starts_with('/') => path.as_str(),
            _ => "/",
        };
        let mut response = Response::new(ResponseBody::empty());
        *response.status_mut() = status;
        if self.lasts == Lasts::JustNow {
            let no_store = HeaderValue::from_static("no-store");
            response.headers_mut().insert(CACHE_CONTROL, no_store);
        }
        // A target that `http` has read, and a host without strange characters, are a field's value.
        if let Ok(location) = HeaderValue::try_from(format!("{origin}{path}")) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }

    /// The host that the request names, in lower case, where it is none of this origin's.
    pub(super) fn foreign_host<B>(&self, client: &Client, request: &Request<B>) -> Option<String> {
        let host = Self::named_host(client, request).ok()?;
        let is_foreign = self.hosts.standing(host) == HostStanding::Foreign;
        is_foreign.then(|| host.trim_end_matches('.').to_ascii_lowercase())
    }

    /// The one host that the request names, without its port, if it is one of this origin's.
    fn host<'a, B>(
        &self,
        client: &'a Client,
        request: &'a Request<B>,
    ) -> Result<(&'a str, HostStanding), Problem> {
        let host = Self::named_host(client, request)?;
        match self.hosts.standing(host) {
            HostStanding::Foreign => Err(Problem::new(
                StatusCode::MISDIRECTED_REQUEST,
                "unknown_host",
                "This server does not serve the requested host.",
            )
            .with_hint("add it to `server.hosts`")),
            standing => Ok((host, standing)),
        }
    }

    fn named_host<'a, B>(client: &'a Client, request: &'a Request<B>) -> Result<&'a str, Problem> {
        if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
            return Err(Problem::method_not_allowed(request.method(), METHODS).closing());
        }
        // It would stand in `Location` as it is, and be refused over HTTPS.
        let target = request.uri().path_and_query();
        path::check_query(target.map_or("", PathAndQuery::as_str)).map_err(|error| {
            bad_request(
                "bad_path",
                &format!("The request cannot be taken: {error}."),
            )
        })?;
        match &client.host {
            // Broken or not, it is not a host of ours.
            Some(told) => {
                let told = told.to_str().ok().and_then(split_authority);
                Ok(told.map(|(host, _)| host).unwrap_or_default())
            }
            None => Self::own_host(request),
        }
    }

    fn own_host<B>(request: &Request<B>) -> Result<&str, Problem> {
        let mut named = request.headers().get_all(HOST).iter();
        let (Some(host), None) = (named.next(), named.next()) else {
            return Err(bad_request(
                "bad_host",
                "The request needs exactly one Host.",
            ));
        };
        // An absolute target names the host a second time.
        let target = request.uri().authority().map(http::uri::Authority::as_str);
        let host = host
            .to_str()
            .ok()
            .filter(|host| target.is_none_or(|target| is_same_authority(target, host, HTTP)))
            .and_then(split_authority);
        host.map(|(host, _)| host)
            .ok_or_else(|| bad_request("bad_host", "The request's Host is malformed."))
    }
}

fn bad_request(code: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, code, detail).closing()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirect(port: u16) -> Redirect {
        let hosts = Hosts::new(vec!["app.test".into()], vec!["::1".parse().unwrap()]);
        Redirect::new(port, Arc::new(hosts), Lasts::ForGood)
    }

    fn direct() -> Client {
        Client {
            peer: None,
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            scheme: ToldScheme::Untrusted,
            host: None,
        }
    }

    #[test]
    fn behind_a_proxy_the_port_is_the_usual_one_and_the_host_the_one_it_names() {
        let client = Client {
            scheme: ToldScheme::Other,
            host: Some(HeaderValue::from_static("app.test:8080")),
            ..direct()
        };
        let answer = redirect(8443).respond(&client, &ask("/p", &["internal.test"]));
        assert_eq!(answer.headers()[LOCATION], "https://app.test/p");
        for host in ["evil.test", "app.test, app.test", ""] {
            let host = Some(HeaderValue::from_static(host));
            let client = Client {
                host,
                ..client.clone()
            };
            let answer = redirect(8443).respond(&client, &ask("/", &["app.test"]));
            assert_eq!(answer.status(), 421);
        }
    }

    #[test]
    fn a_host_that_moved_is_sent_to_the_first_in_one_hop() {
        let hosts = Hosts::new(vec!["app.test".into()], Vec::new());
        let hosts = hosts.redirecting(vec!["old.test".into()]);
        let redirect = Redirect::new(443, Arc::new(hosts), Lasts::ForGood);
        for (method, status) in [(Method::GET, 301), (Method::HEAD, 301), (Method::POST, 308)] {
            let mut request = ask("/a?b", &["old.test:8080"]);
            *request.method_mut() = method;
            let answer = redirect.respond(&direct(), &request);
            assert_eq!(answer.status(), status);
            assert_eq!(answer.headers()[LOCATION], "https://app.test/a?b");
        }
    }

    #[test]
    fn a_browser_keeps_the_way_in_production_and_forgets_it_in_dev() {
        let answer = |lasts| {
            let redirect = Redirect {
                lasts,
                ..redirect(8443)
            };
            redirect.respond(&direct(), &ask("/", &["app.test"]))
        };
        let for_good = answer(Lasts::ForGood);
        assert_eq!(for_good.status(), 308);
        assert!(!for_good.headers().contains_key(CACHE_CONTROL));
        let just_now = answer(Lasts::JustNow);
        assert_eq!(just_now.status(), 307);
        assert_eq!(just_now.headers()[CACHE_CONTROL], "no-store");
    }

    fn ask(target: &str, hosts: &[&str]) -> Request<()> {
        let mut request = Request::builder().uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(()).unwrap()
    }

    fn location(port: u16, target: &str, host: &str) -> String {
        let response = redirect(port).respond(&direct(), &ask(target, &[host]));
        assert_eq!(response.status(), StatusCode::PERMANENT_REDIRECT);
        response.headers()[LOCATION].to_str().unwrap().to_owned()
    }

    fn status(request: &Request<()>) -> u16 {
        let response = redirect(8443).respond(&direct(), request);
        assert!(!response.headers().contains_key(LOCATION));
        response.status().as_u16()
    }

    #[test]
    fn host_path_and_query_are_kept_and_the_port_is_that_of_https() {
        assert_eq!(
            location(8443, "/a%20b/?x=1&y=2", "app.test:8080"),
            "https://app.test:8443/a%20b/?x=1&y=2"
        );
        assert_eq!(location(443, "/", "app.test"), "https://app.test/");
        assert_eq!(location(8443, "/", "[::1]:8080"), "https://[::1]:8443/");
        assert_eq!(
            location(443, "http://app.test:8080/p", "app.test:8080"),
            "https://app.test/p"
        );
        assert_eq!(location(443, "*", "app.test"), "https://app.test/");
        // Not a way out to another host.
        assert_eq!(
            location(443, "//evil.example/", "app.test"),
            "https://app.test//evil.example/"
        );
    }

    #[test]
    fn strange_hosts_are_misdirected_and_broken_ones_bad() {
        for host in ["evil.example", "app.test.evil.example", "127.0.0.1"] {
            assert_eq!(status(&ask("/", &[host])), 421, "{host}");
        }
        for host in ["", "user@app.test", "app.test/x", "app.test:99999", "a b"] {
            assert_eq!(status(&ask("/", &[host])), 400, "{host}");
        }
        assert_eq!(status(&ask("/", &[])), 400);
        assert_eq!(status(&ask("/", &["app.test", "app.test"])), 400);
        assert_eq!(status(&ask("http://evil.example/", &["app.test"])), 400);
    }

    #[test]
    fn what_must_be_percent_encoded_is_not_sent_on() {
        for target in ["/caf\u{e9}", "/?q=\u{e9}", "http://app.test/\u{e9}"] {
            assert_eq!(status(&ask(target, &["app.test"])), 400, "{target}");
        }
    }

    #[test]
    fn connect_is_refused() {
        let mut request = ask("app.test:443", &["app.test:443"]);
        *request.method_mut() = Method::CONNECT;
        assert_eq!(status(&request), 405);
    }
}
