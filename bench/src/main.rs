//! What Gatepost costs, next to a program that does only what cannot be avoided and next to nginx.
//!
//! `measure` runs everything and prints a table; `limit` and `upstream` are the programs it starts.
//! Everything happens on loopback, within bounds, and stops after repeated failures.

mod certificate;
mod client;
mod compare;
mod compressed;
mod fleet;
mod http;
mod lab;
mod limit;
mod process;
mod proxy;
mod publisher;
mod reader;
mod report;
mod settings;
mod slow;
mod sockets;
mod stalled;
mod storm;
mod topics;
mod upstream;
mod worker;

use std::io::{self, Error};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::lab::{Lab, Plan};
use crate::report::{MEASURES, Report};

/// Measures what Gatepost costs.
#[derive(Parser)]
struct CommandLine {
    #[command(subcommand)]
    command: Program,
}

#[derive(Subcommand)]
enum Program {
    /// Measure a gateway and print a table.
    Measure(Options),
    /// The yardstick (started by `measure`).
    Limit {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        control: SocketAddr,
        #[arg(long)]
        cert: PathBuf,
        #[arg(long)]
        key: PathBuf,
    },
    /// The upstream with canned answers (started by `measure`).
    Upstream {
        #[arg(long)]
        listen: SocketAddr,
    },
    /// The upstream with one worker (started by `measure`).
    Worker {
        #[arg(long)]
        listen: SocketAddr,
    },
}

#[derive(Args)]
struct Options {
    /// The gateway's binary, a release build.
    #[arg(long)]
    gateway: PathBuf,
    /// Another gateway's binary, an older one say: each measure is taken of both in turns, and the table compares them.
    #[arg(long)]
    beside: Option<PathBuf>,
    /// Fewer sockets and shorter runs: to see that all works, not for figures to keep.
    #[arg(long)]
    quick: bool,
    /// Measure only this; may be given several times.
    #[arg(long)]
    only: Vec<String>,
    /// Sockets to open [default: 10000, or 1000 with --quick].
    #[arg(long)]
    sockets: Option<usize>,
    /// Repetitions of each measurement.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where the table is written besides standard output.
    #[arg(long)]
    output: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done = match CommandLine::parse().command {
        Program::Measure(options) => measure(&options),
        Program::Upstream { listen } => upstream::run(listen),
        Program::Worker { listen } => worker::run(listen),
        Program::Limit {
            listen,
            control,
            cert,
            key,
        } => process::allow_descriptors(0)
            .and_then(|()| certificate::Certificate::load(&cert, &key))
            .and_then(|certificate| limit::run(listen, control, &certificate)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> io::Result<()> {
    let plan = plan(options)?;
    process::allow_descriptors(plan.sockets)?;
    let sockets = plan.sockets;
    let mut lab = Lab::open(plan)?;
    let mut report = Report::default();
    let (done, table) = if let Some(other) = &options.beside {
        let mut beside = Report::default();
        let done = compare::measure(&mut lab, &mut report, (other, &mut beside));
        (done, report.table_beside(&beside))
    } else {
        (measure_all(&lab, &mut report), report.table())
    };
    println!(
        "\n{sockets} sockets, {} repetitions\n{table}",
        options.rounds
    );
    if let Some(path) = &options.output {
        std::fs::write(path, &table)?;
        println!("written to {}", path.display());
    }
    done
}

/// Takes everything that the plan wants.
fn measure_all(lab: &Lab, report: &mut Report) -> io::Result<()> {
    proxy::measure(lab, report)
        .and_then(|()| compressed::measure(lab, report))
        .and_then(|()| sockets::measure(lab, report))
        .and_then(|()| topics::measure(lab, report))
        .and_then(|()| stalled::measure(lab, report))
        .and_then(|()| settings::measure(lab, report))
        .and_then(|()| slow::measure(lab, report))
        .and_then(|()| storm::measure(lab, report))
}

fn plan(options: &Options) -> io::Result<Plan> {
    for only in &options.only {
        if !MEASURES.iter().any(|measure| measure.name == only) {
            let known: Vec<_> = MEASURES.iter().map(|measure| measure.name).collect();
            let known = known.into_iter().filter(|name| !name.contains('.'));
            let text = known.collect::<Vec<_>>().join(", ");
            return Err(Error::other(format!(
                "nothing is called `{only}`; there are {text}"
            )));
        }
    }
    let build = "build it with `cargo build --release --features jemalloc`";
    for gateway in std::iter::once(&options.gateway).chain(&options.beside) {
        lab::check_program(gateway, build)?;
    }
    let install = "install it: apt-get install nginx-light nghttp2-client";
    lab::check_program(Path::new("nginx"), install)?;
    lab::check_program(Path::new("h2load"), install)?;
    Ok(Plan {
        gateway: options.gateway.clone(),
        sockets: options
            .sockets
            .unwrap_or(if options.quick { 1_000 } else { 10_000 }),
        rounds: options.rounds.max(1),
        quick: options.quick,
        only: options.only.clone(),
    })
}
