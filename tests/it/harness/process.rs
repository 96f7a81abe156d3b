//! The real binary as a process: signals, exit codes, what it logs.

use std::fs::{File, read_to_string};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::api::{Api, Internal};
use super::browser::Browser;
use super::clock::Clock;
use super::gateway::{Setup, trusting};
use super::{PATIENCE, SECRET, eventually_some};

/// A running `gatepost run`. Killed when dropped.
pub struct Process {
    child: Mutex<Child>,
    folder: TempDir,
    log: PathBuf,
    https: SocketAddr,
    internal: Internal,
    tls: Arc<rustls::ClientConfig>,
    /// Where its program is, if that can be replaced.
    programs: Option<TempDir>,
}

impl Process {
    /// Starts it and waits for its `ready` line.
    pub async fn start(setup: Setup) -> Self {
        Self::start_by(setup, |binary| Command::new(binary)).await
    }

    /// Starts it with a wall clock of its own.
    pub async fn start_with_clock(setup: Setup, clock: &Clock) -> Self {
        Self::start_by(setup, |binary| {
            let mut command = Command::new(binary);
            command.envs(clock.variables());
            command
        })
        .await
    }

    /// Starts it with these variables.
    pub async fn start_knowing(setup: Setup, variables: &[(&str, &str)]) -> Self {
        let knowing = |binary: &Path| {
            let mut command = Command::new(binary);
            command.envs(variables.iter().copied());
            command
        };
        Self::start_by(setup, knowing).await
    }

    /// Starts it in a shell that may have no more than this many open files.
    pub async fn start_with_descriptors(setup: Setup, most: u32) -> Self {
        Self::start_by(setup, |binary| {
            let mut shell = Command::new("sh");
            let script = format!("ulimit -n {most}; exec \"$0\" \"$@\"");
            shell.arg("-c").arg(script).arg(binary);
            shell
        })
        .await
    }

    /// Starts it with a server for Django that it runs itself: the words behind `--`, and variables.
    pub async fn start_with(setup: Setup, words: &[&str], variables: &[(&str, &str)]) -> Self {
        let child = |command: &mut Command| {
            command
                .arg("--")
                .args(words)
                .envs(variables.iter().copied());
        };
        Self::start_as(setup, |binary| Command::new(binary), child).await
    }

    /// Starts it from a link in a folder of its own, which [`Process::replace_program`] turns.
    pub async fn start_replaceable(setup: Setup) -> Self {
        let programs = tempfile::tempdir().unwrap();
        let link = programs.path().join("gatepost");
        symlink(env!("CARGO_BIN_EXE_gatepost"), &link).unwrap();
        let mut process = Self::start_by(setup, |_| Command::new(&link)).await;
        process.programs = Some(programs);
        process
    }

    /// Starts it with these variables.
    pub async fn start_with_variables(setup: Setup, variables: &[(&str, &str)]) -> Self {
        let further = |command: &mut Command| {
            command.envs(variables.iter().copied());
        };
        Self::start_as(setup, |binary| Command::new(binary), further).await
    }

    /// Has the program's name stand for this script from now on, in which `$0` is followed by the path of the real one.
    pub fn replace_program(&self, script: &str) {
        let programs = self.programs.as_ref().unwrap().path();
        let new = programs.join("new");
        let real = env!("CARGO_BIN_EXE_gatepost");
        std::fs::write(&new, format!("#!/bin/sh\nreal={real}\n{script}\n")).unwrap();
        std::fs::set_permissions(&new, PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::rename(new, programs.join("gatepost")).unwrap();
    }

    /// The process that says that it is the gateway.
    pub fn told_pid(&self) -> Option<Pid> {
        let text = read_to_string(self.folder().join(".gatepost/pid")).ok()?;
        Pid::from_raw(text.trim().parse().ok()?)
    }

    /// Asks for a new program in its place, and waits until the old one takes no clients any more. Returns its id.
    pub async fn upgrade(&self) -> Pid {
        const LEAVES: &str = "the new process serves, this one leaves";
        const STAYS: &str = "no new program takes over";
        let old = self.told_pid().unwrap();
        let times = |said: &str| self.log().matches(said).count();
        let before = [LEAVES, STAYS].map(times);
        kill_process(old, Signal::USR2).unwrap();
        super::eventually(PATIENCE, || {
            assert_eq!(times(STAYS), before[1], "{}", self.log());
            times(LEAVES) > before[0]
        })
        .await;
        let new = self.told_pid().unwrap();
        assert_ne!(new, old);
        new
    }

    /// Starts it with this socket passed to it as systemd does, under this name.
    pub async fn start_activated(setup: Setup, socket: OwnedFd, name: &str) -> Self {
        let passing = |command: &mut Command| {
            command.stdin(socket);
        };
        Self::start_as(setup, |binary| activated(binary, name), passing).await
    }

    async fn start_by(setup: Setup, command: impl FnOnce(&Path) -> Command) -> Self {
        Self::start_as(setup, command, |_| {}).await
    }

    async fn start_as(
        setup: Setup,
        command: impl FnOnce(&Path) -> Command,
        further: impl FnOnce(&mut Command),
    ) -> Self {
        let (folder, file) = setup.write();
        let log = folder.path().join("process.log");
        let output = File::create(&log).unwrap();
        let mut command = command(Path::new(env!("CARGO_BIN_EXE_gatepost")));
        command
            .args(["run", "--log-format", "json", "--config"])
            .arg(&file)
            .env("GATEPOST_SECRET", SECRET)
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        further(&mut command);
        let child = command.spawn().unwrap();
        let child = Mutex::new(child);
        let ready = eventually_some(PATIENCE, async || {
            let text = read_to_string(&log).unwrap();
            let exit = child.lock().unwrap().try_wait().unwrap();
            assert!(exit.is_none(), "{exit:?} before it was ready:\n{text}");
            text.lines()
                .find_map(|line| Ready::parse(line.strip_suffix('}')?))
        })
        .await;
        Self {
            child,
            log,
            https: ready.https,
            internal: setup.internal(ready.internal),
            tls: trusting(folder.path()),
            folder,
            programs: None,
        }
    }

    /// Everything it has printed so far.
    pub fn log(&self) -> String {
        read_to_string(&self.log).unwrap()
    }

    /// The HTTPS listener.
    pub fn https(&self) -> SocketAddr {
        self.https
    }

    /// The folder of `gateway.toml`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A browser that trusts this gateway's CA.
    pub fn browser(&self) -> Browser {
        Browser::new(self.https, "localhost", Arc::clone(&self.tls))
    }

    /// A browser with this session cookie.
    pub fn browser_of(&self, session: &str) -> Browser {
        self.browser().signed_in(session)
    }

    /// A client of the internal listener.
    pub fn api(&self) -> Api {
        Api::new(self.internal.clone())
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// The process id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child.lock().unwrap())
    }

    /// CPU time used so far, user and system, in clock ticks of 10 ms.
    pub fn cpu_ticks(&self) -> u64 {
        let stat = read_to_string(format!("/proc/{}/stat", self.pid().as_raw_nonzero())).unwrap();
        let after_name = stat.rsplit_once(") ").unwrap().1;
        let fields: Vec<&str> = after_name.split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// Whether it has exited.
    pub fn has_exited(&self) -> bool {
        self.child.lock().unwrap().try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    pub async fn exit(&self) -> ExitStatus {
        eventually_some(PATIENCE, async || {
            self.child.lock().unwrap().try_wait().unwrap()
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Another one may be in its place by now.
        let successor = self.told_pid();
        let mut child = self.child.lock().unwrap();
        let own = Pid::from_child(&child);
        let _ = child.kill();
        let _ = child.wait();
        if let Some(successor) = successor.filter(|pid| *pid != own) {
            let _ = kill_process(successor, Signal::KILL);
        }
    }
}

/// A program to which its standard input is passed as systemd passes sockets: once for each of the names, which
/// colons separate.
pub fn activated(binary: &Path, names: &str) -> Command {
    let count = names.split(':').count();
    let descriptors: Vec<_> = (3..3 + count)
        .map(|number| format!("{number}<&0"))
        .collect();
    let descriptors = descriptors.join(" ");
    let script = format!("exec {descriptors} </dev/null; exec env LISTEN_PID=$$ \"$0\" \"$@\"");
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).arg(binary);
    shell.env("LISTEN_FDS", count.to_string());
    shell.env("LISTEN_FDNAMES", names);
    shell
}

/// What the `ready` line says.
struct Ready {
    https: SocketAddr,
    internal: Option<SocketAddr>,
}

impl Ready {
    fn parse(line: &str) -> Option<Self> {
        if !line.contains("\"ready\"") {
            return None;
        }
        Some(Self {
            https: address_after(line, "\"https\"")?,
            internal: address_after(line, "\"internal\""),
        })
    }
}

/// The first `127.0.0.1:port` after `key`.
fn address_after(line: &str, key: &str) -> Option<SocketAddr> {
    let rest = line.split_once(key)?.1;
    let mut text = rest.split(['"', '[', ']', ',', ' ', '\\']);
    text.find_map(|word| word.parse().ok())
}
