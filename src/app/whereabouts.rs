//! Where the running gateway is: `.gatepost/pid`, and beside it `.gatepost/internal`.
//!
//! Written by the composition root when all listeners are bound, for the verbs of the command line and for service
//! managers; gone with the gateway. The second line of `internal` is a token of this very process, so that a user
//! who may read the folder can give orders also where the secret is only in the service's environment.

use std::fmt::{self, Write as _};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process;

use aws_lc_rs::rand;

use super::listeners::Listeners;
use crate::config::ServerConfig;
use crate::secret::Secret;
use crate::state_folder::{self, StateFolder};

/// The files, while the gateway is there.
pub(super) struct Whereabouts {
    pid: PathBuf,
    internal: PathBuf,
    /// What `internal` says.
    told: String,
    token: Secret,
}

impl Whereabouts {
    /// Writes them; without them the gateway serves all the same.
    pub(super) fn write(
        state: &StateFolder,
        listeners: &Listeners,
        server: &ServerConfig,
    ) -> Option<Self> {
        let address = match listeners.addresses().internal {
            Some(address) => address.to_string(),
            None => server.internal.to_string(),
        };
        match Self::write_files(state, &address) {
            Ok(whereabouts) => Some(whereabouts),
            Err(error) => {
                tracing::warn!(
                    folder = %state.path().display(), %error,
                    "`gatepost maintenance`, `pause` and their like will not find this gateway; let its user write the folder"
                );
                None
            }
        }
    }

    fn write_files(state: &StateFolder, address: &str) -> io::Result<Self> {
        let mut random = [0; 32];
        rand::fill(&mut random).map_err(io::Error::other)?;
        let mut token = String::with_capacity(64);
        for byte in random {
            let _ = write!(token, "{byte:02x}");
        }
        let (pid, internal) = (state.pid(), state.internal());
        let whereabouts = Self {
            pid,
            internal,
            told: format!("{address}\n{token}\n"),
            token: Secret::new(token.into_bytes()),
        };
        whereabouts.tell_again()?;
        Ok(whereabouts)
    }

    /// Writes them once more, where another process that was to take this one's place has written its own.
    pub(super) fn tell_again(&self) -> io::Result<()> {
        state_folder::write(&self.internal, self.told.as_bytes())?;
        state_folder::write(&self.pid, own_pid().as_bytes())
    }

    /// What the operator on this machine calls with.
    pub(super) fn token(&self) -> Secret {
        self.token.clone()
    }
}

impl fmt::Debug for Whereabouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the token.
        write!(f, "Whereabouts({})", self.pid.display())
    }
}

impl Drop for Whereabouts {
    fn drop(&mut self) {
        // Another gateway may be in this one's place.
        if fs::read_to_string(&self.pid).is_ok_and(|pid| pid == own_pid()) {
            let _ = fs::remove_file(&self.pid);
            let _ = fs::remove_file(&self.internal);
        }
    }
}

fn own_pid() -> String {
    format!("{}\n", process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_go_with_the_gateway_unless_another_took_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::beside(folder.path());
        let there = || [state.pid(), state.internal()].map(|file| file.exists());
        let first = Whereabouts::write_files(&state, "127.0.0.1:9400").unwrap();
        let told = fs::read_to_string(state.internal()).unwrap();
        let token = told.strip_prefix("127.0.0.1:9400\n").unwrap().trim_end();
        assert!(first.token().matches(token.as_bytes()) && token.len() == 64);
        drop(first);
        assert_eq!(there(), [false; 2]);
        let second = Whereabouts::write_files(&state, "127.0.0.1:9400").unwrap();
        fs::write(state.pid(), "1\n").unwrap();
        drop(second);
        assert_eq!(there(), [true; 2]);
    }
}
