//! A WebSocket client whose handshake can be bent line by line.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::browser::Browser;
use super::raw::{Answered, Raw};
use super::wire::{Stream, Wire};
use super::{PATIENCE, in_time};

/// The key of RFC 6455 section 1.3, and what it makes of itself.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A handshake in the making: request line and fields in order.
pub struct Handshake<'a> {
    pub(super) browser: &'a Browser,
    method: String,
    pub(super) path: String,
    version: String,
    pub(super) fields: Vec<(String, String)>,
    body: Vec<u8>,
}

/// An open WebSocket. Like a browser's it always reads, and answers pings and closes by itself,
/// whether or not the page (the test) looks at what came.
pub struct Socket {
    events: mpsc::UnboundedReceiver<Message>,
    orders: mpsc::Sender<Order>,
    pump: AbortHandle,
    /// The 101, over HTTP/2 the 200.
    pub response: Answered,
}

/// Something to send, and where to report how that went.
type Order = (Message, oneshot::Sender<Result<(), Error>>);

/// How a socket ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    pub code: u16,
    pub reason: String,
}

impl<'a> Handshake<'a> {
    pub(super) fn new(browser: &'a Browser, path: &str) -> Self {
        let mut fields = vec![
            ("Host", browser.host().to_owned()),
            ("Connection", "Upgrade".to_owned()),
            ("Upgrade", "websocket".to_owned()),
            ("Origin", browser.origin()),
            ("Sec-WebSocket-Version", "13".to_owned()),
            ("User-Agent", "Scripted/1.0".to_owned()),
            ("Accept-Language", "de-CH".to_owned()),
            ("Sec-WebSocket-Key", KEY.to_owned()),
        ];
        fields.extend(browser.cookie_line().map(|line| ("Cookie", line)));
        let fields = fields.into_iter().map(|(n, v)| (n.to_owned(), v));
        Self {
            browser,
            method: "GET".to_owned(),
            path: path.to_owned(),
            version: "HTTP/1.1".to_owned(),
            fields: fields.collect(),
            body: Vec::new(),
        }
    }

    /// With this `Origin` instead of the browser's own.
    #[must_use]
    pub fn origin(self, origin: &str) -> Self {
        self.with("Origin", origin)
    }

    /// Without an `Origin`, as programs that are no browsers do it.
    #[must_use]
    pub fn without_origin(self) -> Self {
        self.without("Origin")
    }

    /// Offers this subprotocol.
    #[must_use]
    pub fn protocol(self, protocol: &str) -> Self {
        self.with("Sec-WebSocket-Protocol", protocol)
    }

    /// With this field in place of any of that name.
    #[must_use]
    pub fn with(self, name: &str, value: &str) -> Self {
        self.without(name).and(name, value)
    }

    /// With this field besides any of that name.
    #[must_use]
    pub fn and(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without any field of this name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.fields
            .retain(|(field, _)| !field.eq_ignore_ascii_case(name));
        self
    }

    /// With another method than GET.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    /// With another version than `HTTP/1.1`.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    /// With bytes after the head, whatever the fields say of them.
    #[must_use]
    pub fn followed_by(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The bytes of the request.
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} {}\r\n", self.method, self.path, self.version);
        for (name, value) in &self.fields {
            text += &format!("{name}: {value}\r\n");
        }
        let mut bytes = (text + "\r\n").into_bytes();
        bytes.extend(&self.body);
        bytes
    }

    /// Sends it; `Err` is an answer other than 101.
    pub async fn send(self) -> Result<Socket, Answered> {
        let (raw, response) = self.send_raw().await?;
        let Wire { stream, ahead } = raw.wire;
        let stream = WebSocketStream::from_partially_read(stream, ahead, Role::Client, None).await;
        Ok(Socket::over(stream, response))
    }

    /// Sends it and keeps the frames raw; `Err` is an answer other than 101.
    pub async fn send_raw(self) -> Result<(Raw<TlsStream<TcpStream>>, Answered), Answered> {
        let mut raw = self.browser.raw().await;
        raw.send(self.bytes()).await;
        let answer = raw.answer().await;
        self.browser
            .keep_cookies(answer.head.all("set-cookie").iter().map(String::as_str));
        if answer.status() != 101 {
            return Err(answer);
        }
        assert_eq!(
            answer.header("sec-websocket-accept").as_deref(),
            Some(ACCEPT),
            "{answer:?}"
        );
        Ok((raw, answer))
    }

    /// Sends it and wants it refused; the answer's status is for the caller to judge.
    #[track_caller]
    pub fn refused(self) -> impl Future<Output = Answered> {
        let caller = std::panic::Location::caller();
        async move {
            match self.send().await {
                Err(answer) => answer,
                Ok(socket) => panic!("{caller}: accepted with {:?}", socket.response),
            }
        }
    }
}

impl Socket {
    /// Over any stream.
    pub(super) fn over<S>(stream: WebSocketStream<S>, response: Answered) -> Self
    where
        S: Stream + 'static,
    {
        let (came, events) = mpsc::unbounded_channel();
        let (orders, ordered) = mpsc::channel(1);
        let pump = tokio::spawn(pump(stream, came, ordered)).abort_handle();
        Self {
            events,
            orders,
            pump,
            response,
        }
    }

    /// Sends a text message.
    pub async fn send(&mut self, text: &str) {
        self.try_send(Message::text(text)).await.unwrap();
    }

    /// Sends any message; an error says that the gateway has hung up.
    pub async fn try_send(&mut self, message: Message) -> Result<(), Error> {
        let (done, result) = oneshot::channel();
        let sent = async {
            let _ = self.orders.send((message, done)).await;
            result.await.unwrap_or(Err(Error::AlreadyClosed))
        };
        in_time("sending", sent).await
    }

    /// The next text message, as it came.
    #[track_caller]
    pub fn frame(&mut self) -> impl Future<Output = String> + '_ {
        let caller = std::panic::Location::caller();
        async move {
            match self.event(PATIENCE).await {
                Some(Message::Text(text)) => text.to_string(),
                other => panic!("{caller}: wanted a frame, got {other:?}"),
            }
        }
    }

    /// The next text message as JSON.
    #[track_caller]
    pub fn json(&mut self) -> impl Future<Output = Value> + '_ {
        let frame = self.frame();
        async move { serde_json::from_str(&frame.await).unwrap() }
    }

    /// The next message is this text, byte for byte.
    #[track_caller]
    pub fn expect_frame<'a>(&'a mut self, text: &'a str) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        let frame = self.frame();
        async move { assert_eq!(frame.await, text, "at {caller}") }
    }

    /// The next thing is a close with this code; returns it whole.
    #[track_caller]
    pub fn expect_close(&mut self, code: u16) -> impl Future<Output = Closed> + '_ {
        let caller = std::panic::Location::caller();
        async move {
            match self.event(PATIENCE).await {
                Some(Message::Close(Some(frame))) => {
                    let closed = Closed {
                        code: frame.code.into(),
                        reason: frame.reason.to_string(),
                    };
                    assert_eq!(closed.code, code, "{caller}: {closed:?}");
                    assert!(closed.reason.len() <= 123, "{caller}: {closed:?}");
                    closed
                }
                other => panic!("{caller}: wanted close {code}, got {other:?}"),
            }
        }
    }

    /// Reads on, past frames, until the socket is closed.
    #[track_caller]
    pub fn closed(&mut self) -> impl Future<Output = Closed> + '_ {
        let caller = std::panic::Location::caller();
        async move {
            loop {
                match self.event(PATIENCE).await {
                    Some(Message::Close(Some(frame))) => {
                        return Closed {
                            code: frame.code.into(),
                            reason: frame.reason.to_string(),
                        };
                    }
                    Some(Message::Text(_)) => {}
                    other => panic!("{caller}: wanted a close, got {other:?}"),
                }
            }
        }
    }

    /// A ping of the gateway's own making proves that nothing was on its way before its answer.
    #[track_caller]
    pub fn expect_nothing(&mut self) -> impl Future<Output = ()> + '_ {
        let caller = std::panic::Location::caller();
        async move {
            self.send(r#"{"type":"ping","nothing":"before"}"#).await;
            let answer = self.event(PATIENCE).await;
            let Some(Message::Text(text)) = answer else {
                panic!("{caller}: wanted a pong, got {answer:?}");
            };
            let pong: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(pong["nothing"], "before", "{caller}: got {text}");
        }
    }

    /// The next thing of any kind, protocol pings and pongs included.
    pub async fn control(&mut self) -> Option<Message> {
        in_time("a control frame", self.events.recv()).await
    }

    /// The next text, binary or close; `None` when the connection ends without one.
    pub async fn event(&mut self, patience: Duration) -> Option<Message> {
        let next = async {
            loop {
                match self.events.recv().await {
                    Some(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                    other => return other,
                }
            }
        };
        tokio::time::timeout(patience, next)
            .await
            .unwrap_or_else(|_| panic!("nothing came within {patience:?}"))
    }

    /// Says goodbye and waits for the gateway's.
    pub async fn close(mut self) {
        let _ = self.try_send(Message::Close(None)).await;
        in_time("the closing handshake", async {
            while self.events.recv().await.is_some() {}
        })
        .await;
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

async fn pump<S: Stream>(
    mut stream: WebSocketStream<S>,
    came: mpsc::UnboundedSender<Message>,
    mut ordered: mpsc::Receiver<Order>,
) {
    loop {
        tokio::select! {
            message = stream.next() => match message {
                Some(Ok(message)) => drop(came.send(message)),
                Some(Err(_)) | None => return,
            },
            Some((message, done)) = ordered.recv() => {
                let _ = done.send(stream.send(message).await);
            }
        }
    }
}
