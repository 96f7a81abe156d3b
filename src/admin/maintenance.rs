//! Maintenance: an operator has ordered that only some people are served, until it is ended.
//!
//! `server` asks for every request that a server behind the gateway would answer. Maintenance survives a
//! restart, also where its file cannot be read; what was closed on purpose must not open by itself.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::StatusCode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use crate::config::Networks;
use crate::publish::operator::{Lasting, MaintenanceOrder};
use crate::state_folder;
use crate::telemetry::metrics::{Metrics, ReasonLabel};
use crate::web::problem::Problem;

const USUAL_MESSAGE: &str = "The site is being worked on. Please try again in a few minutes.";
/// In seconds: maintenance says of itself only how it begins.
const RETRY_AFTER: u32 = 60;

/// Whether there is maintenance, and how it is.
#[derive(Debug)]
pub struct Maintenance {
    file: PathBuf,
    current: ArcSwapOption<MaintenanceRules>,
    is_on: Gauge,
    refused: Counter,
}

#[derive(Debug)]
struct MaintenanceRules {
    message: String,
    allowed: Networks,
}

impl Maintenance {
    /// As the gateway before left it in this file.
    pub fn restore(file: PathBuf, metrics: &Metrics) -> Self {
        let reason = "maintenance";
        let maintenance = Self {
            file,
            current: ArcSwapOption::empty(),
            is_on: metrics.maintenance.clone(),
            refused: metrics.refused.get_or_create_owned(&ReasonLabel { reason }),
        };
        maintenance.go_on();
        maintenance
    }

    fn go_on(&self) {
        let kept = match fs::read(&self.file) {
            Ok(kept) => serde_json::from_slice(&kept).map_err(io::Error::from),
            // What cannot even be looked for was ordered by nobody: perhaps the folder is another user's.
            Err(_) if fs::symlink_metadata(&self.file).is_err() => return,
            Err(error) => Err(error),
        };
        let file = self.file.display();
        let order = match kept {
            Ok(order) => {
                tracing::warn!(%file, "maintenance goes on, until `gatepost maintenance off`");
                order
            }
            Err(error) => {
                tracing::error!(
                    %file, %error,
                    "the maintenance before cannot be read, so nobody is let in, until `gatepost maintenance off`"
                );
                MaintenanceOrder::default()
            }
        };
        self.close(&order);
    }

    /// Begins, or is from now on as ordered.
    pub fn begin(&self, order: &MaintenanceOrder) -> Lasting {
        self.close(order);
        tracing::warn!(message = order.message, allow = ?order.allow, "maintenance: requests are answered 503");
        let kept = serde_json::to_vec(order).unwrap_or_default();
        state_folder::write(&self.file, &kept).map_err(|error| {
            let file = self.file.display();
            tracing::warn!(%file, %error, "a restart would end maintenance");
            format!("a restart would end it: {file} cannot be written ({error})")
        })
    }

    /// Ends.
    pub fn end(&self) -> Lasting {
        if self.current.swap(None).is_some() {
            tracing::warn!("maintenance is over");
        }
        self.is_on.set(0);
        match fs::remove_file(&self.file) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                let file = self.file.display();
                tracing::warn!(%file, %error, "a restart would begin maintenance again");
                Err(format!(
                    "a restart would begin it again: {file} cannot be removed ({error})"
                ))
            }
            _ => Ok(()),
        }
    }

    fn close(&self, order: &MaintenanceOrder) {
        let closed = MaintenanceRules {
            message: order
                .message
                .clone()
                .unwrap_or_else(|| USUAL_MESSAGE.to_owned()),
            // Checked when it was ordered.
            allowed: Networks::parse(&order.allow).unwrap_or_default(),
        };
        self.current.store(Some(Arc::new(closed)));
        self.is_on.set(1);
    }

    /// Whether it is on.
    pub fn is_on(&self) -> bool {
        self.current.load().is_some()
    }

    /// What a client gets in place of what it asked for.
    pub(super) fn refusal(&self, client: IpAddr) -> Option<Problem> {
        let closed = self.current.load();
        let closed = closed
            .as_ref()
            .filter(|closed| !closed.allowed.contain(client))?;
        self.refused.inc();
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let problem = Problem::new(status, "maintenance", closed.message.as_str());
        Some(
            problem
                .with_hint("`gatepost maintenance off` ends it")
                .retry_after(RETRY_AFTER),
        )
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn restored(folder: &TempDir) -> Maintenance {
        Maintenance::restore(folder.path().join("maintenance"), &Metrics::default())
    }

    fn said(maintenance: &Maintenance, client: &str) -> Option<String> {
        let refusal = maintenance.refusal(client.parse().unwrap())?;
        assert_eq!(refusal.status, 503);
        Some(refusal.detail)
    }

    #[test]
    fn it_survives_a_restart_until_it_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let order = MaintenanceOrder {
            message: Some("Back at 5".to_owned()),
            allow: vec!["10.0.0.0/8".to_owned()],
        };
        let first = restored(&folder);
        assert!(!first.is_on());
        assert_eq!(first.begin(&order), Ok(()));
        for one in [&first, &restored(&folder)] {
            assert_eq!(said(one, "192.0.2.1").as_deref(), Some("Back at 5"));
            assert_eq!(said(one, "10.1.2.3"), None);
        }
        assert_eq!(first.end(), Ok(()));
        assert_eq!(first.end(), Ok(()));
        assert!(!first.is_on() && !restored(&folder).is_on());
    }

    #[test]
    fn what_cannot_be_read_lets_nobody_in() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("maintenance"), "{\"mess").unwrap();
        let maintenance = restored(&folder);
        assert_eq!(
            said(&maintenance, "127.0.0.1").as_deref(),
            Some(USUAL_MESSAGE)
        );
        assert_eq!(maintenance.end(), Ok(()));
        assert!(!restored(&folder).is_on());
    }

    #[test]
    fn one_that_a_restart_would_end_says_so() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let file = folder.path().join("file/maintenance");
        let maintenance = Maintenance::restore(file, &Metrics::default());
        let lasting = maintenance.begin(&MaintenanceOrder::default());
        assert!(lasting.unwrap_err().starts_with("a restart would end it"));
        assert!(maintenance.is_on());
    }
}
