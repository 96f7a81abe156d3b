//! Programs under test: started pinned to one core, weighed through `/proc`, killed by their own pid.
//!
//! A program counts as started only when *its* process holds the listening socket, so a stranger on
//! the same port is never measured.

use std::fs::{self, File};
use std::io::{self, Error};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The core of whatever is measured.
pub(crate) const SERVER_CORE: usize = 0;
/// The core of load and upstream.
pub(crate) const LOAD_CORE: usize = 1;
/// Ticks a second in `/proc/PID/stat`; fixed for user space on Linux.
const TICKS: f64 = 100.0;

/// A running program; dropping it ends it.
pub(crate) struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts `program` on `core` and waits until it listens at `address`.
    pub(crate) fn start(
        program: &Command,
        core: usize,
        address: SocketAddr,
        log: &Path,
    ) -> io::Result<Self> {
        let name = name_of(program);
        let output = File::create(log)?;
        let child = pinned(program, core)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .map_err(|error| Error::other(format!("cannot start {name}: {error}")))?;
        let mut process = Self { name, child };
        process.listening(address, log)?;
        Ok(process)
    }

    fn listening(&mut self, address: SocketAddr, log: &Path) -> io::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                let said = fs::read_to_string(log).unwrap_or_default();
                let name = &self.name;
                return Err(Error::other(format!("{name} ended ({status}): {said}")));
            }
            if holds(self.child.id(), address)? {
                return Ok(());
            }
            pause(Duration::from_millis(20));
        }
        let said = fs::read_to_string(log).unwrap_or_default();
        let name = &self.name;
        Err(Error::other(format!(
            "{name} does not listen at {address} after 20 s: {said}"
        )))
    }

    /// Asks the program to end, and waits until it has.
    pub(crate) fn terminate(mut self) -> io::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        self.child.wait().map(drop)
    }

    /// User and system time so far, in seconds.
    pub(crate) fn cpu(&self) -> io::Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name in parentheses may hold spaces: count the fields after it.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks = |at| {
            fields
                .split_whitespace()
                .nth(at)
                .and_then(|text| text.parse::<f64>().ok())
        };
        match (ticks(11), ticks(12)) {
            (Some(user), Some(system)) => Ok((user + system) / TICKS),
            _ => Err(Error::other(format!(
                "cannot read the CPU time of {}: {stat}",
                self.name
            ))),
        }
    }

    /// Proportional set size, in KiB.
    pub(crate) fn pss(&self) -> io::Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?;
        text.lines()
            .find_map(|line| {
                line.strip_prefix("Pss:")?
                    .split_whitespace()
                    .next()?
                    .parse()
                    .ok()
            })
            .ok_or_else(|| Error::other(format!("cannot read the memory of {}", self.name)))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when the program has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits; nothing asynchronous runs on the threads of this tool.
#[expect(
    clippy::disallowed_methods,
    reason = "the tool measures from plain threads"
)]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// `program` on one core, dying with this process.
pub(crate) fn pinned(program: &Command, core: usize) -> Command {
    let mut command = Command::new("setpriv");
    command.args([
        "--pdeathsig",
        "KILL",
        "taskset",
        "--cpu-list",
        &core.to_string(),
    ]);
    command.arg(program.get_program()).args(program.get_args());
    for (key, value) in program.get_envs() {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    if let Some(directory) = program.get_current_dir() {
        command.current_dir(directory);
    }
    command
}

/// An address nobody listens at just now.
pub(crate) fn free_address(ip: &str) -> io::Result<SocketAddr> {
    std::net::TcpListener::bind((ip, 0))?.local_addr()
}

/// Lets this process hold `count` sockets, or says why not.
pub(crate) fn allow_descriptors(count: usize) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    if most < count as u64 + 200 {
        let advice = "raise it with `ulimit -Hn`, or use --sockets";
        let text =
            format!("{count} sockets need more descriptors than the hard limit {most}: {advice}");
        return Err(Error::other(text));
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).map_err(Error::from)
}

fn name_of(program: &Command) -> String {
    let path = Path::new(program.get_program());
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Whether `pid` holds the socket that listens at `address`.
fn holds(pid: u32, address: SocketAddr) -> io::Result<bool> {
    let SocketAddr::V4(address) = address else {
        return Err(Error::other("only IPv4 addresses are measured"));
    };
    let ip = u32::from_ne_bytes(address.ip().octets());
    let wanted = format!("{ip:08X}:{:04X}", address.port());
    let table = fs::read_to_string("/proc/net/tcp")?;
    let inode = table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = fields.get(1) == Some(&wanted.as_str()) && fields.get(3) == Some(&"0A");
        listens.then(|| format!("socket:[{}]", fields.get(9).unwrap_or(&"")))
    });
    let Some(inode) = inode else { return Ok(false) };
    let held = fs::read_dir(format!("/proc/{pid}/fd"))?
        .flatten()
        .any(|entry| {
            fs::read_link(entry.path()).is_ok_and(|link| link.as_os_str() == inode.as_str())
        });
    Ok(held)
}
