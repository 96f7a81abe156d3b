//! `gatepost trust`: this machine trusts the local CA, or no longer; `--show` has phones trust it.
//!
//! Called by the command line. Prints to stdout what was done, store by store. The command fails if one store was not
//! changed, and has changed the others all the same; called again, it does only what is missing.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::Command;

use clap::Args;
use tokio::runtime::Builder;

use super::CommandError;
use super::signals::Signals;
use crate::app::{self, CaPageServer};
use crate::config::{Config, Environment, TlsConfig};
use crate::telemetry::log;
use crate::trust::{
    CaCertificate, Elevation, QrCode, StoreChange, StoreReport, Stores, SystemStore,
};

/// How Windows' Linux names itself.
const KERNEL: &str = "/proc/sys/kernel/osrelease";

/// What `trust` is to do.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct TrustOptions {
    /// Ends the trust.
    #[arg(long, conflicts_with = "show")]
    remove: bool,
    /// Serves the certificate and a page with the steps for phones at the port of server.http, until Ctrl-C.
    #[arg(long, conflicts_with = "browsers")]
    show: bool,
    /// Chromium and Firefox alone: the system's own store takes root.
    #[arg(long)]
    browsers: bool,
}

/// Why there is nothing to trust.
#[derive(Debug, thiserror::Error)]
enum NoCaError {
    #[error(
        "there is no local CA: tls.cert names a certificate, or a proxy in front ends TLS (server.https = \"\")"
    )]
    NotUsed,
    #[error(
        "as root, this would change root's browsers, not {0}'s: run it without sudo, it asks for that by itself where the \
         system's own store is changed"
    )]
    WrongUser(String),
    #[error("HOME is not set: it says where browsers keep what they trust")]
    NoHome,
}

/// Does it, or says what was not done.
pub(super) fn trust(options: TrustOptions, config: &Config) -> Result<(), CommandError> {
    let file = config.tls.as_ref().and_then(TlsConfig::ca_file);
    let file = file.ok_or_else(|| unusable(NoCaError::NotUsed))?;
    // Of a CA that is replaced, and of why, only the log tells.
    log::install(&config.log).map_err(CommandError::start)?;
    if !options.remove {
        app::make_certificates(config).map_err(CommandError::start)?;
    }
    let ca = CaCertificate::read(&file).map_err(unusable)?;
    say(&format!(
        "The local CA {}\nSHA-256 {}\n",
        ca.file().display(),
        ca.fingerprint()
    ));
    if options.show {
        return show(config, &ca);
    }
    let stores = stores(options)?;
    let reports = if options.remove {
        stores.remove(&ca)
    } else {
        stores.install(&ca)
    };
    for report in &reports {
        say(&report.to_string());
    }
    let is_whole = options.browsers || stores.system.is_some();
    if !is_whole {
        say(
            "  not done       system    its CAs are at none of the known places: give it the file by its own means",
        );
    }
    say_what_else(&reports, &ca, options.remove);
    if is_whole && reports.iter().all(|report| report.change.is_ok()) {
        Ok(())
    } else {
        Err(CommandError::Incomplete)
    }
}

fn stores(options: TrustOptions) -> Result<Stores, CommandError> {
    let environment = Environment::of_process();
    let is_root = rustix::process::geteuid().is_root();
    if let (true, Some(user)) = (is_root, environment.value("SUDO_USER")) {
        return Err(unusable(NoCaError::WrongUser(user.to_owned())));
    }
    let home = environment.value("HOME").map(Path::new);
    let home = home.filter(|home| home.is_absolute());
    let mut stores = Stores::of_browsers(home.ok_or_else(|| unusable(NoCaError::NoHome))?);
    if !options.browsers {
        let elevation = match (is_root, io::stdin().is_terminal()) {
            (true, _) => Elevation::None,
            (false, true) => Elevation::Sudo,
            (false, false) => Elevation::SudoUnasked,
        };
        stores.system = SystemStore::of_this_machine(elevation);
    }
    Ok(stores)
}

/// What no store does by itself.
fn say_what_else(reports: &[StoreReport], ca: &CaCertificate, removed: bool) {
    let changed = |report: &StoreReport| {
        matches!(report.change, Ok(StoreChange::Added | StoreChange::Removed))
    };
    if reports.iter().any(changed) {
        say("\nStart browsers that are open anew.");
    }
    if removed {
        return;
    }
    let file = ca.file().display();
    say(&format!(
        "Programs with a list of their own: NODE_EXTRA_CA_CERTS={file} for Node.js, REQUESTS_CA_BUNDLE={file} for Python's \
         requests.\nPhones: gatepost trust --show"
    ));
    if let Some(path) = windows_path(ca.file()) {
        say(&format!(
            "Browsers of Windows have a store of their own, which is not changed from here: in PowerShell,\n  certutil \
             -addstore -user Root \"{path}\""
        ));
    }
}

/// What Windows calls a file of its Linux; `None` elsewhere.
fn windows_path(file: &Path) -> Option<String> {
    let kernel = std::fs::read_to_string(KERNEL).ok()?;
    if !kernel.to_lowercase().contains("microsoft") {
        return None;
    }
    let told = Command::new("wslpath").arg("-w").arg(file).output();
    let told = told.map(|told| String::from_utf8_lossy(&told.stdout).trim().to_owned());
    Some(told.unwrap_or_else(|_| file.display().to_string()))
}

fn show(config: &Config, ca: &CaCertificate) -> Result<(), CommandError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(CommandError::start)?;
    runtime.block_on(async {
        let mut signals = Signals::listen().map_err(CommandError::start)?;
        let page = CaPageServer::bind(config).map_err(CommandError::start)?;
        say_where(&page, config);
        page.run(ca, async {
            signals.end().await;
        })
        .await;
        Ok(())
    })
}

fn say_where(page: &CaPageServer, config: &Config) {
    let (first, others) = page
        .urls()
        .split_first()
        .map_or(("", &[][..]), |(first, others)| (&**first, others));
    if let Some(port) = page.taken() {
        say(&format!(
            "Port {port} of server.http is taken, by the gateway as a rule: this is at another one."
        ));
    }
    if let Some(code) = QrCode::of(first).filter(|_| io::stdout().is_terminal()) {
        say(&code.text());
    }
    say(&format!("On the phone, in the same network, open {first}"));
    for other in others {
        say(&format!("  or {other}"));
    }
    if config.server.https.iter().all(|at| at.ip().is_loopback()) {
        say(
            "The gateway itself is for this machine alone: phones reach it with `lan = true` under [server], or \
             `manage.py rungateway --lan`.",
        );
    }
    say(
        "The certificate is served to everybody on the network, its key to nobody. Ctrl-C ends it.",
    );
}

/// Nobody may be reading; the exit code says it all then.
fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

fn unusable(error: impl std::error::Error + Send + Sync + 'static) -> CommandError {
    CommandError::Unusable(Box::new(error))
}
