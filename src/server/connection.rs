//! One client's connection, from the first byte to the last: TLS, HTTP/1.1 or HTTP/2, its end.
//!
//! Run by `serve` as one task a connection. The surprise: the time limits are compared here, once a
//! wake, and not by hyper, whose header timer would also close connections that idle between
//! requests.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tracing::Instrument as _;

use super::deadlines::{Allowed, Deadlines};
use super::drive::{LeavingBy, drive, parting};
use super::http1::Http1Stream;
use super::http2::Http2Stream;
use super::opened_stream::{Opening, StreamPlaces};
use super::service::{Handler, ServerLimits, Service};
use super::wrap::{InFlight, NotTls, PacedBody, PacedStream};
use crate::net::drain::DrainWatch;
use crate::net::listener::Peer;
use crate::net::per_address::PerAddress;
use crate::socket::HandshakeError;
use crate::telemetry::span;
use crate::tls::accept::{Protocol, TlsStream};
use crate::tls::on_demand;
use crate::tls::store::CertificateStore;
use crate::web::body::ResponseBody;
use crate::web::problem::ToProblem;
use crate::web::render::{ResponseFormat, render};
use crate::web::request_body::BoxedRequest;

/// For a person who has typed `http://` before the port of HTTPS.
const SPEAKS_HTTPS: &str = "HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 65\r\n\
    Connection: close\r\n\r\n\
    This port speaks HTTPS: begin the address with https:// instead.\n";

/// For a TLS handshake that is under way when the gateway begins to end: a client that only holds one
/// open must not hold the end up.
const HANDSHAKE_GRACE: Duration = Duration::from_secs(1);

/// For each step of a client that is only told that there is no room.
const REFUSAL: Duration = Duration::from_secs(5);
/// For another request of such a client over HTTP/2, where the answer does not end the connection.
const REFUSAL_IDLE: Duration = Duration::from_millis(500);

/// Serves a client over TLS.
pub(super) async fn run_tls<A: Handler>(
    service: Arc<Service<A>>,
    store: Arc<CertificateStore>,
    mut stream: PacedStream,
    mut client: ServedClient,
) {
    let beginning = async {
        let peer = introduce(&service, &mut stream, client.peer).await?;
        let (stream, protocol) = handshake(&store, peer, stream).await?;
        Ok((stream, protocol, peer))
    };
    let begun = begin(&service, &client, beginning).await;
    drop(store);
    if let Some((stream, protocol, peer)) = begun {
        client.peer = peer;
        serve_http(service, stream, protocol, client).await;
    }
}

/// Serves a client over plain HTTP.
pub(super) async fn run_plain<A: Handler>(
    service: Arc<Service<A>>,
    mut stream: PacedStream,
    mut client: ServedClient,
) {
    if service.introductions.is_some() {
        let beginning = introduce(&service, &mut stream, client.peer);
        match begin(&service, &client, beginning).await {
            Some(peer) => client.peer = peer,
            None => return,
        }
    }
    serve_http(service, stream, Protocol::Http1, client).await;
}

/// Does what comes before the first request: within its time, and not for long while the gateway ends.
async fn begin<A, T>(
    service: &Service<A>,
    client: &ServedClient,
    beginning: impl Future<Output = io::Result<T>>,
) -> Option<T> {
    let limit = client.treatment.limit(service.limits.tls_timeout);
    let begun = tokio::select! {
        begun = tokio::time::timeout(limit, beginning) => begun,
        () = late(&service.drain) => return None,
    };
    match begun {
        Ok(Ok(begun)) => return Some(begun),
        Ok(Err(error)) => tracing::debug!(%error, "the handshake failed"),
        Err(_) => tracing::debug!("the handshake lasts too long"),
    }
    None
}

/// The client behind the connection.
async fn introduce<A>(
    service: &Service<A>,
    stream: &mut PacedStream,
    peer: Peer,
) -> io::Result<Peer> {
    match &service.introductions {
        Some(introductions) => {
            let read = introductions.read(stream, peer).await;
            read.map_err(io::Error::other)
        }
        None => Ok(peer),
    }
}

/// Performs the handshake, and tells a client that speaks plain HTTP what is wrong.
async fn handshake(
    store: &CertificateStore,
    peer: Peer,
    stream: PacedStream,
) -> io::Result<(TlsStream<PacedStream>, Protocol)> {
    match on_demand::handshake(store, peer.address(), stream.expecting_tls()).await {
        Ok(secured) => Ok(secured),
        Err((error, stream)) => {
            let is_plain = error
                .get_ref()
                .is_some_and(<dyn std::error::Error + Send + Sync>::is::<NotTls>);
            if let Some(mut stream) = stream.filter(|_| is_plain) {
                stream.write_all(SPEAKS_HTTPS.as_bytes()).await?;
                stream.shutdown().await?;
            }
            Err(error)
        }
    }
}

/// Completes when the gateway has been ending for so long that no client should still be shaking
/// hands.
async fn late(drain: &DrainWatch) {
    drain.draining().await;
    tokio::time::sleep(HANDSHAKE_GRACE).await;
}

/// The client that is served, and the record of how.
#[derive(Clone, Debug)]
pub(super) struct ServedClient {
    pub(super) peer: Peer,
    pub(super) deadlines: Arc<Deadlines>,
    treatment: Treatment,
    /// For its WebSockets over HTTP/2.
    places: StreamPlaces,
}

/// Whether there is room for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Treatment {
    /// There is.
    Serve,
    /// There is none, and it is told so.
    Refuse,
}

impl Treatment {
    fn limit(self, limit: Duration) -> Duration {
        match self {
            Self::Serve => limit,
            Self::Refuse => limit.min(REFUSAL),
        }
    }

    async fn answer<A: Handler>(
        self,
        answer: &A,
        request: BoxedRequest,
        peer: Peer,
    ) -> Response<ResponseBody> {
        match self {
            Self::Serve => answer.answer(request, peer).await,
            Self::Refuse => {
                let problem = HandshakeError::Full.to_problem().closing();
                let mut response = render(&problem, ResponseFormat::of(&request), None);
                answer.dress(&mut response);
                response
            }
        }
    }
}

impl ServedClient {
    pub(super) fn new(
        peer: Peer,
        limits: &ServerLimits,
        treatment: Treatment,
        places: &Arc<PerAddress>,
    ) -> Self {
        let allowed = Allowed {
            header: treatment.limit(limits.header_timeout),
            idle: match treatment {
                Treatment::Serve => limits.idle_timeout,
                Treatment::Refuse => limits.idle_timeout.min(REFUSAL_IDLE),
            },
            write: treatment.limit(limits.write_timeout),
        };
        Self {
            peer,
            treatment,
            places: StreamPlaces::new(Arc::clone(places)),
            deadlines: Deadlines::new(allowed),
        }
    }
}

/// Serves a client that speaks HTTP, until either side ends it.
pub(super) async fn serve_http<A, S>(
    service: Arc<Service<A>>,
    stream: S,
    protocol: Protocol,
    client: ServedClient,
) where
    A: Handler,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (deadlines, peer) = (Arc::clone(&client.deadlines), client.peer);
    deadlines.speaks(protocol);
    service.recognise(peer, &deadlines);
    span::record("protocol", || protocol);
    let shared = Arc::clone(&service);
    let answering =
        service_fn(move |request: Request<Incoming>| exchange(&shared, &client, request));
    let (http, drain) = (&service.http, &service.drain);
    let ended = match protocol {
        Protocol::Http1 => {
            let io = TokioIo::new(Http1Stream::new(stream, Arc::clone(&deadlines)));
            let connection = http.http1.serve_connection(io, answering).with_upgrades();
            let end = http1::UpgradeableConnection::graceful_shutdown;
            drive(connection, end, &deadlines, LeavingBy::Answer(drain)).await
        }
        Protocol::Http2 => {
            let io = TokioIo::new(Http2Stream::new(stream));
            let connection = http.http2.serve_connection(io, answering);
            let end = http2::Connection::graceful_shutdown;
            drive(connection, end, &deadlines, LeavingBy::Notice(drain)).await
        }
    };
    if let Err(reason) = ended {
        tracing::debug!(%reason, "the connection broke off");
    }
}

/// One request and its answer. Boxed: hyper moves it a dozen times on its way into a stream's task, two kilobytes each
/// time, and keeps room for one in every connection of HTTP/1.1.
fn exchange<A: Handler>(
    service: &Arc<Service<A>>,
    client: &ServedClient,
    mut request: Request<Incoming>,
) -> Pin<Box<impl Future<Output = Result<Response<PacedBody>, Infallible>> + use<A>>> {
    let (shared, in_flight) = (Arc::clone(service), InFlight::begin(&client.deadlines));
    let opening = Opening::of(&mut request, &client.deadlines, &client.places);
    let (opening, treatment) = match opening {
        Ok(opening) => (opening, client.treatment),
        Err(_full) => (None, Treatment::Refuse),
    };
    let request = shared.rests.watch(request, |body| in_flight.body(body));
    // Made here, where the connection's own is still the innermost: a stream of HTTP/2 is a task.
    let span = span::request(&request);
    let (peer, version) = (client.peer, request.version());
    Box::pin(async move {
        let answering = treatment.answer(&*shared.handler, Box::new(request), peer);
        let response = answering.instrument(span.clone()).await;
        let mut response = parting(response, version, &shared.drain);
        in_flight.answers(&mut response);
        if let Some(opening) = opening {
            opening.answers(response.status());
        }
        Ok(response.map(|body| PacedBody::new(body, in_flight, span)))
    })
}
