//! The signals that a gateway heeds.
//!
//! The surprise: SIGHUP means two things. Sent by an operator it asks to read the
//! configuration again and to reopen files; from a terminal that
//! was closed it asks to end.

use std::fs::File;
use std::io;

use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignalMeaning {
    /// To end.
    End(Signal),
    /// To reopen files.
    Reopen(Signal),
    /// To start a new program in this one's place.
    Upgrade,
}

/// Hears of signals from now on.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    quit: unix::Signal,
    hang_up: unix::Signal,
    user: unix::Signal,
    upgrade: unix::Signal,
    began_in_terminal: bool,
}

impl Signals {
    /// Must be called within a runtime.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            quit: unix::signal(SignalKind::quit())?,
            hang_up: unix::signal(SignalKind::hangup())?,
            user: unix::signal(SignalKind::user_defined1())?,
            upgrade: unix::signal(SignalKind::user_defined2())?,
            began_in_terminal: is_in_terminal(),
        })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> SignalMeaning {
        tokio::select! {
            _ = self.terminate.recv() => SignalMeaning::End(Signal::TERM),
            _ = self.interrupt.recv() => SignalMeaning::End(Signal::INT),
            _ = self.quit.recv() => SignalMeaning::End(Signal::QUIT),
            _ = self.user.recv() => SignalMeaning::Reopen(Signal::USR1),
            _ = self.upgrade.recv() => SignalMeaning::Upgrade,
            _ = self.hang_up.recv() => self.hung_up(),
        }
    }

    /// The next one that asks to end.
    pub(super) async fn end(&mut self) -> Signal {
        loop {
            if let SignalMeaning::End(signal) = self.next().await {
                return signal;
            }
        }
    }

    fn hung_up(&self) -> SignalMeaning {
        if self.began_in_terminal && !is_in_terminal() {
            tracing::info!("the terminal was closed");
            SignalMeaning::End(Signal::TERM)
        } else {
            SignalMeaning::Reopen(Signal::HUP)
        }
    }
}

/// What people call it.
pub(super) fn name(signal: Signal) -> &'static str {
    match signal {
        Signal::TERM => "SIGTERM",
        Signal::INT => "SIGINT",
        Signal::QUIT => "SIGQUIT",
        Signal::HUP => "SIGHUP",
        _ => "SIGUSR1",
    }
}

/// Whether there is a terminal whose end would end this process.
fn is_in_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}
