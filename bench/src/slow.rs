//! What slow clients cost everybody else: how long a page takes while 5,000 uploads stand still, or 5,000
//! downloads are taken sip by sip, where the upstream has a single worker.
//!
//! The gateway is told not to cut a client off meanwhile, or they would be gone before all came.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::lab::{Lab, Server};
use crate::process::Process;
use crate::proxy::{Stream, ask, over, visit};
use crate::report::Report;
use crate::worker::LARGE;

const UPLOADS: &str = "slow-uploads";
const DOWNLOADS: &str = "slow-downloads";
const CLIENTS: usize = 5_000;
/// Pages that somebody else asks for when all are there.
const PAGES: usize = 50;
/// How many slow clients come between two pages while they arrive.
const BETWEEN_PAGES: usize = 100;
/// Addresses they come from: 127.0.10.1 and following.
const SOURCES: usize = 100;
/// Bytes that a client's kernel takes for it.
const RECEIVE_BUFFER: usize = 4096;
/// Bytes of an upload, of which the first few come.
const UPLOAD: usize = 1 << 20;
const PATIENT: &str =
    "[limits]\nbody_timeout = \"10m\"\nbody_rate = \"0B/s\"\nwrite_timeout = \"10m\"\n";

/// What a slow client does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slow {
    Uploads,
    Downloads,
}

/// All repetitions.
pub(crate) fn measure(lab: &Lab, report: &mut Report) -> io::Result<()> {
    for (name, there, slow) in [
        (UPLOADS, "slow-uploads.there", Slow::Uploads),
        (DOWNLOADS, "slow-downloads.there", Slow::Downloads),
    ] {
        if !lab.plan.wants(&[name]) {
            continue;
        }
        for round in 1..=lab.plan.rounds {
            eprintln!("{name}, round {round} of {}", lab.plan.rounds);
            let crowd = Crowd::gather(lab, slow)?;
            report.sample(there, crowd.still_there()?);
            report.sample(name, crowd.slowest.as_secs_f64() * 1e3);
        }
    }
    Ok(())
}

/// Slow clients, and how long the slowest page of somebody else took beside them.
struct Crowd {
    clients: Vec<Stream>,
    slowest: Duration,
    gateway: Server,
    _worker: Process,
}

impl Crowd {
    fn gather(lab: &Lab, slow: Slow) -> io::Result<Self> {
        let (worker, address) = lab.beside("worker")?;
        let upstream = format!("http://{}", lab.upstream);
        let gateway = lab.gateway_but(&[
            (&upstream, &format!("http://{address}")),
            ("[limits]\n", PATIENT),
        ])?;
        let tls = lab.client()?;
        let count = if lab.plan.quick {
            CLIENTS / 10
        } else {
            CLIENTS
        };
        let mut crowd = Self {
            clients: Vec::with_capacity(count),
            slowest: Duration::ZERO,
            gateway,
            _worker: worker,
        };
        let at = crowd.gateway.address;
        for number in 0..count {
            let mut client = over(narrow(at, number)?, &tls)?;
            slow.begin(&mut client, at)?;
            crowd.clients.push(client);
            if number % BETWEEN_PAGES == 0 {
                crowd.page(at, &tls)?;
            }
        }
        for _ in 0..PAGES {
            if slow == Slow::Downloads {
                crowd.sip()?;
            }
            crowd.page(at, &tls)?;
        }
        Ok(crowd)
    }

    /// Somebody else's page.
    fn page(
        &mut self,
        at: SocketAddr,
        tls: &std::sync::Arc<rustls::ClientConfig>,
    ) -> io::Result<()> {
        let began = Instant::now();
        visit(at, tls)?;
        self.slowest = self.slowest.max(began.elapsed());
        Ok(())
    }

    /// Each takes a little.
    fn sip(&mut self) -> io::Result<()> {
        let mut little = [0; 64];
        for client in &mut self.clients {
            client.read_exact(&mut little)?;
        }
        Ok(())
    }

    /// How many have not been hung up on.
    fn still_there(&self) -> io::Result<f64> {
        let mut there = 0_u32;
        for client in &self.clients {
            client.sock.set_nonblocking(true)?;
            there += match client.sock.peek(&mut [0]) {
                Ok(0) => 0,
                Ok(_) => 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 1,
                Err(_) => 0,
            };
        }
        Ok(f64::from(there))
    }
}

impl Slow {
    fn begin(self, client: &mut Stream, at: SocketAddr) -> io::Result<()> {
        match self {
            Self::Uploads => {
                let head = format!("POST /upload/ HTTP/1.1\r\nContent-Length: {UPLOAD}\r\n");
                ask(client, at, &head)?;
                client.write_all(&[b'x'; 1000])?;
            }
            Self::Downloads => {
                ask(client, at, &format!("GET {LARGE} HTTP/1.1\r\n"))?;
                // The answer has begun.
                client.read_exact(&mut [0; 64])?;
            }
        }
        client.flush()
    }
}

/// A connection from an address of its own that holds next to nothing by itself: what the kernel takes for it is the
/// server's.
pub(crate) fn narrow(at: SocketAddr, number: usize) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    let last = u8::try_from(1 + number % SOURCES).map_err(io::Error::other)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 10, last), 0)).into())?;
    socket.connect(&at.into())?;
    let stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_write_timeout(Some(Duration::from_secs(60)))?;
    Ok(stream)
}
