//! One connection's task: what waits for it out, messages in, pings, the end.
//!
//! Started by the handshake. Everything that is not the client's doing, drain and revocation and expiry
//! included, comes through the outbox, so that an idle connection waits on three things only and costs
//! nothing between pings.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::applicant::Applicant;
use super::closing::{self, ConnectionEnd};
use super::dialect::Dialect;
use super::origin::PageOrigin;
use super::parts::SocketParts;
use super::topics::{Greeting, PathAnswer, PathRequest, PathRequests, TopicRequest};
use super::visitors::Attendance;
use super::write::{WriteLimits, write_all};
use super::{Socket, message};
use crate::close::CloseReason;
use crate::hub::{Item, Taken};
use crate::net::per_address::AddressPermit;

/// What leaves as one write. tungstenite keeps its largest write buffer for ever, so this bounds it.
const BATCH: usize = 4 * 1024;
/// Pings without any sign of life before the client counts as gone.
const MISSED_PINGS: u8 = 2;

/// A connection with its identity.
pub(super) struct Connection {
    socket: Socket,
    joined: Attendance,
    parts: Arc<SocketParts>,
    client: SocketClient,
    /// Questions to views that it waits for.
    paths: PathRequests,
    /// When the message budget is whole again.
    budget: Instant,
    unanswered: u8,
    /// Whether it was sent something since the last ping that says where it is.
    is_told: bool,
}

/// Who is at the other end.
pub(super) struct SocketClient {
    /// Where its page is from.
    pub(super) page: PageOrigin,
    /// What it speaks.
    pub(super) dialect: Dialect,
}

impl Connection {
    pub(super) fn new(
        socket: Socket,
        joined: Attendance,
        parts: Arc<SocketParts>,
        client: SocketClient,
    ) -> Self {
        Self {
            socket,
            joined,
            parts,
            client,
            paths: PathRequests::default(),
            budget: Instant::now(),
            unanswered: 0,
            is_told: false,
        }
    }

    /// Sends `greeting`, then serves until the client leaves or is closed, and so long keeps its permit.
    pub(super) async fn run(mut self: Box<Self>, greeting: Greeting, permit: AddressPermit) {
        self.parts.metrics.connections.inc();
        let end = self.serve(greeting).await;
        // Nobody waits for Django on its behalf any more.
        self.paths = PathRequests::default();
        drop(permit);
        self.leave(end).await;
    }

    /// Takes the connection out of the hub, then ends it. Boxed, and no part of `run`: a connection
    /// lives long and ends once, so its task should hold no room for the end.
    fn leave(self: Box<Self>, end: ConnectionEnd) -> Pin<Box<impl Future<Output = ()>>> {
        self.parts.record_end(self.joined.member(), &end);
        drop(self.joined);
        Box::pin(closing::finish(self.socket, end))
    }

    async fn serve(&mut self, greeting: Greeting) -> ConnectionEnd {
        // Boxed, as is a pong: rare, and a connection's task would hold room for it.
        if let Err(end) = Box::pin(self.greet(greeting)).await {
            return end;
        }
        // The first ping comes early and at random, so that a crowd's pings never align.
        let timer = tokio::time::sleep_until(self.next_wake(0.5));
        tokio::pin!(timer);
        loop {
            let outbox = &self.joined.member().outbox;
            let step = tokio::select! {
                taken = std::future::poll_fn(|context| outbox.poll_take(context)) => match taken {
                    Taken::Item(item) => self.send(item).await,
                    Taken::Close(reason) => Err(ConnectionEnd::Close(reason)),
                },
                message = self.socket.next() => self.receive(message).await,
                answer = self.paths.answer() => {
                    self.settle(answer);
                    Ok(())
                }
                () = &mut timer => self.wake(timer.as_mut()).await,
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Sends what there is to say first, before anything that was published since.
    async fn greet(&mut self, greeting: Greeting) -> Result<(), ConnectionEnd> {
        let id = self.joined.member().id;
        let mut texts = self.client.dialect.begin(id, &greeting).into_iter();
        self.write(|| texts.next().map(Message::Text)).await
    }

    /// Sends an item and what waits behind it as one write.
    async fn send(&mut self, first: Arc<Item>) -> Result<(), ConnectionEnd> {
        let (dialect, limits) = (&self.client.dialect, limits(&self.parts, &self.joined));
        let (is_told, mut room, mut first) = (&mut self.is_told, BATCH, Some(first));
        let text = || loop {
            // Taken when there is room in the socket: a newer one of its key may still replace what waits.
            let item = first.take().or_else(|| limits.outbox.take_within(room))?;
            if let Some(text) = dialect.write(&item) {
                *is_told |= item.position().is_some();
                room = room.saturating_sub(text.len());
                return Some(Message::Text(text));
            }
        };
        write_all(&mut self.socket, limits, text).await
    }

    async fn receive(
        &mut self,
        message: Option<Result<Message, Error>>,
    ) -> Result<(), ConnectionEnd> {
        let message = match message {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(closing::end_of(&error)),
            None => return Err(ConnectionEnd::Gone),
        };
        self.unanswered = 0;
        let enough = self.parts.settings.between_messages();
        self.socket.get_mut().allow(enough);
        self.spend()?;
        match message {
            Message::Text(text) => {
                let Some(pong) = message::pong(&text) else {
                    return self.listen(&text);
                };
                Box::pin(self.pong(pong)).await
            }
            Message::Binary(_) => Err(policy("binary messages are not allowed here")),
            // tungstenite answers a ping and a close when it is polled next.
            _ => Ok(()),
        }
    }

    /// A client that has the pong has every frame that was taken before its ping.
    async fn pong(&mut self, pong: Utf8Bytes) -> Result<(), ConnectionEnd> {
        while let Some(item) = self.joined.member().outbox.take_within(usize::MAX) {
            self.send(item).await?;
        }
        let mut pong = Some(Message::Text(pong));
        self.write(|| pong.take()).await
    }

    /// Does what a message asks of the gateway itself; the answer comes through the outbox.
    fn listen(&mut self, text: &str) -> Result<(), ConnectionEnd> {
        let request = TopicRequest::decode(text);
        let request = request.ok_or_else(|| policy(message::refusal(text)))?;
        let (topics, member) = (&self.parts.topics, self.joined.member());
        let Some(wanted) = PathRequest::of(&request) else {
            topics.answer(member, &request);
            return Ok(());
        };
        let applicant = Applicant::new(&self.parts, &self.joined, &self.client.page);
        if let Err((surplus, reason)) = self.paths.push(wanted, |request| applicant.ask(request)) {
            topics.refuse_path(member, &surplus, reason);
        }
        Ok(())
    }

    /// Acts upon what a view said to a path that was asked for, and goes on with the next.
    fn settle(&mut self, answer: PathAnswer) {
        let (topics, member) = (&self.parts.topics, self.joined.member());
        let again = topics.settle(member, answer).map(PathRequest::again);
        let again = again.and_then(|again| {
            let given_up =
                |request: &PathRequest| topics.refuse_path(member, request, "unavailable");
            again.inspect_err(given_up).ok()
        });
        let applicant = Applicant::new(&self.parts, &self.joined, &self.client.page);
        self.paths.go_on(again, |request| applicant.ask(request));
    }

    /// Takes one message from the budget: control frames count, or they would be a free flood.
    fn spend(&mut self) -> Result<(), ConnectionEnd> {
        let rate = self.parts.settings.message_budget();
        let spent = rate.spend(self.budget, Instant::now());
        self.budget = spent.ok_or_else(|| policy("too many messages"))?;
        Ok(())
    }

    /// Time for a ping.
    async fn wake(&mut self, timer: Pin<&mut Sleep>) -> Result<(), ConnectionEnd> {
        if self.unanswered == MISSED_PINGS {
            return Err(ConnectionEnd::Gone);
        }
        self.unanswered += 1;
        timer.reset(self.next_wake(self.client.dialect.pause()));
        let position = self.quiet();
        let (mut position, mut ping) = (position.map(Message::Text), Some(Bytes::new()));
        self.write(|| position.take().or_else(|| ping.take().map(Message::Ping)))
            .await
    }

    async fn write(&mut self, next: impl FnMut() -> Option<Message>) -> Result<(), ConnectionEnd> {
        let limits = limits(&self.parts, &self.joined);
        write_all(&mut self.socket, limits, next).await
    }

    /// What a client is told that got nothing since the last ping, or nothing but words.
    fn quiet(&mut self) -> Option<Utf8Bytes> {
        // In this order: what was published until then was queued before, and so was sent where nothing waits.
        let position = self.parts.topics.position();
        let is_told = std::mem::take(&mut self.is_told);
        let (_, waiting) = self.joined.member().outbox.counts();
        self.client
            .dialect
            .quiet(position)
            .filter(|_| !is_told && waiting == 0)
    }

    fn next_wake(&self, least: f64) -> Instant {
        self.parts
            .settings
            .next_wake(self.joined.member().id, least)
    }
}

fn limits<'a>(parts: &SocketParts, joined: &'a Attendance) -> WriteLimits<'a> {
    WriteLimits {
        timeout: parts.settings.write_timeout,
        outbox: &joined.member().outbox,
    }
}

fn policy(text: &'static str) -> ConnectionEnd {
    ConnectionEnd::Close(CloseReason::Policy(text))
}
