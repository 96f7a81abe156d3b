//! What all socket routes share, and how a client is turned away.
//!
//! Made by the composition root, used by the handshake. The surprise: the log is told of the first
//! refusal of a kind alone, since a crowd meets a limit thousands of times.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, Request, header};

use super::closing::{self, End};
use super::entrance::Entrance;
use super::slowing::Slowing;
use super::{Socket, SocketSettings};
use crate::close::CloseReason;
use crate::net::drain::DrainWatch;
use crate::session::{Authority, CookieNames, Lifecycle, Recheck, Scope, SessionCookies};
use crate::telemetry::metrics::{Code, Metrics, Outcome};
use crate::web::request::Downstream;

/// What all socket routes share.
#[derive(Debug)]
pub struct SocketParts {
    /// Asks Django.
    pub authority: Arc<Authority>,
    /// Which cookies matter.
    pub cookies: CookieNames,
    /// Knows the sessions of the connections, and follows what becomes of them.
    pub lifecycle: Arc<Lifecycle>,
    /// Lets handshakes in.
    pub entrance: Arc<Entrance>,
    /// Slows down who is turned away again and again.
    pub slowing: Slowing,
    /// How connections behave.
    pub settings: Arc<SocketSettings>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Runs and ends the connections' tasks.
    pub drain: DrainWatch,
    /// Which refusals the log was told of.
    pub told: Mutex<HashSet<&'static str>>,
}

impl SocketParts {
    /// Whether the log was not told of such a refusal yet; it counts as told from here on.
    pub(super) fn tells_first(&self, outcome: &'static str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(outcome)
    }

    /// The cookies of a handshake that Django's authentication reads.
    pub(super) fn pick(&self, headers: &HeaderMap) -> Option<SessionCookies> {
        SessionCookies::pick(headers.get(header::COOKIE)?, &self.cookies)
    }

    /// A session whose auth answer gives the browser another cookie goes on under that one: a view of
    /// the project's own may save the session at each call.
    pub(super) fn follow<B>(
        &self,
        request: &Request<B>,
        downstream: &Downstream,
        fields: &HeaderMap,
    ) {
        let (headers, host) = (request.headers(), &downstream.host);
        let scope = Scope {
            host,
            path: request.uri().path(),
            cookies: headers.get(header::COOKIE),
        };
        let change = self.cookies.change(fields, scope);
        let (Some(change), Some(old)) = (change, self.pick(headers)) else {
            return;
        };
        let new = self.cookies.after(fields, scope);
        let new = new.map(|new| Recheck::of(new, headers, host, downstream.address));
        self.lifecycle.follow(&old, &change, (new, None));
    }

    /// Ends a connection that was told to log in, after a while.
    pub(super) async fn send_to_login(
        &self,
        mut socket: Socket,
        reason: CloseReason,
        delay: Duration,
    ) {
        self.slowing.hold(&mut socket, delay, &self.drain).await;
        self.close(socket, reason).await;
    }

    /// Ends a connection that never was registered.
    pub(super) async fn close(&self, socket: Socket, reason: CloseReason) {
        let code = reason.code().into();
        self.metrics.closes.get_or_create(&Code { code }).inc();
        closing::finish(socket, End::Close(reason)).await;
    }

    /// Counts a handshake.
    pub(super) fn count(&self, outcome: &'static str) {
        self.metrics
            .handshakes
            .get_or_create(&Outcome { outcome })
            .inc();
    }
}
