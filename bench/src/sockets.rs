//! What sockets cost: memory, connects, idling, broadcasts, targeted publishing, latency. Each round
//! measures the limit program and a fresh gateway, one after the other, so that ratios are of one time.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::fleet::{Fleet, Target};
use crate::lab::{Lab, Server};
use crate::process::pause;
use crate::publisher::{Broadcaster, Kind, Publisher, publication, stamped};
use crate::report::{Report, median};
use crate::upstream::now;

/// Names measured here.
const NAMES: &[&str] = &[
    "idle-memory",
    "burst-memory",
    "broadcast",
    "queued",
    "targeted",
    "ndjson",
    "connect",
    "idle-cpu",
    "latency",
    "busy-latency",
];
/// Bytes of an ordinary frame.
const FRAME: usize = 200;
/// Kept-alive publishers at full load.
const PUBLISHERS: usize = 16;
/// Publications in one NDJSON body.
const LINES: usize = 500;
/// Publications a second, where it says busy.
const RATE: usize = 10_000;

/// All rounds.
pub(crate) fn measure(lab: &Lab, report: &mut Report) -> io::Result<()> {
    if !lab.plan.wants(NAMES) {
        return Ok(());
    }
    for round in 1..=lab.plan.rounds {
        eprintln!("sockets, round {round} of {}", lab.plan.rounds);
        let limit = limit_round(lab, report)?;
        Round {
            lab,
            report: &mut *report,
            limit,
        }
        .run()?;
    }
    Ok(())
}

/// CPU µs per broadcast frame of the limit program.
fn limit_round(lab: &Lab, report: &mut Report) -> io::Result<f64> {
    if !lab
        .plan
        .wants(&["idle-memory", "broadcast", "queued", "connect"])
    {
        return Ok(f64::NAN);
    }
    let server = lab.limit()?;
    let (mut fleet, opened) = opened(lab, &server, lab.target(&server)?)?;
    report.sample("connect.limit", opened.cpu * 1e3);
    report.sample("idle-memory.limit", opened.memory);
    let cpu = limit_of(lab, &server, &mut fleet)?;
    report.sample("broadcast.limit", cpu);
    Ok(cpu)
}

/// The same of a limit program for itself.
pub(crate) fn limit(lab: &Lab) -> io::Result<f64> {
    let server = lab.limit()?;
    let mut fleet = Fleet::open(lab.target(&server)?, lab.plan.sockets)?;
    limit_of(lab, &server, &mut fleet)
}

fn limit_of(lab: &Lab, server: &Server, fleet: &mut Fleet) -> io::Result<f64> {
    let mut broadcaster = Broadcaster::limit(server.control)?;
    Ok(broadcasts(lab, server, (fleet, &mut broadcaster), 1)?.cpu)
}

/// What opening cost, each.
pub(crate) struct Opened {
    cpu: f64,
    pub(crate) memory: f64,
}

/// Opens the plan's sockets; a small crowd before has paid for what is paid once.
pub(crate) fn opened(lab: &Lab, server: &Server, target: Target) -> io::Result<(Fleet, Opened)> {
    let count = lab.plan.sockets;
    drop(Fleet::open(target.clone(), 50)?);
    pause(Duration::from_millis(1500));
    let (memory, cpu) = (server.process.pss()?, server.process.cpu()?);
    let mut fleet = Fleet::open(target, count)?;
    let cpu = (server.process.cpu()? - cpu) / each(count);
    fleet.rest(settle(lab))?;
    let memory = (server.process.pss()? - memory) / each(count);
    Ok((fleet, Opened { cpu, memory }))
}

/// What a broadcast cost.
pub(crate) struct Broadcasts {
    /// µs for each delivered frame.
    pub(crate) cpu: f64,
    /// ms to the last socket.
    last: f64,
}

/// Several broadcasts of `queued` frames at once to all sockets.
pub(crate) fn broadcasts(
    lab: &Lab,
    server: &Server,
    (fleet, broadcaster): (&mut Fleet, &mut Broadcaster),
    queued: usize,
) -> io::Result<Broadcasts> {
    let times = if queued == 1 { 10 } else { 5 } * if lab.plan.quick { 5 } else { 1 };
    let frames = fleet.users().len() * queued;
    let mut last = Vec::new();
    let cpu = server.process.cpu()?;
    for _ in 0..times {
        let (start, before) = (Instant::now(), fleet.frames());
        broadcaster.send(queued, FRAME)?;
        let end = fleet.receive(before, frames as u64)?;
        broadcaster.accepted(queued)?;
        last.push(end.duration_since(start).as_secs_f64() * 1e3);
    }
    last.sort_by(f64::total_cmp);
    let cpu = (server.process.cpu()? - cpu) * 1e6 / each(times * frames);
    Ok(Broadcasts {
        cpu,
        last: median(&last),
    })
}

/// One round with a gateway of its own.
struct Round<'a> {
    lab: &'a Lab,
    report: &'a mut Report,
    limit: f64,
}

impl Round<'_> {
    fn run(&mut self) -> io::Result<()> {
        let server = self.lab.gateway()?;
        let (mut fleet, opened) = opened(self.lab, &server, self.lab.target(&server)?)?;
        self.report.sample("idle-memory", opened.memory);
        self.report.sample("connect", opened.cpu * 1e3);
        self.report.sample("connect.rate", 1.0 / opened.cpu);
        let base = server.process.pss()? - opened.memory * each(self.lab.plan.sockets);
        if self.wants("idle-cpu") {
            self.idle(&server, &mut fleet)?;
        }
        if self.wants("burst-memory") {
            self.burst(&server, &mut fleet, base)?;
        }
        if self.wants("broadcast") {
            self.broadcast(&server, &mut fleet)?;
        }
        if self.wants("queued") {
            self.queued(&server, &mut fleet)?;
        }
        if self.wants("latency") {
            self.latency(&server, &mut fleet)?;
        }
        if self.wants("busy-latency") {
            self.busy(&server, &mut fleet)?;
        }
        if self.wants("targeted") {
            self.targeted(&server, &mut fleet)?;
        }
        if self.wants("ndjson") {
            self.ndjson(&server, &mut fleet)?;
        }
        Ok(())
    }

    fn wants(&self, name: &str) -> bool {
        self.lab.plan.wants(&[name])
    }

    fn idle(&mut self, server: &Server, fleet: &mut Fleet) -> io::Result<()> {
        // A whole interval of pings, so that each socket gets its one.
        let time = Duration::from_secs(if self.lab.plan.quick { 10 } else { 26 });
        let (cpu, pings, start) = (server.process.cpu()?, fleet.pings(), Instant::now());
        fleet.rest(time)?;
        let share = (server.process.cpu()? - cpu) / start.elapsed().as_secs_f64();
        eprintln!("  {} pings came in {time:?}", fleet.pings() - pings);
        self.report.sample("idle-cpu", share * 1e2);
        Ok(())
    }

    fn burst(&mut self, server: &Server, fleet: &mut Fleet, base: f64) -> io::Result<()> {
        let mut broadcaster = Broadcaster::everyone(server.control)?;
        let before = fleet.frames();
        broadcaster.send(8, 1024)?;
        fleet.receive(before, fleet.users().len() as u64 * 8)?;
        broadcaster.accepted(8)?;
        fleet.rest(settle(self.lab))?;
        let memory = (server.process.pss()? - base) / each(self.lab.plan.sockets);
        self.report.sample("burst-memory", memory);
        Ok(())
    }

    fn broadcast(&mut self, server: &Server, fleet: &mut Fleet) -> io::Result<()> {
        let mut broadcaster = Broadcaster::everyone(server.control)?;
        let cost = broadcasts(self.lab, server, (fleet, &mut broadcaster), 1)?;
        self.report.sample("broadcast.cpu", cost.cpu);
        self.report.sample("broadcast.last", cost.last);
        self.report.sample("broadcast", cost.cpu / self.limit);
        Ok(())
    }

    fn queued(&mut self, server: &Server, fleet: &mut Fleet) -> io::Result<()> {
        let mut broadcaster = Broadcaster::everyone(server.control)?;
        let cost = broadcasts(self.lab, server, (fleet, &mut broadcaster), 8)?;
        self.report.sample("queued.cpu", cost.cpu);
        self.report.sample("queued", cost.cpu / self.limit);
        Ok(())
    }

    fn latency(&mut self, server: &Server, fleet: &mut Fleet) -> io::Result<()> {
        let mut publisher = Publisher::connect(server.control)?;
        let mut times = Vec::new();
        for user in spread(&fleet.users(), 300) {
            let body = publication(&to(&user), FRAME);
            let (start, before) = (Instant::now(), fleet.frames());
            publisher.send(Kind::Single, &body)?;
            let end = fleet.receive(before, 1)?;
            publisher.accepted(1)?;
            times.push(end.duration_since(start).as_secs_f64() * 1e3);
            pause(Duration::from_millis(2));
        }
        times.sort_by(f64::total_cmp);
        self.report.sample("latency", median(&times));
        self.report
            .sample("latency.p99", times[times.len() * 99 / 100]);
        Ok(())
    }

    fn targeted(&mut self, server: &Server, fleet: &mut Fleet) -> io::Result<()> {
        let cpu = targeted(self.lab, server, fleet, to)?;
        self.report.sample("targeted", cpu);
        Ok(())
    }

    /// Ten thousand publications a second, as many users, one after the other.
    fn busy(&mut self, server: &Server, fleet: &mut Fleet) -> io::Result<()> {
        let seconds = if self.lab.plan.quick { 2 } else { 10 };
        let users = spread(&fleet.users(), seconds * RATE);
        let internal = server.control;
        fleet.delays();
        let before = fleet.frames();
        std::thread::scope(|scope| {
            let publishing = scope.spawn(|| at_rate(internal, &users));
            fleet.receive(before, users.len() as u64)?;
            publishing
                .join()
                .map_err(|_| io::Error::other("the publisher panicked"))?
        })?;
        let mut delays = fleet.delays();
        delays.sort_unstable();
        let ms = |percent: usize| {
            let delay = Duration::from_nanos(delays[delays.len() * percent / 100]);
            delay.as_secs_f64() * 1e3
        };
        self.report.sample("busy-latency", ms(99));
        self.report.sample("busy-latency.p50", ms(50));
        Ok(())
    }

    fn ndjson(&mut self, server: &Server, fleet: &mut Fleet) -> io::Result<()> {
        let mut publisher = Publisher::connect(server.control)?;
        let count = count(self.lab, 30_000) / LINES * LINES;
        let users = spread(&fleet.users(), count);
        let (cpu, before) = (server.process.cpu()?, fleet.frames());
        for turn in users.chunks(LINES) {
            let body: String = turn
                .iter()
                .map(|user| publication(&to(user), FRAME))
                .collect();
            publisher.send(Kind::Lines, &body)?;
            publisher.accepted(LINES)?;
        }
        fleet.receive(before, count as u64)?;
        let cpu = (server.process.cpu()? - cpu) * 1e6 / each(count);
        self.report.sample("ndjson", cpu);
        Ok(())
    }
}

/// CPU µs for each publication to what `audience` says of a user: single POSTs over kept-alive connections.
pub(crate) fn targeted(
    lab: &Lab,
    server: &Server,
    fleet: &mut Fleet,
    audience: impl Fn(&str) -> String,
) -> io::Result<f64> {
    let mut publishers = (0..PUBLISHERS)
        .map(|_| Publisher::connect(server.control))
        .collect::<io::Result<Vec<_>>>()?;
    let count = count(lab, 20_000) / PUBLISHERS * PUBLISHERS;
    let users = spread(&fleet.users(), count);
    let (cpu, before) = (server.process.cpu()?, fleet.frames());
    for turn in users.chunks(PUBLISHERS) {
        for (publisher, user) in publishers.iter_mut().zip(turn) {
            publisher.send(Kind::Single, &publication(&audience(user), FRAME))?;
        }
        for publisher in &mut publishers {
            publisher.accepted(1)?;
        }
    }
    fleet.receive(before, count as u64)?;
    Ok((server.process.cpu()? - cpu) * 1e6 / each(count))
}

/// Publishes to these users, one after the other, at [`RATE`]. Each publication says when it was due, so
/// that a publisher who is held up does not make the gateway look faster.
fn at_rate(internal: SocketAddr, users: &[String]) -> io::Result<()> {
    let mut publisher = Publisher::connect(internal)?;
    let start = now();
    for (turn, users) in (0..).zip(users.chunks(RATE / 1000)) {
        let due = start + turn * 1_000_000;
        if let Some(early) = due.checked_sub(now()) {
            pause(Duration::from_nanos(early));
        }
        let body: String = users.iter().map(|user| stamped(&to(user), due)).collect();
        publisher.send(Kind::Lines, &body)?;
        publisher.accepted(users.len())?;
    }
    Ok(())
}

fn count(lab: &Lab, full: usize) -> usize {
    if lab.plan.quick { full / 4 } else { full }
}

/// `count` users, far apart from one to the next.
fn spread(users: &[String], count: usize) -> Vec<String> {
    (0..count)
        .map(|number| users[number * 7919 % users.len()].clone())
        .collect()
}

fn to(user: &str) -> String {
    format!("{{\"user\":\"{user}\"}}")
}

/// Time for an allocator to give back what it does not need.
fn settle(lab: &Lab) -> Duration {
    Duration::from_secs(if lab.plan.quick { 2 } else { 4 })
}

/// A count as a divisor; far below 2^52.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of sockets and frames are far below 2^52"
)]
pub(crate) fn each(count: usize) -> f64 {
    count as f64
}
