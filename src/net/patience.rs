//! Accepts clients whatever happens.
//!
//! Used by `listener`. One descriptor is kept back, so that even when all are in use a client is let
//! in and out again. It learns at once that it should come later, instead of hanging in the kernel's
//! backlog.

use std::fs::File;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::time::Duration;

use futures_util::FutureExt;
use rustix::io::Errno;

use crate::telemetry::seldom::Seldom;

/// How long to wait where memory is out.
const BACK_OFF: Duration = Duration::from_millis(75);
/// The least time between two log lines about it.
const QUIET: Duration = Duration::from_secs(1);

/// Bears with errors of accepting.
#[derive(Debug)]
pub(super) struct Patience {
    /// The log lines that tell that clients cannot be accepted.
    complaints: Seldom,
    reserve: Option<File>,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self {
            complaints: Seldom::new(QUIET),
            reserve: reserve(),
        }
    }

    /// Accepts until it succeeds. Errors of one client are passed over; for others it waits instead of
    /// spinning.
    pub(super) async fn accept<T, F>(&mut self, accept: impl Fn() -> F) -> T
    where
        F: Future<Output = io::Result<T>>,
    {
        loop {
            match accept().await {
                Ok(accepted) => return accepted,
                Err(error) if is_of_one_client(&error) => {}
                Err(error) => {
                    self.complain(&error);
                    if !(is_out_of_descriptors(&error) && self.turn_away(&accept)) {
                        tokio::time::sleep(BACK_OFF).await;
                    }
                }
            }
        }
    }

    /// Accepts one client with the descriptor that is kept for it, and closes it.
    fn turn_away<T, F>(&mut self, accept: impl Fn() -> F) -> bool
    where
        F: Future<Output = io::Result<T>>,
    {
        drop(self.reserve.take());
        let turned_away = matches!(accept().now_or_never(), Some(Ok(_)));
        self.reserve = reserve();
        turned_away
    }

    fn complain(&self, error: &io::Error) {
        if self.complaints.is_due() {
            tracing::error!(
                %error,
                "cannot accept clients, and turns them away; raise the limit of open files \
                 (ulimit -n) or lower `limits.connections`"
            );
        }
    }
}

fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Whether an error is about the client that was to be accepted, which is then simply gone. All other
/// errors may last, and would make the loop spin.
fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
    )
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    let number = Errno::from_io_error(error);
    matches!(number, Some(Errno::MFILE | Errno::NFILE))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use tokio::time::Instant;

    use super::*;

    fn error(number: Errno) -> io::Error {
        number.into()
    }

    #[test]
    fn only_errors_of_one_client_are_passed_over() {
        assert!(!is_of_one_client(&error(Errno::MFILE)));
        assert!(is_of_one_client(&ErrorKind::ConnectionAborted.into()));
    }

    #[tokio::test(start_paused = true)]
    async fn without_memory_accepting_waits_instead_of_spinning() {
        let began = Instant::now();
        let calls = Cell::new(0);
        let mut patience = Patience::new();
        let accept = || {
            calls.set(calls.get() + 1);
            let call = calls.get();
            async move {
                match call {
                    1..=20 => Err(error(Errno::NOBUFS)),
                    21..=30 => Err(ErrorKind::ConnectionAborted.into()),
                    _ => Ok("a client"),
                }
            }
        };
        assert_eq!(patience.accept(accept).await, "a client");
        assert_eq!(calls.get(), 31);
        assert_eq!(began.elapsed() / 20, BACK_OFF);
    }

    #[tokio::test(start_paused = true)]
    async fn without_descriptors_a_client_is_turned_away_at_once() {
        let began = Instant::now();
        let calls = Cell::new(0);
        let client = Rc::new(());
        let accept = || {
            calls.set(calls.get() + 1);
            let (call, client) = (calls.get(), Rc::clone(&client));
            async move {
                match call {
                    // Ten clients, and the reserve has to do for each of them.
                    1..=20 if call % 2 == 1 => Err(error(Errno::MFILE)),
                    _ => Ok((call, client)),
                }
            }
        };
        let mut patience = Patience::new();
        let (call, _client) = patience.accept(accept).await;
        assert_eq!((call, began.elapsed()), (21, Duration::ZERO));
        assert_eq!(
            Rc::strong_count(&client),
            2,
            "who was turned away is closed"
        );
        assert!(patience.reserve.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn without_descriptors_and_clients_it_waits() {
        let calls = Cell::new(0);
        let accept = || {
            calls.set(calls.get() + 1);
            let call = calls.get();
            async move {
                match call {
                    1 | 3 => Err(error(Errno::MFILE)),
                    // The kernel says so before it looks whether anybody is there.
                    2 | 4 => std::future::pending().await,
                    _ => Ok(()),
                }
            }
        };
        let began = Instant::now();
        Patience::new().accept(accept).await;
        assert_eq!(began.elapsed(), 2 * BACK_OFF);
    }
}
