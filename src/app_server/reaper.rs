//! Waits for children: the server, and as process 1 of a container every orphan that is left to it.
//!
//! The surprise: tokio and the standard library wait for children of their own alone, so the server is
//! waited for here.

use std::io;

use rustix::process::{self, Pid, WaitOptions};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit::AppExit;

/// Waits for children.
#[derive(Debug)]
pub struct Reaper {
    children: Signal,
    adopts: bool,
}

impl Reaper {
    /// Hears of every child that ends from now on. Must be called within a runtime.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            children: signal(SignalKind::child())?,
            adopts: process::getpid().is_init(),
        })
    }

    /// Whether orphans become children of this process.
    pub fn adopts(&self) -> bool {
        self.adopts
    }

    /// Waits for strangers alone, for ever.
    pub async fn run(mut self) {
        loop {
            self.reap(None);
            if self.children.recv().await.is_none() {
                return;
            }
        }
    }

    /// The end of a child; strangers are waited for meanwhile.
    pub(super) async fn exit_of(&mut self, child: Pid) -> AppExit {
        loop {
            match process::waitpid(Some(child), WaitOptions::NOHANG) {
                Ok(None) => {}
                Ok(Some((_, status))) => return AppExit::of(Some(status)),
                Err(_) => return AppExit::of(None),
            }
            if let Some(exit) = self.reap(Some(child)) {
                return exit;
            }
            // That one is closed only together with the runtime.
            if self.children.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Takes the end of all strangers that have ended, and of `child` if it is among them.
    fn reap(&self, child: Option<Pid>) -> Option<AppExit> {
        let mut found = None;
        while self.adopts
            && let Ok(Some((ended, status))) = process::wait(WaitOptions::NOHANG)
        {
            if Some(ended) == child {
                found = Some(AppExit::of(Some(status)));
            }
        }
        found
    }
}
