//! Publications and revocations that ride on Django's own responses: JSON arrays of what the calls of
//! the internal API take.
//!
//! `django` hands them over before the response goes to the browser. The surprise: nobody hears of an
//! entry that is refused, since the view is done; it is logged, counted, and harms no other entry.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::PublishError;
use super::intake::Intake;
use super::json::{self, DecodeError};
use super::recheck;
use crate::telemetry::metrics::Ride;

/// Takes what rides on responses.
#[derive(Debug)]
pub struct Riding {
    intake: Arc<Intake>,
    /// Whether something was refused already: a view that says it wrongly says so at each request.
    refused: AtomicBool,
}

/// What rides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rider {
    /// `Gatepost-Publish`
    Publication,
    /// `Gatepost-Revoke`
    Revocation,
    /// `Gatepost-Identity`, of which only the failures are told here.
    Identity,
}

impl Riding {
    /// Hands over to this intake.
    pub fn new(intake: Arc<Intake>) -> Self {
        Self {
            intake,
            refused: AtomicBool::new(false),
        }
    }

    /// Takes a JSON array of publications.
    pub fn publish(&self, array: &[u8]) {
        self.each(Rider::Publication, array, |entry| {
            self.intake.publish(&self.intake.decode(entry)?, None);
            Ok(())
        });
    }

    /// Takes a JSON array of revocations, and of sessions and users of whom Django is to be asked again.
    pub fn revoke(&self, array: &[u8]) {
        self.each(Rider::Revocation, array, |entry| {
            if recheck::is_one(entry) {
                // It is under way; the response does not wait for it.
                drop(self.intake.recheck(entry)?);
            } else {
                self.intake.revoke(entry)?;
            }
            Ok(())
        });
    }

    /// Counts and, the first time, logs what cannot be taken. `why` is never a text of Django's.
    pub fn refuse(&self, rider: Rider, why: &str) {
        self.count(rider, "refused");
        let field = rider.field();
        if self.refused.swap(true, Ordering::Relaxed) {
            tracing::debug!(field, why, "refused what came on a response of Django");
        } else {
            tracing::warn!(
                field,
                why,
                "refused what came on a response of Django; further ones at debug level"
            );
        }
    }

    /// Counts what was taken.
    pub fn count_taken(&self, rider: Rider) {
        self.count(rider, "taken");
    }

    fn each(&self, rider: Rider, array: &[u8], take: impl Fn(&[u8]) -> Result<(), DecodeError>) {
        let entries = match json::decode_array(array) {
            Ok(entries) => entries,
            Err(error) => return self.refuse(rider, &describe(error, None)),
        };
        for (index, entry) in entries.into_iter().enumerate() {
            match take(entry.get().as_bytes()) {
                Ok(()) => self.count_taken(rider),
                Err(error) => self.refuse(rider, &describe(error, Some(index))),
            }
        }
    }

    fn count(&self, rider: Rider, outcome: &'static str) {
        let what = rider.name();
        let ride = Ride { what, outcome };
        self.intake.metrics.rides.get_or_create(&ride).inc();
    }
}

impl Rider {
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
    use crate::config::DeliveryConfig;
    use crate::hub::{Hub, OutboxLimits};
    use crate::session::tests::scripted::lifecycle;

    fn riding() -> Riding {
        let hub = Arc::new(Hub::new(OutboxLimits {
            frames: 8,
            bytes: 1024,
        }));
        let delivery = DeliveryConfig {
            outbox_size: 1024,
            ..DeliveryConfig::default()
        };
        Riding::new(Arc::new(Intake::new(
            &delivery,
            Arc::clone(&hub),
            lifecycle(&hub),
            Arc::default(),
        )))
    }

    fn counted(riding: &Riding, what: &'static str) -> (u64, u64) {
        let of = |outcome| {
            let ride = Ride { what, outcome };
            riding.intake.metrics.rides.get_or_create(&ride).get()
        };
        (of("taken"), of("refused"))
    }

    #[test]
    fn a_bad_entry_fails_alone_and_an_array_that_is_none_as_a_whole() {
        let riding = riding();
        riding
            .publish(br#"[{"to":{"user":"1"},"frame":1},{"to":{}},{"to":{"user":"1"},"frame":2}]"#);
        assert_eq!(counted(&riding, "publication"), (2, 1));
        for text in [&b"{}"[..], b"[1", b"\xff", b"", b"null"] {
            riding.publish(text);
        }
        assert_eq!(counted(&riding, "publication"), (2, 6));
        assert_eq!(riding.intake.metrics.publications.get(), 2);
        riding.revoke(br#"[{"user":"1"},{"user":"1","code":1006}]"#);
        assert_eq!(counted(&riding, "revocation"), (1, 1));
    }

    #[test]
    fn what_is_told_of_a_bad_entry_quotes_nothing_of_it() {
        let error = publication::decode(br#"{"to":"hunter2","frame":1}"#, 99, Instant::now());
        let told = describe(error.unwrap_err(), Some(3));
        assert_eq!(told, "json_refused in entry 3, line 1, column 15");
    }
}
