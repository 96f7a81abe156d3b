//! Pulls what Django has stored in its transactional outbox, and takes it in, in order and once.
//!
//! Made and started by the composition root where `outbox.url` is set; `api` wakes it. Nothing is
//! acknowledged to Django. Each gateway keeps its own cursor and so can neither lose what another
//! one took, nor make Django keep anything for a gateway that is gone.

mod cursor;
mod page;
mod schedule;
mod source;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::backpressure::Backpressure;
use super::error::PublishError;
use super::intake::Intake;
use super::json::DecodeError;
use super::publication_span::PublicationSpan;
use super::wake::Wake;
use crate::broker::Receipt;
use crate::net::drain::DrainWatch;
use crate::telemetry::metrics::OutcomeLabel;
use crate::telemetry::seldom::OnChange;
use crate::unix_time;
use crate::upcall::ClientError;
use cursor::{Cursor, CursorFile, StoredCursor};
use page::{OutboxItem, Page, Stored};
use schedule::PullSchedule;
use source::{OutboxSource, SourceError};

pub use source::SourceSettings;

/// How often a cursor file that cannot be had is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// What the puller needs to know.
#[derive(Clone, Debug)]
pub struct PullerSettings {
    /// Where it asks.
    pub source: SourceSettings,
    /// How often, when nothing wakes it.
    pub poll: Duration,
    /// After a restart: how long clients may come back first.
    pub settle: Duration,
    /// The file that keeps the cursor.
    pub cursor: PathBuf,
}

/// Pulls.
#[derive(Debug)]
pub struct Puller {
    source: OutboxSource,
    settings: PullerSettings,
    wake: Wake,
    intake: Arc<Intake>,
    /// Each fault is logged once, not at every pull.
    faults: OnChange,
}

/// Where this gateway is.
struct PullProgress {
    file: CursorFile,
    cursor: Option<Cursor>,
}

/// Why a pull came to nothing.
#[derive(Debug, thiserror::Error)]
enum PullError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("what the outbox view answered cannot be read: {0}")]
    Page(#[from] serde_json::Error),
}

impl Puller {
    /// A puller that takes in by `intake` and is woken by `wake`.
    pub fn build(
        settings: PullerSettings,
        wake: Wake,
        intake: Arc<Intake>,
    ) -> Result<Self, ClientError> {
        Ok(Self {
            source: OutboxSource::build(&settings.source)?,
            settings,
            wake,
            intake,
            faults: OnChange::default(),
        })
    }

    /// Pulls until the gateway drains. What is under way then is left for the next start.
    pub async fn run(mut self, drain: DrainWatch) {
        tokio::select! {
            biased;
            () = drain.draining() => {}
            () = self.pull_for_ever() => {}
        }
    }

    async fn pull_for_ever(&mut self) {
        let mut progress = self.open().await;
        if progress.cursor.is_some() {
            tokio::time::sleep(self.settings.settle).await;
        }
        let mut pace = PullSchedule::new(self.settings.poll);
        loop {
            pace.begin();
            let pulled = self.pull(&mut progress).await;
            self.record(&pulled);
            match pulled {
                Ok(true) => tokio::task::yield_now().await,
                Ok(false) => pace.rest(&self.wake).await,
                Err(_) => pace.back_off(&self.wake).await,
            }
        }
    }

    /// The cursor file; waited for while a gateway that is going still has it.
    async fn open(&mut self) -> PullProgress {
        loop {
            match CursorFile::open(&self.settings.cursor) {
                Ok((file, found)) => {
                    if found == StoredCursor::Damaged {
                        self.resync("the cursor file is damaged");
                    }
                    let cursor = match found {
                        StoredCursor::Cursor(cursor) => Some(cursor),
                        StoredCursor::Nothing | StoredCursor::Damaged => None,
                    };
                    return PullProgress { file, cursor };
                }
                Err(error) => self.log_fault(&error.to_string()),
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }

    /// Pulls once; returns whether there is more to be had at once.
    async fn pull(&mut self, progress: &mut PullProgress) -> Result<bool, PullError> {
        let text = self.source.ask(progress.cursor.as_ref()).await?;
        let page = Page::decode(&text)?;
        if let Some(why) = &page.reset {
            self.resync(why.as_str());
        }
        let jumps = page.reset.is_some() || progress.cursor.is_none();
        if jumps {
            self.store(progress, page.end());
        } else if page.items.is_empty() {
            return Ok(page.more);
        } else {
            self.take(&page, progress).await;
        }
        if let Err(error) = progress.file.sync().await {
            self.log_cursor_fault(&error);
        }
        Ok(page.more)
    }

    /// Takes a page's items that were not taken yet, and keeps after each that it was.
    async fn take(&mut self, page: &Page<'_>, progress: &mut PullProgress) {
        let mut span = PublicationSpan::of_outbox(&self.intake.tracer);
        let mut backpressure = Backpressure::default();
        for item in &page.items {
            let known = progress.cursor.as_ref().map_or(0, |cursor| cursor.sequence);
            if item.seq <= known {
                continue;
            }
            if item.seq != known + 1 {
                self.resync("numbers-are-missing");
            }
            let receipt = self.carry_out(item);
            self.store(progress, page.after(item));
            if let Some(receipt) = receipt {
                span.published(&receipt);
                backpressure.let_read(receipt).await;
            }
        }
    }

    /// Does what an item asks for. One that is refused is logged and counted: it must never be in the
    /// way of those behind it.
    fn carry_out(&self, item: &OutboxItem<'_>) -> Option<Receipt> {
        let mut receipt = None;
        let outcome = match item.stored() {
            Stored::Publication(text) => self.intake.decode(text.as_bytes()).map(|decoded| {
                receipt = Some(self.intake.publish(&decoded, Some(item.uid.as_str())));
                "published"
            }),
            Stored::Revocation(text) => {
                let revoked = self.intake.revoke(text.as_bytes());
                revoked.map(|_| "revoked")
            }
            Stored::Recheck(text) => {
                let rechecked = self.intake.recheck(text.as_bytes());
                rechecked.map(|_| "rechecked")
            }
            Stored::Unknown => Ok("unknown"),
            Stored::Skipped(_) => Ok("skipped"),
        };
        let outcome = outcome.unwrap_or_else(|error| refused(item, error));
        let metrics = &self.intake.metrics.outbox;
        metrics.items.get_or_create(&OutcomeLabel { outcome }).inc();
        metrics.lag.set(age_of(item).as_secs_f64());
        receipt
    }

    fn store(&mut self, progress: &mut PullProgress, cursor: Cursor) {
        let position = i64::try_from(cursor.sequence).unwrap_or(i64::MAX);
        self.intake.metrics.outbox.position.set(position);
        let stored = progress.file.store(&cursor);
        progress.cursor = Some(cursor);
        if let Err(error) = stored {
            self.log_cursor_fault(&error);
        }
    }

    /// Tells every client to fetch again, since something may have passed it by.
    fn resync(&self, why: &str) {
        tracing::warn!(
            why,
            cursor = %self.settings.cursor.display(),
            "the transactional outbox cannot be followed without a break: every client is told to \
             fetch again"
        );
        self.intake.metrics.outbox.resyncs.inc();
        self.intake.resync_everyone();
    }

    fn record(&mut self, pulled: &Result<bool, PullError>) {
        let outcome = match pulled {
            Ok(_) => "ok",
            Err(PullError::Source(SourceError::Unreachable { .. })) => "unreachable",
            Err(_) => "refused",
        };
        let pulls = &self.intake.metrics.outbox.pulls;
        pulls.get_or_create(&OutcomeLabel { outcome }).inc();
        match pulled {
            Ok(_) => {
                if self.faults.is_mended() {
                    tracing::info!("the transactional outbox is pulled again");
                }
            }
            Err(error) => self.log_fault(&error.to_string()),
        }
    }

    fn log_fault(&mut self, fault: &str) {
        if self.faults.is_news(fault) {
            tracing::warn!("{fault}");
        }
    }

    fn log_cursor_fault(&mut self, error: &std::io::Error) {
        self.log_fault(&format!(
            "cannot write the outbox's cursor to {}: {error}; after a restart, what is delivered \
             from now on would be delivered again",
            self.settings.cursor.display()
        ));
    }
}

/// Only the machine code is told: the text may quote a frame.
fn refused(item: &OutboxItem<'_>, error: DecodeError) -> &'static str {
    let number = item.seq;
    let code = PublishError::Body(error).code();
    let uid = item.uid.as_str();
    tracing::warn!(
        number,
        uid,
        code,
        "refused an item of the transactional outbox"
    );
    "refused"
}

fn age_of(item: &OutboxItem<'_>) -> Duration {
    unix_time::now().saturating_sub(Duration::from_millis(item.at))
}

/// What fuzz targets may call (`fuzz/`).
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use super::cursor::fuzzing::cursor;
    pub use super::page::fuzzing::page;
}
