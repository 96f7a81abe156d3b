//! Runs the tools that stores are changed with.

use std::io;
use std::process::{Command, Stdio};

use super::report::StoreError;

/// Which packages have a tool.
const PACKAGES: [(&str, &str); 3] = [
    (
        "certutil",
        "`apt install libnss3-tools` (Debian, Ubuntu), `dnf install nss-tools` (Fedora), `pacman -S nss` (Arch)",
    ),
    (
        "sudo",
        "run `gatepost trust` as root for this store alone, or `gatepost trust --browsers` without it",
    ),
    (
        "update-ca-certificates",
        "`apt install ca-certificates` (Debian, Ubuntu)",
    ),
];

/// What a tool prints, or why it did not do its work. It reads nothing; a password it asks the terminal for.
pub(super) fn run<S: AsRef<str>>(words: &[S]) -> Result<String, StoreError> {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    let (program, arguments) = words
        .split_first()
        .map_or(("", &[][..]), |(program, rest)| (*program, rest));
    let ran = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output();
    let failed = |said: String| StoreError::Tool {
        command: words.join(" "),
        said,
    };
    match ran {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.trim();
            Err(failed(if said.is_empty() {
                output.status.to_string()
            } else {
                said.replace('\n', " ")
            }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::Missing {
            program: program.to_owned(),
            remedy: remedy(program),
        }),
        Err(error) => Err(failed(error.to_string())),
    }
}

fn remedy(program: &str) -> &'static str {
    let known = PACKAGES.iter().find(|(name, _)| *name == program);
    known.map_or("install it", |(_, remedy)| remedy)
}
