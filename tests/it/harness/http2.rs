//! HTTP/2 as frames, which no client library would send.

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::browser::Browser;
use super::in_time;
use super::raw::Raw;

/// What a client's connection begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0x0;
pub const HEADERS: u8 = 0x1;
pub const PRIORITY: u8 = 0x2;
pub const RST_STREAM: u8 = 0x3;
pub const SETTINGS: u8 = 0x4;
pub const PING: u8 = 0x6;
pub const GOAWAY: u8 = 0x7;
pub const WINDOW_UPDATE: u8 = 0x8;
pub const CONTINUATION: u8 = 0x9;

pub const END_STREAM: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;

/// A field of a header section: name and value, pseudo-fields included.
pub type Field<'a> = (&'a str, &'a [u8]);

/// A connection that speaks HTTP/2 in whatever frames the test likes.
pub struct RawHttp2 {
    pub raw: Raw<TlsStream<TcpStream>>,
}

/// A frame that came.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered 200.
    Ok,
    /// It was answered otherwise.
    Refused,
    /// Its stream was reset with this code.
    Reset(u32),
    /// The connection is over, with this code or without any.
    Over(Option<u32>),
}

impl RawHttp2 {
    /// Connects, and sends the preface and empty settings.
    pub async fn open(browser: &Browser) -> Self {
        let mut raw = Raw::new(browser.tls(&[b"h2"]).await);
        raw.send([PREFACE, &frame(SETTINGS, 0, 0, b"")].concat())
            .await;
        Self { raw }
    }

    /// Sends bytes; whether the gateway still takes any is seen later.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.raw.try_send(bytes).await;
    }

    /// The next frame; `None` at the end of the connection.
    pub async fn next(&mut self) -> Option<Frame> {
        if !in_time("a frame", self.raw.wire.fill(9)).await {
            return None;
        }
        let head: Vec<u8> = self.raw.wire.ahead.drain(..9).collect();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        if !in_time("a frame's payload", self.raw.wire.fill(length)).await {
            return None;
        }
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload: self.raw.wire.ahead.drain(..length).collect(),
        })
    }

    /// Reads on until it is known what became of a request.
    pub async fn outcome(&mut self, stream: u32) -> Outcome {
        while let Some(frame) = self.next().await {
            match frame.kind {
                // `:status: 200` is one byte of HPACK.
                HEADERS if frame.stream == stream && frame.payload[0] == 0x88 => {
                    return Outcome::Ok;
                }
                HEADERS if frame.stream == stream => return Outcome::Refused,
                RST_STREAM if frame.stream == stream => {
                    return Outcome::Reset(number(&frame.payload));
                }
                GOAWAY => return Outcome::Over(Some(number(&frame.payload[4..]))),
                _ => {}
            }
        }
        Outcome::Over(None)
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head, payload.to_vec()].concat()
}

/// A header section, each field spelled out and nothing indexed.
pub fn section(fields: &[Field<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        text(&mut bytes, name.as_bytes());
        text(&mut bytes, value);
    }
    bytes
}

/// The pseudo-fields of a request, and further fields.
pub fn request<'a>(
    method: &'a str,
    path: &'a str,
    host: &'a str,
    fields: &[Field<'a>],
) -> Vec<Field<'a>> {
    let pseudo: [Field<'a>; 4] = [
        (":method", method.as_bytes()),
        (":scheme", b"https"),
        (":authority", host.as_bytes()),
        (":path", path.as_bytes()),
    ];
    [&pseudo[..], fields].concat()
}

/// A request without a body, in one frame.
pub fn get(stream: u32, path: &str, host: &str) -> Vec<u8> {
    let section = section(&request("GET", path, host, &[]));
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &section)
}

/// A text of HPACK without Huffman's code.
fn text(bytes: &mut Vec<u8>, text: &[u8]) {
    integer(bytes, 0, 7, text.len());
    bytes.extend(text);
}

/// An integer of HPACK behind the bits of `first` (RFC 7541 5.1).
pub fn integer(bytes: &mut Vec<u8>, first: u8, bits: u32, value: usize) {
    let most = (1_usize << bits) - 1;
    if value < most {
        bytes.push(first | u8::try_from(value).unwrap());
        return;
    }
    bytes.push(first | u8::try_from(most).unwrap());
    let mut rest = value - most;
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap());
}
