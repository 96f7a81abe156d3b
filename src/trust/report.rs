//! What became of one store, in words for the person who asked.

use std::fmt;

/// One store, and what became of it.
#[derive(Debug)]
pub struct StoreReport {
    /// Whose it is: `Chromium`, `Firefox`, `system`.
    pub store: &'static str,
    /// The folder or file that was changed.
    pub place: String,
    /// How it was left.
    pub change: Result<StoreChange, StoreError>,
}

/// How a store was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreChange {
    /// It trusts the certificate now.
    Added,
    /// It did before.
    AlreadyThere,
    /// It has it no longer.
    Removed,
    /// It had it not.
    NotThere,
}

/// Why a store was not changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The tool that changes it is not installed.
    #[error("{program} is not installed: {remedy}")]
    Missing {
        /// The tool.
        program: String,
        /// How to get it.
        remedy: &'static str,
    },
    /// The tool failed.
    #[error("`{command}` says: {said}")]
    Tool {
        /// What was run.
        command: String,
        /// What it said.
        said: String,
    },
    /// The store's folder cannot be made.
    #[error("the folder cannot be made: {0}")]
    Folder(#[from] std::io::Error),
    /// The tool did not fail, and yet the store is as it was.
    #[error(
        "the tool did not fail, but the store is as it was; is the program that uses it running?"
    )]
    Unchanged,
}

impl fmt::Display for StoreReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match &self.change {
            Ok(StoreChange::Added) => "added",
            Ok(StoreChange::AlreadyThere) => "already there",
            Ok(StoreChange::Removed) => "removed",
            Ok(StoreChange::NotThere) => "not there",
            Err(_) => "not done",
        };
        write!(f, "  {how:<14} {:<9} {}", self.store, self.place)?;
        match &self.change {
            Ok(_) => Ok(()),
            Err(error) => write!(f, "\n                           {error}"),
        }
    }
}
