//! What gateways send spans to: a receiver of OTLP over HTTP that decodes what comes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;

use super::answer::Answer;
use super::gateway::Setup;
use super::process::Process;
use super::server::Server;
use super::{PATIENCE, eventually_some};

/// The receiver. It takes everything, until it is told otherwise.
pub struct Collector(Server);

/// A span that came.
#[derive(Clone, Debug)]
pub struct ReceivedSpan {
    pub name: String,
    pub kind: SpanKind,
    /// In hexadecimal digits, as in `traceparent`.
    pub trace: String,
    pub id: String,
    /// Empty: it has none.
    pub parent: String,
    pub links: Vec<String>,
    /// As in `traceparent`.
    pub flags: u8,
    pub attributes: BTreeMap<String, String>,
    pub is_error: bool,
    /// Of its process.
    pub resource: BTreeMap<String, String>,
}

impl Collector {
    pub async fn start() -> Self {
        let server = Server::start().await;
        server.answers_everything(Answer::ok(""));
        Self(server)
    }

    /// The scripted server.
    pub fn server(&self) -> &Server {
        &self.0
    }

    /// Starts a gateway that sends its spans here, soon, and knows further variables.
    pub async fn gateway(&self, setup: Setup, variables: &[(&str, &str)]) -> Process {
        let url = self.0.url();
        let usual = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*url),
            ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ];
        Process::start_knowing(setup, &[&usual[..], variables].concat()).await
    }

    /// All spans that came so far.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        let mut spans = Vec::new();
        for request in self.0.requests_to("/v1/traces") {
            let body = request.body.bytes.as_slice();
            if !request.body.complete {
                continue;
            }
            let batch = ExportTraceServiceRequest::decode(body).unwrap();
            for of_resource in batch.resource_spans {
                let resource = of_resource.resource.unwrap_or_default();
                let resource = texts(resource.attributes);
                let scopes = of_resource.scope_spans.into_iter();
                for span in scopes.flat_map(|scope| scope.spans) {
                    spans.push(ReceivedSpan {
                        kind: span.kind(),
                        flags: span.flags.to_le_bytes()[0],
                        name: span.name,
                        trace: digits(&span.trace_id),
                        id: digits(&span.span_id),
                        parent: digits(&span.parent_span_id),
                        links: span.links.iter().map(|it| digits(&it.span_id)).collect(),
                        attributes: texts(span.attributes),
                        is_error: span.status.is_some_and(|it| it.code() == StatusCode::Error),
                        resource: resource.clone(),
                    });
                }
            }
        }
        spans
    }

    /// Waits for a span.
    pub async fn span(&self, is_it: impl Fn(&ReceivedSpan) -> bool) -> ReceivedSpan {
        eventually_some(PATIENCE, async || self.spans().into_iter().find(&is_it)).await
    }

    /// Waits for the span of the request for this path.
    pub async fn request(&self, path: &str) -> ReceivedSpan {
        self.span(|span| span.kind == SpanKind::Server && span.get("url.path") == path)
            .await
    }

    /// Waits for the one span of this name inside of another.
    pub async fn inside(&self, of: &ReceivedSpan, name: &str) -> ReceivedSpan {
        self.span(|span| span.parent == of.id && span.name == name)
            .await
    }

    /// Everything that came, as one text, however it was meant.
    pub fn text(&self) -> String {
        let requests = self.0.requests_to("/v1/traces");
        let bodies = requests
            .iter()
            .map(|it| String::from_utf8_lossy(&it.body.bytes));
        bodies.collect()
    }
}

impl ReceivedSpan {
    /// An attribute; empty: it has none of this name.
    pub fn get(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// Its `traceparent`.
    pub fn place(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace, self.id, self.flags)
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(is)) => is.to_string(),
        other => format!("{other:?}"),
    };
    let texts = attributes.into_iter();
    texts.map(|it| (it.key, text(it.value))).collect()
}

fn digits(bytes: &[u8]) -> String {
    let mut digits = String::new();
    for byte in bytes {
        write!(digits, "{byte:02x}").unwrap();
    }
    digits
}
