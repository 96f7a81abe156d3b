//! An operator at the command line, where a gateway runs.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::{Gateway, Process};

/// What a verb of the command line came to.
#[derive(Debug)]
pub struct VerbOutput {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Gateway {
    /// Runs a verb of the command line, such as `["pause", "--for", "5s"]`, against this gateway.
    pub async fn told(&self, words: &[&str]) -> VerbOutput {
        told(self.folder(), words).await
    }
}

impl Process {
    /// Runs a verb of the command line against this gateway.
    pub async fn told(&self, words: &[&str]) -> VerbOutput {
        told(self.folder(), words).await
    }
}

impl VerbOutput {
    /// What was printed, of a verb that did what it was told.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:?}");
        self.stdout
    }
}

/// Runs a verb with the `gateway.toml` of a folder, in an environment without the secret.
pub async fn told(folder: &Path, words: &[&str]) -> VerbOutput {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatepost"));
    command
        .args(words)
        .arg("--config")
        .arg(folder.join("gateway.toml"))
        .env_clear()
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let Output {
        status,
        stdout,
        stderr,
    } = output.unwrap().unwrap();
    VerbOutput {
        code: status.code(),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}
