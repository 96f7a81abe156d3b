//! Spans by OpenTelemetry's SDK.
//!
//! Known to the rest by `otel`. Its samplers, limits and the exporter read their own variables (`OTEL_…`), as those
//! who set them expect.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};

use super::export::BoundedProcessor;
use super::role::SpanRole;
use crate::config::OtelConfig;
use crate::ids::TraceParent;
use crate::telemetry::metrics::SpanCounters;

const SERVICE_NAME: &str = "service.name";
/// What the SDK calls a service that has no name.
const UNNAMED: &str = "unknown_service";

/// Makes spans.
#[derive(Clone, Debug)]
pub(super) struct SdkRecorder(Arc<Pipeline>);

#[derive(Debug)]
struct Pipeline {
    tracer: SdkTracer,
    provider: SdkTracerProvider,
}

/// Where a span is.
#[derive(Clone, Copy, Debug)]
pub(super) struct SdkPlace(TraceParent);

/// A span, which may be one that is not to be sent. Boxed, since it is large and a request holds its own.
#[derive(Debug)]
pub struct SdkSpan(Box<Span>);

impl SdkRecorder {
    pub(super) fn build(
        config: &OtelConfig,
        counters: &SpanCounters,
    ) -> Result<Self, ExporterBuildError> {
        let processor = BoundedProcessor::build(config, counters)?;
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_resource(resource())
            .build();
        let tracer = provider.tracer(env!("CARGO_PKG_NAME"));
        Ok(Self(Arc::new(Pipeline { tracer, provider })))
    }

    pub(super) fn start(
        &self,
        role: SpanRole,
        name: &'static str,
        parent: Option<TraceParent>,
    ) -> SdkSpan {
        let kind = match role {
            SpanRole::Server => SpanKind::Server,
            SpanRole::Client => SpanKind::Client,
            SpanRole::Internal => SpanKind::Internal,
        };
        let tracer = &self.0.tracer;
        let parent = parent.map(|parent| context(parent, role == SpanRole::Server));
        let around = parent.map_or_else(Context::new, |parent| {
            Context::new().with_remote_span_context(parent)
        });
        let span = tracer.span_builder(name).with_kind(kind);
        SdkSpan(Box::new(tracer.build_with_context(span, &around)))
    }

    #[expect(clippy::unused_self, reason = "that there is one is what counts")]
    pub(super) fn place(&self, trace: TraceParent) -> SdkPlace {
        SdkPlace(trace)
    }

    pub(super) fn end(&self, limit: Duration) {
        if let Err(error) = self.0.provider.shutdown_with_timeout(limit) {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

impl SdkPlace {
    pub(super) fn trace(self) -> TraceParent {
        self.0
    }
}

impl SdkSpan {
    pub(super) fn place(&self) -> TraceParent {
        let at = self.0.span_context();
        let trace = u128::from_be_bytes(at.trace_id().to_bytes());
        let span = u64::from_be_bytes(at.span_id().to_bytes());
        TraceParent::of_span(trace, span, at.trace_flags().to_u8())
    }

    pub(super) fn is_recorded(&self) -> bool {
        self.0.is_recording()
    }

    /// Another name than it began with.
    pub fn rename(&mut self, name: String) {
        self.0.update_name(name);
    }

    /// Says something of it.
    pub fn text(&mut self, key: &'static str, value: impl Into<Cow<'static, str>>) {
        self.0.set_attribute(KeyValue::new(key, value.into()));
    }

    /// Says how many.
    pub fn number(&mut self, key: &'static str, value: impl TryInto<i64>) {
        let value = value.try_into().unwrap_or(i64::MAX);
        self.0.set_attribute(KeyValue::new(key, value));
    }

    /// Says that it went wrong, by a kind.
    pub fn fail(&mut self, kind: impl Into<Cow<'static, str>>) {
        self.text("error.type", kind);
        self.0.set_status(Status::error(""));
    }

    /// Names another span that it is about.
    pub fn link(&mut self, other: TraceParent) {
        self.0.add_link(context(other, false), Vec::new());
    }
}

fn context(place: TraceParent, is_remote: bool) -> SpanContext {
    SpanContext::new(
        TraceId::from_bytes(place.trace().to_bits().to_be_bytes()),
        SpanId::from_bytes(place.span().to_be_bytes()),
        TraceFlags::new(place.flags()),
        is_remote,
        TraceState::default(),
    )
}

/// What the variables say of this process. Without a name it is `gatepost`.
fn resource() -> Resource {
    let found = Resource::builder()
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let name = found.get(&Key::from_static_str(SERVICE_NAME));
    let is_named = name.is_some_and(|name| !name.as_str().starts_with(UNNAMED));
    let builder = Resource::builder().with_attributes(
        found
            .iter()
            .map(|(key, value)| KeyValue::new(key.clone(), value.clone())),
    );
    if is_named {
        builder.build()
    } else {
        builder.with_service_name(env!("CARGO_PKG_NAME")).build()
    }
}
