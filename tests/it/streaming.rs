//! An answer begins when Django begins it, whatever is kept for slow clients; and of one that is made to be
//! heard at once hardly anything is kept.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Version;
use http_body_util::BodyExt;
use tokio::net::{TcpListener, TcpStream};

use crate::harness::gateway::Setup;
use crate::harness::http2::{RawHttp2, get};
use crate::harness::{Gateway, in_time};

const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// What the gateway may hold of a stream: what it has read at once (128 KiB), what it has begun to write, and
/// what TLS has encrypted (64 KiB each).
const HELD: usize = 256 * 1024;

/// A Django that is written by hand, and its connections.
struct ByHand(TcpListener);

impl ByHand {
    async fn start() -> (Self, Setup) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        (Self(listener), Gateway::with_django_at(&url))
    }

    /// The next connection, once a request has come on it.
    async fn asked(&self) -> TcpStream {
        let (stream, _) = in_time("a request", self.0.accept()).await.unwrap();
        let mut head = vec![0; 16 * 1024];
        let mut length = 0;
        while !head[..length].ends_with(b"\r\n\r\n") {
            stream.readable().await.unwrap();
            length += stream.try_read(&mut head[length..]).unwrap_or(0);
        }
        stream
    }
}

async fn say(stream: &mut TcpStream, text: &str) {
    use tokio::io::AsyncWriteExt as _;
    stream.write_all(text.as_bytes()).await.unwrap();
}

async fn next(answer: &mut http::Response<hyper::body::Incoming>) -> Bytes {
    let part = in_time("the next part", answer.frame()).await.unwrap();
    part.unwrap().into_data().unwrap()
}

#[tokio::test]
async fn each_part_of_an_answer_is_there_when_django_has_said_it() {
    let (django, setup) = ByHand::start().await;
    let gateway = setup.start().await;
    let browser = gateway.browser();
    for version in BOTH {
        for fields in [
            "Content-Type: text/html; charset=utf-8\r\nContent-Length: 1000000",
            "Content-Type: text/html; charset=utf-8\r\nTransfer-Encoding: chunked",
            "Content-Type: application/octet-stream\r\nContent-Length: 1000000",
            "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked",
            "Content-Type: text/html\r\nX-Accel-Buffering: no\r\nContent-Length: 1000000",
        ] {
            let mut link = browser.connect(version).await;
            let ask = browser.ask_over(version, "/").header("accept", "*/*");
            let request = ask.finish();
            let speaks = async {
                let mut django = django.asked().await;
                say(&mut django, &format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n")).await;
                django
            };
            let (answer, mut django) = tokio::join!(link.send(request), speaks);
            let mut answer = answer.unwrap();
            // Between two of them longer than the gateway takes to see that a client is slow.
            for part in ["a", "bb", "ccc"] {
                let said = if fields.contains("chunked") {
                    format!("{}\r\n{part}\r\n", part.len())
                } else {
                    part.to_owned()
                };
                say(&mut django, &said).await;
                assert_eq!(next(&mut answer).await, part, "{version:?} {fields}");
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
        }
    }
    gateway.stop().await;
}

/// Bytes in the kernel on their way from one of these ports to the other, either way.
fn in_kernel(one: u16, other: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let number = |text: &str| usize::from_str_radix(text, 16).unwrap();
    let port = |address: &str| number(address.rsplit_once(':').unwrap().1);
    let mut sum = 0;
    for line in table.lines().skip(1) {
        let fields: Vec<_> = line.split_whitespace().collect();
        let ends = (port(fields[1]), port(fields[2]));
        let (one, other) = (usize::from(one), usize::from(other));
        if ends == (one, other) || ends == (other, one) {
            let (to_send, to_read) = fields[4].split_once(':').unwrap();
            sum += number(to_send) + number(to_read);
        }
    }
    sum
}

/// Writes until nobody takes any more; how much that was.
async fn fill(stream: &TcpStream) -> usize {
    let (mut written, part) = (0, [b'x'; 8 * 1024]);
    let patience = Duration::from_millis(700);
    while tokio::time::timeout(patience, stream.writable())
        .await
        .is_ok()
    {
        written += stream.try_write(&part).unwrap_or(0);
        assert!(written < 64 << 20, "all of it is taken");
    }
    written
}

/// How much of a stream the gateway holds whose client takes nothing.
async fn held(django: &ByHand, client: SocketAddr, gateway: &Gateway, fields: &str) -> usize {
    let mut stream = django.asked().await;
    say(&mut stream, &format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n")).await;
    let written = fill(&stream).await;
    let of = |address: std::io::Result<SocketAddr>| address.unwrap().port();
    let behind = in_kernel(of(stream.local_addr()), of(stream.peer_addr()));
    let before = in_kernel(gateway.https().port(), client.port());
    written.saturating_sub(behind + before)
}

#[tokio::test]
async fn of_what_is_to_be_heard_at_once_little_is_held() {
    for fields in [
        "Content-Type: text/event-stream",
        "Content-Type: application/x-ndjson",
        "Content-Type: text/html\r\nX-Accel-Buffering: no",
    ] {
        let (django, setup) = ByHand::start().await;
        let gateway = setup.start().await;
        let browser = gateway.browser().with_small_receive_buffer();

        let mut http1 = browser.raw().await;
        let head = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", browser.host());
        http1.send(head).await;
        let client = http1.wire.stream.get_ref().0.local_addr().unwrap();
        let over_http1 = held(&django, client, &gateway, fields).await;

        let mut http2 = RawHttp2::open(&browser).await;
        http2.send(get(1, "/", browser.host())).await;
        let client = http2.raw.wire.stream.get_ref().0.local_addr().unwrap();
        let over_http2 = held(&django, client, &gateway, fields).await;

        for held in [over_http1, over_http2] {
            assert!(held <= HELD, "{held} bytes of {fields}");
        }
        drop((http1, http2));
        gateway.stop().await;
    }
}
