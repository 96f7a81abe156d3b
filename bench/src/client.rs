//! One browser at a socket route: TLS, the handshake with a cookie, then frames. Driven by
//! [`crate::fleet`]; never blocks.

use std::io::{self, Error, ErrorKind, Read, Write};

use mio::net::TcpStream;
use rustls::ClientConnection;

use crate::publisher::STAMP;
use crate::upstream::now;

/// A browser at a socket route.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    tls: ClientConnection,
    open: bool,
    /// Bytes of a message that is not complete yet; empty most of the time.
    partial: Vec<u8>,
    pub(crate) frames: u64,
    /// Nanoseconds that frames took which say when they were published.
    pub(crate) delays: Vec<u64>,
    pub(crate) pings: u64,
    /// The code and reason of the close frame that came, if one did.
    pub(crate) closed: Option<String>,
}

impl Client {
    /// A client that will send `request` as soon as TLS stands.
    pub(crate) fn new(
        stream: TcpStream,
        mut tls: ClientConnection,
        request: &[u8],
    ) -> io::Result<Self> {
        tls.writer().write_all(request)?;
        Ok(Self {
            stream,
            tls,
            open: false,
            partial: Vec::new(),
            frames: 0,
            delays: Vec::new(),
            pings: 0,
            closed: None,
        })
    }

    /// Whether the server answered 101.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// Does all that can be done without waiting. An error ends this client.
    pub(crate) fn advance(&mut self, scratch: &mut [u8]) -> io::Result<()> {
        while let Some(count) = ready(self.tls.read_tls(&mut self.stream))? {
            if count == 0 {
                return Err(Error::new(ErrorKind::UnexpectedEof, "the server hung up"));
            }
            self.tls.process_new_packets().map_err(Error::other)?;
            while let Some(count) = ready(self.tls.reader().read(scratch))? {
                if count == 0 {
                    return Err(Error::new(
                        ErrorKind::UnexpectedEof,
                        "the server closed TLS",
                    ));
                }
                self.take(&scratch[..count])?;
            }
        }
        while self.tls.wants_write() {
            if ready(self.tls.write_tls(&mut self.stream))?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.partial.is_empty() {
            let used = self.consume(bytes)?;
            self.partial.extend_from_slice(&bytes[used..]);
            return Ok(());
        }
        let mut whole = std::mem::take(&mut self.partial);
        whole.extend_from_slice(bytes);
        let used = self.consume(&whole)?;
        if used < whole.len() {
            whole.drain(..used);
            self.partial = whole;
        }
        Ok(())
    }

    fn consume(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut used = 0;
        if !self.open {
            let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
                return Ok(0);
            };
            if !bytes.starts_with(b"HTTP/1.1 101 ") {
                let head = String::from_utf8_lossy(&bytes[..end]);
                return Err(Error::other(format!("the handshake was refused: {head}")));
            }
            self.open = true;
            used = end + 4;
        }
        while let Some(frame) = Frame::parse(&bytes[used..]) {
            let start = used + frame.header;
            used = start + frame.length;
            self.frame(frame.opcode, &bytes[start..used])?;
        }
        Ok(used)
    }

    fn frame(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        match opcode {
            1 => {
                self.frames += 1;
                self.delays.extend(delay(payload));
            }
            8 => {
                let code = payload
                    .first_chunk()
                    .map_or(1005, |code| u16::from_be_bytes(*code));
                let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default());
                self.closed = Some(format!("{code} {reason}"));
            }
            9 => {
                self.pings += 1;
                self.pong(payload)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Answers a ping; masking with zeros is as good as any mask for a load tool.
    fn pong(&mut self, payload: &[u8]) -> io::Result<()> {
        let length = u8::try_from(payload.len().min(125)).unwrap_or(125);
        let mut pong = vec![0x8a, 0x80 | length, 0, 0, 0, 0];
        pong.extend_from_slice(&payload[..usize::from(length)]);
        self.tls.writer().write_all(&pong)
    }
}

/// How long a frame took that says when it was published.
fn delay(payload: &[u8]) -> Option<u64> {
    let rest = payload.strip_prefix(STAMP.as_bytes())?;
    let end = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    let published: u64 = str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    Some(now().saturating_sub(published))
}

/// The head of one unmasked frame whose payload is complete.
struct Frame {
    opcode: u8,
    header: usize,
    length: usize,
}

impl Frame {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (first, second) = (*bytes.first()?, *bytes.get(1)?);
        let (header, length) = match second & 0x7f {
            126 => (
                4,
                usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
            ),
            127 => (
                10,
                usize::try_from(u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)).ok()?,
            ),
            short => (2, usize::from(short)),
        };
        (bytes.len() >= header + length).then_some(Self {
            opcode: first & 0x0f,
            header,
            length,
        })
    }
}

/// `None` where the kernel would make us wait.
pub(crate) fn ready(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::Frame;

    #[test]
    fn a_frame_is_taken_only_when_it_is_whole() {
        let mut bytes = vec![0x81, 126, 1, 0];
        bytes.extend([b'x'; 256]);
        let frame = Frame::parse(&bytes).unwrap();
        assert_eq!((frame.opcode, frame.header, frame.length), (1, 4, 256));
        for end in 0..bytes.len() {
            assert!(
                Frame::parse(&bytes[..end]).is_none(),
                "{end} bytes are not a whole frame"
            );
        }
    }
}
