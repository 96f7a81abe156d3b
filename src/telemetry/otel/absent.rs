//! In place of the SDK, where it is not built in: values of these types cannot be, so neither can a call of theirs.
//!
//! Known to the rest by `otel`.

use std::borrow::Cow;
use std::time::Duration;

use super::role::SpanRole;
use crate::config::OtelConfig;
use crate::ids::TraceParent;
use crate::telemetry::metrics::SpanCounters;

/// Makes no spans.
#[derive(Clone, Debug)]
pub(super) enum AbsentRecorder {}

/// Cannot be.
#[derive(Clone, Copy, Debug)]
pub(super) enum AbsentPlace {}

/// Cannot be.
#[derive(Debug)]
pub enum AbsentSpan {}

impl AbsentRecorder {
    pub(super) fn build(_: &OtelConfig, _: &SpanCounters) -> Result<Self, &'static str> {
        Err("this gatepost was built without the feature `otel`")
    }

    pub(super) fn start(&self, _: SpanRole, _: &'static str, _: Option<TraceParent>) -> AbsentSpan {
        match *self {}
    }

    pub(super) fn place(&self, _: TraceParent) -> AbsentPlace {
        match *self {}
    }

    pub(super) fn end(&self, _: Duration) {
        match *self {}
    }
}

impl AbsentPlace {
    pub(super) fn trace(self) -> TraceParent {
        match self {}
    }
}

impl AbsentSpan {
    pub(super) fn place(&self) -> TraceParent {
        match *self {}
    }

    pub(super) fn is_recorded(&self) -> bool {
        match *self {}
    }

    /// Another name than it began with.
    pub fn rename(&mut self, _: String) {
        match *self {}
    }

    /// Says something of it.
    pub fn text(&mut self, _: &'static str, _: impl Into<Cow<'static, str>>) {
        match *self {}
    }

    /// Says how many.
    pub fn number(&mut self, _: &'static str, _: impl TryInto<i64>) {
        match *self {}
    }

    /// Says that it went wrong, by a kind.
    pub fn fail(&mut self, _: impl Into<Cow<'static, str>>) {
        match *self {}
    }

    /// Names another span that it is about.
    pub fn link(&mut self, _: TraceParent) {
        match *self {}
    }
}
