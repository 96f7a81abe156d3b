//! The upstream of every measurement, in Django's place: canned answers, so that the gateway is
//! measured and not Django. Answers the auth call by cookie, one or many, a small page, one that
//! names its session, a logout, long downloads, uploads; and counts the requests.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use crate::compressed::{LIST, page};

/// Where the gateway asks who a session is.
pub(crate) const AUTH: &str = "/_gatepost/auth/";
/// A small JSON answer, as an API gives it.
pub(crate) const SMALL: &str = "/api/small/";
/// Where the gateway asks who many sessions are.
pub(crate) const BATCH: &str = "/_gatepost/sessions/";
/// A socket's path of which a view says who may listen.
pub(crate) const PATH_OF_VIEW: &str = "/ws/orders/17/";
/// How long such a view takes: a query or two.
const VIEW: Duration = Duration::from_millis(3);
/// A page whose response names its session's identity.
pub(crate) const PAGE_OF_SESSION: &str = "/page/";
/// Ends a session as Django does.
pub(crate) const LOGOUT: &str = "/logout/";
/// Answers when sessions were asked for since the last time, and forgets it.
pub(crate) const ASKED: &str = "/asked/";
/// On a logout's response: when it left, by [`now`].
pub(crate) const LEFT: &str = "x-left";
/// Sessions were asked for at these times, by [`now`].
static ASKED_AT: Mutex<Vec<u64>> = Mutex::new(Vec::new());
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
    if path == AUTH || path == BATCH || path == PATH_OF_VIEW {
        asked().push(now());
    }
    match path {
        AUTH => return Ok(json(identity(&cookies(request.headers())).into())),
        PATH_OF_VIEW => {
            tokio::time::sleep(VIEW).await;
            return Ok(json(grant(&cookies(request.headers())).into()));
        }
        BATCH => return Ok(json(identities(request.into_body()).await.into())),
        ASKED => return Ok(json(format!("{:?}", std::mem::take(&mut *asked())).into())),
        PAGE_OF_SESSION => return Ok(page_of_session(request.headers())),
        LOGOUT => return Ok(logout()),
        LIST => return Ok(list()),
        _ => {}
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

/// The page that is to be compressed.
fn list() -> Answer {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| page().into());
    let mut answer = json(TEXT.clone());
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, html);
    answer
}

/// Nanoseconds of the machine's clock, which the load tool shares.
pub(crate) fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let whole = |part: i64| u64::try_from(part).unwrap_or_default();
    whole(time.tv_sec) * 1_000_000_000 + whole(time.tv_nsec)
}

fn asked() -> std::sync::MutexGuard<'static, Vec<u64>> {
    ASKED_AT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn cookies(headers: &HeaderMap) -> String {
    let cookie = headers.get(COOKIE).and_then(|value| value.to_str().ok());
    cookie.unwrap_or_default().to_owned()
}

/// The batch answer.
async fn identities(body: Incoming) -> String {
    #[derive(serde::Deserialize)]
    struct Batch {
        sessions: Vec<Asked>,
    }
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Asked {
        Session(String),
        View { cookie: String },
    }
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes);
    let batch = serde_json::from_slice::<Batch>(&body.unwrap_or_default());
    let sessions = batch.map_or(Vec::new(), |batch| batch.sessions);
    let mut answers = Vec::with_capacity(sessions.len());
    let mut views = 0;
    for asked in &sessions {
        answers.push(match asked {
            Asked::Session(cookie) => identity(cookie),
            Asked::View { cookie } => {
                views += 1;
                grant(cookie)
            }
        });
    }
    tokio::time::sleep(VIEW * views).await;
    format!("{{\"v\":1,\"sessions\":[{}]}}", answers.join(","))
}

/// A page, with the identity of its session for the gateway.
fn page_of_session(headers: &HeaderMap) -> Answer {
    // Loading a page of every session takes this tool longer than a lease is by default.
    let identity = identity(&cookies(headers)).replace("\"lease\":null", "\"lease\":60");
    let identity = base64url(identity.as_bytes());
    let mut response = json(Bytes::from_static(PAGE));
    if let Ok(identity) = identity.parse() {
        response.headers_mut().insert("gatepost-identity", identity);
    }
    response
}

/// What Django's `logout()` puts on its response, and the package: which cookie that is about.
fn logout() -> Answer {
    let deleted = "sessionid=\"\"; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/";
    let mut response = json(Bytes::from_static(b"{}"));
    let fields = response.headers_mut();
    fields.insert(SET_COOKIE, HeaderValue::from_static(deleted));
    let named = HeaderValue::from_static("sessionid; Path=/");
    fields.insert("gatepost-session-cookie", named);
    fields.insert(LEFT, HeaderValue::from(now()));
    response
}

/// RFC 4648 section 5, without padding.
fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits = |chunk: &[u8]| {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        let digit = move |at: usize| char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize]);
        (0..=chunk.len()).map(digit).collect::<String>()
    };
    bytes.chunks(3).map(digits).collect()
}

/// The auth answer: the user is what the session cookie says.
fn identity(cookie: &str) -> String {
    let user = cookie
        .split("; ")
        .find_map(|pair| pair.strip_prefix("sessionid="));
    let user = user.unwrap_or("nobody");
    format!(r#"{{"v":1,"user":"{user}","groups":[],"expires_at":null,"lease":null,"frames":[]}}"#)
}

/// The answer of a view: two topics.
fn grant(cookie: &str) -> String {
    let identity = identity(cookie);
    let rest = identity.strip_suffix('}').unwrap_or_default();
    format!(r#"{rest},"topics":["shop.order:17","news"]}}"#)
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
    let kind = HeaderValue::from_static("application/json");
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

#[cfg(test)]
mod tests {
    use super::base64url;

    #[test]
    fn base64url_has_no_padding() {
        for (text, encoded) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("?>?>", "Pz4_Pg"),
        ] {
            assert_eq!(base64url(text.as_bytes()), encoded);
        }
    }
}
