//! What clients cost that stop reading while a publisher goes on at full speed: the gateway's memory and the kernel's,
//! and whether they get everything when they come back.
//!
//! The kernel only says what all TCP connections of the machine take, so it is the growth that is shown, and the
//! clients' own end is made small.

use std::fs;
use std::io::{self, Error};

use crate::fleet::Target;
use crate::lab::{Lab, Server};
use crate::publisher::{Kind, Publisher, frame};
use crate::reader::{Ended, Form, Reader};
use crate::report::Report;

/// Publications for each client: more than every buffer of both kernels and the gateway holds.
const MOST: u64 = 512;
/// Nobody is cut off before it reads again, or pinged meanwhile.
const PATIENT: &str = "[limits]\nwrite_timeout = \"10m\"\n";
const QUIET: &str = "[delivery]\nping = \"10m\"\n\n[log]\n";

/// One way to be stalled, and what its figures are called.
struct Case {
    kernel: &'static str,
    gateway: &'static str,
    closed: &'static str,
    lost: &'static str,
    forms: [Form; 2],
    load: Load,
}

const CASES: [Case; 3] = [
    Case {
        kernel: "stalled",
        gateway: "stalled.gateway",
        closed: "stalled.closed",
        lost: "stalled.lost",
        forms: [Form::Socket, Form::Socket],
        load: Load::Shared,
    },
    Case {
        kernel: "stalled-streams",
        gateway: "stalled-streams.gateway",
        closed: "stalled-streams.closed",
        lost: "stalled-streams.lost",
        forms: [Form::Events, Form::Events],
        load: Load::Shared,
    },
    Case {
        kernel: "stalled-own",
        gateway: "stalled-own.gateway",
        closed: "stalled-own.closed",
        lost: "stalled-own.lost",
        forms: [Form::Socket, Form::Events],
        load: Load::Own,
    },
];

/// Whom frames are for.
#[derive(Clone, Copy)]
enum Load {
    /// Everyone: each is kept once, whoever waits for it.
    Shared,
    /// Each client has frames of its own.
    Own,
}

/// All repetitions.
pub(crate) fn measure(lab: &Lab, report: &mut Report) -> io::Result<()> {
    for case in CASES.iter().filter(|case| lab.plan.wants(&[case.kernel])) {
        for round in 1..=lab.plan.rounds {
            eprintln!("{}, round {round} of {}", case.kernel, lab.plan.rounds);
            let server = lab.gateway_but(&[("[limits]\n", PATIENT), ("[log]\n", QUIET)])?;
            let most = case.stall(lab, &server)?;
            report.sample(case.kernel, most.kernel);
            report.sample(case.gateway, most.gateway);
            report.sample(case.closed, most.closed);
            report.sample(case.lost, most.lost);
        }
    }
    Ok(())
}

/// The most MiB that were taken; of 1,000 clients, how many were closed; and frames that were lost in silence, or
/// came twice.
#[derive(Default)]
struct Cost {
    kernel: f64,
    gateway: f64,
    closed: f64,
    lost: f64,
}

impl Case {
    fn stall(&self, lab: &Lab, server: &Server) -> io::Result<Cost> {
        let target = lab.target(server)?;
        let count = if lab.plan.quick { 200 } else { 1_000 };
        // What is paid once.
        drop(Reader::open(&target, self.forms[0], count)?);
        let (kernel, gateway) = (kernel_memory()?, server.process.pss()?);
        let mut readers = (0..count)
            .map(|user| Reader::open(&target, self.forms[user % 2], user))
            .collect::<io::Result<Vec<_>>>()?;
        let mut cost = Cost::default();
        let mut publisher = Publisher::connect(server.control)?;
        let (mut last, mut given) = (0, 1);
        while given > 0 && last < MOST {
            let body = self.load.body(last + 1, count);
            last += self.load.numbers();
            publisher.send(Kind::Lines, &body)?;
            given = publisher.given()?;
            cost.kernel = cost.kernel.max(kernel_memory()? - kernel);
            let now = (server.process.pss()? - gateway) / 1024.0;
            cost.gateway = cost.gateway.max(now);
        }
        eprintln!("  {last} frames were published to each");
        for reader in &mut readers {
            cost.read(reader, &target, last)?;
        }
        cost.closed *= 1_000.0 / f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        Ok(cost)
    }
}

impl Cost {
    /// A client reads again, comes back where it was closed, and then has everything, or knows that it has not.
    fn read(&mut self, reader: &mut Reader, target: &Target, last: u64) -> io::Result<()> {
        let mut ended = reader.read_to(last)?;
        if ended == Ended::Closed {
            self.closed += 1.0;
            reader.come_back(target)?;
            ended = reader.read_to(last)?;
        }
        let numbers = &mut reader.numbers;
        let got = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        let twice = got - numbers.len();
        let missing = match ended {
            Ended::Told => 0,
            Ended::Complete | Ended::Closed => {
                usize::try_from(last).unwrap_or(usize::MAX) - numbers.len()
            }
        };
        self.lost += f64::from(u32::try_from(twice + missing).unwrap_or(u32::MAX));
        Ok(())
    }
}

impl Load {
    /// How many numbers a body has: some 128 KiB for everyone, or 4 KiB for each.
    fn numbers(self) -> u64 {
        match self {
            Self::Shared => 8,
            Self::Own => 1,
        }
    }

    /// Publications from this number on, as one body.
    fn body(self, first: u64, clients: usize) -> String {
        match self {
            Self::Shared => (first..first + self.numbers())
                .map(|number| numbered("{\"everyone\":true}", number, 16 << 10))
                .collect(),
            Self::Own => (0..clients)
                .map(|user| numbered(&format!("{{\"user\":\"bench{user}\"}}"), first, 4 << 10))
                .collect(),
        }
    }
}

/// A publication of a frame with a number, as one line.
fn numbered(to: &str, number: u64, size: usize) -> String {
    let frame = frame(size).replacen('{', &format!("{{\"n\":{number},"), 1);
    format!("{{\"to\":{to},\"frame\":{frame}}}\n")
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
