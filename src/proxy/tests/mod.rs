//! A forwarder behind a real HTTP/1.1 server, in front of upstreams that follow a script.

mod bodies;
mod buffering;
mod connections;
mod leaving;
mod sockets;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::HOST;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::buffer::Buffering;
use super::compress::Encoders;
use super::forward::{ForwardSettings, Forwarder, UpstreamKind};
use super::intercept::Intercept;
use super::receive::StreamedPaths;
use super::upstream::{Upstream, UpstreamSettings};
use crate::config::{BufferFolder, BufferingConfig, UpstreamAddress};
use crate::ids::{NodeId, RequestId};
use crate::net::drain::DrainWatch;
use crate::telemetry::metrics::BufferedBytes;
use crate::web::headers;
use crate::web::linger;
use crate::web::problem::ToProblem;
use crate::web::render::{ResponseFormat, render};
use crate::web::request::{Downstream, ErrorPages, Upgrade};
use crate::web::request_body::{RequestBody, TakesRest, Unread};

/// What a test may change.
#[derive(Clone)]
struct Setup {
    kind: UpstreamKind,
    addresses: Vec<UpstreamAddress>,
    hold: Duration,
    timeout: Duration,
    body_size: u64,
    body_timeout: Duration,
    body_rate: Option<u64>,
    buffering: BufferingConfig,
    retries: Counter,
    intercept: Option<Arc<dyn Intercept>>,
}

fn before(address: SocketAddr) -> Setup {
    Setup {
        kind: UpstreamKind::Django,
        addresses: vec![tcp(address)],
        hold: Duration::ZERO,
        timeout: Duration::from_secs(5),
        body_size: 1 << 20,
        body_timeout: Duration::from_secs(5),
        body_rate: Some(1024),
        buffering: BufferingConfig {
            folder: BufferFolder::Given(std::env::temp_dir()),
            ..BufferingConfig::default()
        },
        retries: Counter::default(),
        intercept: None,
    }
}

fn tcp(address: SocketAddr) -> UpstreamAddress {
    UpstreamAddress::Tcp {
        host: address.ip().to_string(),
        port: address.port(),
    }
}

impl Setup {
    fn forwarder(&self, drain: &DrainWatch) -> Forwarder {
        let settings = UpstreamSettings {
            name: "django".into(),
            addresses: self.addresses.clone(),
            connect_timeout: Duration::from_secs(2),
            timeout: self.timeout,
            hold: self.hold,
        };
        let settings = ForwardSettings {
            upstream: Upstream::new(settings, self.retries.clone(), drain.clone()),
            kind: self.kind,
            body_size: self.body_size,
            body_timeout: self.body_timeout,
            body_rate: self.body_rate,
            buffering: Buffering::open(&self.buffering, &BufferedBytes::default()).unwrap(),
            encoders: Encoders::default(),
            streamed: StreamedPaths::Below(self.buffering.unbuffered.clone()),
            intercept: self.intercept.clone(),
        };
        Forwarder::new(settings, drain.clone())
    }

    /// Serves until the test's runtime ends.
    async fn serve(&self) -> SocketAddr {
        let drain = DrainWatch::default();
        let forwarder = Arc::new(self.forwarder(&drain));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drain.clone().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (forwarder, rests) = (forwarder.clone(), drain.clone());
                let service = service_fn(move |request| {
                    answer(forwarder.clone(), with_rest(request, &rests))
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades();
                drain.spawn(async move {
                    let _ = connection.await;
                });
            }
        });
        address
    }
}

/// The rest of its body is thrown away, as `server` does it.
fn with_rest(request: Request<Incoming>, drain: &DrainWatch) -> Request<RequestBody> {
    let is_awaited = request.headers().contains_key(http::header::EXPECT);
    let taker = Arc::new(AsServerDoes(drain.clone()));
    request.map(|body| RequestBody::new(body, None).with_rest(|| Unread { taker, is_awaited }))
}

#[derive(Debug)]
struct AsServerDoes(DrainWatch);

impl TakesRest for AsServerDoes {
    fn take(&self, mut rest: RequestBody) {
        self.0.spawn(async move {
            linger::throw_away(&mut rest, 1 << 30, Duration::from_secs(2)).await;
        });
    }
}

async fn answer(
    forwarder: Arc<Forwarder>,
    request: Request<RequestBody>,
) -> Result<Response<crate::web::body::ResponseBody>, std::convert::Infallible> {
    let asked = ResponseFormat::of(&request);
    let host = request.headers().get(HOST).cloned();
    let upgrade = if headers::is_websocket_upgrade(request.headers()) {
        Upgrade::WebSocket
    } else {
        Upgrade::None
    };
    let downstream = Downstream {
        address: "192.0.2.7".parse().unwrap(),
        request_id: RequestId::new(NodeId::random(), 1),
        trace: crate::ids::TraceSource::random().trace(1),
        host: host.unwrap_or(HeaderValue::from_static("localhost")),
        upgrade,
        audience: ErrorPages::Developer,
        claimed: None,
        compression: None,
        upstream_time: crate::web::upstream_time::UpstreamTime::default(),
        tracer: crate::telemetry::otel::Tracer::default(),
    };
    let answered = forwarder.forward(Box::new(request), &downstream).await;
    Ok(answered
        .unwrap_or_else(|error| render(&error.to_problem(), asked, Some(downstream.reader()))))
}

/// What an upstream does on one connection: waits for text, sends text.
#[derive(Clone, Debug)]
enum Step {
    /// Reads until this has come.
    Read(&'static str),
    /// Sends this.
    Send(&'static str),
    /// Reads until the other side closes.
    ReadToEnd,
    /// Waits for this.
    Await(Arc<Notify>),
    /// Closes with a reset.
    Reset,
    /// Keeps the connection open and silent.
    Hang,
}

/// An upstream that follows one script a connection, then refuses.
struct Scripted {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    async fn start(scripts: &[&[Step]]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let scripts: Vec<Vec<Step>> = scripts.iter().map(|steps| steps.to_vec()).collect();
        let log = heard.clone();
        let drain = DrainWatch::default();
        drain.clone().spawn(async move {
            for (index, steps) in scripts.into_iter().enumerate() {
                let (stream, _) = listener.accept().await.unwrap();
                log.lock().unwrap().push(String::new());
                drain.spawn(follow(stream, steps, log.clone(), index));
            }
        });
        Self { address, heard }
    }

    /// What came on each connection.
    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// Waits until what came on a connection satisfies `condition`.
    async fn hears(&self, connection: usize, condition: impl Fn(&str) -> bool) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
        while !self
            .heard()
            .get(connection)
            .is_some_and(|text| condition(text))
        {
            assert!(
                tokio::time::Instant::now() < deadline,
                "heard only {:?}",
                self.heard()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn follow(
    mut stream: TcpStream,
    steps: Vec<Step>,
    log: Arc<Mutex<Vec<String>>>,
    index: usize,
) {
    let mut unread = String::new();
    for step in steps {
        match step {
            Step::Send(text) => {
                if stream.write_all(text.as_bytes()).await.is_err() {
                    return log.lock().unwrap()[index].push_str("<cut off>");
                }
            }
            Step::Read(text) => {
                while !unread.contains(text) {
                    if !read(&mut stream, &mut unread, &log, index).await {
                        return;
                    }
                }
                let end = unread.find(text).unwrap() + text.len();
                unread.drain(..end);
            }
            Step::ReadToEnd => while read(&mut stream, &mut unread, &log, index).await {},
            Step::Await(notified) => notified.notified().await,
            Step::Reset => {
                let socket = socket2::SockRef::from(&stream);
                socket.set_linger(Some(Duration::ZERO)).unwrap();
                return;
            }
            Step::Hang => std::future::pending().await,
        }
    }
}

async fn read(
    stream: &mut TcpStream,
    unread: &mut String,
    log: &Mutex<Vec<String>>,
    index: usize,
) -> bool {
    let mut buffer = vec![0; 16 * 1024];
    let count = stream.read(&mut buffer).await.unwrap_or(0);
    let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
    if count == 0 {
        log.lock().unwrap()[index].push_str("<end>");
    }
    log.lock().unwrap()[index].push_str(&text);
    unread.push_str(&text);
    count > 0
}

/// A client's connection, raw.
struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until `text` has come; what came up to there. An early end is `Err` with what came.
    async fn until(&mut self, text: &str) -> Result<String, String> {
        loop {
            let so_far = String::from_utf8_lossy(&self.unread).into_owned();
            if let Some(found) = so_far.find(text) {
                self.unread.drain(..found + text.len());
                return Ok(so_far[..found + text.len()].to_owned());
            }
            let mut buffer = vec![0; 16 * 1024];
            let read = tokio::time::timeout(Duration::from_secs(10), self.stream.read(&mut buffer));
            match read.await.expect("the gateway answers in time") {
                Ok(count) if count > 0 => self.unread.extend_from_slice(&buffer[..count]),
                _ => return Err(so_far),
            }
        }
    }

    /// Everything up to the end, and what is wrong with that, if anything.
    async fn rest(&mut self, length: usize) -> Result<Vec<u8>, usize> {
        let mut buffer = vec![0; 64 * 1024];
        while self.unread.len() < length {
            let read = tokio::time::timeout(Duration::from_secs(10), self.stream.read(&mut buffer));
            match read.await.expect("the gateway goes on in time") {
                Ok(count) if count > 0 => self.unread.extend_from_slice(&buffer[..count]),
                _ => return Err(self.unread.len()),
            }
        }
        Ok(std::mem::take(&mut self.unread))
    }

    async fn get(&mut self, path: &str) -> String {
        self.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost:8443\r\n\r\n"
        ))
        .await;
        self.until("\r\n\r\n").await.unwrap()
    }
}

/// Status and body of one request on a connection of its own.
async fn ask(address: SocketAddr, request: Request<String>) -> (u16, String) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    DrainWatch::default().spawn(async move {
        let _ = connection.await;
    });
    let response = sender.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

fn get(path: &str) -> Request<String> {
    Request::get(path)
        .header(HOST, "localhost:8443")
        .body(String::new())
        .unwrap()
}

fn post(body: &str) -> Request<String> {
    Request::post("/")
        .header(HOST, "localhost:8443")
        .body(body.to_owned())
        .unwrap()
}
