//! What is left of bodies that are not read, because their requests were answered before.
//!
//! Used by `connection`. The surprise: HTTP/2 needs this as well. It may tell a client that it need not go on (RFC 9113
//! 8.1), but many, curl 7.88 among them, take that reset for a failure when it comes right behind the answer, which they have
//! not looked at yet. The answer does not wait for this: it leaves at once.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, header};

use crate::net::drain::DrainWatch;
use crate::web::headers::has_token;
use crate::web::linger;
use crate::web::request_body::{RequestBody, TakesRest, Unread};

/// How much of a body is thrown away; a client that sends still more is cut off after all.
const MOST: u64 = 1 << 30;
/// As long as no part of it takes longer than this to come.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// And no longer than this, as with nginx.
const LONGEST: Duration = Duration::from_secs(30);

/// Throws the rests of bodies away.
#[derive(Debug)]
pub(super) struct Rests(Arc<dyn TakesRest>);

#[derive(Debug)]
struct ThrowsAway(DrainWatch);

impl Rests {
    /// Nothing is left of any yet.
    pub(super) fn new(drain: DrainWatch) -> Self {
        Self(Arc::new(ThrowsAway(drain)))
    }

    /// The request with its body wrapped, whose rest is taken where its client sends it unasked.
    pub(super) fn watch<B>(
        &self,
        request: Request<B>,
        wrap: impl FnOnce(B) -> RequestBody,
    ) -> Request<RequestBody> {
        let (parts, body) = request.into_parts();
        let body = wrap(body).with_rest(|| Unread {
            taker: Arc::clone(&self.0),
            is_awaited: has_token(&parts.headers, &header::EXPECT, "100-continue"),
        });
        Request::from_parts(parts, body)
    }
}

impl TakesRest for ThrowsAway {
    fn take(&self, mut rest: RequestBody) {
        self.0.spawn(async move {
            let thrown_away = linger::throw_away(&mut rest, MOST, LONGEST_PAUSE);
            let _ = tokio::time::timeout(LONGEST, thrown_away).await;
        });
    }
}
