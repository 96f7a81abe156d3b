//! The program that this process was started as.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, io, process};

/// What to start once more: the same words, with whatever is at the program's path by then.
#[derive(Clone, Debug)]
pub struct Program {
    pub(super) path: PathBuf,
    pub(super) arguments: Vec<OsString>,
    refusal: Option<&'static str>,
}

impl Program {
    /// This process's. Looked up at the start: `/proc/self/exe` names a file that was replaced `(deleted)`, and the link
    /// by which a release was chosen not at all.
    pub fn of_process() -> io::Result<Self> {
        let mut words = env::args_os();
        let named = words.next().map(PathBuf::from).unwrap_or_default();
        Ok(Self {
            path: found(&named)?,
            arguments: words.collect(),
            refusal: refusal(process::id(), |name| env::var_os(name)),
        })
    }

    /// Why no other process can take this one's place.
    pub(crate) fn refusal(&self) -> Option<&'static str> {
        self.refusal
    }
}

fn refusal(own: u32, variable: impl Fn(&str) -> Option<OsString>) -> Option<&'static str> {
    if own == 1 {
        return Some(
            "as process 1 its end is the container's; what runs the container starts a new one and then ends this",
        );
    }
    // It would take the end of this process for the service's.
    let is_main = variable("SYSTEMD_EXEC_PID").is_some_and(|pid| pid == *own.to_string());
    (is_main && variable("NOTIFY_SOCKET").is_none())
        .then_some("systemd cannot be told of the new process; write Type=notify in the unit")
}

/// The path by which a program was called.
fn found(named: &Path) -> io::Result<PathBuf> {
    if named.components().count() > 1 && named.exists() {
        return std::path::absolute(named);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places = env::split_paths(&path).map(|folder| folder.join(named));
    match places.find(|place| place.is_file()) {
        Some(place) if !named.as_os_str().is_empty() => std::path::absolute(place),
        _ => env::current_exe(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_end_of_a_process_is_the_end_of_all_it_is_refused() {
        let with = |own: u32, main: &str, socket: Option<&str>| {
            refusal(own, |name| match name {
                "SYSTEMD_EXEC_PID" => Some(main.into()),
                _ => socket.map(OsString::from),
            })
        };
        assert!(with(1, "", None).unwrap().contains("process 1"));
        assert!(with(7, "7", None).unwrap().contains("Type=notify"));
        assert_eq!(with(8, "7", None), None);
        assert_eq!(with(7, "7", Some("/run/notify")), None);
    }

    #[test]
    fn a_link_stays_a_link_and_a_word_is_looked_up() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("gatepost");
        std::os::unix::fs::symlink("/bin/sh", &link).unwrap();
        assert_eq!(found(&link).unwrap(), link);
        assert!(found(Path::new("sh")).unwrap().ends_with("sh"));
        let own = env::current_exe().unwrap();
        assert_eq!(found(Path::new("no-such-program")).unwrap(), own);
        assert_eq!(found(Path::new("")).unwrap(), own);
    }
}
