//! Connections over real sockets: both protocols, every time limit, the drain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use super::serve::Server;
use super::service::{Handler, Peer, ServerLimits};
use crate::config::CertificateSource;
use crate::net::drain::{Drain, DrainWatch};
use crate::net::listener::Listener;
use crate::tls::names::CertificateNames;
use crate::tls::store::CertificateStore;
use crate::web::body::ResponseBody;
use crate::web::request_body::BoxedRequest;

/// Long enough to be a failure.
const PATIENCE: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(300);
const NEVER: Duration = Duration::from_hours(1);

/// Answers by path.
struct Scripted {
    drain: DrainWatch,
    /// Lets `/wait` answer.
    go: Semaphore,
    /// Tells that `/wait` was asked.
    asked: Semaphore,
    /// Tells that a body of `/endless` is gone.
    dropped: Arc<Semaphore>,
}

/// Tells when it is dropped.
struct Guard(Arc<Semaphore>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

impl Handler for Scripted {
    async fn answer(&self, mut request: BoxedRequest, peer: Peer) -> Response<ResponseBody> {
        match request.uri().path() {
            "/wait" => {
                self.asked.add_permits(1);
                self.go.acquire().await.unwrap().forget();
            }
            "/endless" => return Response::new(self.endless()),
            "/upgrade" => {
                let upgrade = hyper::upgrade::on(&mut *request);
                self.drain.spawn(async move {
                    let mut socket = TokioIo::new(upgrade.await.unwrap());
                    let mut byte = [0];
                    while socket.read_exact(&mut byte).await.is_ok() {
                        socket.write_all(&byte).await.unwrap();
                        socket.flush().await.unwrap();
                    }
                });
                return Response::builder()
                    .status(StatusCode::SWITCHING_PROTOCOLS)
                    .header(header::CONNECTION, "upgrade")
                    .header(header::UPGRADE, "echo")
                    .body(ResponseBody::empty())
                    .unwrap();
            }
            _ => {}
        }
        assert!(matches!(peer, Peer::Tcp(address) if address.ip().is_loopback()));
        Response::new(ResponseBody::full(format!("{:?}", request.version())))
    }
}

impl Scripted {
    fn endless(&self) -> ResponseBody {
        let guard = Guard(Arc::clone(&self.dropped));
        let frames = stream::repeat_with(move || {
            let _kept = &guard;
            Ok(Frame::data(Bytes::from_static(&[b'x'; 4096])))
        });
        ResponseBody::stream(StreamBody::new(frames))
    }
}

/// A server on a free port.
struct Bed {
    address: SocketAddr,
    answer: Arc<Scripted>,
    drain: Drain,
    ca: rustls::RootCertStore,
}

fn limits() -> ServerLimits {
    ServerLimits {
        connections: 100,
        refused: 64,
        header_size: 32 * 1024,
        headers: 100,
        tls_timeout: NEVER,
        header_timeout: NEVER,
        idle_timeout: NEVER,
        write_timeout: NEVER,
        websocket_over_http2: false,
    }
}

impl Bed {
    /// Comes again until there is room.
    async fn lets_in(&self) {
        loop {
            let mut client = self.connect().await;
            let mut status = [0; 12];
            let asked = client.write_all(get("/").as_bytes()).await;
            let read = asked.is_ok() && client.read_exact(&mut status).await.is_ok();
            if read && status == *b"HTTP/1.1 200" {
                return;
            }
            sleep(SHORT / 10).await;
        }
    }

    fn plain(limits: ServerLimits) -> Self {
        Self::start(limits, None)
    }

    fn tls(limits: ServerLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = CertificateSource::LocalCa {
            directory: folder.path().to_owned(),
        };
        let names = CertificateNames {
            hosts: vec!["localhost".to_owned()],
            addresses: Vec::new(),
        };
        Self::start(
            limits,
            Some(CertificateStore::load(&config, &names).unwrap()),
        )
    }

    fn start(limits: ServerLimits, store: Option<CertificateStore>) -> Self {
        let drain = Drain::new();
        let answer = Arc::new(Scripted {
            drain: drain.watch(),
            go: Semaphore::new(0),
            asked: Semaphore::new(0),
            dropped: Arc::new(Semaphore::new(0)),
        });
        let serve = Arc::new(Server::new(Arc::clone(&answer), limits, drain.watch()));
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_address().unwrap();
        let mut ca = rustls::RootCertStore::empty();
        match store {
            None => drain.watch().spawn(serve.run_plain(listener)),
            Some(store) => {
                let pem = CertificateDer::from_pem_file(store.ca_file().unwrap()).unwrap();
                ca.add(pem).unwrap();
                drain
                    .watch()
                    .spawn(serve.run_tls(listener, Arc::new(store)));
            }
        }
        Self {
            address,
            answer,
            drain,
            ca,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn secure(&self, alpn: &[u8]) -> tokio_rustls::client::TlsStream<TcpStream> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.ca.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(
                ServerName::try_from("localhost").unwrap(),
                self.connect().await,
            )
            .await
            .unwrap()
    }

    async fn http2(&self) -> hyper::client::conn::http2::SendRequest<Empty<Bytes>> {
        let io = TokioIo::new(self.secure(b"h2").await);
        let (send, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
            .await
            .unwrap();
        self.answer
            .drain
            .spawn(async move { drop(connection.await) });
        send
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

fn request(path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("https://localhost{path}"))
        .body(Empty::new())
        .unwrap()
}

/// Asks over HTTP/1.1 and reads one short answer.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, path: &str) -> String {
    stream.write_all(get(path).as_bytes()).await.unwrap();
    answer(stream).await
}

async fn answer<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut text = Vec::new();
    let read = async {
        while !text.ends_with(b"HTTP/1.1") || text.len() < 20 {
            let byte = stream.read_u8().await.unwrap();
            text.push(byte);
        }
    };
    timeout(PATIENCE, read).await.unwrap();
    String::from_utf8(text).unwrap()
}

/// How long until the server ends the connection, and how: `Ok` is in good order.
async fn end<S: AsyncRead + Unpin>(stream: &mut S) -> (Duration, std::io::Result<usize>) {
    let began = Instant::now();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut Vec::new()))
        .await
        .expect("the server never ends the connection");
    (began.elapsed(), ended)
}

#[tokio::test]
async fn both_protocols_are_spoken_by_alpn() {
    let bed = Bed::tls(limits());
    let mut http1 = bed.secure(b"http/1.1").await;
    assert!(ask(&mut http1, "/").await.starts_with("HTTP/1.1 200 OK"));
    let response = bed.http2().await.send_request(request("/")).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "HTTP/2.0");
}

#[tokio::test]
async fn half_a_tls_handshake_is_cut() {
    let bed = Bed::tls(ServerLimits {
        tls_timeout: SHORT,
        ..limits()
    });
    let mut client = bed.connect().await;
    client.write_all(&[0x16, 3, 1]).await.unwrap();
    let (after, _) = end(&mut client).await;
    assert!(after >= SHORT / 2, "{after:?}");
}

#[tokio::test]
async fn plain_http_at_the_https_port_is_told_so() {
    let bed = Bed::tls(limits());
    let mut client = bed.connect().await;
    client.write_all(get("/").as_bytes()).await.unwrap();
    let mut text = String::new();
    let read = client.read_to_string(&mut text);
    timeout(PATIENCE, read).await.unwrap().unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 400"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
    assert!(body.contains("https://"));
}

#[tokio::test]
async fn a_client_that_says_nothing_is_cut() {
    let bed = Bed::plain(ServerLimits {
        header_timeout: SHORT,
        ..limits()
    });
    let (after, _) = end(&mut bed.connect().await).await;
    assert!(after >= SHORT / 2, "{after:?}");
}

#[tokio::test]
async fn a_dripping_header_section_is_cut_on_a_new_and_on_a_kept_connection() {
    let bed = Bed::tls(ServerLimits {
        header_timeout: SHORT,
        ..limits()
    });
    for kept in [false, true] {
        let mut client = bed.secure(b"http/1.1").await;
        if kept {
            ask(&mut client, "/").await;
        }
        let (mut reader, mut writer) = tokio::io::split(client);
        let drip = async {
            writer.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
            while writer.write_all(b"A: b\r\n").await.is_ok() && writer.flush().await.is_ok() {
                sleep(SHORT / 10).await;
            }
            std::future::pending::<()>().await;
        };
        let (after, _) = tokio::select! {
            () = drip => unreachable!(),
            ended = end(&mut reader) => ended,
        };
        assert!(after >= SHORT / 2, "{after:?}");
    }
}

#[tokio::test]
async fn an_idle_connection_outlives_the_header_timeout_and_ends_in_good_order() {
    let bed = Bed::tls(ServerLimits {
        header_timeout: SHORT,
        idle_timeout: SHORT * 4,
        ..limits()
    });
    let mut client = bed.secure(b"http/1.1").await;
    ask(&mut client, "/").await;
    sleep(SHORT * 2).await;
    assert!(ask(&mut client, "/").await.starts_with("HTTP/1.1 200 OK"));
    let (after, ended) = end(&mut client).await;
    // rustls makes an error of an end without close_notify.
    assert_eq!(ended.unwrap(), 0);
    assert!(after >= SHORT * 3, "{after:?}");
}

#[tokio::test]
async fn an_idle_http2_connection_is_ended() {
    let bed = Bed::tls(ServerLimits {
        idle_timeout: SHORT,
        ..limits()
    });
    let mut client = bed.http2().await;
    assert_eq!(
        client.send_request(request("/")).await.unwrap().status(),
        200
    );
    let ended = async {
        while client.ready().await.is_ok() {
            sleep(SHORT / 10).await;
        }
    };
    timeout(PATIENCE, ended).await.unwrap();
}

#[tokio::test]
async fn a_long_wait_for_an_answer_is_not_the_client_s_fault() {
    let bed = Bed::plain(ServerLimits {
        header_timeout: SHORT,
        idle_timeout: SHORT,
        write_timeout: SHORT,
        ..limits()
    });
    let mut client = bed.connect().await;
    client.write_all(get("/wait").as_bytes()).await.unwrap();
    sleep(SHORT * 3).await;
    bed.answer.go.add_permits(1);
    assert!(answer(&mut client).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_client_that_stops_reading_is_cut() {
    let bed = Bed::tls(ServerLimits {
        write_timeout: SHORT,
        ..limits()
    });
    let mut http1 = bed.secure(b"http/1.1").await;
    http1.write_all(get("/endless").as_bytes()).await.unwrap();
    http1.flush().await.unwrap();
    let gone = timeout(PATIENCE, bed.answer.dropped.acquire()).await;
    gone.expect("the HTTP/1.1 client keeps its answer")
        .unwrap()
        .forget();

    let mut http2 = bed.http2().await;
    let _unread = http2.send_request(request("/endless")).await.unwrap();
    let gone = timeout(PATIENCE, bed.answer.dropped.acquire()).await;
    gone.expect("the HTTP/2 client keeps its answer")
        .unwrap()
        .forget();
}

#[tokio::test]
async fn a_client_that_reads_slowly_but_steadily_is_served() {
    let bed = Bed::plain(ServerLimits {
        write_timeout: SHORT,
        ..limits()
    });
    let mut client = bed.connect().await;
    client.write_all(get("/endless").as_bytes()).await.unwrap();
    let mut part = vec![0; 512 * 1024];
    for _ in 0..20 {
        sleep(SHORT / 5).await;
        timeout(PATIENCE, client.read_exact(&mut part))
            .await
            .unwrap()
            .unwrap();
    }
}

#[tokio::test]
async fn the_drain_finishes_what_is_under_way_and_ends_what_idles() {
    let bed = Bed::tls(limits());
    let mut idle = bed.secure(b"http/1.1").await;
    ask(&mut idle, "/").await;
    let mut silent = bed.secure(b"http/1.1").await;
    let mut busy = bed.secure(b"http/1.1").await;
    busy.write_all(get("/wait").as_bytes()).await.unwrap();
    let mut http2 = bed.http2().await;
    let streaming = http2.send_request(request("/wait"));
    let drain = async {
        bed.answer.asked.acquire_many(2).await.unwrap().forget();
        bed.drain.drain(PATIENCE).await
    };
    let under_way = async {
        assert_eq!(end(&mut idle).await.1.unwrap(), 0);
        assert_eq!(end(&mut silent).await.1.unwrap(), 0);
        while TcpStream::connect(bed.address).await.is_ok() {
            sleep(SHORT / 10).await;
        }
        bed.answer.go.add_permits(2);
        let mut text = String::new();
        busy.read_to_string(&mut text).await.unwrap();
        assert!(
            text.contains("Connection: close") && text.ends_with("HTTP/1.1"),
            "{text}"
        );
    };
    let all = async { tokio::join!(streaming, drain, under_way) };
    let (answered, aborted, ()) = timeout(PATIENCE, all).await.unwrap();
    assert_eq!(answered.unwrap().status(), 200);
    assert_eq!(aborted, 0);
}

#[tokio::test]
async fn an_upgraded_connection_keeps_its_permit_and_no_time_limit() {
    let bed = Bed::plain(ServerLimits {
        connections: 1,
        header_timeout: SHORT,
        idle_timeout: SHORT,
        write_timeout: SHORT,
        ..limits()
    });
    let mut socket = bed.connect().await;
    let upgrade =
        "GET /upgrade HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    socket.write_all(upgrade.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, socket.read_u8()).await.unwrap().unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));

    let mut second = bed.connect().await;
    second.write_all(get("/").as_bytes()).await.unwrap();
    let mut refused = String::new();
    let read = second.read_to_string(&mut refused);
    timeout(PATIENCE, read).await.unwrap().unwrap();
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    let refused = refused.to_ascii_lowercase();
    assert!(refused.contains("retry-after: "), "{refused}");
    socket.write_all(b"e").await.unwrap();
    assert_eq!(
        timeout(PATIENCE, socket.read_u8()).await.unwrap().unwrap(),
        b'e'
    );
    drop(socket);
    timeout(PATIENCE, bed.lets_in()).await.unwrap();
}

#[tokio::test]
async fn who_finds_no_room_is_told_so_over_both_protocols() {
    let bed = Bed::tls(ServerLimits {
        connections: 1,
        ..limits()
    });
    let _inside = bed.secure(b"http/1.1").await;
    let mut http1 = bed.secure(b"http/1.1").await;
    http1.write_all(get("/").as_bytes()).await.unwrap();
    let mut told = String::new();
    let read = http1.read_to_string(&mut told);
    timeout(PATIENCE, read).await.unwrap().unwrap();
    assert!(told.starts_with("HTTP/1.1 503"), "{told}");
    let told = told.to_ascii_lowercase();
    assert!(told.contains("connection: close"), "{told}");
    let mut http2 = bed.http2().await;
    let told = http2.send_request(request("/")).await.unwrap();
    assert_eq!(told.status(), 503);
    let ended = async {
        while http2.ready().await.is_ok() {
            sleep(SHORT / 10).await;
        }
    };
    timeout(PATIENCE, ended).await.unwrap();
}

#[tokio::test]
async fn where_too_many_find_no_room_the_rest_is_closed_at_once() {
    let bed = Bed::plain(ServerLimits {
        connections: 1,
        ..limits()
    });
    let mut inside = bed.connect().await;
    ask(&mut inside, "/").await;
    // Each of them could be told, and does not ask.
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(bed.connect().await);
    }
    let mut last = bed.connect().await;
    let (_, ended) = end(&mut last).await;
    assert_eq!(ended.unwrap_or(0), 0);
    // Nobody was disturbed, and room is made again.
    ask(&mut inside, "/").await;
    drop((silent, inside));
    timeout(PATIENCE, bed.lets_in()).await.unwrap();
}

#[tokio::test]
async fn a_header_section_beyond_the_limits_is_refused() {
    let bed = Bed::plain(ServerLimits {
        header_size: 16 * 1024,
        headers: 20,
        ..limits()
    });
    let long = format!("A: {}\r\n", "a".repeat(17 * 1024));
    let many = "A: b\r\n".repeat(21);
    for headers in [long, many] {
        let mut client = bed.connect().await;
        let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        let mut text = String::new();
        timeout(PATIENCE, client.read_to_string(&mut text))
            .await
            .unwrap()
            .unwrap();
        assert!(text.starts_with("HTTP/1.1 431"), "{text}");
    }
}
