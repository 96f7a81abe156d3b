//! One run of Django's server.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::output::AppOutput;
use crate::config::AppServerConfig;

/// A process, and those that it started, in a group of their own: Ctrl-C in a terminal reaches the gateway
/// alone, which ends first.
#[derive(Debug)]
pub(super) struct AppProcess {
    pid: Pid,
}

impl AppProcess {
    /// Starts it; what it prints goes to `output`.
    pub(super) fn spawn(config: &AppServerConfig, output: &AppOutput) -> io::Result<Self> {
        let mut words = config.command.iter();
        let mut child = Command::new(words.next().map_or("", String::as_str))
            .args(words)
            .envs(config.variables.iter().map(|(name, value)| (name, value)))
            // Whether all is ready the gateway alone tells systemd.
            .env_remove("NOTIFY_SOCKET")
            // The sockets that systemd passes are the gateway's; its other variables went when they were taken.
            .env_remove("LISTEN_FDNAMES")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        output.forward(child.stdout.take(), child.stderr.take());
        // The reaper waits for it.
        Ok(Self {
            pid: Pid::from_child(&child),
        })
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends a signal to the process alone. One that has just ended cannot hear it, which is said elsewhere.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = kill_process(self.pid, signal);
    }

    /// Sends a signal to all that is left of the group.
    pub(super) fn signal_group(&self, signal: Signal) {
        let _ = kill_process_group(self.pid, signal);
    }

    /// Whether it does something at a signal that would end it otherwise: a server that has just begun does
    /// not yet, and some never do.
    pub(super) fn catches(&self, signal: Signal) -> bool {
        let path = format!("/proc/{}/status", self.pid.as_raw_nonzero());
        match fs::read_to_string(path) {
            Ok(status) => catches(&status, signal),
            // Without such a list there is only what its documentation promises.
            Err(_) => true,
        }
    }
}

fn catches(status: &str, signal: Signal) -> bool {
    let mut lines = status.lines();
    let mask = lines.find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let bit = u32::try_from(signal.as_raw() - 1).unwrap_or(u32::MAX);
    mask.and_then(|mask| mask.checked_shr(bit))
        .is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_signals_are_caught_is_read_off_the_mask() {
        let status = "Name:\tgunicorn\nSigIgn:\t0000000001001000\nSigCgt:\t0000000008314a07\n";
        for caught in [
            Signal::HUP,
            Signal::INT,
            Signal::QUIT,
            Signal::USR1,
            Signal::TERM,
        ] {
            assert_eq!(
                catches(status, caught),
                caught != Signal::USR1 || 0x0831_4a07 >> 9 & 1 == 1
            );
        }
        assert!(!catches(
            "Name:\tx\nSigCgt:\t0000000000000000\n",
            Signal::HUP
        ));
        assert!(!catches("", Signal::HUP));
    }
}
