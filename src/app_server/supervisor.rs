//! Keeps Django's server running.
//!
//! A server that was never up is given up after a few tries, so that a broken release fails where it is
//! started; one that was up once is started again for ever, while requests wait and then get the page that
//! says so.

use std::io;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use rustix::process::Signal;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::accepting::accepted;
use super::exit::{AppEnd, AppExit};
use super::output::AppOutput;
use super::process::AppProcess;
use super::reaper::Reaper;
use crate::config::{AppServerConfig, AppServerKind, LogFormat};
use crate::net::backoff::ExponentialBackoff;
use crate::net::drain::DrainWatch;

/// How often one is started that never accepts a connection.
const TRIES: u32 = 5;
const PAUSES: ExponentialBackoff = ExponentialBackoff {
    min: Duration::from_millis(100),
    max: Duration::from_secs(10),
    jitter: 0.0,
};
/// After this long up, a failure does not count together with those before.
const STEADY: Duration = Duration::from_secs(10);
/// Loading a project takes less; a server that listens elsewhere takes for ever.
const LATE: Duration = Duration::from_secs(15);
/// How long one may take to end: the gateway, which alone speaks to it, has answered all by then.
const GRACE: Duration = Duration::from_secs(10);

/// What a [`Supervisor`] needs to know.
#[derive(Debug)]
pub struct SupervisorSettings {
    /// The server.
    pub config: AppServerConfig,
    /// How its lines look.
    pub format: LogFormat,
    /// Counts starts after the first.
    pub restarts: Counter,
}

/// Keeps Django's server running.
#[derive(Debug)]
pub struct Supervisor {
    settings: SupervisorSettings,
    reaper: Reaper,
}

/// An order to a [`Supervisor`].
#[derive(Clone, Copy, Debug)]
pub(super) enum AppOrder {
    /// Hand this signal down.
    Pass(Signal),
    /// End the server by this signal.
    Stop(Signal),
    /// End it at once.
    Kill,
}

/// The channels between a [`Supervisor`] and its handle.
pub(super) struct Reports {
    pub(super) orders: mpsc::Receiver<AppOrder>,
    /// Told when the server is up for the first time.
    pub(super) up: Option<oneshot::Sender<()>>,
}

/// How one run of the server went.
#[derive(Default)]
struct AppRun {
    exit: AppExit,
    /// Since when it accepted connections.
    up: Option<Instant>,
    /// The signal that it was to end by.
    sent: Option<Signal>,
    /// When it is killed.
    deadline: Option<Instant>,
}

impl Supervisor {
    /// Of a server that is not started yet. Must be called within a runtime.
    pub fn new(settings: SupervisorSettings) -> io::Result<Self> {
        let reaper = Reaper::listen()?;
        Ok(Self { settings, reaper })
    }

    /// Runs the server until it is told to end, or is given up.
    pub(super) async fn run(mut self, mut reports: Reports, drain: DrainWatch) -> AppEnd {
        let output = AppOutput::new(self.settings.format, drain);
        let (mut was_up, mut failures) = (false, 0_u32);
        loop {
            let (exit, why) = match self.start(&output) {
                Ok(process) => {
                    let run = self.follow(&process, &mut reports).await;
                    // Workers whose master has gone.
                    process.signal_group(Signal::TERM);
                    if let Some(sent) = run.sent {
                        return AppEnd::Stopped {
                            exit: run.exit,
                            sent,
                        };
                    }
                    was_up |= run.up.is_some();
                    if run.was_steady() {
                        failures = 0;
                    }
                    (run.exit, run.exit.to_string())
                }
                Err(error) if !was_up => return AppEnd::NotStarted(error),
                Err(error) => AppExit::of_start(&error),
            };
            failures = failures.saturating_add(1);
            if !was_up && failures == TRIES {
                return AppEnd::NeverUp { exit };
            }
            let pause = PAUSES.pause(failures);
            let app = self.name();
            tracing::warn!(%app, %why, ?pause, "Django's server ended, it is started again");
            if let Some(sent) = told_to_end(pause, &mut reports).await {
                return AppEnd::Stopped { exit, sent };
            }
            self.settings.restarts.inc();
        }
    }

    fn name(&self) -> &str {
        let words = &self.settings.config.command;
        words.first().map_or("", String::as_str)
    }

    fn start(&self, output: &AppOutput) -> io::Result<AppProcess> {
        let config = &self.settings.config;
        // One that was killed leaves its socket, over which some servers do not bind.
        match std::fs::remove_file(&config.socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => AppProcess::spawn(config, output),
        }
    }

    /// Carries out orders until the process has ended.
    async fn follow(&mut self, process: &AppProcess, reports: &mut Reports) -> AppRun {
        let config = &self.settings.config;
        let ended = self.reaper.exit_of(process.pid());
        let accepting = accepted(&config.socket);
        tokio::pin!(ended, accepting);
        let mut late = Some(Instant::now() + LATE);
        let mut run = AppRun::default();
        loop {
            tokio::select! {
                exit = &mut ended => return AppRun { exit, ..run },
                () = &mut accepting, if run.up.is_none() => {
                    (run.up, late) = (Some(Instant::now()), None);
                    tracing::info!(pid = %process.pid(), "Django's server is up");
                    reports.say_up();
                }
                () = at(late) => {
                    late = None;
                    let socket = config.socket.display();
                    tracing::warn!(%socket, "Django's server runs, but accepts no connection at its socket yet");
                }
                Some(order) = reports.orders.recv() => run.obey(order, process, config.kind),
                () = at(run.deadline) => {
                    run.deadline = None;
                    tracing::warn!(pid = %process.pid(), "Django's server did not end in time, it is killed");
                    process.signal_group(Signal::KILL);
                }
            }
        }
    }
}

impl AppRun {
    fn obey(&mut self, order: AppOrder, process: &AppProcess, kind: AppServerKind) {
        match order {
            AppOrder::Pass(Signal::HUP) if !kind.reloads_at_hangup() => {
                tracing::info!(
                    "Django's server does not reload the project at SIGHUP, which is not passed on"
                );
            }
            AppOrder::Pass(signal) if process.catches(signal) => process.signal(signal),
            AppOrder::Pass(signal) => {
                let signal = signal.as_raw();
                tracing::info!(
                    signal,
                    "Django's server would end by this signal, which is not passed on"
                );
            }
            AppOrder::Stop(signal) => {
                process.signal(signal);
                self.sent = Some(signal);
                self.deadline = Some(Instant::now() + GRACE);
            }
            AppOrder::Kill => {
                process.signal_group(Signal::KILL);
                self.sent = Some(Signal::KILL);
            }
        }
    }

    fn was_steady(&self) -> bool {
        self.up.is_some_and(|since| since.elapsed() >= STEADY)
    }
}

impl Reports {
    fn say_up(&mut self) {
        if let Some(up) = self.up.take() {
            // Without a receiver the gateway is ending.
            let _ = up.send(());
        }
    }
}

/// Waits, unless the server is to end meanwhile, by this signal.
async fn told_to_end(pause: Duration, reports: &mut Reports) -> Option<Signal> {
    let over = Instant::now() + pause;
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(over) => return None,
            Some(order) = reports.orders.recv() => match order {
                AppOrder::Stop(signal) => return Some(signal),
                AppOrder::Kill => return Some(Signal::KILL),
                AppOrder::Pass(_) => {}
            }
        }
    }
}

/// Completes at this moment, if there is one.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
