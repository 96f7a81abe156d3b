use http::HeaderName;

use super::*;
use crate::web::forwarded::Proxies;

fn admission() -> Admission {
    let hosts = Hosts::new(
        vec!["localhost".into()],
        vec!["192.168.1.5".parse().unwrap()],
    );
    let limits = AdmitLimits {
        uri_size: 64,
        headers: 10,
    };
    Admission::new(Arc::new(hosts), limits)
}

fn direct() -> Client {
    Proxies::default().client(None, &mut HeaderMap::new())
}

fn request(target: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().uri(target).body(()).unwrap();
    for (name, value) in fields {
        request.headers_mut().append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    request
}

fn with_host(fields: &[(&str, &str)]) -> Request<()> {
    let mut request = request("/", fields);
    request
        .headers_mut()
        .insert("host", HeaderValue::from_static("localhost:8443"));
    request
}

fn status(mut request: Request<()>) -> u16 {
    admission()
        .admit(&mut request, &direct())
        .map_or_else(|problem| problem.status.as_u16(), |_| 200)
}

#[test]
fn a_plain_request_keeps_its_host_and_path() {
    let mut request = request("/a%20b?q=1", &[("host", "LocalHost:8443")]);
    let admitted = admission().admit(&mut request, &direct()).unwrap();
    assert_eq!(admitted.host, "LocalHost:8443");
    assert_eq!(admitted.path, "/a b");
}

#[test]
fn a_host_that_a_proxy_names_stands_in_place_of_the_request_s_own() {
    let told = |host: &'static str| Client {
        host: Some(HeaderValue::from_static(host)),
        ..direct()
    };
    let mut request = request("/", &[("host", "internal.test")]);
    let admitted = admission().admit(&mut request, &told("LocalHost:8443"));
    assert_eq!(admitted.unwrap().host, "LocalHost:8443");
    assert_eq!(request.headers()["host"], "LocalHost:8443");
    for host in [
        "evil.test",
        "localhost, localhost",
        "localhost/",
        "u@localhost",
        "",
    ] {
        let problem = admission().admit(&mut request, &told(host)).unwrap_err();
        assert_eq!(problem.status, 421, "{host}");
    }
}

#[test]
fn exactly_one_host_of_ours_is_needed() {
    assert_eq!(status(request("/", &[])), 400);
    assert_eq!(
        status(request(
            "/",
            &[("host", "localhost"), ("host", "localhost")]
        )),
        400
    );
    for (host, expected) in [
        ("localhost", 200),
        ("localhost:1", 200),
        ("192.168.1.5:8443", 200),
        ("localhost..", 421),
        ("evil.test", 421),
        ("", 400),
        ("localhost:", 400),
        ("localhost:abc", 400),
        ("u@localhost", 400),
        ("localhost/x", 400),
        ("localhost, localhost", 400),
        ("local host", 400),
    ] {
        assert_eq!(
            status(request("/", &[("host", host)])),
            expected,
            "{host:?}"
        );
    }
}

#[test]
fn an_absolute_target_must_agree_with_host() {
    let with = |target: &str, host: &str| status(request(target, &[("host", host)]));
    assert_eq!(with("https://localhost:8443/", "localhost:8443"), 200);
    assert_eq!(with("https://localhost/", "localhost:8443"), 400);
    assert_eq!(with("http://169.254.169.254/", "localhost"), 400);
    assert_eq!(with("http://169.254.169.254/", "169.254.169.254"), 421);
    assert_eq!(with("ftp://localhost/", "localhost"), 400);
    assert_eq!(
        status(request("https://localhost/", &[])),
        400,
        "HTTP/1.1 always needs Host"
    );
}

#[test]
fn http_2_may_name_the_host_in_the_authority_alone() {
    let mut request = request("https://localhost:8443/x", &[]);
    *request.version_mut() = Version::HTTP_2;
    let admitted = admission().admit(&mut request, &direct()).unwrap();
    assert_eq!(admitted.host, "localhost:8443");
    assert_eq!(request.headers()["host"], "localhost:8443");
}

#[test]
fn framing_has_one_reading_or_is_refused() {
    for (fields, expected) in [
        (&[("transfer-encoding", "chunked")][..], 200),
        (&[("transfer-encoding", "Chunked")], 200),
        (&[("transfer-encoding", "gzip, chunked")], 501),
        (&[("transfer-encoding", ",chunked")], 501),
        (&[("transfer-encoding", "identity")], 501),
        (
            &[
                ("transfer-encoding", "chunked"),
                ("transfer-encoding", "chunked"),
            ],
            400,
        ),
        (&[("content-length", "5")], 200),
        (&[("content-length", "5"), ("content-length", "5")], 400),
        (&[("content-length", "5, 5")], 400),
        (&[("content-length", "+5")], 400),
    ] {
        assert_eq!(status(with_host(fields)), expected, "{fields:?}");
    }
    let mut old = with_host(&[("transfer-encoding", "chunked")]);
    *old.version_mut() = Version::HTTP_10;
    assert_eq!(status(old), 400);
}

#[test]
fn a_refusal_that_leaves_the_framing_in_doubt_ends_the_connection() {
    let refused = admission().admit(&mut with_host(&[("content-length", "5, 5")]), &direct());
    assert!(refused.unwrap_err().ends_connection);
}

#[test]
fn tunnels_and_traces_are_refused() {
    for (method, expected) in [
        ("CONNECT", 405),
        ("TRACE", 405),
        ("PROPFIND", 200),
        ("get", 501),
    ] {
        let mut request = with_host(&[]);
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        assert_eq!(status(request), expected, "{method}");
    }
}

#[test]
fn the_target_is_bounded_and_unambiguous() {
    let at = |target: &str| status(request(target, &[("host", "localhost")]));
    assert_eq!(at(&format!("/{}", "a".repeat(64))), 414);
    for target in [
        "//internal/",
        "/x/%2e%2e/y",
        "/a%2fb",
        "/a%00",
        "/a%5cb",
        "/a%",
        "*",
    ] {
        assert_eq!(at(target), 400, "{target}");
    }
}

#[test]
fn only_100_continue_may_be_expected() {
    assert_eq!(status(with_host(&[("expect", "100-Continue")])), 200);
    assert_eq!(status(with_host(&[("expect", "200-ok")])), 417);
}

#[test]
fn fields_are_counted_after_crumbs_are_joined() {
    let crumbs: Vec<_> = (0..30).map(|_| ("cookie", "a=1")).collect();
    assert_eq!(status(with_host(&crumbs)), 200);
    let names: Vec<String> = (0..12).map(|n| format!("x-{n}")).collect();
    let fields: Vec<_> = names.iter().map(|n| (n.as_str(), "1")).collect();
    assert_eq!(status(with_host(&fields)), 431);
}

#[test]
fn claims_and_foreign_upgrades_are_removed() {
    let mut request = with_host(&[
        ("x-forwarded-for", "1.2.3.4"),
        ("x_user", "root"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
        ("connection", "Upgrade, HTTP2-Settings"),
    ]);
    admission().admit(&mut request, &direct()).unwrap();
    for name in ["x-forwarded-for", "x_user", "upgrade", "http2-settings"] {
        assert!(!request.headers().contains_key(name), "{name}");
    }
    let mut socket = with_host(&[("upgrade", "websocket"), ("connection", "Upgrade")]);
    admission().admit(&mut socket, &direct()).unwrap();
    assert!(socket.headers().contains_key("upgrade"));
}

#[test]
fn the_connection_a_client_claims_is_kept_aside_and_never_passed_on() {
    let claim = "0123456789abcdef";
    let admitted = |fields: &[(&str, &str)]| {
        let mut fields = fields.to_vec();
        fields.push(("host", "localhost:8443"));
        let mut request = request("/", &fields);
        let claimed = admission().admit(&mut request, &direct()).unwrap().claimed;
        assert_eq!(request.headers().len(), 1, "{:?}", request.headers());
        claimed
    };
    let found = admitted(&[("gatepost-connection", claim)]);
    assert_eq!(found, claim.parse().ok());
    assert_eq!(admitted(&[("gatepost_connection", claim)]), None);
    assert_eq!(admitted(&[("gatepost-connection", "me")]), None);
    let twice = [
        ("gatepost-connection", claim),
        ("gatepost-connection", claim),
    ];
    assert_eq!(admitted(&twice), None);
    assert_eq!(admitted(&[]), None);
}
