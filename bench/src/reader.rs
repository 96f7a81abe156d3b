//! A client that stops reading, and comes back for the rest: a socket of `gatepost.v1`, or a response of events.
//!
//! Used where clients are stalled; blocking, one after the other. A connection that is cut in the middle of a frame
//! has ended, as one that was closed in order has; what counts is what came whole.

use std::io::{self, BufRead, BufReader, Error, Read, Write};

use serde::Deserialize;

use crate::certificate::HOST;
use crate::fleet::Target;
use crate::proxy::{Stream, over};
use crate::slow::narrow;

/// What a client is to the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Socket,
    Events,
}

/// A client with a session of its own, and the numbers of the frames that it has got.
pub(crate) struct Reader {
    form: Form,
    user: usize,
    source: Source,
    /// Where in the history it is, by the gateway's last word.
    position: String,
    pub(crate) numbers: Vec<u64>,
}

/// How a client's reading came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It has the last frame.
    Complete,
    /// The gateway closed it before.
    Closed,
    /// It was told to fetch its data anew.
    Told,
}

/// What the bytes come from.
enum Source {
    Socket(BufReader<Stream>),
    Events(BufReader<Chunks>),
}

/// One thing that the gateway sends.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    position: Option<String>,
    number: Option<u64>,
    is_told: bool,
}

/// What a message of `gatepost.v1`, or an event's data, has of all that.
#[derive(Deserialize)]
struct Message {
    #[serde(alias = "position")]
    id: Option<String>,
    recovered: Option<bool>,
    gatepost: Option<String>,
    data: Option<Numbered>,
    n: Option<u64>,
}

#[derive(Deserialize)]
struct Numbered {
    n: u64,
}

impl Reader {
    /// A client that has been told where it is, and reads no more.
    pub(crate) fn open(target: &Target, form: Form, user: usize) -> io::Result<Self> {
        let mut reader = Self {
            form,
            user,
            source: connect(target, form, user, None)?,
            position: String::new(),
            numbers: Vec::new(),
        };
        let first = reader.next()?;
        reader.position = first.and_then(|said| said.position).unwrap_or_default();
        Ok(reader)
    }

    /// Comes back with where it is.
    pub(crate) fn come_back(&mut self, target: &Target) -> io::Result<()> {
        self.source = connect(target, self.form, self.user, Some(&self.position))?;
        Ok(())
    }

    /// Reads on to the frame with this number, or as far as it goes.
    pub(crate) fn read_to(&mut self, last: u64) -> io::Result<Ended> {
        while self.numbers.last() != Some(&last) {
            let Some(said) = self.next()? else {
                return Ok(Ended::Closed);
            };
            if said.is_told {
                return Ok(Ended::Told);
            }
            self.numbers.extend(said.number);
            if let Some(position) = said.position {
                self.position = position;
            }
        }
        Ok(Ended::Complete)
    }

    /// The next thing that is said; `None` at the end.
    fn next(&mut self) -> io::Result<Option<Said>> {
        let next = match &mut self.source {
            Source::Socket(stream) => message(stream),
            Source::Events(stream) => event(stream),
        };
        match next {
            Err(error) if is_end(&error) => Ok(None),
            next => next,
        }
    }
}

/// Whether a peer has hung up, in whichever way.
fn is_end(error: &Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
    )
}

fn connect(target: &Target, form: Form, user: usize, at: Option<&str>) -> io::Result<Source> {
    let (path, port) = (target.path, target.address.port());
    let stream = over(narrow(target.address, user)?, &target.tls)?;
    let mut stream = BufReader::with_capacity(4096, stream);
    let (query, status, fields) = match form {
        Form::Socket => (
            at.map_or(String::new(), |at| format!("?position={at}")),
            "HTTP/1.1 101 ",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: gatepost.v1\r\n"
                .to_owned(),
        ),
        Form::Events => {
            let back = at.map_or(String::new(), |at| format!("Last-Event-ID: {at}\r\n"));
            let fields = format!("Accept: text/event-stream\r\n{back}");
            (String::new(), "HTTP/1.1 200 ", fields)
        }
    };
    let request = format!(
        "GET {path}{query} HTTP/1.1\r\nHost: {HOST}:{port}\r\nOrigin: https://{HOST}:{port}\r\n\
         Cookie: sessionid=bench{user}\r\n{fields}\r\n"
    );
    stream.get_mut().write_all(request.as_bytes())?;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(Error::other(format!("the answer ends early: {head}")));
        }
    }
    if !head.starts_with(status) {
        return Err(Error::other(format!("not answered as asked: {head}")));
    }
    Ok(match form {
        Form::Socket => Source::Socket(stream),
        Form::Events => Source::Events(BufReader::new(Chunks { stream, left: 0 })),
    })
}

/// The next message of a socket; pings are not answered, since nobody stays for long.
fn message(stream: &mut impl Read) -> io::Result<Option<Said>> {
    loop {
        let mut start = [0; 2];
        stream.read_exact(&mut start)?;
        let length = match start[1] {
            126 => {
                let mut length = [0; 2];
                stream.read_exact(&mut length)?;
                u16::from_be_bytes(length).into()
            }
            127 => {
                let mut length = [0; 8];
                stream.read_exact(&mut length)?;
                u64::from_be_bytes(length)
            }
            length => length.into(),
        };
        let mut payload = Vec::new();
        stream.take(length).read_to_end(&mut payload)?;
        match start[0] {
            0x81 => return said(&payload).map(Some),
            0x88 => return Ok(None),
            _ => {}
        }
    }
}

/// The next event of a response; `None` at the last one, and where the response ends.
fn event(stream: &mut impl BufRead) -> io::Result<Option<Said>> {
    let (mut event, mut name) = (Said::default(), String::new());
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end().split_once(": ") {
            Some(("id", id)) => event.position = Some(id.to_owned()),
            Some(("event", of)) => of.clone_into(&mut name),
            Some(("data", _)) if name == "close" => return Ok(None),
            Some(("data", data)) => {
                let read = said(data.as_bytes())?;
                (event.number, event.is_told) = (read.number, read.is_told);
            }
            _ if line == "\n" && event != Said::default() => return Ok(Some(event)),
            _ => {}
        }
    }
}

fn said(text: &[u8]) -> io::Result<Said> {
    let message: Message = serde_json::from_slice(text).map_err(Error::other)?;
    let is_resync = message.gatepost.as_deref() == Some("resync");
    Ok(Said {
        position: message.id,
        number: message.n.or(message.data.map(|data| data.n)),
        is_told: is_resync || message.recovered == Some(false),
    })
}

/// The body of a response whose length was not known (RFC 9112, section 7.1).
struct Chunks {
    stream: BufReader<Stream>,
    left: usize,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            self.left = usize::from_str_radix(line.trim_end(), 16)
                .map_err(|_| Error::from(io::ErrorKind::UnexpectedEof))?;
            if self.left == 0 {
                return Ok(0);
            }
        }
        let most = self.left.min(buffer.len());
        let count = self.stream.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count;
        if self.left == 0 {
            self.stream.read_exact(&mut [0; 2])?;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_and_an_event_say_where_they_are() {
        let text = r#"{"id":"a.1","data":{"n":7,"text":"x"}}"#;
        let mut frame = vec![0x89, 0, 0x81, u8::try_from(text.len()).unwrap()];
        frame.extend_from_slice(text.as_bytes());
        frame.extend_from_slice(&[0x88, 0]);
        let mut frames = &frame[..];
        let expected = Said {
            position: Some("a.1".to_owned()),
            number: Some(7),
            is_told: false,
        };
        assert_eq!(message(&mut frames).unwrap().as_ref(), Some(&expected));
        assert_eq!(message(&mut frames).unwrap(), None);
        let mut events = &b"retry: 5\n\nid: a.1\ndata: {\"n\":7}\n\nevent: close\ndata: {}\n\n"[..];
        assert_eq!(event(&mut events).unwrap(), Some(expected));
        assert_eq!(event(&mut events).unwrap(), None);
    }

    #[test]
    fn what_is_told_to_fetch_anew_is_told_so_in_either_form() {
        let resync = "event: gatepost\ndata: {\"gatepost\":\"resync\"}\n\n";
        assert!(event(&mut resync.as_bytes()).unwrap().unwrap().is_told);
        let welcome = br#"{"control":"welcome","position":"a.1","recovered":false}"#;
        assert!(said(welcome).unwrap().is_told);
    }
}
