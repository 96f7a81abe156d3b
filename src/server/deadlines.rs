//! The pace a connection must keep: a record of what began when, which the connection's own task
//! compares with the limits.
//!
//! Made by `connection` for each client; `wrap` fills it in. Nothing here owns a timer, so a socket
//! that was upgraded away from HTTP keeps a small record that costs nothing while idle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::tls::accept::Protocol;
use crate::web::request_body::HalfClose;

/// What a client that was told to go must still take in each `write` time: more than the answers to
/// HTTP/2 pings, which prove only that it lives.
const LEAST: u64 = 1024;

/// How long a client may take for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowed {
    pub(super) header: Duration,
    pub(super) idle: Duration,
    pub(super) write: Duration,
}

/// What a connection comes to at its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// No request for so long: it ends in good order.
    Idle,
    /// A header section, or the taking of an answer, lasts too long: it is cut.
    TooSlow,
}

/// What is about to be written at the beginning of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Leaving {
    /// No answer of ours.
    Nothing = 0,
    /// An answer.
    Answer = 1,
    /// The answer after which other bytes than HTTP's follow.
    Switch = 2,
}

/// The record of one connection. Times are milliseconds since it began, zero being "not".
#[derive(Debug)]
pub(super) struct Deadlines {
    began: Instant,
    allowed: Allowed,
    /// Whether the reading of header sections can be told from all other reading (HTTP/1.1).
    heads: AtomicBool,
    /// Requests whose answers hyper has not taken whole.
    requests: AtomicU32,
    /// Since when there is no request.
    idle: AtomicU64,
    /// Since when a header section comes in.
    head: AtomicU64,
    /// Since when the socket takes no bytes.
    stalled: AtomicU64,
    /// Bodies that have more and were not asked for it since.
    owed: AtomicU32,
    /// When a body was asked last.
    asked: AtomicU64,
    /// Bytes the socket has taken.
    written: AtomicU64,
    /// What is to be written next, as [`Leaving`].
    leaving: AtomicU8,
    /// When a client that sends nothing more, but waits for an answer, last took a part of it.
    ended: AtomicU64,
    /// Whether no further request is wanted.
    dismissed: AtomicBool,
    /// Whether an answer is under way that has no end of its own.
    is_endless: AtomicBool,
    /// Whether the client is a proxy, which ends its connections whole.
    is_proxy: AtomicBool,
    half_close: Arc<HalfClose>,
}

/// A connection that was told to go, and how far it had come.
#[derive(Clone, Copy, Debug)]
pub(super) struct DrainMark {
    at: u64,
    written: u64,
}

impl Deadlines {
    pub(super) fn new(allowed: Allowed) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            allowed,
            heads: AtomicBool::new(false),
            requests: AtomicU32::new(0),
            idle: AtomicU64::new(0),
            head: AtomicU64::new(0),
            stalled: AtomicU64::new(0),
            owed: AtomicU32::new(0),
            asked: AtomicU64::new(0),
            written: AtomicU64::new(0),
            leaving: AtomicU8::new(Leaving::Nothing as u8),
            ended: AtomicU64::new(0),
            dismissed: AtomicBool::new(false),
            is_endless: AtomicBool::new(false),
            is_proxy: AtomicBool::new(false),
            half_close: Arc::default(),
        })
    }

    /// The handshake is over, and a first request expected at once: a client that connects wants
    /// something.
    pub(super) fn speaks(&self, protocol: Protocol) {
        let now = self.now();
        self.idle.store(now, Relaxed);
        if protocol == Protocol::Http1 {
            self.head.store(now, Relaxed);
            self.heads.store(true, Relaxed);
        }
    }

    pub(super) fn request_began(&self) {
        self.head.store(0, Relaxed);
        self.requests.fetch_add(1, Relaxed);
    }

    /// The answer that leaves now lasts until the client leaves.
    pub(super) fn answers_without_end(&self) {
        self.is_endless.store(true, Relaxed);
    }

    pub(super) fn request_ended(&self) {
        self.idle.store(self.now(), Relaxed);
        self.is_endless.store(false, Relaxed);
        self.requests.fetch_sub(1, Relaxed);
    }

    pub(super) fn answers(&self, status: StatusCode) {
        let leaving = match status {
            StatusCode::SWITCHING_PROTOCOLS => Leaving::Switch,
            _ => Leaving::Answer,
        };
        self.leaving.store(leaving as u8, Relaxed);
    }

    /// What begins to leave now; asked once for each.
    pub(super) fn leaves(&self) -> Leaving {
        match self.leaving.swap(Leaving::Nothing as u8, Relaxed) {
            leaving if leaving == Leaving::Switch as u8 => Leaving::Switch,
            leaving if leaving == Leaving::Answer as u8 => Leaving::Answer,
            _ => Leaving::Nothing,
        }
    }

    /// Whether an answer is not out yet for which a client waits that has ended its half.
    pub(super) fn owes_answer(&self) -> bool {
        let owes = self.requests.load(Relaxed) > 0 || self.stalled.load(Relaxed) != 0;
        owes && !self.is_endless.load(Relaxed)
    }

    /// What becomes of a client that ends its half; with HTTP/2 there is none, and a proxy that does has left,
    /// as its own client has.
    pub(super) fn half_close(&self) -> Option<&Arc<HalfClose>> {
        let may = self.heads.load(Relaxed) && !self.is_proxy.load(Relaxed);
        may.then_some(&self.half_close)
    }

    /// The client is a proxy.
    pub(super) fn is_proxy(&self) {
        self.is_proxy.store(true, Relaxed);
    }

    /// The client sends nothing more.
    pub(super) fn client_ended(&self) {
        if self.ended.load(Relaxed) == 0 {
            self.ended.store(self.now(), Relaxed);
        }
    }

    pub(super) fn has_read(&self) {
        let begins = self.heads.load(Relaxed)
            && self.requests.load(Relaxed) == 0
            && self.head.load(Relaxed) == 0;
        if begins {
            self.head.store(self.now(), Relaxed);
        }
    }

    pub(super) fn has_written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Relaxed);
        if self.stalled.load(Relaxed) != 0 {
            self.stalled.store(0, Relaxed);
        }
        if self.ended.load(Relaxed) != 0 {
            self.ended.store(self.now(), Relaxed);
        }
    }

    pub(super) fn cannot_write(&self) {
        if self.stalled.load(Relaxed) == 0 {
            self.stalled.store(self.now(), Relaxed);
        }
    }

    pub(super) fn body_owes(&self) {
        self.owed.fetch_add(1, Relaxed);
        self.asked.store(self.now(), Relaxed);
    }

    pub(super) fn body_asked(&self) {
        self.owed.fetch_sub(1, Relaxed);
        self.asked.store(self.now(), Relaxed);
    }

    /// No further request is wanted of this client.
    pub(super) fn dismiss(&self) {
        self.dismissed.store(true, Relaxed);
    }

    /// To be recorded when the connection is told to go.
    pub(super) fn mark(&self) -> DrainMark {
        DrainMark {
            at: self.now(),
            written: self.written.load(Relaxed),
        }
    }

    /// When the next thing is due, as things stand; `None` while nothing is expected of the client.
    pub(super) fn deadline(&self, mark: Option<DrainMark>) -> Option<(Instant, Due)> {
        if mark.is_none() && self.dismissed.load(Relaxed) {
            return Some((self.began, Due::Idle));
        }
        let stalled = match self.stalled.load(Relaxed) {
            0 if self.owed.load(Relaxed) == 0 => None,
            0 => Some(self.asked.load(Relaxed)),
            since => Some(since),
        };
        if let Some(since) = stalled {
            return Some((self.after(since, self.allowed.write), Due::TooSlow));
        }
        if self.requests.load(Relaxed) > 0 {
            // A client that has ended its half may be gone: nothing is heard of it either way.
            let ended = self.ended.load(Relaxed);
            let waited = || (self.after(ended, self.allowed.write), Due::TooSlow);
            return (ended != 0).then(waited);
        }
        Some(match (self.head.load(Relaxed), mark) {
            (0, None) => {
                let since = self.idle.load(Relaxed);
                (self.after(since, self.allowed.idle), Due::Idle)
            }
            (0, Some(mark)) => (self.after(mark.at, self.allowed.write), Due::TooSlow),
            (since, _) => (self.after(since, self.allowed.header), Due::TooSlow),
        })
    }

    /// When to look again at the latest.
    pub(super) fn look_by(&self) -> Instant {
        Instant::now() + self.allowed.write
    }

    /// Whether a client that was told to go still takes its last answers.
    pub(super) fn moves_on(&self, mark: DrainMark) -> bool {
        self.stalled.load(Relaxed) == 0
            && self.head.load(Relaxed) == 0
            && self.written.load(Relaxed).saturating_sub(mark.written) >= LEAST
    }

    fn after(&self, since: u64, time: Duration) -> Instant {
        self.began + Duration::from_millis(since) + time
    }

    /// Never zero, which says "not".
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .max(1)
    }
}
