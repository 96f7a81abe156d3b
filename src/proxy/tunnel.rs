//! WebSockets of others: a dev server's HMR socket, a Channels app's; the gateway sees only bytes.
//!
//! Called by `forward` for upgrades to upstreams that may have them; `server` has checked `Origin`
//! before. Upstreams speak HTTP/1.1, whatever the client does; the frames are the same. The surprise: dev servers leave a handshake open for ever that nothing matches, and
//! Next.js refuses one with bytes that are not HTTP, so both ends are explained here.

use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use http::response::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tracing::Instrument as _;

use super::answer_body::AnswerBody;
use super::download::Download;
use super::error::ForwardFailure;
use super::flow::{BodyConnection, Origin};
use super::rewrite;
use super::upload::Upload;
use super::upstream::Upstream;
use crate::ids::RequestId;
use crate::net::drain::DrainWatch;
use crate::telemetry::span;
use crate::web::body::ResponseBody;
use crate::web::client_stream::PendingUpgrade;
use crate::web::headers;
use crate::web::request::{Downstream, Upgrade};

/// For the answer to a handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Of each direction; a tunnel holds two for its whole life.
const BUFFER: usize = 8 * 1024;

/// A handshake on its way to an upstream.
pub(super) struct Handshake {
    /// Its head, as the upstream gets it.
    pub(super) request: Request<Upload>,
    /// The client's side, once it is no longer HTTP.
    pub(super) downstream: PendingUpgrade,
    /// Names it in the log.
    pub(super) request_id: RequestId,
}

/// Whether a request asks for a WebSocket in a way that can be handed on.
pub(super) fn is_asked_for<B>(request: &Request<B>, downstream: &Downstream) -> bool {
    let is_spoken = match downstream.upgrade {
        Upgrade::WebSocket => request.version() == Version::HTTP_11,
        Upgrade::ExtendedConnect => true,
        Upgrade::None => false,
    };
    is_spoken && request.method() == Method::GET
}

/// Hands a handshake on (its head is already the upstream's) and, where it is accepted, joins both
/// sides.
pub(super) async fn open(
    upstream: &Upstream,
    mut handshake: Handshake,
    drain: &DrainWatch,
) -> Result<Response<ResponseBody>, ForwardFailure> {
    set_upgrade(handshake.request.headers_mut());
    let is_stream = handshake.downstream.is_stream();
    let key = is_stream.then(|| OwnKey::send(handshake.request.headers_mut()));
    let path = handshake.request.uri().path().to_owned();
    let (stream, backend) = upstream.connect(upstream.next_backend()).await?;
    let at = upstream.label(backend);
    let lost = |source| ForwardFailure::broken(at.clone(), source);

    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
    drain.spawn(async move {
        // The request that waits for the answer gets the error.
        let _ = connection.with_upgrades().await;
    });
    let answer =
        tokio::time::timeout(HANDSHAKE_LIMIT, sender.send_request(handshake.request)).await;
    let Ok(answer) = answer else {
        let limit = HANDSHAKE_LIMIT;
        return Err(ForwardFailure::NoWebSocket { at, path, limit });
    };
    let response = answer.map_err(lost)?;
    if let Some(key) = &key {
        let at = at.clone();
        let not_upgraded = |why| ForwardFailure::NotUpgraded { at, why };
        key.check(&response).map_err(not_upgraded)?;
    }
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let origin = Origin {
            request_id: handshake.request_id,
            connection: BodyConnection::Own(at),
        };
        return Ok(refused(response, origin, upstream.timeout()));
    }
    if !headers::is_websocket_upgrade(response.headers()) {
        return Err(ForwardFailure::UnaskedUpgrade { at });
    }
    Ok(accepted(response, handshake.downstream, drain))
}

/// Clients of HTTP/2 send no key (RFC 8441 section 5): the gateway's own, which it checks as a client does.
struct OwnKey(String);

impl OwnKey {
    /// Makes one, and sends it along.
    fn send(fields: &mut HeaderMap) -> Self {
        let key = generate_key();
        // Base64 is always a value.
        if let Ok(value) = HeaderValue::from_str(&key) {
            fields.insert(header::SEC_WEBSOCKET_KEY, value);
        }
        Self(key)
    }

    /// What is wrong with an answer. A 2xx is no refusal here: it would open the stream.
    fn check<B>(&self, response: &Response<B>) -> Result<(), &'static str> {
        let status = response.status();
        if status.is_success() {
            return Err("it answered as if it were an ordinary request");
        }
        let accept = response.headers().get(header::SEC_WEBSOCKET_ACCEPT);
        let is_right = || accept.is_some_and(|sent| *sent == derive_accept_key(self.0.as_bytes()));
        if status == StatusCode::SWITCHING_PROTOCOLS && !is_right() {
            return Err("its Sec-WebSocket-Accept does not belong to the key that it was sent");
        }
        Ok(())
    }
}

/// Makes a 101 what a stream of HTTP/2 is told in its place.
fn set_stream(accepted: &mut Parts) {
    accepted.status = StatusCode::OK;
    for name in [header::SEC_WEBSOCKET_ACCEPT, header::CONTENT_LENGTH] {
        accepted.headers.remove(name);
    }
}

/// The upstream answered like any web server.
fn refused(
    response: Response<Incoming>,
    origin: Origin,
    limit: Duration,
) -> Response<ResponseBody> {
    let (mut parts, body) = response.into_parts();
    rewrite::response(&mut parts);
    if body.is_end_stream() {
        return Response::from_parts(parts, ResponseBody::empty());
    }
    let body = Download::new(AnswerBody::Plain(body), origin, Some(limit));
    Response::from_parts(parts, ResponseBody::stream(body))
}

fn accepted(
    mut response: Response<Incoming>,
    downstream: PendingUpgrade,
    drain: &DrainWatch,
) -> Response<ResponseBody> {
    let upstream = hyper::upgrade::on(&mut response);
    let is_stream = downstream.is_stream();
    let joined = join(downstream, upstream, drain.clone());
    drain.spawn(joined.instrument(span::current()));
    let (mut parts, _body) = response.into_parts();
    parts.extensions.clear();
    rewrite::response(&mut parts);
    if is_stream {
        set_stream(&mut parts);
    } else {
        set_upgrade(&mut parts.headers);
    }
    Response::from_parts(parts, ResponseBody::empty())
}

async fn join(downstream: PendingUpgrade, upstream: OnUpgrade, drain: DrainWatch) {
    let Ok((mut downstream, upstream)) = tokio::try_join!(downstream.stream(), upstream) else {
        // The client went away between handshake and answer.
        return;
    };
    let mut upstream = TokioIo::new(upstream);
    tokio::select! {
        _ = tokio::io::copy_bidirectional_with_sizes(&mut downstream, &mut upstream, BUFFER, BUFFER) => {}
        () = drain.draining() => {}
    }
}

fn set_upgrade(fields: &mut HeaderMap) {
    fields.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    fields.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}
