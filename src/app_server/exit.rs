//! How Django's server ended, and what that means for the gateway's own exit code.

use std::fmt;
use std::io;

use rustix::process::{Signal, WaitStatus};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppExit {
    /// By itself, with this code.
    Code(u8),
    /// By this signal.
    Signal(i32),
}

/// Why Django's server is not started again.
#[derive(Debug)]
pub enum AppEnd {
    /// It was told to end, by this signal.
    Stopped {
        /// How it ended.
        exit: AppExit,
        /// What it was sent.
        sent: Signal,
    },
    /// It ended again and again, and never accepted a connection.
    NeverUp {
        /// How it ended the last time.
        exit: AppExit,
    },
    /// Its program cannot be started.
    NotStarted(io::Error),
}

/// What a shell returns where a program is not there, or cannot be started.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;
/// A shell adds the signal that ended a program.
const BY_SIGNAL: u8 = 128;

/// A placeholder for a process that has not ended yet.
impl Default for AppExit {
    fn default() -> Self {
        Self::Code(0)
    }
}

impl AppExit {
    /// What a wait for a process has found. `None`: it was waited for elsewhere, and counts as failed.
    pub(super) fn of(status: Option<WaitStatus>) -> Self {
        let signal = status.and_then(WaitStatus::terminating_signal);
        let code = status.and_then(WaitStatus::exit_status);
        match (signal, code) {
            (Some(signal), _) => Self::Signal(signal),
            (None, code) => Self::Code(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        }
    }

    /// Of a program that could not be started, and why.
    pub(super) fn of_start(error: &io::Error) -> (Self, String) {
        let code = match error.kind() {
            io::ErrorKind::NotFound => NOT_FOUND,
            _ => NOT_EXECUTABLE,
        };
        (Self::Code(code), format!("cannot be started: {error}"))
    }

    /// The code, as a shell would say it.
    fn code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => BY_SIGNAL.saturating_add(u8::try_from(signal).unwrap_or(0)),
        }
    }

    /// Whether the signal alone ended it; a shell in between says so by its code.
    fn is_by(self, signal: Signal) -> bool {
        let by_signal = Self::Signal(signal.as_raw());
        self == by_signal || self == Self::Code(by_signal.code())
    }
}

impl fmt::Display for AppExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

impl AppEnd {
    /// The gateway's own exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Stopped { exit, sent } if exit.is_by(*sent) => 0,
            Self::Stopped { exit, .. } => exit.code(),
            // No request was served: that is no success, whatever the exit code.
            Self::NeverUp { exit } => exit.code().max(1),
            Self::NotStarted(error) => AppExit::of_start(error).0.code(),
        }
    }
}

impl fmt::Display for AppEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped { exit, sent } => {
                let sent = sent.as_raw();
                write!(f, "ended with {exit} after it was sent signal {sent}")
            }
            Self::NeverUp { exit } => write!(
                f,
                "ended with {exit} and never accepted a connection; its lines above say why"
            ),
            Self::NotStarted(error) => f.write_str(&AppExit::of_start(error).1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stopped(exit: AppExit, sent: Signal) -> u8 {
        AppEnd::Stopped { exit, sent }.code()
    }

    #[test]
    fn the_code_is_passed_on_and_the_signal_it_was_sent_is_none() {
        assert_eq!(stopped(AppExit::Code(0), Signal::TERM), 0);
        assert_eq!(stopped(AppExit::Code(7), Signal::TERM), 7);
        assert_eq!(stopped(AppExit::Signal(15), Signal::TERM), 0);
        assert_eq!(stopped(AppExit::Code(143), Signal::TERM), 0);
        assert_eq!(stopped(AppExit::Signal(2), Signal::TERM), 130);
        assert_eq!(stopped(AppExit::Signal(9), Signal::TERM), 137);
    }

    #[test]
    fn what_never_served_has_failed() {
        let never = |exit| AppEnd::NeverUp { exit }.code();
        assert_eq!(never(AppExit::Code(3)), 3);
        assert_eq!(never(AppExit::Code(0)), 1);
        assert_eq!(never(AppExit::Signal(11)), 139);
    }

    #[test]
    fn what_cannot_be_started_has_the_code_of_a_shell() {
        let not_started = |kind: io::ErrorKind| AppEnd::NotStarted(kind.into()).code();
        assert_eq!(not_started(io::ErrorKind::NotFound), 127);
        assert_eq!(not_started(io::ErrorKind::PermissionDenied), 126);
    }
}
