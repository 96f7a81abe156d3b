//! `gatepost trust`: real tools change real stores, below folders of the tests' own.
//!
//! What a browser makes of it is in `e2e/test_trust.py`.

mod show;
mod stores;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gatepost::trust::{CaCertificate, Elevation, Stores, SystemStore};
use tempfile::TempDir;

/// A home folder with a local CA beside it.
struct Person {
    folder: TempDir,
}

impl Person {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = "[server]\nhttps = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\nlan = false\n";
        std::fs::write(folder.path().join("gateway.toml"), config).unwrap();
        std::fs::create_dir(folder.path().join("home")).unwrap();
        Self { folder }
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn ca_file(&self) -> PathBuf {
        self.folder.path().join("certs/ca.pem")
    }

    /// `gatepost trust …` for the browsers alone, and what else is said.
    fn gatepost(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatepost"));
        command
            .arg("trust")
            .args(arguments)
            .current_dir(self.folder.path());
        command.env_clear().env("HOME", self.home());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    fn trust(&self, arguments: &[&str]) -> Said {
        self.gatepost(arguments).output().unwrap().into()
    }

    /// A database such as a browser makes.
    fn database(&self, folder: &str) -> PathBuf {
        let folder = self.home().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        certutil(&folder, &["-N", "--empty-password"]);
        folder
    }

    fn ca(&self) -> CaCertificate {
        CaCertificate::read(&self.ca_file()).unwrap()
    }
}

/// How a command ended.
struct Said {
    code: Option<i32>,
    out: String,
    error: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            error: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// What certutil lists: nickname and flags in each line.
fn certutil(database: &Path, arguments: &[&str]) -> String {
    let place = format!("sql:{}", database.display());
    let ran = Command::new("certutil")
        .args(["-d", &place])
        .args(arguments)
        .output();
    let ran = ran.expect("certutil of libnss3-tools");
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    String::from_utf8(ran.stdout).unwrap()
}

/// How often a database trusts one of our CAs to vouch for servers.
fn trusted(database: &Path) -> usize {
    let listed = certutil(database, &["-L"]);
    let ours = listed
        .lines()
        .filter(|line| line.starts_with("Gatepost local CA"));
    ours.filter(|line| line.trim_end().ends_with(" C,,"))
        .count()
}

/// Debian's real tool, for a system below this folder.
fn system(folder: &Path) -> SystemStore {
    let (local, etc) = (folder.join("local"), folder.join("etc"));
    let (shipped, configuration) = (folder.join("shipped"), folder.join("ca-certificates.conf"));
    for folder in [&local, &etc, &shipped] {
        std::fs::create_dir_all(folder).unwrap();
    }
    std::fs::write(&configuration, "# none\n").unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let mut added = vec!["update-ca-certificates".to_owned()];
    for (option, place) in [
        ("--certsconf", &configuration),
        ("--certsdir", &shipped),
        ("--localcertsdir", &local),
        ("--etccertsdir", &etc),
        ("--hooksdir", &shipped),
    ] {
        added.extend([option.to_owned(), path(place)]);
    }
    let mut removed = added.clone();
    removed.push("--fresh".to_owned());
    SystemStore {
        folder: local,
        ending: "crt",
        added,
        removed,
        elevation: Elevation::None,
    }
}

fn only(system: SystemStore) -> Stores {
    Stores::default().with_system(system)
}
