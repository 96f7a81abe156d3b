//! A client that makes the gateway work for nothing is cut off, or costs no more than it may: little memory,
//! and no neighbour its answer.

use std::time::{Duration, Instant};

use futures_util::future::join;
use tokio::time::timeout;

use crate::harness::http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PRIORITY, RST_STREAM, RawHttp2,
    SETTINGS, WINDOW_UPDATE, frame, get, integer, request, section,
};
use crate::harness::wire::Stream;
use crate::harness::{Answer, Browser, Django, Gateway, PATIENCE, Process, eventually};

/// For how long a flood goes on that nobody ends.
const FLOOD: Duration = Duration::from_secs(3);
/// Within which a neighbour has its page, on a machine that does much else.
const NEIGHBOUR: Duration = Duration::from_secs(3);
/// What a flood may cost, in KiB.
const MEMORY: u64 = 48 * 1024;

/// Whether the client reads what it is sent meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Client {
    Reads,
    NeverReads,
}

async fn stage() -> (Django, Process) {
    let django = Django::start().await;
    django.answers("/large/", Answer::ok(vec![b'x'; 64 * 1024]));
    let gateway = Gateway::in_front_of(&django).spawn().await;
    (django, gateway)
}

/// Writes pieces until the gateway hangs up; whether it did.
async fn flood<S: Stream>(stream: S, pieces: &[Vec<u8>], client: Client) -> bool {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (mut reading, mut writing) = tokio::io::split(stream);
    let mut sink = vec![0; 64 * 1024];
    let writes = async {
        for piece in pieces {
            if writing.write_all(piece).await.is_err() {
                return true;
            }
        }
        // What was written last may be what ends it.
        std::future::pending().await
    };
    let reads = async {
        if client == Client::NeverReads {
            std::future::pending::<()>().await;
        }
        while matches!(reading.read(&mut sink).await, Ok(1..)) {}
        true
    };
    let ended = async {
        tokio::select! {
            ended = writes => ended,
            ended = reads => ended,
        }
    };
    timeout(FLOOD, ended).await.unwrap_or(false)
}

/// How long the slowest page took that somebody else asked for meanwhile.
async fn neighbour(browser: &Browser, mut done: impl FnMut() -> bool) -> Duration {
    let mut slowest = Duration::ZERO;
    while !done() {
        let began = Instant::now();
        assert_eq!(browser.get("/").await.status, 200);
        slowest = slowest.max(began.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    slowest
}

/// Floods over a connection of its own. Whether the gateway ended it.
async fn survives<S: Stream + 'static>(
    gateway: &Process,
    stream: S,
    pieces: Vec<Vec<u8>>,
    client: Client,
) -> bool {
    let before = private_kib(gateway);
    let flood = tokio::spawn(async move { flood(stream, &pieces, client).await });
    let browser = gateway.browser();
    let waits = neighbour(&browser, || flood.is_finished());
    let most = async {
        let mut most = 0;
        while !flood.is_finished() {
            most = private_kib(gateway).max(most);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        most
    };
    let (slowest, most) = join(waits, most).await;
    assert!(slowest < NEIGHBOUR, "a neighbour waited {slowest:?}");
    let grown = most.max(private_kib(gateway)).saturating_sub(before);
    assert!(grown < MEMORY, "{grown} KiB more memory");
    flood.await.unwrap()
}

fn private_kib(process: &Process) -> u64 {
    let path = format!("/proc/{}/smaps_rollup", process.pid().as_raw_nonzero());
    let text = std::fs::read_to_string(path).unwrap();
    let private = text.lines().filter(|line| line.starts_with("Private_"));
    private
        .map(|line| line.split_whitespace().nth(1).unwrap())
        .map(|kib| kib.parse::<u64>().unwrap())
        .sum()
}

async fn over_http2(gateway: &Process, pieces: Vec<Vec<u8>>, client: Client) -> bool {
    let stream = RawHttp2::open(&gateway.browser()).await.raw.wire.stream;
    survives(gateway, stream, pieces, client).await
}

fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|n| 1 + 2 * n)
}

fn many(piece: &[u8], count: usize) -> Vec<Vec<u8>> {
    vec![piece.repeat(100); count / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_taken_back_end_the_connection() {
    let (_django, gateway) = stage().await;
    let host = gateway.browser().host().to_owned();
    let open = section(&request("POST", "/", &host, &[]));
    let reset = 8_u32.to_be_bytes();
    let rapid = |id| [get(id, "/", &host), frame(RST_STREAM, 0, id, &reset)].concat();
    let no_window = |id| {
        let head = frame(HEADERS, END_HEADERS, id, &open);
        [head, frame(WINDOW_UPDATE, 0, id, &[0; 4])].concat()
    };
    let after_end = |id| [get(id, "/", &host), frame(DATA, 0, id, b"x")].concat();
    let floods: [(&str, Vec<Vec<u8>>); 3] = [
        ("rapid reset", streams(20_000).map(rapid).collect()),
        ("made you reset", streams(20_000).map(no_window).collect()),
        (
            "data after the end",
            streams(20_000).map(after_end).collect(),
        ),
    ];
    for (name, pieces) in floods {
        assert!(over_http2(&gateway, pieces, Client::Reads).await, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_carry_nothing_end_the_connection() {
    let (_django, gateway) = stage().await;
    let host = gateway.browser().host().to_owned();
    let post = section(&request("POST", "/", &host, &[]));
    let post = frame(HEADERS, END_HEADERS, 1, &post);
    let begun = section(&request("GET", "/", &host, &[]));
    let begun = frame(HEADERS, END_STREAM, 1, &begun);
    let more = section(&[("x-more", &[b'x'; 4000])]);
    let floods = [
        ("settings", b"".to_vec(), frame(SETTINGS, 0, 0, b"")),
        ("pings", b"".to_vec(), frame(PING, 0, 0, &[0; 8])),
        (
            "priorities",
            b"".to_vec(),
            frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 7]),
        ),
        ("unknown frames", b"".to_vec(), frame(0x42, 0, 0, b"")),
        (
            "windows",
            b"".to_vec(),
            frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        ),
        ("empty data", post, frame(DATA, 0, 1, b"")),
        (
            "empty continuations",
            begun.clone(),
            frame(CONTINUATION, 0, 1, b""),
        ),
        ("continuations", begun, frame(CONTINUATION, 0, 1, &more)),
    ];
    for (name, first, piece) in floods {
        let count = 100_000_000 / piece.len() / 40;
        let pieces = [vec![first], many(&piece, count.min(400_000))].concat();
        assert!(over_http2(&gateway, pieces, Client::Reads).await, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_small_on_the_wire_stays_small_in_memory() {
    let (django, gateway) = stage().await;
    let host = gateway.browser().host().to_owned();
    // A field of 4,000 bytes is learnt once, and named by one byte thousands of times in each request.
    let mut learn = section(&request("GET", "/", &host, &[]));
    learn.push(0x40);
    for text in [&b"x-bomb"[..], &[b'x'; 4000]] {
        integer(&mut learn, 0, 7, text.len());
        learn.extend(text);
    }
    let head = section(&request("GET", "/", &host, &[]));
    let named = [&head[..], &[0xbe; 15_000]].concat();
    let bombs = streams(400).map(|id| {
        let block = if id == 1 { &learn } else { &named };
        frame(HEADERS, END_STREAM | END_HEADERS, id, block)
    });
    over_http2(&gateway, bombs.collect(), Client::NeverReads).await;
    // Each cookie is a crumb of its own, of one byte on the wire.
    let mut learn = head.clone();
    learn.push(0x40);
    for text in [&b"cookie"[..], b"a=1"] {
        integer(&mut learn, 0, 7, text.len());
        learn.extend(text);
    }
    let crumbs = [&head[..], &[0xbe; 15_000]].concat();
    let bombs = streams(400).map(|id| {
        let block = if id == 1 { &learn } else { &crumbs };
        frame(HEADERS, END_STREAM | END_HEADERS, id, block)
    });
    over_http2(&gateway, bombs.collect(), Client::NeverReads).await;
    // Bodies of padding alone.
    let post = section(&request("POST", "/", &host, &[]));
    let padding = frame(DATA, 0x8, 1, &[&[200][..], &[0; 200]].concat());
    let pieces = [
        vec![frame(HEADERS, END_HEADERS, 1, &post)],
        many(&padding, 100_000),
    ]
    .concat();
    over_http2(&gateway, pieces, Client::Reads).await;
    for request in django.requests() {
        assert!(
            request.head.raw.len() < 40 * 1024,
            "{} bytes",
            request.head.raw.len()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_and_never_reads_gets_no_more_than_its_share() {
    let (_django, gateway) = stage().await;
    let host = gateway.browser().host().to_owned();
    let no_window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let pieces = [no_window].into_iter();
    let pieces = pieces.chain(streams(1_000).map(|id| get(id, "/large/", &host)));
    over_http2(&gateway, pieces.collect(), Client::NeverReads).await;

    let one = format!("GET /large/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let stream = gateway.browser().raw().await.wire.stream;
    let pieces = vec![one.repeat(10).into_bytes(); 2_000];
    survives(&gateway, stream, pieces, Client::NeverReads).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_either_way_is_not_kept_in_memory() {
    const LARGE: usize = 10 << 20;
    let (django, gateway) = stage().await;
    django.answers("/huge/", Answer::huge(LARGE));
    let browser = gateway.browser().with_small_receive_buffer();
    let host = browser.host();
    let before = private_kib(&gateway);
    let mut clients = Vec::new();
    // In all less than the quarter of the disk that one address may use.
    for _ in 0..12 {
        let mut upload = browser.raw().await;
        let head = format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {LARGE}\r\n\r\n");
        upload.send(head).await;
        upload.send(vec![b'x'; LARGE - 1]).await;
        let mut download = browser.raw().await;
        let ask = format!("GET /huge/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
        download.send(ask).await;
        clients.push((upload, download));
    }
    eventually(PATIENCE, || {
        django.requests_to("/huge/").len() == 12 && django.under_way("/huge/") == 0
    })
    .await;
    let grown = private_kib(&gateway).saturating_sub(before);
    assert!(
        grown < MEMORY,
        "{grown} KiB more memory for 240 MiB under way"
    );
    for (upload, _) in &mut clients {
        upload.send("x").await;
        assert_eq!(upload.answer().await.status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_in_crumbs_costs_no_neighbour_anything() {
    let (_django, gateway) = stage().await;
    let host = gateway.browser().host().to_owned();
    let post = format!("POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n");
    let extension = format!("1;{}\r\nx\r\n", "e".repeat(10_000));
    let trailers = format!("0\r\n{}", "X-Trailer: 1\r\n".repeat(2_000));
    for (name, piece, ends) in [
        ("chunks of a byte", "1\r\nx\r\n".repeat(100), false),
        ("extensions", extension, true),
        ("trailers", trailers, true),
        ("zeros", "0".repeat(10_000), false),
    ] {
        let stream = gateway.browser().raw().await.wire.stream;
        let pieces = [
            vec![post.clone().into_bytes()],
            vec![piece.into_bytes(); 500],
        ]
        .concat();
        let ended = survives(&gateway, stream, pieces, Client::Reads).await;
        assert!(ended || !ends, "{name}");
    }
}
