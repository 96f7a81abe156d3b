//! Numbered frames, counted at both ends: clients of each kind are cut off again and again and come back, and pages
//! are made while frames are published. Nothing may be lost, and nothing may come twice.
//!
//! `GATEPOST_COUNTED_FRAMES` says how many frames are to arrive, 50,000 where it does not; a million take minutes.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::Version;
use serde_json::{Value, json};

use crate::harness::api::Api;
use crate::harness::browser::Browser;
use crate::harness::events::{Event, Events, asking};
use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::hand_over::HandOver;
use crate::harness::socket::Socket;
use crate::harness::token::{Token, in_query};
use crate::harness::{Answer, Django, Gateway, PATIENCE, eventually};

const ORDER: &str = "shop.order:17";
const EVENTS: &str = "/orders/17/events/";
const PAGE: &str = "/orders/17/";
/// Clients of each kind.
const EACH: u64 = 8;
/// So far may the slowest client be behind: the history has as much, and a client may miss as much.
const MOST_BEHIND: u64 = 4_000;

/// What is published, and how far it is.
struct Run {
    published: u64,
    /// The number of the last that Django has stored: it is on pages that are made from then on, and is published next.
    stored: AtomicU64,
    /// Where each client is.
    reached: Vec<AtomicU64>,
}

/// To whom a publication is, by its number.
fn audience(n: u64) -> Value {
    match n % 4 {
        0 => json!({"user": "42"}),
        1 => json!({"everyone": true}),
        _ => json!({"topic": ORDER}),
    }
}

/// What a client hears.
#[derive(Clone, Copy)]
enum Hears {
    Everything,
    TheTopic,
}

impl Hears {
    /// The next number that a client hears.
    fn after(self, n: u64) -> u64 {
        let is_heard = |n: &u64| matches!(self, Self::Everything) || n % 4 > 1;
        (n + 1..=n + 4).find(is_heard).unwrap()
    }
}

/// One client and what it has.
struct Client<'a> {
    run: &'a Run,
    index: usize,
    hears: Hears,
    browser: Browser,
    chance: Chance,
    next: u64,
    received: u64,
}

/// Numbers that look as if by chance, the same in each run.
struct Chance(u64);

impl Chance {
    fn within(&mut self, range: Range<u64>) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        range.start + self.0 % (range.end - range.start)
    }
}

impl Client<'_> {
    fn is_done(&self) -> bool {
        self.next > self.run.published
    }

    /// Takes what has arrived: the very next, nothing else.
    fn take(&mut self, n: u64) {
        let (index, next) = (self.index, self.next);
        assert!(n <= next, "client {index} lost {next}: it got {n}");
        assert!(n >= next, "client {index} got {n} twice: {next} is next");
        self.received += 1;
        self.next = self.hears.after(n);
        self.run.reached[self.index].store(self.next - 1, Ordering::Relaxed);
    }

    /// How many frames it takes before it is cut off.
    fn patience(&mut self) -> u64 {
        self.chance.within(0..400)
    }

    /// A client that resumes, over a WebSocket.
    async fn resume_sockets(mut self) -> u64 {
        let token = in_query(&Token::of("42", ORDER).text());
        let mut position = None;
        while !self.is_done() {
            let since = position.as_ref().map(|it| format!("&position={it}"));
            let path = format!("{NOTIFICATIONS}?topic={token}{}", since.unwrap_or_default());
            let handshake = self.browser.handshake(&path).protocol("gatepost.v1");
            let mut socket = handshake.send().await.unwrap();
            let welcome = socket.json().await;
            assert_eq!(welcome["recovered"], true, "{welcome}");
            position.get_or_insert_with(|| text(&welcome["position"]));
            for _ in 0..self.patience() {
                if self.is_done() {
                    socket.expect_nothing().await;
                    break;
                }
                let object = socket.json().await;
                let at = object.get("id").or(object.get("position"));
                position = Some(text(at.unwrap()));
                if let Some(n) = object["data"]["n"].as_u64() {
                    self.take(n);
                }
            }
        }
        self.received
    }

    /// A client that resumes, over a stream at this path.
    async fn resume_streams(mut self, path: &str) -> u64 {
        let mut last: Option<String> = None;
        while !self.is_done() {
            let mut ask = asking(&self.browser, path);
            if let Some(last) = &last {
                ask = ask.header("last-event-id", last);
            }
            let mut events = Events::begin(&self.browser, Version::HTTP_11, ask)
                .await
                .unwrap();
            for _ in 0..=self.patience() {
                if self.is_done() {
                    break;
                }
                let Event { id, name, data, .. } = events.block().await.unwrap();
                assert_ne!(name.as_deref(), Some("gatepost"), "{data:?}");
                last = id.or(last);
                if let Some(data) = data {
                    self.take(number(&data));
                }
            }
        }
        self.received
    }

    /// A person who loads a page, looks at it for a while, and loads it again.
    async fn load_pages(mut self) -> u64 {
        let token = in_query(&Token::of("42", ORDER).text());
        while !self.is_done() {
            let page: Value = self.browser.get(PAGE).await.json();
            let (shown, position) = (page["shown"].as_u64().unwrap(), text(&page["position"]));
            assert!(
                shown + 1 >= self.next,
                "a page shows less than one before it"
            );
            let path = format!("{NOTIFICATIONS}?topic={token}&position={position}");
            let mut socket = self.browser.socket(&path).await;
            let mut first = true;
            self.next = self.hears.after(shown);
            for _ in 0..self.patience() {
                if self.is_done() {
                    break;
                }
                let n = self.frame(&mut socket).await;
                // The page was made behind the position: it may show what comes again.
                if first && n <= shown {
                    self.next = n;
                }
                first = false;
                self.take(n);
            }
        }
        self.received
    }

    async fn frame(&mut self, socket: &mut Socket) -> u64 {
        number(&socket.frame().await)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn number(frame: &str) -> u64 {
    let frame: Value = serde_json::from_str(frame).unwrap();
    frame["n"].as_u64().unwrap_or_else(|| panic!("{frame}"))
}

/// Publishes all, some at once, and waits for nobody but those who are too far behind.
async fn publish(api: &Api, run: &Run) {
    let mut chance = Chance(7);
    let mut n = 1;
    while n <= run.published {
        let until = run.published.min(n + chance.within(0..40));
        let mut lines = String::new();
        for n in n..=until {
            lines += &format!("{}\n", json!({"to": audience(n), "frame": {"n": n}}));
        }
        run.stored.store(until, Ordering::Release);
        let call = api.call(
            "POST",
            "/v1/publish",
            "application/x-ndjson",
            lines.as_bytes(),
        );
        let answer = call.await;
        assert_eq!(answer.status(), 202, "{}", answer.text());
        n = until + 1;
        let behind = || {
            let reached = run.reached.iter().map(|one| one.load(Ordering::Relaxed));
            until.saturating_sub(reached.min().unwrap())
        };
        eventually(4 * PATIENCE, || behind() < MOST_BEHIND).await;
    }
}

#[expect(clippy::print_stderr, reason = "the count is what it is run for")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_comes_twice() {
    let wanted = std::env::var("GATEPOST_COUNTED_FRAMES");
    let wanted: u64 = wanted.map_or(50_000, |text| text.parse().unwrap());
    // Of four publications a stream of a view hears two, and the other three kinds hear all.
    let published = wanted.div_ceil(EACH * 7 / 2);
    let kinds = usize::try_from(4 * EACH).unwrap();
    let run = Arc::new(Run {
        published,
        stored: AtomicU64::new(0),
        reached: (0..kinds).map(|_| AtomicU64::new(0)).collect(),
    });

    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let of_ann = HandOver::of(&[ORDER]).for_session("42", "anns-session");
    django.answers(EVENTS, of_ann.answer());
    let stored = Arc::clone(&run);
    django.answers(
        PAGE,
        Answer::of_request(move |request| {
            // The data are read behind the position.
            let position = request.header("gatepost-position").unwrap();
            let shown = stored.stored.load(Ordering::Acquire);
            Answer::ok(json!({"shown": shown, "position": position}).to_string())
        }),
    );
    let gateway = Gateway::in_front_of(&django)
        .set("limits.connections_per_user", 0)
        .set("limits.handshakes_per_address", "0/s")
        .set("delivery.history", 10_000)
        .set("delivery.outbox_frames", 10_000)
        .start()
        .await;

    let mut clients = tokio::task::JoinSet::new();
    for index in 0..kinds {
        let (run, browser) = (Arc::clone(&run), gateway.browser_of("anns-session"));
        clients.spawn(async move {
            let client = Client {
                run: &run,
                index,
                hears: if index % 4 == 2 {
                    Hears::TheTopic
                } else {
                    Hears::Everything
                },
                browser,
                chance: Chance(1 + index as u64),
                next: 0,
                received: 0,
            };
            let next = client.hears.after(0);
            let client = Client { next, ..client };
            let token = in_query(&Token::of("42", ORDER).text());
            match index % 4 {
                0 => client.resume_sockets().await,
                1 => {
                    let path = format!("{NOTIFICATIONS}?topic={token}");
                    client.resume_streams(&path).await
                }
                2 => client.resume_streams(EVENTS).await,
                _ => client.load_pages().await,
            }
        });
    }
    // All but the pages are there before the first is published: from then on each of them counts.
    gateway.api().connected("42", kinds).await;
    publish(&gateway.api(), &run).await;
    let mut received = 0;
    while let Some(one) = clients.join_next().await {
        received += one.unwrap();
    }
    let api = gateway.api();
    let resumed = api
        .metric(r#"gatepost_resumes_total{outcome="recovered"}"#)
        .await;
    let lost = api
        .metric(r#"gatepost_resumes_total{outcome="lost"}"#)
        .await;
    eprintln!(
        "{received} frames of {published} publications, {resumed} returns, {lost} of them in vain"
    );
    assert!(lost < 0.5 && received > published);
    gateway.stop().await;
}
