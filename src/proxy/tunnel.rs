//! WebSockets of others: a dev server's HMR socket, a Channels app's; the gateway sees only bytes.
//!
//! Called by `forward` for upgrades to upstreams that may have them; `server` has checked `Origin`
//! before. The surprise: dev servers leave a handshake open for ever that nothing matches, and
//! Next.js refuses one with bytes that are not HTTP, so both ends are explained here.

use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
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
use crate::web::headers;

/// For the answer to a handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Of each direction; a tunnel holds two for its whole life.
const BUFFER: usize = 8 * 1024;

/// A handshake on its way to an upstream.
pub(super) struct Handshake {
    /// Its head, as the upstream gets it.
    pub(super) request: Request<Upload>,
    /// The client's connection, once it is no longer HTTP.
    pub(super) downstream: OnUpgrade,
    /// Names it in the log.
    pub(super) request_id: RequestId,
}

/// Hands a handshake on (its head is already the upstream's) and, where it is accepted, joins both
/// sides.
pub(super) async fn open(
    upstream: &Upstream,
    mut handshake: Handshake,
    drain: &DrainWatch,
) -> Result<Response<ResponseBody>, ForwardFailure> {
    set_upgrade(handshake.request.headers_mut());
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
    downstream: OnUpgrade,
    drain: &DrainWatch,
) -> Response<ResponseBody> {
    let upstream = hyper::upgrade::on(&mut response);
    let joined = join(downstream, upstream, drain.clone());
    drain.spawn(joined.instrument(span::current()));
    let (mut parts, _body) = response.into_parts();
    parts.extensions.clear();
    rewrite::response(&mut parts);
    set_upgrade(&mut parts.headers);
    Response::from_parts(parts, ResponseBody::empty())
}

async fn join(downstream: OnUpgrade, upstream: OnUpgrade, drain: DrainWatch) {
    let Ok((downstream, upstream)) = tokio::try_join!(downstream, upstream) else {
        // The client went away between handshake and answer.
        return;
    };
    let (mut downstream, mut upstream) = (TokioIo::new(downstream), TokioIo::new(upstream));
    tokio::select! {
        _ = tokio::io::copy_bidirectional_with_sizes(&mut downstream, &mut upstream, BUFFER, BUFFER) => {}
        () = drain.draining() => {}
    }
}

fn set_upgrade(fields: &mut HeaderMap) {
    fields.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    fields.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}
