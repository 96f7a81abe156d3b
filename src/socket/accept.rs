//! Which requests become WebSockets, and what the others are told.
//!
//! Used by the handshake. The surprise: hyper's upgrade checks nothing at all, and tungstenite's check
//! knows neither bodies nor doubled keys.

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::OriginError;
use crate::close::CloseReason;
use crate::net::per_address::NoPlace;
use crate::web::body::ResponseBody;
use crate::web::problem::{Problem, ToProblem};
use crate::web::request::Upgrade;
use crate::web::request_body::RequestBody;

/// Why a handshake is refused before the upgrade.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The gateway is going away.
    #[error("the gateway is shutting down")]
    Draining,
    /// As many connections as allowed.
    #[error("no more connections are accepted just now")]
    Full,
    /// As many connections as one address may have.
    #[error("there are too many connections from this address")]
    AddressFull,
    /// More handshakes than one address may begin.
    #[error("there are too many handshakes from this address")]
    TooFast,
    /// As many handshakes wait for Django as may, in all or of one address.
    #[error("too many handshakes wait for Django's judgement")]
    Crowded(NoPlace),
    /// Not a `GET`.
    #[error("a WebSocket handshake is a GET")]
    Method,
    /// An ordinary request.
    #[error("this path is a WebSocket: connect with `new WebSocket(…)`")]
    NotAnUpgrade,
    /// Another version than 13.
    #[error("only version 13 of the WebSocket protocol is spoken here")]
    Version,
    /// The handshake breaks RFC 6455 section 4.2.1.
    #[error("the WebSocket handshake is malformed: {0}")]
    Malformed(&'static str),
    /// A stream that is refused for what would close a WebSocket.
    #[error("{}", .0.text())]
    Closed(CloseReason),
    /// The wrong page.
    #[error(transparent)]
    Origin(#[from] OriginError),
}

/// RFC 6455 section 4.2.1, in full. Gives the 101; over HTTP/2 a 200, without keys (RFC 8441 section 5).
pub(super) fn accept(
    request: &Request<RequestBody>,
    upgrade: Upgrade,
) -> Result<Response<ResponseBody>, HandshakeError> {
    if request.method() != Method::GET {
        return Err(HandshakeError::Method);
    }
    let headers = request.headers();
    // Some proxies and devices say that there is no body, which is not to have one.
    let is_zero = |length: &HeaderValue| length.as_bytes().iter().all(|digit| *digit == b'0');
    let length = headers.get(header::CONTENT_LENGTH);
    let body = length.is_some_and(|length| !is_zero(length))
        || headers.contains_key(header::TRANSFER_ENCODING);
    let response = match upgrade {
        Upgrade::ExtendedConnect => accept_stream(headers),
        Upgrade::WebSocket | Upgrade::None => accept_connection(request),
    }?;
    let once = [header::SEC_WEBSOCKET_KEY, header::SEC_WEBSOCKET_VERSION];
    if once
        .iter()
        .any(|name| headers.get_all(name).iter().count() > 1)
    {
        return Err(HandshakeError::Malformed(
            "it has several Sec-WebSocket-Key or Sec-WebSocket-Version fields",
        ));
    }
    if body {
        return Err(HandshakeError::Malformed("it has a body"));
    }
    Ok(response)
}

fn accept_connection(
    request: &Request<RequestBody>,
) -> Result<Response<ResponseBody>, HandshakeError> {
    let response = create_response_with_body(request, ResponseBody::empty);
    response.map_err(|error| match error {
        Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) => HandshakeError::Version,
        Error::Protocol(ProtocolError::MissingSecWebSocketKey) => {
            HandshakeError::Malformed("Sec-WebSocket-Key is missing")
        }
        Error::Protocol(ProtocolError::InvalidSecWebSocketKey) => {
            HandshakeError::Malformed("Sec-WebSocket-Key is not 16 bytes in base64")
        }
        Error::Protocol(ProtocolError::WrongHttpVersion) => {
            HandshakeError::Malformed("it needs HTTP/1.1")
        }
        _ => HandshakeError::NotAnUpgrade,
    })
}

fn accept_stream(headers: &HeaderMap) -> Result<Response<ResponseBody>, HandshakeError> {
    let version = headers.get(header::SEC_WEBSOCKET_VERSION);
    if version.is_none_or(|version| version != "13") {
        return Err(HandshakeError::Version);
    }
    Ok(Response::new(ResponseBody::empty()))
}

/// Several `Connection` lines mean what one with all their values does (RFC 9110 section 5.3), but
/// tungstenite reads the first alone.
pub(super) fn join_connection(headers: &mut HeaderMap) {
    let lines: Vec<_> = headers.get_all(header::CONNECTION).iter().collect();
    if lines.len() < 2 {
        return;
    }
    let lines: Vec<_> = lines.into_iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b", "[..])) {
        headers.insert(header::CONNECTION, joined);
    }
}

impl HandshakeError {
    /// The fields that the refusal needs besides its problem (RFC 9110 sections 10.2.1 and 15.5.22,
    /// RFC 6455 section 4.2.2). HTTP/2 forbids `Upgrade`.
    pub fn add_fields(&self, version: Version, headers: &mut HeaderMap) {
        if matches!(self, Self::Method) {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
        }
        if matches!(self, Self::NotAnUpgrade | Self::Version) {
            let thirteen = HeaderValue::from_static("13");
            headers.insert(header::SEC_WEBSOCKET_VERSION, thirteen);
            if version < Version::HTTP_2 {
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            }
        }
    }

    /// Whether a setting is the likelier reason than a client that means harm.
    pub(super) fn is_of_settings(&self) -> bool {
        matches!(
            self,
            Self::Origin(_) | Self::Full | Self::AddressFull | Self::TooFast
        )
    }

    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::Full => "full",
            Self::AddressFull => "address_full",
            Self::TooFast => "too_fast",
            Self::Crowded(_) => "crowded",
            Self::NotAnUpgrade => "not_an_upgrade",
            Self::Method | Self::Version | Self::Malformed(_) => "malformed",
            Self::Origin(_) => "origin_refused",
            Self::Closed(_) => "closed",
        }
    }
}

/// What a reason to close a WebSocket is where none was opened.
fn refusal(reason: &CloseReason) -> (StatusCode, &'static str) {
    match reason {
        // Also where Django's own revocation says it.
        _ if reason.code() == CloseReason::NotLoggedIn.code() => {
            (StatusCode::UNAUTHORIZED, "not_logged_in")
        }
        CloseReason::Policy(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_connections"),
        CloseReason::Misconfigured(_) => (StatusCode::BAD_GATEWAY, "misconfigured"),
        _ => (StatusCode::FORBIDDEN, "not_allowed"),
    }
}

impl ToProblem for HandshakeError {
    fn to_problem(&self) -> Problem {
        let problem = |status, code| Problem::new(status, code, self.to_string());
        match self {
            Self::Draining => problem(StatusCode::SERVICE_UNAVAILABLE, "draining").retry_after(5),
            Self::Full => problem(StatusCode::SERVICE_UNAVAILABLE, "full")
                .with_hint("`limits.connections` in gateway.toml says how many there may be")
                .retry_after(30),
            Self::AddressFull => problem(StatusCode::TOO_MANY_REQUESTS, "address_full")
                .with_hint("`limits.connections_per_address` in gateway.toml says how many")
                .retry_after(30),
            Self::TooFast => problem(StatusCode::TOO_MANY_REQUESTS, "too_fast")
                .with_hint("`limits.handshakes_per_address` in gateway.toml says how many a second")
                .retry_after(1),
            Self::Crowded(NoPlace::Total) => {
                problem(StatusCode::SERVICE_UNAVAILABLE, "crowded").retry_after(5)
            }
            Self::Crowded(NoPlace::Address) => {
                problem(StatusCode::TOO_MANY_REQUESTS, "crowded").retry_after(5)
            }
            Self::Method => problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::NotAnUpgrade => problem(StatusCode::UPGRADE_REQUIRED, "upgrade_required"),
            Self::Version => problem(StatusCode::UPGRADE_REQUIRED, "websocket_version"),
            Self::Malformed(_) => problem(StatusCode::BAD_REQUEST, "malformed_handshake"),
            Self::Origin(error) => error.to_problem(),
            Self::Closed(reason) => {
                let (status, code) = refusal(reason);
                problem(status, code)
            }
        }
    }
}
