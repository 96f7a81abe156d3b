//! Speaks to the internal listener as Django does: HTTP/1.1, kept alive, blocking. Also to the
//! limit program's control socket, so that both take the same orders.

use std::io::{self, BufRead, BufReader, Error, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The secret this run's gateway is given.
pub(crate) const SECRET: &str = "bench-bench-bench-bench-bench-bench-bench";

/// Who is told to broadcast.
pub(crate) enum Broadcaster {
    /// And to whom.
    Gateway(Publisher, String),
    Limit(BufReader<TcpStream>),
}

impl Broadcaster {
    /// Connects to the limit program's control socket.
    pub(crate) fn limit(control: SocketAddr) -> io::Result<Self> {
        Ok(Self::Limit(BufReader::new(connect(control)?)))
    }

    /// Has a gateway send to everyone.
    pub(crate) fn everyone(internal: SocketAddr) -> io::Result<Self> {
        let audience = "{\"everyone\":true}".to_owned();
        Ok(Self::Gateway(Publisher::connect(internal)?, audience))
    }

    /// Has `count` frames of `size` bytes go to all, all waiting for a socket at once.
    pub(crate) fn send(&mut self, count: usize, size: usize) -> io::Result<()> {
        match self {
            Self::Gateway(publisher, audience) => {
                let line = publication(audience, size);
                publisher.send(Kind::of(count), &line.repeat(count))
            }
            Self::Limit(control) => control
                .get_mut()
                .write_all(format!("{count} {size}\n").as_bytes()),
        }
    }

    /// Reads the answer to [`Broadcaster::send`].
    pub(crate) fn accepted(&mut self, count: usize) -> io::Result<()> {
        match self {
            Self::Gateway(publisher, _) => publisher.accepted(count),
            Self::Limit(control) => control.read_line(&mut String::new()).map(drop),
        }
    }
}

/// How publications travel.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Single,
    Lines,
}

impl Kind {
    fn of(count: usize) -> Self {
        if count == 1 {
            Self::Single
        } else {
            Self::Lines
        }
    }
}

/// One kept-alive connection to the publish API.
pub(crate) struct Publisher {
    stream: BufReader<TcpStream>,
}

impl Publisher {
    /// Connects to the internal listener.
    pub(crate) fn connect(internal: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            stream: BufReader::new(connect(internal)?),
        })
    }

    /// Sends publications, without waiting for the answer.
    pub(crate) fn send(&mut self, kind: Kind, body: &str) -> io::Result<()> {
        let media = match kind {
            Kind::Single => "application/json",
            Kind::Lines => "application/x-ndjson",
        };
        let length = body.len();
        let request = format!(
            "POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {SECRET}\r\n\
             Content-Type: {media}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.stream.get_mut().write_all(request.as_bytes())
    }

    /// Reads the answer to what was sent: `count` publications were accepted and reached somebody.
    pub(crate) fn accepted(&mut self, count: usize) -> io::Result<()> {
        let (status, body) = self.answer()?;
        let reached = body.matches("\"sockets\":").count() - body.matches("\"sockets\":0").count();
        if !(200..300).contains(&status) || reached != count {
            let start: String = body.chars().take(400).collect();
            let text =
                format!("{reached} of {count} publications reached a socket: {status} {start}");
            return Err(Error::other(text));
        }
        Ok(())
    }

    /// Reads the answer to what was sent: how many connections were given it, each publication counted for itself.
    pub(crate) fn given(&mut self) -> io::Result<u64> {
        let (status, body) = self.answer()?;
        if !(200..300).contains(&status) {
            return Err(Error::other(format!("not published: {status} {body}")));
        }
        let counts = body.split("\"sockets\":").skip(1).map(|rest| {
            let end = rest.find(|letter: char| !letter.is_ascii_digit());
            rest[..end.unwrap_or(rest.len())].parse::<u64>()
        });
        counts.sum::<Result<_, _>>().map_err(Error::other)
    }

    fn answer(&mut self) -> io::Result<(u16, String)> {
        let status = self.line()?;
        let code = status
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0);
        let mut length = None;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok();
            }
        }
        let body = match length {
            Some(length) => self.exactly(length)?,
            None => self.chunks()?,
        };
        Ok((code, String::from_utf8_lossy(&body).into_owned()))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(Error::other("the internal listener hung up"));
        }
        Ok(line.trim_end().to_owned())
    }

    fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let length = usize::from_str_radix(&line, 16).map_err(Error::other)?;
            body.extend(self.exactly(length)?);
            self.line()?;
            if length == 0 {
                return Ok(body);
            }
        }
    }
}

/// One publication, as one line.
pub(crate) fn publication(to: &str, size: usize) -> String {
    format!("{{\"to\":{to},\"frame\":{}}}\n", frame(size))
}

/// How a frame begins that says when it was published.
pub(crate) const STAMP: &str = "{\"at\":";

/// A publication of an ordinary frame that says when, in nanoseconds, as one line.
pub(crate) fn stamped(to: &str, at: u64) -> String {
    let text = "n".repeat(150);
    format!("{{\"to\":{to},\"frame\":{STAMP}{at},\"text\":\"{text}\"}}}}\n")
}

/// A JSON object of exactly `size` bytes.
pub(crate) fn frame(size: usize) -> String {
    let (start, end) = ("{\"type\":\"notification\",\"text\":\"", "\"}");
    let text = "n".repeat(size.saturating_sub(start.len() + end.len()));
    format!("{start}{text}{end}")
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::{frame, publication};

    #[test]
    fn a_frame_is_json_of_exactly_the_size_asked_for() {
        for size in [64, 200, 1024] {
            let frame = frame(size);
            assert_eq!(frame.len(), size);
            serde_json::from_str::<serde_json::Value>(&frame).unwrap();
        }
    }

    #[test]
    fn a_publication_is_one_line() {
        let line = publication("{\"user\":\"bench1\"}", 200);
        assert_eq!(line.find('\n'), Some(line.len() - 1));
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
    }
}
