//! The upstream of every measurement, in Django's place: canned answers, so that the gateway is
//! measured and not Django. Answers the auth call by cookie, a small page, long downloads, uploads.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, COOKIE, HeaderMap};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

/// Where the gateway asks who a session is.
pub(crate) const AUTH: &str = "/_gatepost/auth/";
/// A small JSON answer, as an API gives it.
pub(crate) const SMALL: &str = "/api/small/";
const PAGE: &[u8] = br#"{"count":3,"results":[{"id":1,"title":"First","read":false},{"id":2,"title":"Second","read":true},{"id":3,"title":"Third","read":true}]}"#;
static CHUNK: [u8; 64 << 10] = [b'x'; 64 << 10];

type Answer = Response<Either<Full<Bytes>, Long>>;

/// Serves until the process is killed.
pub(crate) fn run(listen: SocketAddr) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(listen).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let serve =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
            serving(serve);
        }
    })
}

/// Runs one connection; its end, clean or not, is the peer's business.
#[expect(
    clippy::disallowed_methods,
    reason = "the upstream is killed, never drained"
)]
fn serving<T>(connection: impl Future<Output = T> + Send + 'static) {
    tokio::spawn(async move { drop(connection.await) });
}

async fn answer(request: Request<Incoming>) -> Result<Answer, Infallible> {
    let path = request.uri().path();
    if path == AUTH {
        return Ok(json(identity(request.headers()).into()));
    }
    if let Some(size) = path
        .strip_prefix("/bytes/")
        .and_then(|size| size.parse().ok())
    {
        return Ok(Response::new(Either::Right(Long { left: size })));
    }
    if path == "/upload/" {
        return Ok(json(taken(request.into_body()).await.to_string().into()));
    }
    Ok(json(Bytes::from_static(PAGE)))
}

/// The auth answer: the user is what the session cookie says.
fn identity(headers: &HeaderMap) -> String {
    let cookie = headers
        .get(COOKIE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let user = cookie
        .split("; ")
        .find_map(|pair| pair.strip_prefix("sessionid="));
    let user = user.unwrap_or("nobody");
    format!(r#"{{"v":1,"user":"{user}","groups":[],"expires_at":null,"lease":null,"frames":[]}}"#)
}

/// Reads a body to its end and counts its bytes.
async fn taken(mut body: Incoming) -> usize {
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
    bytes
}

fn json(body: Bytes) -> Answer {
    let mut response = Response::new(Either::Left(Full::new(body)));
    let kind = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// So many bytes, made on the way.
struct Long {
    left: usize,
}

impl Body for Long {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let count = self.left.min(CHUNK.len());
        self.left -= count;
        let chunk = (count > 0).then(|| Ok(Frame::data(Bytes::from_static(&CHUNK[..count]))));
        Poll::Ready(chunk)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}
