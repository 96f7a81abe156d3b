//! When the client of a stream is to come back, which is told each in its own way: a crowd that lost its streams
//! together must not return together.
//!
//! Used wherever a stream begins or ends. A browser comes back by itself, after the time it was told last.

use std::time::Duration;

use crate::close::CloseReason;
use crate::net::jitter::spread;

/// Where the connection breaks.
const USUAL: Duration = Duration::from_secs(3);
/// Where a moment is enough: something has changed, and the answer will be another one.
const SOON: Duration = Duration::from_secs(2);
/// While Django is away.
const OUTAGE: Duration = Duration::from_secs(10);
/// Times are longer or shorter by up to this part of them.
const SPREAD: f64 = 0.5;

/// After a connection that breaks.
pub(super) fn usual() -> Duration {
    spread(USUAL, SPREAD)
}

/// After an end that is not final.
pub(super) fn after(reason: &CloseReason) -> Duration {
    match reason {
        // Each connection was told another time already.
        CloseReason::GoingAway { delay_ms } => Duration::from_millis((*delay_ms).into()),
        CloseReason::DjangoUnreachable | CloseReason::DjangoFails(_) => spread(OUTAGE, SPREAD),
        _ => spread(SOON, SPREAD),
    }
}
