//! A request's head, as the edge reads it: what is let in is unambiguous, and claims nothing; what is sent on
//! to HTTPS goes to a host of ours.
#![no_main]

use std::sync::Arc;

use gatepost::ids::TraceParent;
use gatepost::server::redirect::{Lasts, Redirect};
use gatepost::web::admit::{Admission, AdmitLimits};
use gatepost::web::forwarded::Proxies;
use gatepost::web::hosts::Hosts;
use gatepost::web::path;
use http::header::LOCATION;
use http::{HeaderName, HeaderValue, Request};
use libfuzzer_sys::fuzz_target;

const LIMITS: AdmitLimits = AdmitLimits {
    uri_size: 8192,
    headers: 100,
};

/// Method, target and fields, a line each, as in HTTP/1.1.
fn request(text: &str) -> Option<Request<()>> {
    let mut lines = text.split('\n');
    let (method, target) = lines.next()?.split_once(' ')?;
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .body(())
        .ok()?;
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(value.trim().as_bytes()).ok()?;
        request.headers_mut().append(name, value);
    }
    Some(request)
}

fuzz_target!(|text: &str| {
    let Some(mut request) = request(text) else {
        return;
    };
    if let Some(parent) = request.headers().get("traceparent") {
        let _ = TraceParent::parse(parent.as_bytes());
    }
    let hosts = Arc::new(Hosts::new(vec!["localhost".to_owned()], Vec::new()));
    let client = Proxies::default().client(None, request.headers_mut());
    let redirect = Redirect::new(8443, Arc::clone(&hosts), Lasts::ForGood);
    if let Some(location) = redirect.respond(&client, &request).headers().get(LOCATION) {
        let location = location
            .to_str()
            .expect("a URL is ASCII")
            .to_ascii_lowercase();
        let rest = location
            .strip_prefix("https://localhost")
            .expect("a host of ours");
        let rest = rest.strip_prefix('.').unwrap_or(rest);
        assert!(rest.starts_with(":8443/"), "{location}");
    }
    let Ok(admitted) = Admission::new(hosts, LIMITS).admit(&mut request, &client) else {
        return;
    };
    assert!(admitted.path.starts_with('/') || admitted.path == "*");
    let segments = || admitted.path.split('/');
    assert!(segments().all(|segment| segment != "." && segment != ".."));
    assert!(!admitted.path.contains(char::is_control));
    assert!(path::decode(request.uri().path()).is_ok());
    for name in request.headers().keys() {
        let spelling = name.as_str().replace('_', "-");
        assert!(!spelling.starts_with("gatepost-"), "{name}");
        assert!(!spelling.starts_with("x-forwarded-"), "{name}");
    }
});
