//! What a scripted upstream answers, well or badly.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::server::Received;

/// One scripted answer.
#[derive(Clone)]
pub struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) content: Content,
    pub(super) gate: Option<Gate>,
    pub(super) end: End,
    pub(super) waits_for_body: bool,
}

/// The body, or what comes in its place.
#[derive(Clone)]
pub(super) enum Content {
    /// With a `Content-Length`.
    Whole(Vec<u8>),
    /// A `Content-Length` that is not kept.
    Short { declared: usize, sent: Vec<u8> },
    /// `Transfer-Encoding: chunked`, a piece a chunk; `None` ends without the last chunk.
    Chunks { pieces: Vec<Vec<u8>>, whole: bool },
    /// With a `Content-Length`, piece by piece.
    Trickle {
        pieces: Vec<Vec<u8>>,
        pause: Duration,
    },
    /// Neither length nor chunks: until the connection closes.
    UntilClose(Vec<u8>),
    /// The request as JSON: `{"method", "target", "headers": [[name, value]], "body"}`.
    Echo,
    /// So many bytes of `x`, with a `Content-Length`.
    Huge(usize),
    /// Bytes in place of a whole answer.
    Raw(Vec<u8>),
    /// What this function says once the whole request is there.
    OfRequest(Arc<dyn Fn(&Received) -> Answer + Send + Sync>),
    /// A WebSocket that echoes, with this subprotocol.
    WebSocketEcho(Option<String>),
}

/// What happens to the connection afterwards.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    KeepAlive,
    Close,
    Reset,
    Hang,
}

impl Answer {
    /// 200 with this text.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::status(200, body)
    }

    /// A status with this text.
    pub fn status(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::of(status, Content::Whole(body.into()))
    }

    /// 200 with JSON.
    pub fn json(value: &serde_json::Value) -> Self {
        Self::ok(value.to_string()).header("Content-Type", "application/json")
    }

    /// An auth answer: this user.
    pub fn user(id: &str) -> Self {
        Self::json(&serde_json::json!({"user": id, "groups": [], "expires_at": null}))
    }

    /// An auth answer: nobody.
    pub fn anonymous() -> Self {
        Self::json(&serde_json::json!({"user": null, "groups": [], "expires_at": null}))
    }

    /// 302 to somewhere.
    pub fn redirect(location: &str) -> Self {
        Self::status(302, "").header("Location", location)
    }

    /// A page.
    pub fn html(body: &str) -> Self {
        Self::ok(body).header("Content-Type", "text/html; charset=utf-8")
    }

    /// The request as JSON: `{"method", "target", "headers": [[name, value]], "body"}`.
    pub fn echo() -> Self {
        Self::of(200, Content::Echo).header("Content-Type", "application/json")
    }

    /// Never a byte.
    pub fn hang() -> Self {
        let mut answer = Self::raw("");
        answer.end = End::Hang;
        answer
    }

    /// What this function says once the whole request is there.
    pub fn of_request(answer: impl Fn(&Received) -> Self + Send + Sync + 'static) -> Self {
        Self::of(200, Content::OfRequest(Arc::new(answer)))
    }

    /// RST before any byte.
    pub fn reset() -> Self {
        let mut answer = Self::raw("");
        answer.end = End::Reset;
        answer
    }

    /// FIN before any byte.
    pub fn close() -> Self {
        Self::raw("").closing()
    }

    /// These bytes instead of an answer.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self::of(200, Content::Raw(bytes.into()))
    }

    /// Bytes that are no HTTP.
    pub fn garbage() -> Self {
        Self::raw(&b"\x16\x03\x01\x02\x00garbage\xff\xfe\r\n\r\n"[..]).closing()
    }

    /// 200 that declares more than is sent, then FIN.
    pub fn cut_short(declared: usize, sent: impl Into<Vec<u8>>) -> Self {
        let sent = sent.into();
        Self::of(200, Content::Short { declared, sent }).closing()
    }

    /// 200 that declares more than is sent, then RST.
    pub fn reset_mid_body(declared: usize, sent: impl Into<Vec<u8>>) -> Self {
        let mut answer = Self::cut_short(declared, sent);
        answer.end = End::Reset;
        answer
    }

    /// 200 that declares more than is sent, then silence.
    pub fn stall_mid_body(declared: usize, sent: impl Into<Vec<u8>>) -> Self {
        let mut answer = Self::cut_short(declared, sent);
        answer.end = End::Hang;
        answer
    }

    /// 200 in chunks.
    pub fn chunks<P: Into<Vec<u8>>>(pieces: impl IntoIterator<Item = P>) -> Self {
        let pieces = pieces.into_iter().map(Into::into).collect();
        Self::of(
            200,
            Content::Chunks {
                pieces,
                whole: true,
            },
        )
    }

    /// 200 in chunks of which the last one is missing, then FIN.
    pub fn unfinished_chunks<P: Into<Vec<u8>>>(pieces: impl IntoIterator<Item = P>) -> Self {
        let pieces = pieces.into_iter().map(Into::into).collect();
        let whole = false;
        Self::of(200, Content::Chunks { pieces, whole }).closing()
    }

    /// 200 with a length, a piece now and then.
    pub fn trickle<P: Into<Vec<u8>>>(pieces: impl IntoIterator<Item = P>, pause: Duration) -> Self {
        let pieces = pieces.into_iter().map(Into::into).collect();
        Self::of(200, Content::Trickle { pieces, pause })
    }

    /// 200 without length or chunks, ended by FIN.
    pub fn until_close(body: impl Into<Vec<u8>>) -> Self {
        Self::of(200, Content::UntilClose(body.into())).closing()
    }

    /// 200 with so many bytes.
    pub fn huge(bytes: usize) -> Self {
        Self::of(200, Content::Huge(bytes))
    }

    /// 101 and a WebSocket that sends back what it gets.
    pub fn websocket_echo(protocol: Option<&str>) -> Self {
        Self::of(101, Content::WebSocketEcho(protocol.map(str::to_owned)))
    }

    /// Its body as JSON.
    pub fn as_json(&self) -> serde_json::Value {
        match &self.content {
            Content::Whole(body) => serde_json::from_slice(body).unwrap(),
            _ => panic!("not a whole answer"),
        }
    }

    /// What a batch says in its place.
    pub fn in_batch(&self) -> serde_json::Value {
        match self.status {
            200 => self.as_json(),
            500.. => serde_json::Value::Null,
            status => serde_json::json!({"status": status}),
        }
    }

    /// One more response field; the same name may come more than once.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Closes the connection afterwards.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.end = End::Close;
        self
    }

    /// Keeps the connection open and silent afterwards.
    #[must_use]
    pub fn hanging(mut self) -> Self {
        self.end = End::Hang;
        self
    }

    /// Begins only when the gate opens. The request counts as received before.
    #[must_use]
    pub fn after(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// Begins before the request's body was read, which then stays unread.
    #[must_use]
    pub fn early(mut self) -> Self {
        self.waits_for_body = false;
        self
    }

    fn of(status: u16, content: Content) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content,
            gate: None,
            end: End::KeepAlive,
            waits_for_body: true,
        }
    }
}

/// Holds answers back until a test lets them go.
#[derive(Clone)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    /// A gate that holds everything.
    pub fn closed() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets one answer go.
    pub fn let_one_pass(&self) {
        self.0.add_permits(1);
    }

    /// Lets everything go, now and later.
    pub fn open(&self) {
        self.0.close();
    }

    pub(super) async fn pass(&self) {
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}
