//! What a client is told when its request cannot even be read.
//!
//! Used by `http1`. hyper answers such a request itself, with a status and nothing else, and says
//! nowhere what it did not like; so the words name what it most likely was.

use bytes::Bytes;
use http::StatusCode;

use crate::web::problem::{Problem, ProblemDocument};

/// The answer in words, in place of one of hyper's own; `None` for everything else.
pub(super) fn in_words(head: &[u8]) -> Option<Bytes> {
    let is_bare = head.starts_with(b"HTTP/1.") && head.ends_with(b"\r\n\r\n");
    let status = head.get(9..12).filter(|_| is_bare)?;
    let problem = problem(StatusCode::from_bytes(status).ok()?)?;
    let body = ProblemDocument::of(&problem).json();
    let (code, reason) = (problem.status.as_str(), problem.status.canonical_reason());
    let text = format!(
        "HTTP/1.1 {code} {}\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{body}",
        reason.unwrap_or("Error"),
        body.len(),
    );
    Some(text.into())
}

fn problem(status: StatusCode) -> Option<Problem> {
    Some(match status {
        StatusCode::BAD_REQUEST => Problem::new(
            status,
            "malformed_request",
            "The request is no HTTP/1.1 that can be read. In its target, a quotation mark, \
             `<`, `>`, a backtick, a space and everything that is no ASCII must be percent-encoded \
             (`\"` is `%22`); a field is `Name: value` in a line of its own, and Content-Length one number.",
        ),
        StatusCode::URI_TOO_LONG => Problem::new(
            status,
            "uri_too_long",
            "The address is longer than any that is served here.",
        ),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Problem::new(
            status,
            "header_too_large",
            "The request's header section is larger, or has more fields, than is taken here \
             (`header_size` and `headers` of [limits] in gateway.toml).",
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(head: &str) -> Option<String> {
        let bytes = in_words(head.as_bytes())?;
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn what_hyper_says_with_a_status_alone_gets_words() {
        for (status, code) in [
            ("400 Bad Request", "malformed_request"),
            ("414 URI Too Long", "uri_too_long"),
            ("431 Request Header Fields Too Large", "header_too_large"),
        ] {
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            let words = words(&head).unwrap();
            assert!(
                words.starts_with(&format!("HTTP/1.1 {status}\r\n")),
                "{words}"
            );
            let (fields, body) = words.split_once("\r\n\r\n").unwrap();
            let length = format!("Content-Length: {}\r\n", body.len());
            assert!(fields.contains(&length) && fields.ends_with("Connection: close"));
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["code"], code);
        }
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        for head in [
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\n\r\nbody",
            "HTTP/1.1 4",
            "",
        ] {
            assert_eq!(words(head), None, "{head}");
        }
    }
}
