//! `CONNECT` with `:protocol` (RFC 8441): how a WebSocket is asked for over HTTP/2.
//!
//! Read by `admit`, which makes it the `GET` that it stands for; from there on it is a handshake like any other, but for the
//! key, and for the answer, which is 200.

use http::{Method, Request, StatusCode, header};
use hyper::ext::Protocol;

use super::problem::Problem;

/// Whether a request asks for a WebSocket in this way. Such a one is a `GET` then; `CONNECT` without a protocol stays what it
/// is, which nobody answers.
pub(super) fn take<B>(request: &mut Request<B>) -> Result<bool, Problem> {
    if *request.method() != Method::CONNECT {
        return Ok(false);
    }
    let Some(protocol) = request.extensions_mut().remove::<Protocol>() else {
        return Ok(false);
    };
    if protocol.as_str() != "websocket" {
        return Err(unknown_protocol());
    }
    *request.method_mut() = Method::GET;
    // It says nothing here (RFC 8441 section 5), and upstreams get one of the gateway's own.
    request.headers_mut().remove(header::SEC_WEBSOCKET_KEY);
    Ok(true)
}

/// As RFC 9220 section 3 has it.
fn unknown_protocol() -> Problem {
    let detail = "CONNECT is answered with the protocol \"websocket\" alone.";
    Problem::new(StatusCode::NOT_IMPLEMENTED, "protocol_unknown", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, protocol: Option<&'static str>) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = method;
        if let Some(protocol) = protocol {
            let protocol = Protocol::from_static(protocol);
            request.extensions_mut().insert(protocol);
        }
        request
    }

    #[test]
    fn a_websocket_is_asked_for_by_connect_and_its_protocol() {
        let mut asked = request(Method::CONNECT, Some("websocket"));
        assert_eq!(take(&mut asked).map_err(|problem| problem.code), Ok(true));
        assert_eq!(asked.method(), Method::GET);
        for (method, protocol) in [
            (Method::CONNECT, None),
            (Method::GET, Some("websocket")),
            (Method::GET, None),
        ] {
            let mut other = request(method.clone(), protocol);
            assert_eq!(take(&mut other).map_err(|problem| problem.code), Ok(false));
            assert_eq!(*other.method(), method);
        }
    }

    #[test]
    fn other_protocols_are_not_implemented() {
        for protocol in ["connect-udp", "webtransport", "WebSocket", ""] {
            let refused = take(&mut request(Method::CONNECT, Some(protocol))).unwrap_err();
            assert_eq!(refused.status, StatusCode::NOT_IMPLEMENTED, "{protocol}");
        }
    }
}
