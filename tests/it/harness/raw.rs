//! Hostile bytes: a connection on which the test writes what it likes.

use std::fmt;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::in_time;
use super::socket::Closed;
use super::wire::{Body, Head, Stream, Wire};

/// A connection of raw bytes.
pub struct Raw<S> {
    pub wire: Wire<S>,
}

/// An answer as it came.
#[derive(Clone)]
pub struct Answered {
    pub head: Head,
    pub body: Body,
}

/// A WebSocket frame as it came from the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFrame {
    /// FIN, RSV and opcode.
    pub first: u8,
    pub payload: Vec<u8>,
}

/// Whether a close frame with this code is among these bytes of a gateway.
pub fn has_close(bytes: &[u8], code: u16) -> bool {
    let mut frames = bytes.windows(4);
    frames.any(|part| part[0] == 0x88 && part[2..] == code.to_be_bytes())
}

/// The mask of every masked frame.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

impl Raw<TcpStream> {
    /// Plain TCP, to a plain listener or to a TLS one that is to be puzzled.
    pub async fn tcp(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::new(stream)
    }
}

impl<S: Stream> Raw<S> {
    /// Speaks on this stream.
    pub fn new(stream: S) -> Self {
        Self {
            wire: Wire::new(stream),
        }
    }

    /// Writes bytes; panics when the peer has hung up.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        in_time("sending", self.wire.send(bytes)).await.unwrap();
    }

    /// Writes bytes; `false` when the peer has hung up.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        in_time("sending", self.wire.send(bytes)).await.is_ok()
    }

    /// The next answer, informational ones passed over.
    #[track_caller]
    pub fn answer(&mut self) -> impl Future<Output = Answered> + '_ {
        let caller = std::panic::Location::caller();
        async move {
            match self.try_answer().await {
                Some(answer) => answer,
                None => panic!("{caller}: hung up without an answer"),
            }
        }
    }

    /// The next answer, or `None` when the peer hangs up without one.
    pub async fn try_answer(&mut self) -> Option<Answered> {
        loop {
            let head = in_time("an answer", self.wire.head()).await?;
            if (100..200).contains(&head.status()) && head.status() != 101 {
                continue;
            }
            let framing = head.response_framing();
            let body = in_time("an answer's body", self.wire.body(framing)).await;
            return Some(Answered { head, body });
        }
    }

    /// The head of the next answer; its body stays on the wire.
    pub async fn head(&mut self) -> Head {
        let head = in_time("a head", self.wire.head()).await;
        head.expect("hung up without an answer")
    }

    /// Reads until the peer hangs up, orderly or not; panics when it does not.
    pub async fn expect_end(&mut self) {
        in_time("the end of the connection", async {
            while self.wire.more().await.unwrap_or(false) {}
        })
        .await;
    }

    /// Ends our half.
    pub async fn finish(&mut self) {
        let _ = self.wire.stream.shutdown().await;
    }

    /// Sends bytes again and again until the gateway hangs up, at most so many times. Says how many
    /// bytes it took, and what it said meanwhile.
    pub async fn flood(&mut self, bytes: &[u8], times: usize) -> (usize, Vec<u8>) {
        let mut said = std::mem::take(&mut self.wire.ahead);
        let (mut reading, mut writing) = tokio::io::split(&mut self.wire.stream);
        let mut sent = 0;
        let flooding = async {
            for _ in 0..times {
                if writing.write_all(bytes).await.is_err() {
                    break;
                }
                sent += bytes.len();
            }
        };
        // Who floods on is cut off in the end.
        let both = async { tokio::join!(flooding, reading.read_to_end(&mut said)) };
        let _ = in_time("the end of the connection", both).await;
        (sent, said)
    }

    /// Sends a masked frame; `first` is FIN, RSV and opcode.
    pub async fn send_frame(&mut self, first: u8, payload: &[u8]) {
        self.send(frame(first, payload)).await;
    }

    /// The next frame; `None` when the connection ends instead.
    pub async fn frame(&mut self) -> Option<RawFrame> {
        in_time("a frame", self.read_frame()).await
    }

    async fn read_frame(&mut self) -> Option<RawFrame> {
        let (head, length) = loop {
            let ahead = &self.wire.ahead;
            match ahead.get(1).map(|b| b & 0x7f) {
                Some(126) if ahead.len() >= 4 => {
                    break (4, usize::from(u16::from_be_bytes([ahead[2], ahead[3]])));
                }
                Some(127) if ahead.len() >= 10 => {
                    let length = u64::from_be_bytes(ahead[2..10].try_into().unwrap());
                    break (10, usize::try_from(length).unwrap());
                }
                Some(short @ 0..=125) => break (2, usize::from(short)),
                _ => {}
            }
            if !self.wire.more().await.unwrap_or(false) {
                return None;
            }
        };
        assert!(self.wire.ahead[1] & 0x80 == 0, "a server must not mask");
        if !self.wire.fill(head + length).await {
            return None;
        }
        let bytes: Vec<u8> = self.wire.ahead.drain(..head + length).collect();
        Some(RawFrame {
            first: bytes[0],
            payload: bytes[head..].to_vec(),
        })
    }

    /// Reads on, past other frames, until a close frame.
    #[track_caller]
    pub fn closed(&mut self) -> impl Future<Output = Closed> + '_ {
        let caller = std::panic::Location::caller();
        async move {
            loop {
                match self.frame().await {
                    Some(frame) if frame.first == 0x88 => return frame.as_close(),
                    Some(_) => {}
                    None => panic!("{caller}: hung up without a close frame (1006)"),
                }
            }
        }
    }
}

impl RawFrame {
    fn as_close(&self) -> Closed {
        let [high, low, reason @ ..] = &self.payload[..] else {
            return Closed {
                code: 1005,
                reason: String::new(),
            };
        };
        Closed {
            code: u16::from_be_bytes([*high, *low]),
            reason: String::from_utf8(reason.to_vec()).expect("a reason in UTF-8"),
        }
    }
}

impl fmt::Debug for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = if self.body.complete { "" } else { " (cut)" };
        let head = String::from_utf8_lossy(&self.head.raw);
        write!(f, "answer{whole} {}", head + self.text().as_str())
    }
}

impl Answered {
    /// The status.
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    /// A field's value; panics if it came twice.
    pub fn header(&self, name: &str) -> Option<String> {
        self.head.header(name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body.bytes).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body.bytes).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// The bytes of a masked frame.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = frame_head(first, payload.len() as u64, true);
    bytes.extend(MASK);
    let masked = payload.iter().zip(MASK.iter().cycle());
    bytes.extend(masked.map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The first bytes of a frame, up to the mask.
pub fn frame_head(first: u8, length: u64, masked: bool) -> Vec<u8> {
    let mask = if masked { 0x80 } else { 0 };
    match length {
        0..=125 => vec![first, mask | u8::try_from(length).unwrap()],
        126..=0xffff => {
            let length = u16::try_from(length).unwrap().to_be_bytes();
            [&[first, mask | 0x7e][..], &length].concat()
        }
        _ => [&[first, mask | 0x7f][..], &length.to_be_bytes()].concat(),
    }
}
