//! What proxying and files cost next to nginx: small requests, full handshakes, long bodies. Both run at
//! once, one measured after the other in each repetition; an idle server costs nothing.

use std::io::{self, Error, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::certificate::{HOST, KeyExchange};
use crate::lab::{FILES, Lab, Server};
use crate::process::{LOAD_CORE, pinned};
use crate::report::Report;
use crate::upstream::SMALL;

/// Names measured here.
const NAMES: &[&str] = &[
    "proxy-h1",
    "proxy-h2",
    "file-1k",
    "file-1k-h2",
    "file-100k",
    "file-10m",
    "handshake",
    "download",
    "upload",
];
pub(crate) const HTTP1: &[&str] = &["--h1", "-c16", "-m1"];
const HTTP2: &[&str] = &["-c4", "-m8"];

/// Many requests for one path.
struct Load {
    names: [&'static str; 3],
    options: &'static [&'static str],
    path: [&'static str; 2],
    count: u32,
}

const LOADS: &[Load] = &[
    Load {
        names: ["proxy-h1", "proxy-h1.cpu", "proxy-h1.nginx"],
        options: HTTP1,
        path: [SMALL, ""],
        count: 50_000,
    },
    Load {
        names: ["proxy-h2", "proxy-h2.cpu", "proxy-h2.nginx"],
        options: HTTP2,
        path: [SMALL, ""],
        count: 50_000,
    },
    Load {
        names: ["file-1k", "file-1k.cpu", "file-1k.nginx"],
        options: HTTP1,
        path: [FILES, "1k"],
        count: 50_000,
    },
    Load {
        names: ["file-1k-h2", "file-1k-h2.cpu", "file-1k-h2.nginx"],
        options: HTTP2,
        path: [FILES, "1k"],
        count: 50_000,
    },
    Load {
        names: ["file-100k", "file-100k.cpu", "file-100k.nginx"],
        options: HTTP1,
        path: [FILES, "100k"],
        count: 10_000,
    },
    Load {
        names: ["file-10m", "file-10m.cpu", "file-10m.nginx"],
        options: HTTP1,
        path: [FILES, "10m"],
        count: 100,
    },
];
const GIB: f64 = 1_073_741_824.0;

/// All repetitions.
pub(crate) fn measure(lab: &Lab, report: &mut Report) -> io::Result<()> {
    if !lab.plan.wants(NAMES) {
        return Ok(());
    }
    let (nginx, gateway) = (lab.nginx()?, lab.gateway()?);
    for round in 1..=lab.plan.rounds {
        eprintln!("proxy, round {round} of {}", lab.plan.rounds);
        let mut pair = Pair {
            lab,
            report: &mut *report,
            nginx: &nginx,
            gateway: &gateway,
        };
        for load in LOADS {
            if lab.plan.wants(&[load.names[0]]) {
                pair.load(load)?;
            }
        }
        if lab.plan.wants(&["handshake"]) {
            pair.handshakes()?;
        }
        if lab.plan.wants(&["download"]) {
            pair.transfer(["download", "download.cpu", "download.nginx"], download)?;
        }
        if lab.plan.wants(&["upload"]) {
            pair.transfer(["upload", "upload.cpu", "upload.nginx"], upload)?;
            pair.unbuffered()?;
        }
    }
    Ok(())
}

/// One long transfer of so many bytes.
type Transfer = fn(SocketAddr, &Arc<ClientConfig>, usize) -> io::Result<()>;

struct Pair<'a> {
    lab: &'a Lab,
    report: &'a mut Report,
    nginx: &'a Server,
    gateway: &'a Server,
}

impl Pair<'_> {
    fn load(&mut self, load: &Load) -> io::Result<()> {
        let count = self.count(load.count);
        let path = load.path.concat();
        let [nginx, gateway] = [self.nginx, self.gateway].map(|server| {
            h2load(server.address, load.options, (&path, (count / 50).max(16)))?;
            let cpu = server.process.cpu()?;
            h2load(server.address, load.options, (&path, count))?;
            Ok::<_, Error>((server.process.cpu()? - cpu) * 1e6 / f64::from(count))
        });
        self.compare(load.names, gateway?, nginx?);
        Ok(())
    }

    fn handshakes(&mut self) -> io::Result<()> {
        let count = self.count(1_600);
        let classic = self.lab.certificate.client(KeyExchange::Classic)?;
        let hybrid = self.lab.certificate.client(KeyExchange::PostQuantum)?;
        let cost = |server: &Server, tls: &Arc<ClientConfig>| {
            let cpu = server.process.cpu()?;
            for _ in 0..count {
                visit(server.address, tls)?;
            }
            Ok::<_, Error>((server.process.cpu()? - cpu) * 1e6 / f64::from(count))
        };
        let (nginx, gateway) = (cost(self.nginx, &classic)?, cost(self.gateway, &classic)?);
        self.compare(
            ["handshake", "handshake.cpu", "handshake.nginx"],
            gateway,
            nginx,
        );
        self.report
            .sample("handshake.hybrid", cost(self.gateway, &hybrid)?);
        Ok(())
    }

    fn transfer(&mut self, names: [&'static str; 3], transfer: Transfer) -> io::Result<()> {
        let nginx = self.per_gib(self.nginx, self.nginx.address, transfer)?;
        let gateway = self.per_gib(self.gateway, self.gateway.address, transfer)?;
        self.compare(names, gateway, nginx);
        Ok(())
    }

    fn unbuffered(&mut self) -> io::Result<()> {
        let cost = self.per_gib(self.nginx, self.nginx.control, upload)?;
        self.report.sample("upload.unbuffered", cost);
        Ok(())
    }

    fn per_gib(&self, server: &Server, address: SocketAddr, transfer: Transfer) -> io::Result<f64> {
        let bytes: u32 = if self.lab.plan.quick {
            64 << 20
        } else {
            512 << 20
        };
        let tls = self.lab.certificate.client(KeyExchange::Classic)?;
        let cpu = server.process.cpu()?;
        transfer(address, &tls, bytes as usize)?;
        Ok((server.process.cpu()? - cpu) * GIB / f64::from(bytes))
    }

    fn compare(&mut self, [ratio, ours, theirs]: [&'static str; 3], gateway: f64, nginx: f64) {
        self.report.sample(ours, gateway);
        self.report.sample(theirs, nginx);
        self.report.sample(ratio, gateway / nginx);
    }

    fn count(&self, full: u32) -> u32 {
        if self.lab.plan.quick { full / 5 } else { full }
    }
}

/// Runs h2load; an error unless every request was answered 2xx.
pub(crate) fn h2load(
    address: SocketAddr,
    options: &[&str],
    (path, count): (&str, u32),
) -> io::Result<()> {
    let mut command = Command::new("h2load");
    command.args(["-t1", &format!("-n{count}")]).args(options);
    command.arg(format!("--connect-to={address}"));
    command.arg(format!("https://{HOST}:{}{path}", address.port()));
    let output = pinned(&command, LOAD_CORE).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if said.contains(&format!("status codes: {count} 2xx")) {
        return Ok(());
    }
    let start: String = said.chars().take(2000).collect();
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(Error::other(format!(
        "h2load at {address} failed: {start}{complaint}"
    )))
}

/// One full handshake and one small request, then away.
pub(crate) fn visit(address: SocketAddr, tls: &Arc<ClientConfig>) -> io::Result<()> {
    let mut stream = connect(address, tls)?;
    ask(
        &mut stream,
        address,
        &format!("GET {SMALL} HTTP/1.1\r\nConnection: close\r\n"),
    )?;
    let body = rest(&mut stream)?;
    if body == 0 {
        return Err(Error::other(format!("{address} answered without a body")));
    }
    Ok(())
}

fn download(address: SocketAddr, tls: &Arc<ClientConfig>, bytes: usize) -> io::Result<()> {
    let mut stream = connect(address, tls)?;
    ask(
        &mut stream,
        address,
        &format!("GET /bytes/{bytes} HTTP/1.1\r\nConnection: close\r\n"),
    )?;
    let body = rest(&mut stream)?;
    if body != bytes {
        return Err(Error::other(format!(
            "{body} of {bytes} bytes came down from {address}"
        )));
    }
    Ok(())
}

fn upload(address: SocketAddr, tls: &Arc<ClientConfig>, bytes: usize) -> io::Result<()> {
    let mut stream = connect(address, tls)?;
    let head =
        format!("POST /upload/ HTTP/1.1\r\nConnection: close\r\nContent-Length: {bytes}\r\n");
    ask(&mut stream, address, &head)?;
    let chunk = vec![b'x'; 64 << 10];
    let mut left = bytes;
    while left > 0 {
        let count = left.min(chunk.len());
        stream.write_all(&chunk[..count])?;
        left -= count;
    }
    stream.flush()?;
    rest(&mut stream).map(drop)
}

pub(crate) type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A connection over TLS.
pub(crate) fn connect(address: SocketAddr, tls: &Arc<ClientConfig>) -> io::Result<Stream> {
    over(TcpStream::connect(address)?, tls)
}

/// TLS over a connection.
pub(crate) fn over(stream: TcpStream, tls: &Arc<ClientConfig>) -> io::Result<Stream> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_write_timeout(Some(Duration::from_secs(60)))?;
    let name = ServerName::try_from(HOST).map_err(Error::other)?;
    let tls = ClientConnection::new(tls.clone(), name).map_err(Error::other)?;
    Ok(StreamOwned::new(tls, stream))
}

pub(crate) fn ask(stream: &mut Stream, address: SocketAddr, head: &str) -> io::Result<()> {
    let host = format!("Host: {HOST}:{}\r\n", address.port());
    stream.write_all(format!("{head}{host}User-Agent: bench\r\nAccept: */*\r\n\r\n").as_bytes())
}

/// Reads an answer that must be 200 to its end; returns the bytes of its body.
pub(crate) fn rest(stream: &mut Stream) -> io::Result<usize> {
    let mut buffer = vec![0; 64 << 10];
    let mut head = Vec::new();
    let body = loop {
        let count = stream.read(&mut buffer)?;
        head.extend_from_slice(&buffer[..count]);
        let end = head.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            break head.len() - end - 4;
        }
        if count == 0 {
            return Err(Error::other("the answer ended within its head"));
        }
    };
    if !head.starts_with(b"HTTP/1.1 200 ") {
        let text = String::from_utf8_lossy(&head)
            .chars()
            .take(600)
            .collect::<String>();
        return Err(Error::other(format!("not a 200: {text}")));
    }
    let mut bytes = body;
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(bytes),
            count => bytes += count,
        }
    }
}
