//! A scripted browser: HTTP/1.1 and HTTP/2 over TLS that verifies the CA, a cookie jar, an origin.
//!
//! Every page is fetched on a connection of its own; [`Browser::connect`] keeps one.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::in_time;
use super::raw::Raw;
use super::socket::{Handshake, Socket};

/// The body of a request.
pub type RequestBody = BoxBody<Bytes, std::io::Error>;

/// One browser profile at one gateway.
pub struct Browser {
    https: SocketAddr,
    host: String,
    tls: Arc<rustls::ClientConfig>,
    jar: Mutex<Vec<(String, String)>>,
    receive_buffer: Option<u32>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Page {
    pub status: StatusCode,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// A kept connection to a gateway.
pub struct Link {
    sender: Sender,
    driver: AbortHandle,
}

enum Sender {
    Http1(hyper::client::conn::http1::SendRequest<RequestBody>),
    Http2(hyper::client::conn::http2::SendRequest<RequestBody>),
}

/// A request in the making.
pub struct Ask<'a> {
    browser: &'a Browser,
    version: Version,
    request: http::request::Builder,
    body: RequestBody,
    cookies: bool,
}

impl Browser {
    /// A browser that trusts `tls`' roots and calls the gateway `name`.
    pub fn new(https: SocketAddr, name: &str, tls: Arc<rustls::ClientConfig>) -> Self {
        Self {
            https,
            host: format!("{name}:{}", https.port()),
            tls,
            jar: Mutex::default(),
            receive_buffer: None,
        }
    }

    /// The kernel takes few bytes for it, so that not reading is felt at once.
    #[must_use]
    pub fn with_small_receive_buffer(mut self) -> Self {
        self.receive_buffer = Some(4096);
        self
    }

    /// Has this session cookie.
    #[must_use]
    pub fn signed_in(self, session: &str) -> Self {
        self.with_cookie("sessionid", session)
    }

    /// Has this cookie; the same name may come more than once.
    #[must_use]
    pub fn with_cookie(self, name: &str, value: &str) -> Self {
        let cookie = (name.to_owned(), value.to_owned());
        self.jar.lock().unwrap().push(cookie);
        self
    }

    /// Forgets all cookies.
    pub fn clear_cookies(&self) {
        self.jar.lock().unwrap().clear();
    }

    /// A cookie's value.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let jar = self.jar.lock().unwrap();
        jar.iter()
            .find(|(cookie, _)| cookie == name)
            .map(|(_, value)| value.clone())
    }

    /// The `Cookie` line, if there are cookies.
    pub fn cookie_line(&self) -> Option<String> {
        let jar = self.jar.lock().unwrap();
        let pairs: Vec<_> = jar.iter().map(|(n, v)| format!("{n}={v}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// `localhost:8443`, as the address bar shows it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// `https://localhost:8443`
    pub fn origin(&self) -> String {
        format!("https://{}", self.host)
    }

    /// Gets a page over HTTP/1.1.
    pub async fn get(&self, path: &str) -> Page {
        self.ask(Method::GET, path).send().await
    }

    /// Posts a body over HTTP/1.1 with a `Content-Length` and the browser's `Origin`.
    pub async fn post(&self, path: &str, content_type: &str, body: impl Into<Bytes>) -> Page {
        self.ask(Method::POST, path)
            .header("content-type", content_type)
            .header("origin", &self.origin())
            .body(body)
            .send()
            .await
    }

    /// Begins a request.
    pub fn ask(&self, method: Method, path: &str) -> Ask<'_> {
        Ask {
            browser: self,
            version: Version::HTTP_11,
            request: Request::builder().method(method).uri(path),
            body: whole(Bytes::new()),
            cookies: true,
        }
    }

    /// Begins a GET over this version of HTTP.
    pub fn ask_over(&self, version: Version, path: &str) -> Ask<'_> {
        let mut ask = self.ask(Method::GET, path);
        ask.version = version;
        ask
    }

    /// Opens a WebSocket as a page of this origin would; panics unless it is accepted.
    #[track_caller]
    pub fn socket(&self, path: &str) -> impl Future<Output = Socket> {
        let caller = std::panic::Location::caller();
        let handshake = self.handshake(path);
        async move {
            match handshake.send().await {
                Ok(socket) => socket,
                Err(refusal) => panic!("{caller}: no socket, but {refusal:?}"),
            }
        }
    }

    /// Begins a WebSocket handshake as a page of this origin would.
    pub fn handshake(&self, path: &str) -> Handshake<'_> {
        Handshake::new(self, path)
    }

    /// A kept connection.
    pub async fn connect(&self, version: Version) -> Link {
        let http2 = version == Version::HTTP_2;
        let alpn: &[u8] = if http2 { b"h2" } else { b"http/1.1" };
        let io = TokioIo::new(self.tls(&[alpn]).await);
        if http2 {
            let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
            let (sender, driver) = in_time("HTTP/2 handshake", handshake).await.unwrap();
            let driver = tokio::spawn(async move { drop(driver.await) }).abort_handle();
            let sender = Sender::Http2(sender);
            return Link { sender, driver };
        }
        let handshake = hyper::client::conn::http1::handshake(io);
        let (sender, driver) = in_time("HTTP/1.1 handshake", handshake).await.unwrap();
        let driver = tokio::spawn(async move { drop(driver.with_upgrades().await) }).abort_handle();
        let sender = Sender::Http1(sender);
        Link { sender, driver }
    }

    /// A TLS connection that speaks HTTP/1.1 in whatever bytes the test likes.
    pub async fn raw(&self) -> Raw<TlsStream<TcpStream>> {
        Raw::new(self.tls(&[b"http/1.1"]).await)
    }

    /// A TLS connection with this ALPN offer.
    pub async fn tls(&self, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
        let attempt = self.try_tls(alpn);
        in_time("TLS handshake", attempt).await.unwrap()
    }

    /// Tries a TLS connection.
    pub async fn try_tls(&self, alpn: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        if let Some(size) = self.receive_buffer {
            socket.set_recv_buffer_size(size)?;
        }
        let tcp = socket.connect(self.https).await?;
        tcp.set_nodelay(true)?;
        let mut config = (*self.tls).clone();
        config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
        let name = self.host.rsplit_once(':').unwrap().0.to_owned();
        let name = ServerName::try_from(name).unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
    }

    /// Keeps what an answer's `Set-Cookie` lines say.
    pub fn keep_cookies<'a>(&self, lines: impl IntoIterator<Item = &'a str>) {
        let mut jar = self.jar.lock().unwrap();
        for line in lines {
            let pair = line.split(';').next().unwrap_or_default();
            let Some((name, value)) = pair.trim().split_once('=') else {
                continue;
            };
            jar.retain(|(cookie, _)| cookie != name);
            if !line.to_ascii_lowercase().contains("max-age=0") {
                jar.push((name.to_owned(), value.trim_matches('"').to_owned()));
            }
        }
    }
}

impl Ask<'_> {
    /// Over HTTP/2 instead of HTTP/1.1.
    #[must_use]
    pub fn over_http2(mut self) -> Self {
        self.version = Version::HTTP_2;
        self
    }

    /// One more request field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Leaves the cookie jar closed.
    #[must_use]
    pub fn without_cookies(mut self) -> Self {
        self.cookies = false;
        self
    }

    /// A body with a length.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = whole(body.into());
        self
    }

    /// A body of any kind, without a length where it does not know one.
    #[must_use]
    pub fn streams(mut self, body: RequestBody) -> Self {
        self.body = body;
        self
    }

    /// Sends it and reads the whole answer; panics when the answer breaks off.
    #[track_caller]
    pub fn send(self) -> impl Future<Output = Page> {
        let caller = std::panic::Location::caller();
        async move {
            match self.try_send().await {
                Ok(page) => page,
                Err(error) => panic!("{caller}: {error:?}"),
            }
        }
    }

    /// Sends it and reads the whole answer, or says how that failed.
    pub async fn try_send(self) -> hyper::Result<Page> {
        let browser = self.browser;
        let mut link = browser.connect(self.version).await;
        let response = link.send(self.finish()).await?;
        let page = Page::of(response).await?;
        let lines = page.headers.get_all("set-cookie");
        browser.keep_cookies(lines.iter().filter_map(|line| line.to_str().ok()));
        Ok(page)
    }

    /// The request, for a [`Link`].
    pub fn finish(self) -> Request<RequestBody> {
        let mut request = self.request.body(self.body).unwrap();
        if self.version == Version::HTTP_2 {
            let uri = format!("{}{}", self.browser.origin(), request.uri());
            *request.uri_mut() = uri.parse().unwrap();
        } else if !request.headers().contains_key("host") {
            let host = HeaderValue::from_str(self.browser.host()).unwrap();
            request.headers_mut().insert("host", host);
        }
        let line = self.browser.cookie_line().filter(|_| self.cookies);
        if let Some(line) = line {
            // Over HTTP/2 browsers send a field per cookie (RFC 9113 section 8.2.3).
            let http2 = self.version == Version::HTTP_2;
            let crumbs = line.split(if http2 { "; " } else { "\0" });
            for crumb in crumbs {
                let crumb = HeaderValue::from_str(crumb).unwrap();
                request.headers_mut().append("cookie", crumb);
            }
        }
        request
    }
}

impl Link {
    /// Sends a request; the answer's body streams.
    pub async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> hyper::Result<Response<Incoming>> {
        let what = format!("{} {}", request.method(), request.uri());
        match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                in_time(&what, sender.send_request(request)).await
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                in_time(&what, sender.send_request(request)).await
            }
        }
    }

    /// Sends a request over HTTP/2; the answer may be awaited beside others.
    pub async fn begin(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + use<> {
        let Sender::Http2(sender) = &mut self.sender else {
            panic!("HTTP/1.1 has one request at a time");
        };
        sender.ready().await.unwrap();
        sender.send_request(request)
    }

    /// Whether it speaks HTTP/2.
    pub fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.driver.is_finished()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Page {
    /// Reads an answer to its end.
    pub async fn of(response: Response<Incoming>) -> hyper::Result<Self> {
        let (head, body) = response.into_parts();
        let body = in_time("the answer's body", body.collect())
            .await?
            .to_bytes();
        Ok(Self {
            status: head.status,
            version: head.version,
            headers: head.headers,
            body,
        })
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// A field's value; panics if it came twice.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<String> {
        let mut values = self.all(name);
        assert!(values.len() < 2, "{name} came twice: {values:?}");
        values.pop()
    }

    /// Every value of a field.
    pub fn all(&self, name: &str) -> Vec<String> {
        let name: HeaderName = name.parse().unwrap();
        let values = self.headers.get_all(name);
        values
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    }

    /// What an echoing upstream got: the values of one request field.
    #[track_caller]
    pub fn echoed(&self, name: &str) -> Vec<String> {
        let echo = self.json();
        let fields = echo["headers"].as_array().expect("an echo");
        fields
            .iter()
            .filter(|field| field[0].as_str().unwrap().eq_ignore_ascii_case(name))
            .map(|field| field[1].as_str().unwrap().to_owned())
            .collect()
    }
}

/// A body with a length.
pub fn whole(bytes: Bytes) -> RequestBody {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}
