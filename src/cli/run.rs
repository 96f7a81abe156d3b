//! `gatepost run`: starts the gateway, says so once, and stops it when told to.
//!
//! Called by the command line. The surprise: the first signal drains and ends well, a second one
//! ends at once and not well.

use std::net::{IpAddr, SocketAddr};

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::field::display;
use tracing::{info, warn};

use super::Failure;
use crate::app::Gateway;
use crate::config::{Config, InternalAddress, Mode, ServerConfig};
use crate::telemetry::log;

/// Runs the gateway until it is told to stop.
pub(super) fn run(config: Config) -> Result<(), Failure> {
    log::install(&config.log).map_err(Failure::start)?;
    log::report_panics();
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .thread_name("gatepost")
        .build()
        .map_err(Failure::start)?;
    let result = runtime.block_on(serve(config));
    // Whoever sent a second signal does not wait for a thread that reads a file.
    runtime.shutdown_background();
    result
}

async fn serve(config: Config) -> Result<(), Failure> {
    let mut signals = Signals::listen().map_err(Failure::start)?;
    let (mode, server) = (config.mode, config.server.clone());
    let gateway = Gateway::bind(config).map_err(Failure::start)?;
    log_ready(&gateway, mode, &server);
    tell_systemd(sd_notify::NotifyState::Ready);

    let stop = CancellationToken::new();
    let serving = gateway.run(stop.clone().cancelled_owned());
    tokio::pin!(serving);
    let name = tokio::select! {
        _ = &mut serving => return Ok(()),
        name = signals.next() => name,
    };
    info!(signal = %name, "stopping");
    tell_systemd(sd_notify::NotifyState::Stopping);
    stop.cancel();
    let aborted = tokio::select! {
        aborted = serving => aborted,
        _ = signals.next() => return Err(Failure::Interrupted),
    };
    info!(aborted, "stopped");
    Ok(())
}

fn log_ready(gateway: &Gateway, mode: Mode, server: &ServerConfig) {
    let addresses = gateway.addresses();
    let internal = match (addresses.internal, &server.internal) {
        (Some(address), _) => address.to_string(),
        (None, InternalAddress::Tcp(address)) => address.to_string(),
        (None, InternalAddress::Unix(path)) => format!("unix:{}", path.display()),
    };
    let mode = match mode {
        Mode::Dev => "dev",
        Mode::Production => "production",
    };
    let (https, http) = (joined(&addresses.https), joined(&addresses.http));
    let ca = gateway.ca_file().map(|ca| display(ca.display()));
    let url = url(server.hosts.first(), addresses.https.first());
    info!(%https, %http, %internal, %mode, ca, url, "ready");
}

/// What to type into a browser.
fn url(host: Option<&String>, address: Option<&SocketAddr>) -> Option<String> {
    let (host, port) = (host?, address?.port());
    let host = match host.parse() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => host.clone(),
    };
    Some(match port {
        443 => format!("https://{host}/"),
        port => format!("https://{host}:{port}/"),
    })
}

fn joined(addresses: &[SocketAddr]) -> String {
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    addresses.join(",")
}

/// Does nothing where systemd did not start the gateway.
fn tell_systemd(state: sd_notify::NotifyState<'_>) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_is_the_first_host_with_its_port_unless_that_goes_without_saying() {
        for (host, address, expected) in [
            ("localhost", "0.0.0.0:8443", "https://localhost:8443/"),
            ("app.test", "[::]:443", "https://app.test/"),
            ("::1", "[::1]:8443", "https://[::1]:8443/"),
        ] {
            let url = url(Some(&host.to_owned()), Some(&address.parse().unwrap()));
            assert_eq!(url.as_deref(), Some(expected));
        }
    }
}
