//! HTTP/1.1 as bytes: reads heads and bodies off a stream and keeps them exactly as they came.

use std::{fmt, io};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A byte stream of any kind.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A stream and the bytes that were read too far.
pub struct Wire<S> {
    pub stream: S,
    pub ahead: Vec<u8>,
}

/// The head of a message: first line and fields.
#[derive(Clone, Default)]
pub struct Head {
    /// The bytes up to and including the empty line.
    pub raw: Vec<u8>,
}

/// A body and how it came.
#[derive(Clone, Default)]
pub struct Body {
    /// The content.
    pub bytes: Vec<u8>,
    /// The bytes on the wire, chunk lines included.
    pub raw: Vec<u8>,
    /// Whether it ended as its framing said.
    pub complete: bool,
}

/// How long a body is.
#[derive(Clone, Copy, Debug)]
pub enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

impl<S: AsyncRead + Unpin> Wire<S> {
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            ahead: Vec::new(),
        }
    }

    /// Reads more; `false` at the end of the stream.
    pub async fn more(&mut self) -> io::Result<bool> {
        self.ahead.reserve(16 * 1024);
        Ok(self.stream.read_buf(&mut self.ahead).await? > 0)
    }

    /// The next head; `None` when the stream ends before it is whole.
    pub async fn head(&mut self) -> Option<Head> {
        loop {
            if let Some(at) = find(&self.ahead, b"\r\n\r\n") {
                let raw = self.ahead.drain(..at + 4).collect();
                return Some(Head { raw });
            }
            if !self.more().await.ok()? {
                return None;
            }
        }
    }

    /// The body that follows.
    pub async fn body(&mut self, framing: Framing) -> Body {
        match framing {
            Framing::Length(length) => self.counted(length).await,
            Framing::Chunked => self.chunked().await,
            Framing::UntilClose => {
                let clean = loop {
                    match self.more().await {
                        Ok(true) => {}
                        Ok(false) => break true,
                        Err(_) => break false,
                    }
                };
                let bytes = std::mem::take(&mut self.ahead);
                Body {
                    raw: bytes.clone(),
                    bytes,
                    complete: clean,
                }
            }
        }
    }

    async fn counted(&mut self, length: usize) -> Body {
        let complete = self.fill(length).await;
        let taken = length.min(self.ahead.len());
        let bytes: Vec<u8> = self.ahead.drain(..taken).collect();
        Body {
            raw: bytes.clone(),
            bytes,
            complete,
        }
    }

    async fn chunked(&mut self) -> Body {
        let mut body = Body::default();
        loop {
            let Some(line) = self.line(&mut body.raw).await else {
                return body;
            };
            let size = line.split(';').next().unwrap_or_default().trim();
            let Ok(size) = usize::from_str_radix(size, 16) else {
                return body;
            };
            if size == 0 {
                while let Some(trailer) = self.line(&mut body.raw).await {
                    if trailer.is_empty() {
                        body.complete = true;
                        break;
                    }
                }
                return body;
            }
            if !self.fill(size + 2).await {
                return body;
            }
            let piece: Vec<u8> = self.ahead.drain(..size + 2).collect();
            body.bytes.extend_from_slice(&piece[..size]);
            body.raw.extend(piece);
        }
    }

    async fn line(&mut self, raw: &mut Vec<u8>) -> Option<String> {
        loop {
            if let Some(at) = find(&self.ahead, b"\r\n") {
                let line: Vec<u8> = self.ahead.drain(..at + 2).collect();
                raw.extend_from_slice(&line);
                return Some(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            if !self.more().await.ok()? {
                return None;
            }
        }
    }

    /// Reads until `length` bytes are there; `false` when the stream ends before.
    pub async fn fill(&mut self, length: usize) -> bool {
        while self.ahead.len() < length {
            if !self.more().await.unwrap_or(false) {
                return false;
            }
        }
        true
    }
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    /// Writes bytes; an error means that the peer is gone.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await?;
        self.stream.flush().await
    }
}

impl Head {
    /// Every line, the first one included, without line ends.
    pub fn lines(&self) -> Vec<String> {
        String::from_utf8_lossy(&self.raw)
            .trim_end_matches("\r\n")
            .split("\r\n")
            .map(str::to_owned)
            .collect()
    }

    /// The request or status line.
    pub fn first_line(&self) -> String {
        self.lines().swap_remove(0)
    }

    /// The fields in order, names as they were spelled.
    pub fn fields(&self) -> Vec<(String, String)> {
        self.lines()
            .iter()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect()
    }

    /// Every value of a field.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.fields()
            .into_iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    /// The value of a field that must not come twice.
    pub fn header(&self, name: &str) -> Option<String> {
        let mut values = self.all(name);
        assert!(values.len() < 2, "{name} came twice: {values:?}");
        values.pop()
    }

    /// How long the body is: `Length(0)` where nothing says so.
    pub fn request_framing(&self) -> Framing {
        self.framing(Framing::Length(0))
    }

    /// How long the body is: until the end of the stream where nothing says so.
    pub fn response_framing(&self) -> Framing {
        if matches!(self.status(), 100..=199 | 204 | 304) {
            return Framing::Length(0);
        }
        self.framing(Framing::UntilClose)
    }

    fn framing(&self, otherwise: Framing) -> Framing {
        if !self.all("transfer-encoding").is_empty() {
            return Framing::Chunked;
        }
        match self.all("content-length").first() {
            Some(length) => length.parse().map_or(otherwise, Framing::Length),
            None => otherwise,
        }
    }

    /// The status of a response.
    pub fn status(&self) -> u16 {
        let line = self.first_line();
        line.split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or_else(|| panic!("no status in {line:?}"))
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#?}", self.lines())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = if self.complete { "" } else { " (cut)" };
        write!(f, "{:?}{whole}", String::from_utf8_lossy(&self.bytes))
    }
}

/// Where `needle` begins in `hay`.
pub fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len())
        .position(|window| window == needle)
}
