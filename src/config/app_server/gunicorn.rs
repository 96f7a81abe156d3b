//! What gunicorn will make of its options: how many requests it does at once, and where it listens.
//!
//! Its configuration file is Python, so what only that could say is not known.

use std::path::Path;

use super::words::{quoted, value};

/// Options besides those on the command line, which win.
pub(super) const VARIABLE: &str = "GUNICORN_CMD_ARGS";
/// Its file, where nothing names another.
const FILE: &str = "gunicorn.conf.py";

/// What gunicorn reads, in its own order: the command line beats the variable, that beats the file.
pub(super) struct Gunicorn<'a> {
    pub(super) command: &'a [String],
    pub(super) inherited: &'a [String],
    /// `WEB_CONCURRENCY`: workers where nothing else says them.
    pub(super) workers: Option<&'a str>,
    pub(super) folder: &'a Path,
}

impl Gunicorn<'_> {
    /// Workers times threads. `None`: not known, or as many as come, as asynchronous workers take them.
    pub(super) fn places(&self) -> Option<usize> {
        let workers = self.number("workers", Some('w'), self.workers)?;
        let threads = self.number("threads", None, None)?;
        let class = match self.option("worker-class", Some('k')) {
            Some(class) => class,
            None if self.has_file() => return None,
            None => "sync",
        };
        matches!(class, "sync" | "gthread").then(|| workers.saturating_mul(threads))
    }

    fn number(&self, long: &str, short: Option<char>, default: Option<&str>) -> Option<usize> {
        let said = match self.option(long, short) {
            Some(said) => said,
            None if self.has_file() => return None,
            None => default.unwrap_or("1"),
        };
        said.parse().ok().filter(|number| *number > 0)
    }

    fn option(&self, long: &str, short: Option<char>) -> Option<&str> {
        let inherited = || value(self.inherited, long, short);
        value(self.command, long, short).or_else(inherited)
    }

    /// Whether it reads a file, in which anything may stand.
    fn has_file(&self) -> bool {
        let named = self
            .option("config", Some('c'))
            .or_else(|| self.option("paste", None));
        named.is_some() || self.folder.join(FILE).exists()
    }
}

/// The variable's value with the place where to listen.
pub(super) fn with_bind(variable: &str, socket: &Path) -> String {
    let bind = quoted(&format!("unix:{}", socket.display()));
    format!("{variable} --bind {bind}").trim_start().to_owned()
}
