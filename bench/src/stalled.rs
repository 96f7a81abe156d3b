//! What clients that stop reading cost: the kernel's memory for their connections, and how many of
//! them the gateway closes.
//!
//! The surprise: the kernel only says what all TCP connections of the machine take, so it is the growth
//! that is shown, and the clients' own end is made small.

use std::fs;
use std::io::{self, Error};
use std::time::{Duration, Instant};

use crate::fleet::Fleet;
use crate::http::metric;
use crate::lab::Lab;
use crate::process::pause;
use crate::publisher::{Kind, Publisher, publication};
use crate::report::Report;

const NAME: &str = "stalled";
/// Bytes of a frame.
const FRAME: usize = 16 << 10;
/// Frames for each: more than every buffer of both kernels and the gateway holds.
const FRAMES: usize = 512;
/// Frames between two looks.
const STEP: usize = 8;
/// How long the gateway has to close them after the last frame.
const PATIENCE: Duration = Duration::from_secs(10);
/// What the gateway counts.
const CLOSED: &str = "gatepost_closes_total{code=\"1013\"}";

/// All repetitions.
pub(crate) fn measure(lab: &Lab, report: &mut Report) -> io::Result<()> {
    if !lab.plan.wants(&[NAME]) {
        return Ok(());
    }
    for round in 1..=lab.plan.rounds {
        eprintln!("stalled readers, round {round} of {}", lab.plan.rounds);
        let (memory, closed) = once(lab)?;
        report.sample(NAME, memory);
        report.sample("stalled.closed", closed);
    }
    Ok(())
}

/// The most MiB the kernel took, and how many of 1,000 readers were closed.
fn once(lab: &Lab) -> io::Result<(f64, f64)> {
    let readers = if lab.plan.quick { 200_u32 } else { 1_000 };
    let server = lab.gateway()?;
    // Never turned again: its sockets stay open, and nobody reads them.
    let fleet = Fleet::open(lab.target(&server)?.narrow(), readers as usize)?;
    let mut publisher = Publisher::connect(server.control)?;
    let (before, mut most) = (kernel_memory()?, 0.0_f64);
    let line = publication("{\"everyone\":true}", FRAME);
    let mut closed = 0.0;
    let mut deadline = Instant::now() + PATIENCE;
    for frame in 0.. {
        if frame < FRAMES {
            publisher.send(Kind::Single, &line)?;
            publisher.taken()?;
            deadline = Instant::now() + PATIENCE;
        } else {
            pause(Duration::from_millis(20));
        }
        if frame % STEP == 0 {
            most = most.max(kernel_memory()? - before);
            closed = metric(server.control, CLOSED)?;
        }
        if closed >= f64::from(readers) || Instant::now() > deadline {
            break;
        }
    }
    drop(fleet);
    Ok((most, closed * 1_000.0 / f64::from(readers)))
}

/// MiB that the kernel has for TCP.
fn kernel_memory() -> io::Result<f64> {
    let text = fs::read_to_string("/proc/net/sockstat")?;
    let tcp = text.lines().find(|line| line.starts_with("TCP:"));
    let pages = tcp.and_then(|line| line.split_once(" mem ")?.1.trim().parse::<f64>().ok());
    match pages {
        Some(pages) => Ok(pages * page_size()? / 1024.0),
        None => Err(Error::other(
            "/proc/net/sockstat does not name the memory of TCP",
        )),
    }
}

/// KiB of a page.
fn page_size() -> io::Result<f64> {
    let text = fs::read_to_string("/proc/self/smaps")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("KernelPageSize:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| Error::other("/proc/self/smaps does not name the size of a page"))
}
