//! WebSockets that are streams of one HTTP/2 connection (RFC 8441), as browsers open them.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use bytes::Bytes;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::ext::Protocol;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::AbortHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::browser::{Browser, Page, RequestBody, whole};
use super::in_time;
use super::raw::{Answered, Raw};
use super::socket::{Handshake, Socket};
use super::wire::{Body, Head};

/// What a stream may hold that nobody reads: little, so that not reading is felt soon.
const WINDOW: u32 = 64 * 1024;
/// Far more than all streams of a test together.
const CONNECTION_WINDOW: u32 = 64 * 1024 * 1024;

/// One connection.
pub struct Http2 {
    sender: http2::SendRequest<RequestBody>,
    offers: Arc<AtomicBool>,
    driver: AbortHandle,
}

impl Http2 {
    /// Connects, and knows the gateway's settings then.
    pub async fn connect(browser: &Browser) -> Self {
        let io = TokioIo::new(browser.tls(&[b"h2"]).await);
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        let handshake = in_time("HTTP/2 handshake", builder.handshake(io));
        let (sender, connection) = handshake.await.unwrap();
        let offers = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&offers);
        let driver = tokio::spawn(async move {
            let mut connection = pin!(connection);
            poll_fn(|context| {
                let polled = connection.as_mut().poll(context);
                let offers = connection.is_extended_connect_protocol_enabled();
                seen.store(offers, Ordering::SeqCst);
                polled.map(drop)
            })
            .await;
        });
        let mut http2 = Self {
            sender,
            offers,
            driver: driver.abort_handle(),
        };
        // Nothing but the gateway itself answers here, and not before its settings; once more, since what it offers is noted after
        // the answer was passed on.
        for _ in 0..2 {
            assert_eq!(http2.get(browser, "/_gatepost/").await.status, 404);
        }
        http2
    }

    /// Whether the gateway takes WebSockets on it.
    pub fn offers_websockets(&self) -> bool {
        self.offers.load(Ordering::SeqCst)
    }

    /// Whether it has ended.
    pub fn is_closed(&self) -> bool {
        self.driver.is_finished()
    }

    /// Gets a page.
    pub async fn get(&mut self, browser: &Browser, path: &str) -> Page {
        let ask = browser.ask(Method::GET, path).over_http2();
        let answer = self.send(ask.finish()).await.unwrap();
        Page::of(answer).await.unwrap()
    }

    /// Sends any request.
    pub async fn send(&self, request: Request<RequestBody>) -> hyper::Result<Response<Incoming>> {
        let mut sender = self.sender.clone();
        in_time("an answer", async {
            sender.ready().await?;
            sender.send_request(request).await
        })
        .await
    }

    /// Opens a WebSocket as a page of this origin would; panics unless it is accepted.
    #[track_caller]
    pub fn socket(&self, browser: &Browser, path: &str) -> impl Future<Output = Socket> {
        let caller = std::panic::Location::caller();
        let opened = self.open(browser.handshake(path));
        async move {
            match opened.await {
                Ok(socket) => socket,
                Err(refusal) => panic!("{caller}: no socket, but {refusal:?}"),
            }
        }
    }

    /// Sends a handshake; `Err` is an answer other than 200.
    pub async fn open(&self, handshake: Handshake<'_>) -> Result<Socket, Page> {
        let (raw, answer) = self.open_raw(handshake).await?;
        let stream = raw.wire.stream;
        let stream = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
        Ok(Socket::over(stream, answer))
    }

    /// Sends it and keeps the frames raw. What is not read waits in the stream's window.
    pub async fn open_raw(
        &self,
        handshake: Handshake<'_>,
    ) -> Result<(Raw<TokioIo<Upgraded>>, Answered), Page> {
        let browser = handshake.browser;
        let mut answer = self.send(connect(&handshake)).await.unwrap();
        let lines = answer.headers().get_all("set-cookie");
        browser.keep_cookies(lines.iter().filter_map(|line| line.to_str().ok()));
        if answer.status() != 200 {
            return Err(Page::of(answer).await.unwrap());
        }
        let upgraded = hyper::upgrade::on(&mut answer);
        let upgraded = in_time("the stream", upgraded).await.unwrap();
        let mut raw = b"HTTP/2 200\r\n".to_vec();
        for (name, value) in answer.headers() {
            raw.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        raw.extend(b"\r\n");
        let answer = Answered {
            head: Head { raw },
            body: Body::default(),
        };
        Ok((Raw::new(TokioIo::new(upgraded)), answer))
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The same handshake, as HTTP/2 has it: no key, no connection, a field a cookie.
pub fn connect(handshake: &Handshake<'_>) -> Request<RequestBody> {
    let own = |name: &str| {
        let gone = ["host", "connection", "upgrade", "sec-websocket-key"];
        gone.iter().all(|other| !name.eq_ignore_ascii_case(other))
    };
    let host = handshake.fields.iter().rfind(|(name, _)| name == "Host");
    let host = host.map_or("", |(_, host)| host);
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("https://{host}{}", handshake.path))
        .extension(Protocol::from_static("websocket"));
    for (name, value) in handshake.fields.iter().filter(|(name, _)| own(name)) {
        let crumbs = value.split(if name == "Cookie" { "; " } else { "\0" });
        for crumb in crumbs {
            request = request.header(name, crumb);
        }
    }
    request.body(whole(Bytes::new())).unwrap()
}
