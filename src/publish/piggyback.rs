//! Publications and revocations that ride on Django's own responses: JSON arrays of what the calls of
//! the internal API take.
//!
//! `django` hands them over before the response goes to the browser. Django does not hear of an entry that is
//! refused, since the view is done; it is logged, counted, and harms no other entry.

use std::sync::Arc;

use super::error::PublishError;
use super::intake::Intake;
use super::json::{self, DecodeError};
use super::publication_span::PublicationSpan;
use super::recheck;
use crate::telemetry::metrics::PiggybackLabel;
use crate::telemetry::otel::SpanPlace;
use crate::telemetry::seldom::Once;

/// Takes what rides on responses.
#[derive(Debug)]
pub struct Piggyback {
    intake: Arc<Intake>,
    /// Whether something was refused already: a view that says it wrongly says so at each request.
    refused: Once,
}

/// Takes what rides on one response.
#[derive(Clone, Copy, Debug)]
pub struct OneResponse<'a> {
    piggyback: &'a Piggyback,
    /// What was asked for, without the query: whose view it is that says something wrong.
    path: &'a str,
    request: SpanPlace,
}

/// What rides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PiggybackKind {
    /// `Gatepost-Publish`
    Publication,
    /// `Gatepost-Revoke`
    Revocation,
    /// `Gatepost-Identity`, of which only the failures are told here.
    Identity,
}

impl Piggyback {
    /// Hands over to this intake.
    pub fn new(intake: Arc<Intake>) -> Self {
        Self {
            intake,
            refused: Once::default(),
        }
    }

    /// What rides on the response to the request for this path, whose span is there.
    pub fn on<'a>(&'a self, path: &'a str, request: SpanPlace) -> OneResponse<'a> {
        OneResponse {
            piggyback: self,
            path,
            request,
        }
    }

    fn count(&self, kind: PiggybackKind, outcome: &'static str) {
        let what = kind.name();
        let label = PiggybackLabel { what, outcome };
        self.intake.metrics.piggybacked.get_or_create(&label).inc();
    }
}

impl OneResponse<'_> {
    /// Takes a JSON array of publications.
    pub fn publish(self, array: &[u8]) {
        let intake = &self.piggyback.intake;
        let mut span = PublicationSpan::of_answer(&intake.tracer, self.request);
        self.each(PiggybackKind::Publication, array, |entry| {
            let decoded = intake.decode(entry);
            let decoded = decoded.inspect_err(|_| span.refused())?;
            span.published(&intake.publish(&decoded, None));
            Ok(())
        });
    }

    /// Takes a JSON array of revocations, and of sessions and users that Django is to be asked about again.
    pub fn revoke(self, array: &[u8]) {
        let intake = &self.piggyback.intake;
        self.each(PiggybackKind::Revocation, array, |entry| {
            if recheck::is_one(entry) {
                // It is under way; the response does not wait for it.
                drop(intake.recheck(entry)?);
            } else {
                intake.revoke(entry)?;
            }
            Ok(())
        });
    }

    /// Counts and, the first time, logs what cannot be taken. `why` is never a text of Django's.
    pub fn refuse(self, kind: PiggybackKind, why: &str) {
        self.piggyback.count(kind, "refused");
        let (field, path) = (kind.field(), self.path);
        if self.piggyback.refused.is_first() {
            tracing::warn!(
                field,
                path,
                why,
                "refused what came on a response of Django; further ones at debug level"
            );
        } else {
            tracing::debug!(
                field,
                path,
                why,
                "refused what came on a response of Django"
            );
        }
    }

    /// Counts what was taken.
    pub fn count_taken(self, kind: PiggybackKind) {
        self.piggyback.count(kind, "taken");
    }

    fn each(
        self,
        kind: PiggybackKind,
        array: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), DecodeError>,
    ) {
        let entries = match json::decode_array(array) {
            Ok(entries) => entries,
            Err(error) => return self.refuse(kind, &describe(error, None)),
        };
        for (index, entry) in entries.into_iter().enumerate() {
            match take(entry.get().as_bytes()) {
                Ok(()) => self.count_taken(kind),
                Err(error) => self.refuse(kind, &describe(error, Some(index))),
            }
        }
    }
}

impl PiggybackKind {
    fn field(self) -> &'static str {
        match self {
            Self::Publication => "Gatepost-Publish",
            Self::Revocation => "Gatepost-Revoke",
            Self::Identity => "Gatepost-Identity",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Publication => "publication",
            Self::Revocation => "revocation",
            Self::Identity => "identity",
        }
    }
}

/// The machine code and the place: the texts may quote a frame.
fn describe(error: DecodeError, entry: Option<usize>) -> String {
    let place = error.place();
    let code = PublishError::Body(error).code();
    let (line, column) = (place.line, place.column);
    match entry {
        Some(index) => format!("{code} in entry {index}, line {line}, column {column}"),
        None => format!("{code} in line {line}, column {column}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::publication;
    use super::*;
    use crate::broker::Broker;
    use crate::config::DeliveryConfig;
    use crate::hub::{Hub, OutboxLimits};
    use crate::session::tests::scripted::lifecycle;

    fn piggyback() -> Piggyback {
        let hub = Arc::new(Hub::new(OutboxLimits {
            frames: 8,
            bytes: 1024,
        }));
        let delivery = DeliveryConfig {
            outbox_size: 1024,
            ..DeliveryConfig::default()
        };
        Piggyback::new(Arc::new(Intake::new(
            &delivery,
            Arc::new(Broker::new(Arc::clone(&hub), delivery.idempotency)),
            lifecycle(&hub),
            Arc::default(),
        )))
    }

    fn counted(piggyback: &Piggyback, what: &'static str) -> (u64, u64) {
        let of = |outcome| {
            let label = PiggybackLabel { what, outcome };
            piggyback
                .intake
                .metrics
                .piggybacked
                .get_or_create(&label)
                .get()
        };
        (of("taken"), of("refused"))
    }

    #[test]
    fn a_bad_entry_fails_alone_and_an_array_that_is_none_as_a_whole() {
        let piggyback = piggyback();
        let response = piggyback.on("/page/", SpanPlace::default());
        response
            .publish(br#"[{"to":{"user":"1"},"frame":1},{"to":{}},{"to":{"user":"1"},"frame":2}]"#);
        assert_eq!(counted(&piggyback, "publication"), (2, 1));
        for text in [&b"{}"[..], b"[1", b"\xff", b"", b"null"] {
            response.publish(text);
        }
        assert_eq!(counted(&piggyback, "publication"), (2, 6));
        assert_eq!(piggyback.intake.metrics.publications.get(), 2);
        response.revoke(br#"[{"user":"1"},{"user":"1","code":1006}]"#);
        assert_eq!(counted(&piggyback, "revocation"), (1, 1));
    }

    #[test]
    fn what_is_told_of_a_bad_entry_quotes_nothing_of_it() {
        let error = publication::decode(br#"{"to":"hunter2","frame":1}"#, 99, Instant::now());
        let told = describe(error.unwrap_err(), Some(3));
        assert_eq!(told, "json_refused in entry 3, line 1, column 15");
    }
}
