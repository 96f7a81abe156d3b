//! Many browsers at one socket route, on one thread and one epoll. Bounded: so many handshakes at
//! once, an end to every wait, and repeated failures end the run.

use std::io::{self, Error};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use socket2::{Domain, Socket, Type};

use crate::certificate::HOST;
use crate::client::Client;

/// Handshakes under way at once, where it is no storm.
const AT_ONCE: usize = 64;
/// In a storm. More would only wait for TLS, longer than `limits.tls_timeout` on a busy machine.
const STORM_AT_ONCE: usize = 4_000;
/// Failed clients after which the run ends.
const MOST_FAILURES: usize = 20;
/// Source addresses the clients come from: 127.0.10.1 and following. As many as keep each below
/// `limits.handshakes_per_address`.
const SOURCES: usize = 100;

/// Where a fleet goes.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) path: &'static str,
    /// What comes behind the path, for each socket.
    query: fn(usize) -> String,
    pub(crate) tls: Arc<ClientConfig>,
    /// How many sessions the sockets share.
    pub(crate) sessions: usize,
    /// Handshakes under way at once.
    pub(crate) at_once: usize,
}

impl Target {
    /// Sockets with a session each, opened one little crowd after the other.
    pub(crate) fn new(address: SocketAddr, path: &'static str, tls: Arc<ClientConfig>) -> Self {
        Self {
            address,
            path,
            query: |_| String::new(),
            tls,
            sessions: usize::MAX,
            at_once: AT_ONCE,
        }
    }

    /// The same at another path.
    pub(crate) fn at(self, path: &'static str) -> Self {
        Self { path, ..self }
    }

    /// The same with a query of each socket's own.
    pub(crate) fn asking(self, query: fn(usize) -> String) -> Self {
        Self { query, ..self }
    }

    /// The same by clients that come all at once, several to a session.
    pub(crate) fn storm(self, sessions: usize) -> Self {
        Self {
            sessions,
            at_once: STORM_AT_ONCE,
            ..self
        }
    }
}

/// Many open sockets.
pub(crate) struct Fleet {
    target: Target,
    poll: Poll,
    clients: Vec<Option<Client>>,
    scratch: Vec<u8>,
    opened: usize,
    failures: usize,
    frames: u64,
    delays: Vec<u64>,
    /// Sockets that the server has closed since somebody looked, with when and how.
    closed: Vec<(Instant, String)>,
    closes: Closes,
}

/// What a close frame means to a fleet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closes {
    Failure,
    Wanted,
}

impl Fleet {
    /// Opens `count` sockets; each session is a user of its own.
    pub(crate) fn open(target: Target, count: usize) -> io::Result<Self> {
        let clients = Vec::with_capacity(count);
        let scratch = vec![0; 64 << 10];
        let poll = Poll::new()?;
        let mut fleet = Self {
            target,
            poll,
            clients,
            scratch,
            opened: 0,
            failures: 0,
            frames: 0,
            delays: Vec::new(),
            closed: Vec::new(),
            closes: Closes::Failure,
        };
        let mut events = Events::with_capacity(1024);
        let deadline =
            Instant::now() + Duration::from_secs(15) + Duration::from_millis(4) * small(count);
        while fleet.opened < count {
            while fleet.living() < count && fleet.living() - fleet.opened < fleet.target.at_once {
                fleet.start()?;
            }
            fleet.turn(&mut events, Duration::from_millis(100))?;
            if Instant::now() > deadline {
                let text = format!("only {} of {count} sockets opened in time", fleet.opened);
                return Err(Error::other(text));
            }
        }
        Ok(fleet)
    }

    /// The users these clients are: one each.
    pub(crate) fn users(&self) -> Vec<String> {
        let living = self
            .clients
            .iter()
            .enumerate()
            .filter(|(_, client)| client.is_some());
        living.map(|(number, _)| format!("bench{number}")).collect()
    }

    /// Frames that have arrived at all clients together.
    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }

    /// Nanoseconds that frames took since their publications, by what these say.
    pub(crate) fn delays(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.delays)
    }

    /// Pings that have arrived at all clients together.
    pub(crate) fn pings(&self) -> u64 {
        self.clients
            .iter()
            .flatten()
            .map(|client| client.pings)
            .sum()
    }

    /// Receives until `count` more frames than `before` have arrived; says when the last one did.
    pub(crate) fn receive(&mut self, before: u64, count: u64) -> io::Result<Instant> {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut events = Events::with_capacity(1024);
        while self.frames - before < count {
            self.turn(&mut events, Duration::from_millis(100))?;
            if Instant::now() > deadline {
                let arrived = self.frames - before;
                let text = format!("only {arrived} of {count} frames arrived within 30 s");
                return Err(Error::other(text));
            }
        }
        Ok(Instant::now())
    }

    /// Stays connected, answering pings, for `time`.
    pub(crate) fn rest(&mut self, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        let mut events = Events::with_capacity(1024);
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.turn(&mut events, left)?;
        }
        Ok(())
    }

    /// Waits until the server has closed `count` sockets, and says when each was.
    pub(crate) fn wait_for_closes(&mut self, count: usize) -> io::Result<Vec<(Instant, String)>> {
        self.closes = Closes::Wanted;
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut events = Events::with_capacity(1024);
        while self.closed.len() < count {
            self.turn(&mut events, Duration::from_millis(100))?;
            if Instant::now() > deadline {
                let text = format!("only {} of {count} sockets were closed", self.closed.len());
                return Err(Error::other(text));
            }
        }
        self.closes = Closes::Failure;
        Ok(std::mem::take(&mut self.closed))
    }

    /// Clients connecting or connected: another replaces each that failed to open.
    fn living(&self) -> usize {
        self.clients.len() - self.failures
    }

    fn start(&mut self) -> io::Result<()> {
        let number = self.clients.len();
        let mut stream = TcpStream::from_std(connecting(number, &self.target)?);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut stream, Token(number), interest)?;
        let name = ServerName::try_from(HOST).map_err(Error::other)?;
        let tls = ClientConnection::new(self.target.tls.clone(), name).map_err(Error::other)?;
        let request = request(number, &self.target);
        self.clients
            .push(Some(Client::new(stream, tls, request.as_bytes())?));
        Ok(())
    }

    /// Waits for news at most `wait`, and takes it.
    fn turn(&mut self, events: &mut Events, wait: Duration) -> io::Result<()> {
        self.poll.poll(events, Some(wait))?;
        for event in &*events {
            let number = event.token().0;
            let Some(client) = self.clients.get_mut(number).and_then(Option::as_mut) else {
                continue;
            };
            let (frames, open) = (client.frames, client.is_open());
            match client.advance(&mut self.scratch) {
                Ok(()) => {
                    self.frames += client.frames - frames;
                    self.delays.append(&mut client.delays);
                    self.opened += usize::from(client.is_open() && !open);
                    if let Some(how) = client.closed.take() {
                        self.close(number, how)?;
                    }
                }
                Err(error) => self.fail(number, &error)?,
            }
        }
        Ok(())
    }

    fn close(&mut self, number: usize, how: String) -> io::Result<()> {
        if self.closes == Closes::Failure {
            let address = self.target.address;
            return Err(Error::other(format!(
                "{address} closed socket {number}: {how}"
            )));
        }
        self.closed.push((Instant::now(), how));
        self.clients[number] = None;
        Ok(())
    }

    fn fail(&mut self, number: usize, error: &Error) -> io::Result<()> {
        // Still connecting: the writable event will come.
        if error.kind() == io::ErrorKind::NotConnected {
            return Ok(());
        }
        self.failures += 1;
        let address = self.target.address;
        eprintln!("socket {number} to {address} failed: {error}");
        if self.failures >= MOST_FAILURES
            || self.clients[number].as_ref().is_some_and(Client::is_open)
        {
            return Err(Error::other(format!(
                "socket {number} to {address} failed: {error}"
            )));
        }
        self.clients[number] = None;
        Ok(())
    }
}

/// A connect under way from one of several source addresses.
fn connecting(number: usize, target: &Target) -> io::Result<std::net::TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    let last = u8::try_from(number % SOURCES + 1).unwrap_or(1);
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 10, last), 0)).into())?;
    match socket.connect(&target.address.into()) {
        Err(error)
            if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) =>
        {
            Err(error)
        }
        _ => Ok(socket.into()),
    }
}

/// The handshake as a browser writes it.
fn request(number: usize, target: &Target) -> String {
    let (path, port) = (target.path, target.address.port());
    let session = number % target.sessions;
    let query = (target.query)(number);
    format!(
        "GET {path}{query} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: Upgrade\r\nPragma: no-cache\r\n\
         Cache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) bench\r\n\
         Upgrade: websocket\r\nOrigin: https://{HOST}:{port}\r\nSec-WebSocket-Version: 13\r\n\
         Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\n\
         Cookie: csrftoken=rJ3FeU0X2dMzXmuW9q; sessionid=bench{session}\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
