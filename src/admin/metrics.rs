//! `/metrics`: the counters as text for Prometheus.
//!
//! `server` asks. The text is `OpenMetrics`, which Prometheus' older text format reads as well; a scraper
//! that does not ask for `OpenMetrics` is told the older type, so that any of them takes it.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::telemetry::metrics::Metrics;
use crate::web::body::ResponseBody;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes the counters.
#[derive(Debug)]
pub struct Exposition {
    registry: Registry,
}

impl Exposition {
    /// An exposition of all counters.
    pub fn new(metrics: &Metrics) -> Self {
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        Self { registry }
    }

    /// The answer to `/metrics`.
    pub fn answer(&self, request: &HeaderMap) -> Response<ResponseBody> {
        let mut text = String::with_capacity(4096);
        if encode(&mut text, &self.registry).is_err() {
            // Writing to a string never fails.
            let mut response = Response::new(ResponseBody::empty());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            return response;
        }
        let media_type = if wants_openmetrics(request) {
            OPENMETRICS
        } else {
            TEXT
        };
        let mut response = Response::new(ResponseBody::full(text));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        response
    }
}

fn wants_openmetrics(request: &HeaderMap) -> bool {
    request
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("application/openmetrics-text"))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn exposed(accept: &'static str) -> (String, String) {
        let metrics = Metrics::default();
        metrics.publications.inc_by(3);
        metrics.connections.set(2);
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        let response = Exposition::new(&metrics).answer(&headers);
        let media_type = response.headers()[CONTENT_TYPE]
            .to_str()
            .unwrap()
            .to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (media_type, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn counters_are_written_as_prometheus_reads_them() {
        let (media_type, text) = exposed("*/*").await;
        assert_eq!(media_type, "text/plain; version=0.0.4; charset=utf-8");
        assert!(text.contains("\ngatepost_publications_total 3\n"), "{text}");
        assert!(text.contains("\ngatepost_connections 2\n"), "{text}");
        // What a rate is made of is there before it counts.
        let lost = "\ngatepost_resumes_total{outcome=\"lost\"} 0\n";
        assert!(text.contains(lost), "{text}");
        assert!(text.contains("\ngatepost_history_bytes 0\n"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    #[tokio::test]
    async fn openmetrics_is_named_where_it_is_asked_for() {
        let (media_type, _) = exposed("application/openmetrics-text;version=1.0.0,*/*;q=0.1").await;
        assert!(media_type.starts_with("application/openmetrics-text"));
    }
}
