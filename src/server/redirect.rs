//! The plain HTTP listener: the way to the same place over HTTPS.
//!
//! The composition root serves it on `server.http`. The surprise: only a host of this origin is
//! sent on, so that nobody can borrow the gateway to send people elsewhere.

use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_LENGTH, HOST, LOCATION, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::service::{Handler, Peer};
use crate::web::body::ResponseBody;
use crate::web::hosts::{Hosts, is_same_authority, split_authority};
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

    /// The answer to a request, whose body is not looked at.
    pub fn respond<B>(&self, request: &Request<B>) -> Response<ResponseBody> {
        match self.location(request) {
            Ok(location) => {
                let mut response = Response::new(ResponseBody::empty());
                response.headers_mut().insert(LOCATION, location);
                // Unlike 301 and 302, both keep the method and the body of a form.
                *response.status_mut() = match self.lasts {
                    Lasts::ForGood => StatusCode::PERMANENT_REDIRECT,
                    Lasts::JustNow => {
                        let fields = response.headers_mut();
                        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                        StatusCode::TEMPORARY_REDIRECT
                    }
                };
                response
            }
            Err(problem) => render(&problem, ResponseFormat::of(request), None),
        }
    }

    fn location<B>(&self, request: &Request<B>) -> Result<HeaderValue, Problem> {
        if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
            return Err(Problem::method_not_allowed(request.method(), METHODS).closing());
        }
        let host = self.host(request)?;
        let path = match request.uri().path_and_query() {
            Some(path) if path.as_str().starts_with('/') => path.as_str(),
            _ => "/",
        };
        let port = match self.port {
            HTTPS => String::new(),
            port => format!(":{port}"),
        };
        HeaderValue::try_from(format!("https://{host}{port}{path}"))
            .map_err(|_| bad_request("bad_target", "The request's target cannot be understood."))
    }

    /// The one host that the request names, without its port.
    fn host<'a, B>(&self, request: &'a Request<B>) -> Result<&'a str, Problem> {
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
        let Some((host, _)) = host else {
            return Err(bad_request("bad_host", "The request's Host is malformed."));
        };
        if !self.hosts.contains(host) {
            return Err(Problem::new(
                StatusCode::MISDIRECTED_REQUEST,
                "unknown_host",
                "This server does not serve the requested host.",
            )
            .with_hint("add it to `server.hosts`"));
        }
        Ok(host)
    }
}

impl Handler for Redirect {
    async fn answer(&self, request: Request<Incoming>, _: Peer) -> Response<ResponseBody> {
        // A body that nobody reads is not worth keeping the connection for.
        let body = [CONTENT_LENGTH, TRANSFER_ENCODING];
        let has_body = body.iter().any(|name| request.headers().contains_key(name));
        let mut response = self.respond(&request);
        if has_body {
            let close = HeaderValue::from_static("close");
            response
                .headers_mut()
                .insert(http::header::CONNECTION, close);
        }
        response
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

    #[test]
    fn a_browser_keeps_the_way_in_production_and_forgets_it_in_dev() {
        let answer = |lasts| {
            let redirect = Redirect {
                lasts,
                ..redirect(8443)
            };
            redirect.respond(&ask("/", &["app.test"]))
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
        let response = redirect(port).respond(&ask(target, &[host]));
        assert_eq!(response.status(), StatusCode::PERMANENT_REDIRECT);
        response.headers()[LOCATION].to_str().unwrap().to_owned()
    }

    fn status(request: &Request<()>) -> u16 {
        let response = redirect(8443).respond(request);
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
    fn connect_is_refused() {
        let mut request = ask("app.test:443", &["app.test:443"]);
        *request.method_mut() = Method::CONNECT;
        assert_eq!(status(&request), 405);
    }
}
