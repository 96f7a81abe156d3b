//! A gateway that runs: where it is, by `.gatepost/internal`, and how it is told something.
//!
//! Used by `verbs`.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Client, ClientBuilder, Response};
use serde_json::Value;
use tokio::runtime::Builder;

use super::CommandError;
use crate::config::load::folder_of;
use crate::state_folder::StateFolder;

/// For the whole call; the gateway does nothing that takes long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A gateway that said where it is.
#[derive(Debug)]
pub(super) struct RunningGateway {
    /// As its file has it.
    address: String,
    token: String,
}

/// What a refusal of the internal API says.
struct RefusedOrder {
    status: u16,
    problem: Value,
}

impl RunningGateway {
    /// The one that was started with this `gateway.toml`.
    pub(super) fn beside(config: &Path) -> Result<Self, CommandError> {
        let file = StateFolder::beside(&folder_of(config)).internal();
        let text = fs::read_to_string(&file).map_err(|error| {
            let (config, file) = (config.display(), file.display());
            let what = format!("no gateway runs with {config}: {file} cannot be read ({error})");
            CommandError::Away(format!("{what}; name another with --config FILE"))
        })?;
        let mut lines = text.lines().map(str::to_owned);
        match (lines.next(), lines.next()) {
            (Some(address), Some(token)) => Ok(Self { address, token }),
            _ => Err(CommandError::Away(format!(
                "{} is not what a gateway writes; start the gateway again",
                file.display()
            ))),
        }
    }

    /// Sends an order; returns what is answered.
    pub(super) fn post(&self, path: &str, order: &Value) -> Result<Value, CommandError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(CommandError::start)?;
        runtime.block_on(async {
            let answer = self
                .send(path, order)
                .await
                .map_err(|error| self.away(&error))?;
            let status = answer.status();
            let said = answer.bytes().await.map_err(|error| self.away(&error))?;
            let said: Value = serde_json::from_slice(&said).unwrap_or_default();
            if status.is_success() {
                return Ok(said);
            }
            Err(RefusedOrder {
                status: status.as_u16(),
                problem: said,
            }
            .into())
        })
    }

    async fn send(&self, path: &str, order: &Value) -> Result<Response, reqwest::Error> {
        let (client, authority) = self.way();
        let client = client.no_proxy().timeout(PATIENCE).build()?;
        client
            .post(format!("http://{authority}{path}"))
            .bearer_auth(&self.token)
            .header("Content-Type", "application/json")
            .body(order.to_string())
            .send()
            .await
    }

    fn way(&self) -> (ClientBuilder, String) {
        let client = Client::builder();
        match self.address.strip_prefix("unix:") {
            Some(path) => (
                client.unix_socket(PathBuf::from(path)),
                "localhost".to_owned(),
            ),
            None => (client, reached(&self.address)),
        }
    }

    fn away(&self, error: &reqwest::Error) -> CommandError {
        let address = &self.address;
        CommandError::Away(if error.is_connect() {
            format!("no gateway runs: nothing answers at {address}, where one was")
        } else if error.is_timeout() {
            format!("the gateway at {address} has not answered within {PATIENCE:?}")
        } else {
            format!("the gateway at {address} did not answer: {error}")
        })
    }
}

impl From<RefusedOrder> for CommandError {
    fn from(refusal: RefusedOrder) -> Self {
        let status = refusal.status;
        let detail = refusal.problem["detail"].as_str();
        let what = format!(
            "the gateway refused it ({status}): {}",
            detail.unwrap_or("it did not say why")
        );
        match status {
            400 | 409 | 422 => Self::Refused(what),
            _ => Self::Away(what),
        }
    }
}

/// Where a listener is reached from this machine.
fn reached(address: &str) -> String {
    match address.parse::<SocketAddr>() {
        Ok(mut at) if at.ip().is_unspecified() => {
            at.set_ip(match at {
                SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
                SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            });
            at.to_string()
        }
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_at_every_address_is_reached_by_loopback() {
        for (address, way) in [
            ("127.0.0.1:9400", "127.0.0.1:9400"),
            ("0.0.0.0:9400", "127.0.0.1:9400"),
            ("[::]:9400", "[::1]:9400"),
            ("10.0.0.1:9400", "10.0.0.1:9400"),
        ] {
            assert_eq!(reached(address), way);
        }
    }
}
