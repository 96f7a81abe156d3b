//! Where lines of the access log go: stdout, or a file that is reopened when it is asked for.
//!
//! Opened and spawned by the composition root. No request waits for a line to be written; where a disk or a
//! reader is too slow, lines are lost, and counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::{Notify, mpsc};
use tokio::task::spawn_blocking;

use crate::config::{AccessConfig, AccessFormat, AccessTo, AddressForm};
use crate::net::drain::DrainWatch;
use crate::telemetry::seldom::Seldom;

/// Lines that wait to be written. The longest takes some kilobytes.
const WAITING: usize = 4096;
/// Lines that are written at once.
const BATCH: usize = 512;
/// It tells where people go, so strangers need not read it.
const MODE: u32 = 0o640;
/// Between two warnings that lines are lost.
const COMPLAINTS: Duration = Duration::from_mins(1);

/// The file cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the access log `{}` (`log.access_file`)", path.display())]
pub struct AccessLogError {
    path: PathBuf,
    source: io::Error,
}

/// Takes lines. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AccessLog {
    form: LineForm,
    lines: mpsc::Sender<String>,
    reopen: Arc<Notify>,
    losses: Arc<Losses>,
}

/// How lines look.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineForm {
    pub(super) format: AccessFormat,
    pub(super) address: AddressForm,
}

/// Writes lines.
#[derive(Debug)]
pub struct AccessWriter {
    log: AccessLog,
    lines: mpsc::Receiver<String>,
    sink: LogSink,
}

#[derive(Clone, Debug)]
enum LogSink {
    Stdout,
    File { path: PathBuf, file: Arc<File> },
}

#[derive(Debug)]
struct Losses {
    /// Where the lines should be.
    to: String,
    count: Counter,
    complaints: Seldom,
}

impl AccessLog {
    /// Opens the file again, which somebody has moved away.
    pub fn reopen(&self) {
        self.reopen.notify_one();
    }

    pub(super) fn form(&self) -> LineForm {
        self.form
    }

    /// Hands on a line.
    pub(super) fn write(&self, line: String) {
        if self.lines.try_send(line).is_err() {
            self.losses.count(1, &"they are not written fast enough");
        }
    }
}

impl AccessWriter {
    /// Ready to take lines, if any are wanted; `lost` counts those that cannot be written.
    pub fn open(config: &AccessConfig, lost: Counter) -> Result<Option<Self>, AccessLogError> {
        let Some(format) = config.format else {
            return Ok(None);
        };
        let sink = match &config.to {
            AccessTo::Stdout => LogSink::Stdout,
            AccessTo::File(path) => LogSink::open(path)?,
        };
        let (sender, lines) = mpsc::channel(WAITING);
        let losses = Losses {
            to: match &config.to {
                AccessTo::Stdout => "stdout".to_owned(),
                AccessTo::File(path) => path.display().to_string(),
            },
            count: lost,
            complaints: Seldom::new(COMPLAINTS),
        };
        let log = AccessLog {
            form: LineForm {
                format,
                address: config.address,
            },
            lines: sender,
            reopen: Arc::default(),
            losses: Arc::new(losses),
        };
        Ok(Some(Self { log, lines, sink }))
    }

    /// What takes lines.
    pub fn log(&self) -> AccessLog {
        self.log.clone()
    }

    /// Writes lines until `drain` begins, which has to wait for all who have some; then the last ones.
    pub async fn run(mut self, drain: DrainWatch) {
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                biased;
                () = self.log.reopen.notified() => self.reopen().await,
                _ = self.lines.recv_many(&mut batch, BATCH) => self.write(batch).await,
                () = drain.draining() => break,
            }
        }
        let mut last = Vec::new();
        while let Ok(line) = self.lines.try_recv() {
            last.push(line);
        }
        self.write(last).await;
    }

    async fn write(&self, batch: Vec<String>) {
        let sink = self.sink.clone();
        let lines = batch.concat();
        let written = spawn_blocking(move || sink.write(lines.as_bytes())).await;
        if let Err(error) = written.map_err(io::Error::other).flatten() {
            self.log.losses.count(batch.len(), &error);
        }
    }

    async fn reopen(&mut self) {
        let LogSink::File { path, .. } = &self.sink else {
            return;
        };
        let path = path.clone();
        let opened = spawn_blocking(move || LogSink::open(&path)).await;
        match opened {
            Ok(Ok(file)) => {
                self.sink = file;
                tracing::info!("the access log was reopened");
            }
            Ok(Err(error)) => {
                let why = &error.source;
                tracing::error!(%error, %why, "the access log cannot be reopened, its old file is kept");
            }
            // The runtime ends.
            Err(_) => {}
        }
    }
}

impl LogSink {
    fn open(path: &Path) -> Result<Self, AccessLogError> {
        let mut options = OpenOptions::new();
        let opened = options.append(true).create(true).mode(MODE).open(path);
        let path = path.to_owned();
        match opened {
            Ok(file) => Ok(Self::File {
                path,
                file: Arc::new(file),
            }),
            Err(source) => Err(AccessLogError { path, source }),
        }
    }

    fn write(&self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(lines)?;
                stdout.flush()
            }
            Self::File { file, .. } => (&**file).write_all(lines),
        }
    }
}

impl Losses {
    fn count(&self, lines: usize, why: &dyn std::fmt::Display) {
        self.count.inc_by(lines as u64);
        if self.complaints.is_due() {
            tracing::warn!(to = self.to, %why, "lines of the access log are lost");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::net::drain::Drain;

    use super::*;

    fn writer(path: &str, lost: &Counter) -> AccessWriter {
        let config = AccessConfig {
            format: Some(AccessFormat::Json),
            to: AccessTo::File(path.into()),
            address: AddressForm::Full,
        };
        let opened = AccessWriter::open(&config, lost.clone());
        opened.unwrap().unwrap()
    }

    #[tokio::test]
    async fn nobody_waits_for_a_disk_and_what_is_too_much_is_counted() {
        let lost = Counter::default();
        let writer = writer("/dev/null", &lost);
        let log = writer.log();
        for _ in 0..WAITING + 3 {
            log.write("line\n".to_owned());
        }
        assert_eq!(lost.get(), 3);
    }

    #[tokio::test]
    async fn what_a_full_disk_does_not_take_is_counted() {
        let lost = Counter::default();
        let writer = writer("/dev/full", &lost);
        let (log, drain) = (writer.log(), Drain::new());
        drain.watch().spawn(writer.run(drain.watch()));
        log.write("line\n".to_owned());
        log.write("line\n".to_owned());
        drain.drain(Duration::from_mins(1)).await;
        assert_eq!(lost.get(), 2);
    }
}
