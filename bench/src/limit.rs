//! The yardstick: an epoll loop that does only what cannot be avoided, rustls and `write` of a
//! prebuilt frame. No HTTP parser, no timers, no queues, no user ids.
//!
//! Its control socket takes lines `FRAMES SIZE` and writes that many frames to every client, all of
//! them in one TLS record; it answers with the number of clients.

use std::io::{self, BufRead, BufReader, Error, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustls::{ServerConfig, ServerConnection};

use crate::certificate::Certificate;
use crate::client::ready;

/// For the key that every client of this bench sends.
const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const PUBLIC: Token = Token(0);
const CONTROL: Token = Token(1);
const ORDERS: Token = Token(2);
const FIRST: usize = 3;

struct Connection {
    stream: TcpStream,
    tls: ServerConnection,
    open: bool,
}

struct Limit {
    poll: Poll,
    tls: Arc<ServerConfig>,
    connections: Vec<Option<Box<Connection>>>,
    orders: Option<BufReader<TcpStream>>,
    scratch: Vec<u8>,
}

/// Serves until the process is killed.
pub(crate) fn run(
    listen: SocketAddr,
    control: SocketAddr,
    certificate: &Certificate,
) -> io::Result<()> {
    let mut public = TcpListener::bind(listen)?;
    let mut control = TcpListener::bind(control)?;
    let poll = Poll::new()?;
    poll.registry()
        .register(&mut public, PUBLIC, Interest::READABLE)?;
    poll.registry()
        .register(&mut control, CONTROL, Interest::READABLE)?;
    let tls = certificate.server()?;
    let scratch = vec![0; 16 << 10];
    let mut limit = Limit {
        poll,
        tls,
        connections: Vec::new(),
        orders: None,
        scratch,
    };
    let mut events = Events::with_capacity(1024);
    loop {
        limit.poll.poll(&mut events, None)?;
        for event in &events {
            match event.token() {
                PUBLIC => limit.accept(&public)?,
                CONTROL => limit.accept_orders(&control)?,
                ORDERS => limit.obey()?,
                Token(number) => limit.advance(number - FIRST),
            }
        }
    }
}

impl Limit {
    fn accept(&mut self, public: &TcpListener) -> io::Result<()> {
        while let Ok((mut stream, _)) = public.accept() {
            stream.set_nodelay(true)?;
            let number = self.connections.len();
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll
                .registry()
                .register(&mut stream, Token(number + FIRST), interest)?;
            let tls = ServerConnection::new(self.tls.clone()).map_err(Error::other)?;
            self.connections.push(Some(Box::new(Connection {
                stream,
                tls,
                open: false,
            })));
        }
        Ok(())
    }

    fn accept_orders(&mut self, control: &TcpListener) -> io::Result<()> {
        let (mut stream, _) = control.accept()?;
        self.poll
            .registry()
            .register(&mut stream, ORDERS, Interest::READABLE)?;
        self.orders = Some(BufReader::new(stream));
        Ok(())
    }

    fn obey(&mut self) -> io::Result<()> {
        let Some(mut orders) = self.orders.take() else {
            return Ok(());
        };
        let mut line = String::new();
        while orders.read_line(&mut line).is_ok_and(|count| count > 0) {
            let mut numbers = line.split_whitespace().map_while(|word| word.parse().ok());
            let (count, size) = (numbers.next().unwrap_or(1), numbers.next().unwrap_or(200));
            let sockets = self.broadcast(&frame(size).repeat(count));
            orders
                .get_mut()
                .write_all(format!("{sockets}\n").as_bytes())?;
            line.clear();
        }
        self.orders = Some(orders);
        Ok(())
    }

    fn broadcast(&mut self, bytes: &[u8]) -> usize {
        let mut sockets = 0;
        for connection in self.connections.iter_mut().flatten().filter(|one| one.open) {
            let sent = connection
                .tls
                .writer()
                .write_all(bytes)
                .and_then(|()| connection.flush());
            sockets += usize::from(sent.is_ok());
        }
        sockets
    }

    fn advance(&mut self, number: usize) {
        let Some(slot) = self.connections.get_mut(number) else {
            return;
        };
        let Some(connection) = slot else { return };
        if connection.advance(&mut self.scratch).is_err() {
            *slot = None;
        }
    }
}

impl Connection {
    fn advance(&mut self, scratch: &mut [u8]) -> io::Result<()> {
        while let Some(count) = ready(self.tls.read_tls(&mut self.stream))? {
            if count == 0 {
                return Err(Error::from(io::ErrorKind::UnexpectedEof));
            }
            self.tls.process_new_packets().map_err(Error::other)?;
            // A browser's handshake fits one record, and its end is all that matters here.
            while let Some(count) = ready(self.tls.reader().read(scratch))? {
                if count == 0 {
                    return Err(Error::from(io::ErrorKind::UnexpectedEof));
                }
                if !self.open && scratch[..count].ends_with(b"\r\n\r\n") {
                    self.open = true;
                    self.tls.writer().write_all(SWITCHING)?;
                }
            }
        }
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            if ready(self.tls.write_tls(&mut self.stream))?.is_none() {
                break;
            }
        }
        Ok(())
    }
}

/// One text frame of `size` bytes of payload.
fn frame(size: usize) -> Vec<u8> {
    let payload = crate::publisher::frame(size);
    let mut bytes = vec![0x81];
    match u8::try_from(size) {
        Ok(short) if short < 126 => bytes.push(short),
        _ => {
            bytes.push(126);
            bytes.extend_from_slice(&u16::try_from(size).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload.as_bytes());
    bytes
}
