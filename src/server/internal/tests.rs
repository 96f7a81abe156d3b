use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Full};

use super::*;
use crate::admin::health::{DjangoState, Readiness};
use crate::broker::Broker;
use crate::config::DeliveryConfig;
use crate::hub::{Hub, OutboxLimits};
use crate::net::drain::Drain;
use crate::publish::api::{ApiParts, ApiSettings};
use crate::publish::intake::Intake;
use crate::publish::operator::NoOperator;
use crate::secret::{Secret, Secrets};
use crate::session::tests::scripted::lifecycle;
use crate::telemetry::metrics::Metrics;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn internal() -> Internal {
    let hub = Arc::new(Hub::new(OutboxLimits {
        frames: 8,
        bytes: 1024,
    }));
    let metrics = Arc::new(Metrics::default());
    let settings = ApiSettings {
        secrets: Secrets {
            current: Secret::new(SECRET.into()),
            previous: None,
        },
        token: None,
        body_timeout: Duration::from_secs(5),
    };
    let delivery = DeliveryConfig::default();
    let readiness = Readiness::new();
    readiness.set_ready();
    Internal {
        exposition: Exposition::new(&metrics),
        health: Health::new(readiness, Drain::new().watch(), || DjangoState::Unknown),
        api: Api::new(
            settings,
            ApiParts {
                intake: Arc::new(Intake::new(
                    &delivery,
                    Arc::new(Broker::new(Arc::clone(&hub), delivery.idempotency)),
                    lifecycle(&hub),
                    metrics,
                )),
                hub,
                outbox: None,
                replays: Arc::default(),
                operator: Arc::new(NoOperator),
            },
        ),
    }
}

fn loopback() -> SocketAddr {
    ([127, 0, 0, 1], 50_000).into()
}

async fn status(request: http::request::Builder, peer: impl Into<Option<SocketAddr>>) -> u16 {
    let named = request
        .headers_ref()
        .is_some_and(|fields| fields.contains_key("host"));
    let request = if named {
        request
    } else {
        request.header("host", "localhost:9400")
    };
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    internal()
        .respond(request, peer.into())
        .await
        .status()
        .as_u16()
}

#[tokio::test]
async fn health_and_metrics_need_no_secret() {
    for path in ["/live", "/ready", "/metrics"] {
        assert_eq!(status(Request::get(path), loopback()).await, 200, "{path}");
        assert_eq!(status(Request::post(path), loopback()).await, 405, "{path}");
    }
    assert_eq!(status(Request::get("/"), loopback()).await, 404);
    assert_eq!(status(Request::get("/live/"), None).await, 404);
}

#[tokio::test]
async fn the_api_needs_the_secret() {
    let body = r#"{"to":{"everyone":true},"frame":{}}"#;
    let request = |token: &str| {
        Request::post("/v1/publish")
            .header("host", "localhost")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .unwrap()
    };
    let internal = internal();
    let taken = internal.respond(request(SECRET), None).await;
    assert_eq!(taken.status(), 202);
    let refused = internal.respond(request("guess"), None).await;
    assert_eq!(refused.status(), 401);
    let text = refused.into_body().collect().await.unwrap().to_bytes();
    assert!(!text.windows(8).any(|part| part == b"01234567"));
}

#[tokio::test]
async fn web_pages_are_refused() {
    for path in ["/live", "/metrics", "/v1/publish"] {
        for (name, value) in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("origin", "http://127.0.0.1:9400"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-origin"),
        ] {
            let request = Request::get(path).header(name, value);
            assert_eq!(status(request, loopback()).await, 403, "{path} {name}");
        }
    }
    let typed = Request::get("/live").header("sec-fetch-site", "none");
    assert_eq!(status(typed, loopback()).await, 200);
}

#[tokio::test]
async fn a_request_names_one_host() {
    let local = || Request::get("/live").header("host", "localhost");
    let none = Request::get("/live").body(Empty::<Bytes>::new()).unwrap();
    for (peer, name) in [(Some(loopback()), "TCP"), (None, "Unix")] {
        let refused = internal().respond(none.clone(), peer).await;
        assert_eq!(refused.status(), 400, "none over {name}");
        let two = local().header("host", "evil.example");
        assert_eq!(status(two, peer).await, 400, "two over {name}");
        let twice = local().header("host", "localhost");
        assert_eq!(status(twice, peer).await, 400, "the same twice over {name}");
        for host in ["", ":9400", "a b", "localhost:x", "u@localhost"] {
            let bad = Request::get("/live").header("host", host);
            assert_eq!(status(bad, peer).await, 400, "{host:?} over {name}");
        }
    }
    let other = Request::get("http://evil.example/live").header("host", "localhost");
    assert_eq!(status(other, loopback()).await, 400);
    assert_eq!(status(local(), loopback()).await, 200);
}

#[tokio::test]
async fn a_rebound_name_is_refused_on_loopback() {
    for host in [
        "evil.example:9400",
        "127.0.0.1.evil.example",
        "1.2.3",
        "a.localhost.evil.example",
        "internal.example",
    ] {
        let request = Request::get("/metrics").header("host", host);
        assert_eq!(status(request, loopback()).await, 421, "{host}");
    }
    for host in [
        "127.0.0.1:9400",
        "[::1]:9400",
        "[::1]",
        "localhost",
        "LOCALHOST.:9400",
        "gatepost:9400",
        "web.localhost",
        "host.docker.internal:9400",
    ] {
        let request = Request::get("/metrics").header("host", host);
        assert_eq!(status(request, loopback()).await, 200, "{host}");
    }
    // From elsewhere, as a container's service name.
    let request = Request::get("/live").header("host", "gatepost.apps.internal:9400");
    let elsewhere = SocketAddr::from(([10, 0, 0, 7], 50_000));
    assert_eq!(status(request, elsewhere).await, 200);
}
