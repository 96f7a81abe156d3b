//! `gatepost run`: starts the gateway, with Django's server if it is given one, says so once, and stops
//! it when told to.
//!
//! Called by the command line. The first signal drains and ends well, a second one ends at once and not
//! well.

use std::pin::Pin;

use rustix::process::Signal;
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::signals::{self, SignalMeaning, Signals};
use super::{CommandError, ready};
use crate::admin::reload::ReloadHandle;
use crate::app::{ConfigSource, Gateway, Predecessor, Program, UpgradeHandle};
use crate::app_server::{AppEnd, AppNews, Reaper, RunningApp};
use crate::config::Config;
use crate::net::drain::Drain;
use crate::net::passed::{self, PassedSocket};
use crate::server::access::AccessLog;
use crate::telemetry::log;

/// Runs the gateway until it is told to stop.
pub(super) fn run(
    config: Config,
    source: ConfigSource,
    before: Option<Predecessor>,
) -> Result<(), CommandError> {
    let program = Program::of_process().map_err(CommandError::start)?;
    // Before there are threads: it removes variables.
    let passed = passed::take().map_err(CommandError::start)?;
    log::install(&config.log).map_err(CommandError::start)?;
    log::report_panics();
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .thread_name("gatepost")
        .build()
        .map_err(CommandError::start)?;
    let beginning = Beginning {
        config,
        source,
        program,
        passed,
        before,
    };
    let result = runtime.block_on(beginning.serve());
    // The sender of a second signal does not wait for a thread that reads a file.
    runtime.shutdown_background();
    result
}

/// What a gateway begins with.
struct Beginning {
    config: Config,
    source: ConfigSource,
    program: Program,
    passed: Vec<PassedSocket>,
    before: Option<Predecessor>,
}

impl Beginning {
    async fn serve(self) -> Result<(), CommandError> {
        let signals = Signals::listen().map_err(CommandError::start)?;
        let (mode, server) = (self.config.mode, self.config.server.clone());
        let is_known = self.before.is_some();
        let gateway = match self.before {
            Some(before) => Gateway::bind_after(self.config, before).await,
            None => Gateway::bind_with(self.config, self.passed),
        };
        let gateway = gateway.map_err(CommandError::start)?;
        let gateway = gateway.reloading_from(self.source);
        let mut gateway = gateway.upgrading_to(self.program);
        let supervisor = gateway.take_app_server();
        let strangers = Drain::new();
        if supervisor.is_none() {
            adopt(&strangers).map_err(CommandError::start)?;
        }
        ready::log(&gateway, mode, &server);
        let running = Running {
            signals,
            stop: CancellationToken::new(),
            access_log: gateway.access_log(),
            reloads: gateway.reload_handle(),
            upgrades: gateway.upgrade_handle(),
            is_known,
            has_left: false,
            app: supervisor.map(RunningApp::start),
        };
        let stopped = running.stop.clone().cancelled_owned();
        let serving = gateway.run(stopped);
        tokio::pin!(serving);
        running.until_the_end(serving).await
    }
}

/// As process 1 of a container, waits for the orphans of others.
fn adopt(drain: &Drain) -> std::io::Result<()> {
    let reaper = Reaper::listen()?;
    if reaper.adopts() {
        drain.watch().spawn(reaper.run());
    }
    Ok(())
}

/// A gateway that serves, and Django's server if it runs that too.
struct Running {
    signals: Signals,
    stop: CancellationToken,
    access_log: Option<AccessLog>,
    reloads: ReloadHandle,
    upgrades: UpgradeHandle,
    /// Whether systemd was told of the process before, which tells it of this one.
    is_known: bool,
    /// Whether another process is the gateway by now.
    has_left: bool,
    app: Option<RunningApp>,
}

/// Why a gateway stops.
enum Stop {
    Signal(Signal),
    App(AppEnd),
}

impl Running {
    async fn until_the_end(
        mut self,
        mut serving: Pin<&mut impl Future<Output = usize>>,
    ) -> Result<(), CommandError> {
        if self.app.is_none() && !self.is_known {
            notify_systemd(sd_notify::NotifyState::Ready);
        }
        let stop = tokio::select! {
            _ = &mut serving => return Ok(()),
            stop = self.next_stop() => stop,
        };
        match &stop {
            Stop::Signal(signal) => info!(signal = signals::name(*signal), "stopping"),
            Stop::App(end) => error!("stopping, since Django's server {end}"),
        }
        if !self.has_left {
            notify_systemd(sd_notify::NotifyState::Stopping);
        }
        self.stop.cancel();
        let aborted = tokio::select! {
            aborted = serving => aborted,
            _ = self.signals.end() => return Err(self.interrupted().await),
        };
        let end = match stop {
            Stop::Signal(signal) => self.stop_app(signal).await?,
            Stop::App(end) => Some(end),
        };
        if let Some(app) = self.app {
            app.last_lines().await;
        }
        info!(aborted, "stopped");
        match end {
            Some(end) if end.code() != 0 => Err(CommandError::AppServer(end)),
            _ => Ok(()),
        }
    }

    /// Heeds signals until one says that all is to end, or Django's server is given up.
    async fn next_stop(&mut self) -> Stop {
        loop {
            tokio::select! {
                asked = self.signals.next() => match asked {
                    SignalMeaning::End(signal) => return Stop::Signal(signal),
                    SignalMeaning::Reopen(signal) => self.reopen(signal),
                    SignalMeaning::Upgrade => self.upgrades.request(),
                },
                pid = self.upgrades.taken_over(), if !self.has_left => {
                    self.has_left = true;
                    notify_systemd(sd_notify::NotifyState::MainPid(pid));
                }
                news = news_of(&mut self.app) => match news {
                    AppNews::Up => notify_systemd(sd_notify::NotifyState::Ready),
                    AppNews::Ended(end) => return Stop::App(end),
                },
            }
        }
    }

    fn reopen(&self, signal: Signal) {
        if signal == Signal::HUP {
            self.reloads.request();
        }
        if let Some(log) = &self.access_log {
            log.reopen();
        }
        if let Some(app) = &self.app {
            app.pass(signal);
        }
    }

    /// Ends Django's server by the signal that ended the gateway.
    async fn stop_app(&mut self, signal: Signal) -> Result<Option<AppEnd>, CommandError> {
        let Some(app) = &mut self.app else {
            return Ok(None);
        };
        tokio::select! {
            end = app.stop(signal) => return Ok(Some(end)),
            _ = self.signals.end() => {}
        }
        Err(self.interrupted().await)
    }

    /// A second signal came: nothing is waited for.
    async fn interrupted(&mut self) -> CommandError {
        if let Some(app) = &mut self.app {
            app.kill().await;
        }
        CommandError::Interrupted
    }
}

/// What becomes of Django's server, if there is one.
async fn news_of(app: &mut Option<RunningApp>) -> AppNews {
    match app {
        Some(app) => app.news().await,
        None => std::future::pending().await,
    }
}

/// Does nothing where systemd did not start the gateway.
fn notify_systemd(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(%error, "systemd was not told of the state");
    }
}
