//! What Django's server prints, among the gateway's own lines and told apart from them.
//!
//! Each line goes where it was printed to, stdout or stderr, behind `app | `; where the log is JSON it is kept
//! as it is if it is an object itself, and becomes one otherwise. Where the gateway's output is not read, the
//! server waits, as it would for its own; where it cannot be written, its lines are thrown away.

use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::process::{ChildStderr, ChildStdout};

use serde::Serialize;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::task::spawn_blocking;

use crate::config::LogFormat;
use crate::net::drain::DrainWatch;
use crate::telemetry::log;

/// Kept of a line that does not end; a longer one is cut into several.
const LONGEST_LINE: usize = 64 * 1024;
const PREFIX: &[u8] = b"app | ";

/// Where the lines go.
#[derive(Clone, Debug)]
pub(super) struct AppOutput {
    format: LogFormat,
    drain: DrainWatch,
}

/// One of the two that a process prints to.
#[derive(Clone, Copy, Debug)]
enum PrintedTo {
    Stdout,
    Stderr,
}

impl AppOutput {
    pub(super) fn new(format: LogFormat, drain: DrainWatch) -> Self {
        Self { format, drain }
    }

    /// Passes on what comes until both are closed.
    pub(super) fn forward(&self, stdout: Option<ChildStdout>, stderr: Option<ChildStderr>) {
        self.follow(PrintedTo::Stdout, stdout.map(OwnedFd::from));
        self.follow(PrintedTo::Stderr, stderr.map(OwnedFd::from));
    }

    fn follow(&self, to: PrintedTo, from: Option<OwnedFd>) {
        if let Some(pipe) = from.and_then(|fd| pipe::Receiver::from_owned_fd(fd).ok()) {
            self.drain.spawn(pass_on(pipe, to, self.format));
        }
    }
}

async fn pass_on(mut pipe: pipe::Receiver, to: PrintedTo, format: LogFormat) {
    let mut kept = Vec::new();
    loop {
        let has_ended = !matches!(pipe.read_buf(&mut kept).await, Ok(1..));
        let mut shown = Vec::new();
        let end = shown_now(&kept, has_ended);
        for line in kept[..end].split_inclusive(|byte| *byte == b'\n') {
            show(line.strip_suffix(b"\n").unwrap_or(line), format, &mut shown);
        }
        kept.drain(..end);
        // One that cannot be written is lost.
        let _ = spawn_blocking(move || write(&shown, to)).await;
        if has_ended {
            return;
        }
    }
}

/// How much of what was printed is shown now: whole lines, and a line that is too long to wait for its end.
fn shown_now(printed: &[u8], has_ended: bool) -> usize {
    match printed.iter().rposition(|byte| *byte == b'\n') {
        _ if has_ended => printed.len(),
        Some(newline) => newline + 1,
        None if printed.len() >= LONGEST_LINE => printed.len(),
        None => 0,
    }
}

fn write(lines: &[u8], to: PrintedTo) -> io::Result<()> {
    match to {
        PrintedTo::Stdout => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(lines)?;
            stdout.flush()
        }
        PrintedTo::Stderr => io::stderr().lock().write_all(lines),
    }
}

/// A line of a server that does not write JSON.
#[derive(Serialize)]
struct AppLine<'a> {
    timestamp: String,
    level: &'static str,
    target: &'static str,
    message: &'a str,
}

fn show(line: &[u8], format: LogFormat, shown: &mut Vec<u8>) {
    match format {
        LogFormat::Pretty => shown.extend([PREFIX, line].concat()),
        LogFormat::Json if is_object(line) => shown.extend(line),
        LogFormat::Json => {
            let line = AppLine {
                timestamp: log::timestamp(),
                level: "INFO",
                target: "app",
                message: &String::from_utf8_lossy(line),
            };
            // Texts always serialise.
            shown.extend(serde_json::to_vec(&line).unwrap_or_default());
        }
    }
    shown.push(b'\n');
}

fn is_object(line: &[u8]) -> bool {
    line.starts_with(b"{") && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str, format: LogFormat) -> String {
        let mut shown = Vec::new();
        show(line.as_bytes(), format, &mut shown);
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn a_line_is_told_apart_and_its_words_are_kept() {
        let line = "[2026-11-30] [7] [INFO] Listening \u{1b}[1mat\u{1b}[0m";
        assert_eq!(shown(line, LogFormat::Pretty), format!("app | {line}\n"));
        let text = shown(line, LogFormat::Json);
        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(object["message"], line);
        assert_eq!(object["target"], "app");
        assert_eq!(object["level"], "INFO");
        assert!(object["timestamp"].as_str().unwrap().ends_with('Z'));
        assert_eq!(text.matches('\n').count(), 1);
    }

    #[test]
    fn only_a_line_that_is_too_long_is_cut() {
        let begun = "a line that has only begun";
        let lines = "a line\n".repeat(LONGEST_LINE);
        let printed = format!("{lines}{begun}");
        assert_eq!(shown_now(printed.as_bytes(), false), lines.len());
        assert_eq!(shown_now(printed.as_bytes(), true), printed.len());
        assert_eq!(shown_now(begun.as_bytes(), false), 0);
        assert_eq!(
            shown_now("x".repeat(LONGEST_LINE).as_bytes(), false),
            LONGEST_LINE
        );
    }

    #[test]
    fn a_server_that_writes_json_is_left_as_it_is() {
        let line = "{\"levelname\": \"ERROR\", \"msg\": \"no\"}";
        assert_eq!(shown(line, LogFormat::Json), format!("{line}\n"));
        let broken = shown("{not json", LogFormat::Json);
        assert!(broken.contains("\"target\":\"app\""), "{broken}");
    }
}
