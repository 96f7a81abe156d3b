//! `[delivery]`: how frames reach clients.

use std::time::Duration;

use super::document::Document;
use super::kind::DURATION;
use super::limits::Limits;

/// `[delivery]`: how frames reach clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryConfig {
    /// Frames that may wait for one client.
    pub outbox_frames: usize,
    /// Bytes that may wait for one client.
    pub outbox_size: usize,
    /// Between protocol pings, jittered.
    pub ping: Duration,
    /// How long a publication's `id` is remembered.
    pub idempotency: Duration,
    /// How many publications of one audience are kept for clients that come back.
    pub history: usize,
    /// How long.
    pub history_age: Duration,
    /// How many bytes of them in all.
    pub history_size: usize,
}

impl Default for DeliveryConfig {
    fn default() -> Self {
        Self {
            outbox_frames: 512,
            outbox_size: 256 << 10,
            ping: Duration::from_secs(25),
            idempotency: Duration::from_mins(5),
            history: 100,
            history_age: Duration::from_mins(5),
            history_size: 64 << 20,
        }
    }
}

impl DeliveryConfig {
    /// Reads the section.
    pub(super) fn read(document: &mut Document<'_>, limits: &Limits) -> Self {
        let default = Self::default();
        let mut section = document.section("delivery");
        let delivery = Self {
            outbox_frames: section
                .count("outbox_frames", 1..=1_000_000)
                .unwrap_or(default.outbox_frames),
            outbox_size: section
                .size("outbox_size", 1..=1 << 30)
                .unwrap_or(default.outbox_size),
            ping: section.value("ping", &DURATION).unwrap_or(default.ping),
            idempotency: section
                .value("idempotency", &DURATION)
                .unwrap_or(default.idempotency),
            history: section
                .count("history", 0..=10_000)
                .unwrap_or(default.history),
            history_age: section
                .value("history_age", &DURATION)
                .unwrap_or(default.history_age),
            history_size: section
                .size("history_size", 1..=1 << 40)
                .unwrap_or(default.history_size),
        };
        if delivery.outbox_size < limits.message_size {
            let message = format!(
                "is {} bytes, too small for one message of limits.message_size, {} bytes",
                delivery.outbox_size, limits.message_size
            );
            section.refuse(
                "outbox_size",
                &message,
                Some("raise it, or lower limits.message_size"),
            );
        }
        delivery
    }
}
