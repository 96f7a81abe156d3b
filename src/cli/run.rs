//! `gatepost run`: starts the gateway, says so once, and stops it when told to.
//!
//! Called by the command line. The surprise: the first signal drains and ends well, a second one
//! ends at once and not well.

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{CommandError, ready};
use crate::app::Gateway;
use crate::config::Config;
use crate::telemetry::log;

/// Runs the gateway until it is told to stop.
pub(super) fn run(config: Config) -> Result<(), CommandError> {
    log::install(&config.log).map_err(CommandError::start)?;
    log::report_panics();
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .thread_name("gatepost")
        .build()
        .map_err(CommandError::start)?;
    let result = runtime.block_on(serve(config));
    // The sender of a second signal does not wait for a thread that reads a file.
    runtime.shutdown_background();
    result
}

async fn serve(config: Config) -> Result<(), CommandError> {
    let mut signals = Signals::listen().map_err(CommandError::start)?;
    let (mode, server) = (config.mode, config.server.clone());
    let gateway = Gateway::bind(config).map_err(CommandError::start)?;
    ready::log(&gateway, mode, &server);
    notify_systemd(sd_notify::NotifyState::Ready);

    let stop = CancellationToken::new();
    let serving = gateway.run(stop.clone().cancelled_owned());
    tokio::pin!(serving);
    let name = tokio::select! {
        _ = &mut serving => return Ok(()),
        name = signals.next() => name,
    };
    info!(signal = %name, "stopping");
    notify_systemd(sd_notify::NotifyState::Stopping);
    stop.cancel();
    let aborted = tokio::select! {
        aborted = serving => aborted,
        _ = signals.next() => return Err(CommandError::Interrupted),
    };
    info!(aborted, "stopped");
    Ok(())
}

/// Does nothing where systemd did not start the gateway.
fn notify_systemd(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(%error, "systemd was not told of the state");
    }
}

/// The signals that ask a process to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
