//! The command line: what can be asked for, and how it ends. One file a command.
//!
//! Called by `main`. The surprise: without a command, `run` is meant.

pub mod check;
mod failure;
pub mod ready;
mod run;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use failure::CommandError;

use crate::config::load::{LoadOptions, load};
use crate::config::{Config, Environment, LogFormat};

/// One HTTPS origin in front of Django: pages, API and session-aware WebSockets.
#[derive(Debug, Parser)]
#[command(name = "gatepost", version, max_term_width = 100)]
pub struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Args, Debug)]
struct Options {
    /// The configuration; relative paths in it are resolved beside it.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "gateway.toml",
        global = true
    )]
    config: PathBuf,
    /// How the log looks; without it, log.format decides.
    #[arg(long, value_name = "FORMAT", global = true)]
    log_format: Option<Format>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Command {
    /// Runs the gateway until SIGTERM or Ctrl-C (default).
    Run,
    /// Reports everything that is wrong with the configuration, or what answers which path.
    Check,
}

impl Arguments {
    /// Does what was asked for.
    pub fn run(self) -> Result<(), CommandError> {
        let config = self.options.load()?;
        match self.command.unwrap_or(Command::Run) {
            Command::Run => run::run(config),
            Command::Check => check::check(&self.options.config, &config),
        }
    }
}

impl Options {
    fn load(&self) -> Result<Config, CommandError> {
        let log_format = self.log_format.map(|format| match format {
            Format::Pretty => LogFormat::Pretty,
            Format::Json => LogFormat::Json,
        });
        load(&LoadOptions {
            path: self.config.clone(),
            environment: Environment::of_process(),
            log_format,
        })
        .map_err(|errors| CommandError::Configuration {
            path: self.config.clone(),
            errors,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
