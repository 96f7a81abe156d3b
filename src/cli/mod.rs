//! The command line: what can be asked for, and how it ends. One file a command.
//!
//! Called by `main`. Without a command, `run` is meant.

pub mod check;
mod failure;
pub mod ready;
mod run;
mod running;
mod signals;
mod trust;
mod verbs;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use failure::CommandError;

use verbs::MaintenanceVerb;

use crate::app::{ConfigSource, Predecessor};
use crate::app_server::PrivateFolder;
use crate::config::load::{LoadOptions, load};
use crate::config::{AppCommand, Config, Environment, LogFormat};

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

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Runs the gateway until SIGTERM or Ctrl-C (default).
    Run(App),
    /// Reports everything that is wrong with the configuration, or what answers which path.
    Check(App),
    /// Has a running gateway read its configuration again: as a whole, or not at all; no socket is closed by it.
    Reload,
    /// Answers 503 to all but files and health, until it is turned off; sockets stay open.
    #[command(subcommand)]
    Maintenance(MaintenanceVerb),
    /// Has requests wait, each for at most `django.queue_timeout`; sockets stay open.
    Pause {
        /// After this time it ends by itself; at most an hour.
        #[arg(long = "for", value_name = "TIME", default_value = "60s")]
        length: String,
    },
    /// Ends a pause.
    Resume,
    /// Has browsers and the system trust the local CA, and says what it did.
    Trust(trust::TrustOptions),
}

#[derive(Args, Clone, Debug, Default)]
struct App {
    /// Django's server, which the gateway then runs itself, at a Unix socket of its own: `gatepost run --
    /// gunicorn mysite.wsgi`. gunicorn, uvicorn, granian and hypercorn are told by themselves where that is;
    /// for others `{socket}` among the words stands for its path.
    #[arg(last = true, value_name = "COMMAND")]
    words: Vec<String>,
}

impl Arguments {
    /// Does what was asked for.
    pub fn run(self) -> Result<(), CommandError> {
        let options = self.options;
        match self.command.unwrap_or(Command::Run(App::default())) {
            Command::Run(app) if app.words.is_empty() => options.run(None),
            Command::Run(app) => {
                let folder = PrivateFolder::make().map_err(CommandError::start)?;
                options.run(Some(app.at(folder.socket())))
            }
            Command::Check(app) => {
                // It listens nowhere.
                let command = (!app.words.is_empty()).then(|| app.at(PathBuf::new()));
                check::check(&options.config, &options.load(command)?)
            }
            Command::Reload => verbs::reload(&options.config),
            Command::Maintenance(verb) => verbs::maintenance(&options.config, verb),
            Command::Pause { length } => verbs::pause(&options.config, Some(length)),
            Command::Resume => verbs::pause(&options.config, None),
            Command::Trust(asked) => trust::trust(asked, &options.load(None)?),
        }
    }
}

impl App {
    fn at(self, socket: PathBuf) -> AppCommand {
        AppCommand {
            words: self.words,
            socket,
            // Where it cannot be told, gunicorn will say so.
            folder: std::env::current_dir().unwrap_or_default(),
        }
    }
}

impl Options {
    fn run(&self, app: Option<AppCommand>) -> Result<(), CommandError> {
        let before = Predecessor::find(&Environment::of_process()).map_err(CommandError::start)?;
        let last_words = before.as_ref().map(Predecessor::last_words);
        let ended = self.run_after(app, before);
        if let (Err(failure), Some(Ok(last_words))) = (&ended, last_words) {
            last_words.say(&failure.to_string());
        }
        ended
    }

    fn run_after(
        &self,
        app: Option<AppCommand>,
        before: Option<Predecessor>,
    ) -> Result<(), CommandError> {
        let config = self.load(app.clone())?;
        let again = self.loading(app);
        let source = ConfigSource::new(self.config.clone(), move || load(&again));
        run::run(config, source, before)
    }

    fn load(&self, app: Option<AppCommand>) -> Result<Config, CommandError> {
        load(&self.loading(app)).map_err(|errors| CommandError::Configuration {
            path: self.config.clone(),
            errors,
        })
    }

    fn loading(&self, app: Option<AppCommand>) -> LoadOptions {
        let log_format = self.log_format.map(|format| match format {
            Format::Pretty => LogFormat::Pretty,
            Format::Json => LogFormat::Json,
        });
        LoadOptions {
            path: self.config.clone(),
            environment: Environment::of_process(),
            log_format,
            app,
        }
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
