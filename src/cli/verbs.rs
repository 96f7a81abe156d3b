//! `gatepost reload`, `maintenance`, `pause` and `resume`: what a running gateway is told.
//!
//! Called by the command line. The surprise: `gateway.toml` is not read, only found: the gateway that runs beside it
//! may have been started with another one, and with secrets that the operator's shell does not have.

use std::io::{self, Write as _};
use std::path::Path;

use clap::Subcommand;
use serde_json::{Value, json};

use super::CommandError;
use super::running::RunningGateway;

/// What is said of maintenance.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum MaintenanceVerb {
    /// Begins it, or changes it; it survives a restart.
    On {
        /// What people are told.
        #[arg(long, value_name = "TEXT")]
        message: Option<String>,
        /// A network or an address whose requests go on as ever; several times for several.
        #[arg(long, value_name = "NET")]
        allow: Vec<String>,
    },
    /// Ends it.
    Off,
}

/// Begins or ends maintenance.
pub(super) fn maintenance(config: &Path, verb: MaintenanceVerb) -> Result<(), CommandError> {
    let (order, done) = match verb {
        MaintenanceVerb::On { message, allow } => {
            let mut order = json!({"on": true, "allow": allow});
            if let Some(message) = message {
                order["message"] = message.into();
            }
            (
                order,
                "maintenance is on; `gatepost maintenance off` ends it",
            )
        }
        MaintenanceVerb::Off => (json!({"on": false}), "maintenance is off"),
    };
    RunningGateway::beside(config)?
        .post("/v1/maintenance", &order)
        .map(|answer| say(done, &answer))
}

/// Begins a pause, or ends it.
pub(super) fn pause(config: &Path, length: Option<String>) -> Result<(), CommandError> {
    let (order, done) = match length {
        Some(length) => {
            let done = format!("paused for {length}; `gatepost resume` ends it sooner");
            (json!({"on": true, "for": length}), done)
        }
        None => (json!({"on": false}), "there is no pause".to_owned()),
    };
    RunningGateway::beside(config)?
        .post("/v1/pause", &order)
        .map(|answer| say(&done, &answer))
}

/// Has the configuration read again.
pub(super) fn reload(config: &Path) -> Result<(), CommandError> {
    RunningGateway::beside(config)?
        .post("/v1/reload", &json!({}))
        .map(|answer| say("reloaded", &answer))
}

fn say(done: &str, answer: &Value) {
    // Nobody may be reading; the exit code says it all then.
    let _ = writeln!(io::stdout(), "{done}");
    if let Some(warning) = answer["warning"].as_str() {
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
}
