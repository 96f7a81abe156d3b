//! A slow client is cut off in time, and no other waits for it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Version};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::harness::gateway::{NOTIFICATIONS, Setup};
use crate::harness::http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Outcome, PING, PREFACE, RawHttp2,
    SETTINGS, frame, request, section,
};
use crate::harness::raw::Raw;
use crate::harness::{Answer, Django, Gateway, PATIENCE, Page, eventually_some, in_time, json};

const SHORT: Duration = Duration::from_millis(400);

/// A gateway that gives clients little time.
fn strict(django: &Django) -> Setup {
    Gateway::in_front_of(django)
        .set("limits.tls_timeout", "400ms")
        .set("limits.header_timeout", "400ms")
        .set("limits.body_timeout", "400ms")
        .set("limits.idle_timeout", "400ms")
        .set("limits.write_timeout", "400ms")
}

#[tokio::test]
async fn slow_clients_of_every_kind_are_cut_while_others_are_served() {
    let django = Django::start().await;
    django.answers("/huge/", Answer::huge(64 * 1024 * 1024));
    let gateway = strict(&django).start().await;
    let began = Instant::now();
    let mut slow = JoinSet::new();
    for _ in 0..5 {
        let address = gateway.https();
        slow.spawn(async move {
            let mut raw = Raw::tcp(address).await;
            raw.send([0x16, 3, 1, 2]).await;
            raw.expect_end().await;
        });
        for half in [
            "",
            "GET / HT",
            "GET / HTTP/1.1\r\nHost: localhost\r\n",
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhal",
        ] {
            let half = half.replace("localhost", gateway.browser().host());
            let mut raw = gateway.browser().raw().await;
            slow.spawn(async move {
                raw.send(half).await;
                raw.expect_end().await;
            });
        }
        let mut raw = gateway.browser().raw().await;
        slow.spawn(async move {
            while raw.try_send("GET / HTTP/1.1\r\nDrip: a\r\n").await {
                tokio::time::sleep(SHORT / 10).await;
            }
        });
    }
    while !slow.is_empty() {
        assert_eq!(gateway.browser().get("/").await.status, 200);
        while let Some(ended) = slow.try_join_next() {
            ended.unwrap();
        }
    }
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    gateway.stop().await;
}

#[tokio::test]
async fn who_says_nothing_at_all_is_cut() {
    let django = Django::start().await;
    let gateway = strict(&django)
        .set("server.http", "127.0.0.1:0")
        .start()
        .await;
    for address in [gateway.https(), gateway.http()] {
        Raw::tcp(address).await.expect_end().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn slow_clients_of_http2_are_cut_too() {
    let django = Django::start().await;
    let gateway = strict(&django).start().await;
    let browser = gateway.browser();
    let settings = frame(SETTINGS, 0, 0, b"");
    let get = section(&request("GET", "/", browser.host(), &[]));
    let begun = frame(HEADERS, END_STREAM, 1, &get[..20]);
    let mut slow = JoinSet::new();
    for (name, bytes) in [
        ("nothing", Vec::new()),
        ("half a preface", PREFACE[..10].to_vec()),
        ("a preface", PREFACE.to_vec()),
        ("settings", [PREFACE, &settings].concat()),
        ("half a frame", [PREFACE, &settings, &begun[..15]].concat()),
        ("half a section", [PREFACE, &settings, &begun].concat()),
    ] {
        let mut raw = Raw::new(browser.tls(&[b"h2"]).await);
        slow.spawn(async move {
            raw.send(bytes).await;
            raw.expect_end().await;
            name
        });
    }
    for (name, first, piece) in [
        ("drips", begun, frame(CONTINUATION, 0, 1, &[0])),
        ("pings", settings, frame(PING, 0, 0, &[0; 8])),
    ] {
        let mut client = RawHttp2::open(&browser).await;
        slow.spawn(async move {
            client.send(first).await;
            while client.raw.try_send(&piece).await {
                tokio::time::sleep(SHORT / 10).await;
            }
            name
        });
    }
    let all = async {
        let mut cut = Vec::new();
        while let Some(name) = slow.join_next().await {
            cut.push(name.unwrap());
        }
        cut
    };
    let cut = in_time("cutting off all but those here", all).await;
    assert_eq!(cut.len(), 8);
    assert!(django.requests().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn a_body_over_http2_that_pauses_ends_its_request_alone() {
    let django = Django::start().await;
    let gateway = strict(&django)
        .set("limits.idle_timeout", "30s")
        .start()
        .await;
    let browser = gateway.browser();
    let mut client = RawHttp2::open(&browser).await;
    let post = section(&request("POST", "/", browser.host(), &[]));
    client
        .send(
            [
                frame(HEADERS, END_HEADERS, 1, &post),
                frame(DATA, 0, 1, b"half"),
            ]
            .concat(),
        )
        .await;
    assert_eq!(client.outcome(1).await, Outcome::Refused);
    client
        .send(crate::harness::http2::get(3, "/next/", browser.host()))
        .await;
    assert_eq!(client.outcome(3).await, Outcome::Ok);
    assert!(
        django
            .requests_to("/")
            .iter()
            .all(|half| !half.body.complete)
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_body_that_drips_is_408_after_its_first_ten_seconds() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    let dripping = async |version| {
        let (sender, mut drops) = mpsc::channel(1);
        tokio::spawn(async move {
            while sender
                .send(Ok(Frame::data(Bytes::from_static(b"x"))))
                .await
                .is_ok()
            {
                tokio::time::sleep(SHORT / 4).await;
            }
        });
        let drops = stream::poll_fn(move |context| drops.poll_recv(context));
        let body = BodyExt::boxed(StreamBody::new(drops));
        let ask = browser.ask(Method::POST, "/upload/");
        let ask = ask.header("content-length", "1000000").streams(body);
        let ask = if version == Version::HTTP_2 {
            ask.over_http2()
        } else {
            ask
        };
        let mut link = browser.connect(version).await;
        let answer = link.send(ask.finish()).await.unwrap();
        (
            answer.status().as_u16(),
            Page::of(answer).await.unwrap().json(),
        )
    };
    let answers = tokio::join!(dripping(Version::HTTP_11), dripping(Version::HTTP_2));
    for (status, said) in [answers.0, answers.1] {
        assert_eq!((status, &said["code"]), (408, &json!("body_timeout")));
        let detail = said["detail"].as_str().unwrap();
        assert!(detail.contains("1024 bytes a second"), "{detail}");
    }
    assert!(django.requests().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_cut() {
    let django = Django::start().await;
    django.answers("/huge/", Answer::huge(64 * 1024 * 1024));
    let gateway = strict(&django).start().await;
    let browser = gateway.browser().with_small_receive_buffer();
    let mut http1 = browser.raw().await;
    let head = format!("GET /huge/ HTTP/1.1\r\nHost: {}\r\n\r\n", browser.host());
    http1.send(head).await;
    let mut http2 = browser.connect(Version::HTTP_2).await;
    let request = browser.ask(Method::GET, "/huge/").over_http2().finish();
    let unread = in_time("a head", http2.send(request)).await.unwrap();
    assert_eq!(unread.status(), 200);
    in_time("the cut", async {
        while !http2.is_closed() {
            tokio::time::sleep(SHORT / 10).await;
        }
    })
    .await;
    // A client that were still served would have to be aborted.
    assert_eq!(gateway.stop().await, 0);
    http1.expect_end().await;
}

#[tokio::test]
async fn a_kept_connection_ends_in_good_order_once_it_idles() {
    let django = Django::start().await;
    let gateway = strict(&django).start().await;
    let browser = gateway.browser();
    let mut raw = browser.raw().await;
    let head = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", browser.host());
    for _ in 0..2 {
        raw.send(&head).await;
        assert_eq!(raw.answer().await.status(), 200);
    }
    let began = Instant::now();
    // rustls makes an error of an end without close_notify.
    let more = in_time("the end", raw.wire.more()).await;
    assert!(!more.unwrap());
    assert!(began.elapsed() >= SHORT / 2, "{:?}", began.elapsed());
    gateway.stop().await;
}

#[tokio::test]
async fn sockets_and_slow_upstreams_are_no_slow_clients() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let pieces = ["a", "b", "c", "d"];
    django.answers("/trickle/", Answer::trickle(pieces, SHORT));
    let gateway = strict(&django).start().await;
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    assert_eq!(ann.get("/trickle/").await.text(), "abcd");
    let publication = json!({"to": {"user": "42"}, "frame": {"n": 1}});
    assert_eq!(gateway.api().publish(&publication).await["sockets"], 1);
    socket.expect_frame(r#"{"n":1}"#).await;
    gateway.stop().await;
}

#[tokio::test]
async fn clients_beyond_the_limit_are_told_so_until_somebody_leaves() {
    let django = Django::start().await;
    let setup = Gateway::in_front_of(&django)
        .set("server.http", "127.0.0.1:0")
        .set("limits.header_timeout", "60s")
        .set("limits.connections", 1);
    let gateway = setup.start().await;
    let mut held = JoinSet::new();
    // As many as there are, and the few that the gateway keeps spare.
    for _ in 0..65 {
        let browser = gateway.browser();
        held.spawn(async move { browser.try_tls(&[b"http/1.1"]).await });
    }
    let mut inside = Vec::new();
    in_time("the first clients", async {
        while inside.len() < 65 {
            inside.push(held.join_next().await.unwrap().unwrap().unwrap());
        }
    })
    .await;
    let full = gateway.browser().get("/page/").await;
    assert_eq!(full.status, 503);
    assert!(full.header("retry-after").is_some());
    assert!(django.requests().is_empty());
    let mut redirected = Raw::tcp(gateway.http()).await;
    redirected
        .send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    assert_eq!(
        redirected.answer().await.status(),
        503,
        "plain HTTP counts as well"
    );
    let ready = gateway.api().without_secret().get("/ready").await;
    assert_eq!(
        ready.status(),
        200,
        "the internal listener has room of its own"
    );
    inside.clear();
    eventually_some(PATIENCE, async || {
        let page = gateway.browser().get("/page/").await;
        (page.status == 200).then_some(())
    })
    .await;
    gateway.stop().await;
}
