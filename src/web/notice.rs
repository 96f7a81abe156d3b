//! A notice at the end of an HTML page that another server made.
//!
//! Used by `server` in development. The surprise: it stands behind `</html>`, where every parser still
//! shows it, so the page need not be read; and it is an open `<dialog>`, which browsers draw as a box
//! and close without a script and without a style, so that a strict policy does not hide it.

use std::fmt::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use super::body::{BodyError, ResponseBody};
use super::media_type;
use super::page::EscapedHtml;

/// What a page is asked for with.
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Asks for less than the whole page, or in another form than its text.
const NARROWING: [HeaderName; 5] = [
    header::ACCEPT_ENCODING,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_RANGE,
    header::RANGE,
];

/// Fields about the page as it was without the notice.
const OF_CONTENT: [HeaderName; 7] = [
    header::ETAG,
    header::LAST_MODIFIED,
    header::ACCEPT_RANGES,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

/// Where the page says nothing about styles.
const STYLE: &str = " style=\"position:fixed;inset:auto 1rem 1rem auto;margin:0;\
    max-width:min(34rem,calc(100vw - 2rem));z-index:2147483647;padding:1rem 1.25rem;\
    border:1px solid #c2410c;border-top-width:4px;border-radius:8px;background:#fff;color:#1c2430;\
    font:14px/1.5 system-ui,sans-serif;overflow-wrap:anywhere\"";

/// What a notice says.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// What it is about.
    pub title: &'a str,
    /// What is wrong.
    pub what: &'a str,
    /// What to do about it.
    pub remedy: &'a str,
}

/// Whether a request is a browser's for a page that a person will see.
pub fn is_for_page<B>(request: &Request<B>) -> bool {
    let destination = request.headers().get(FETCH_DEST);
    request.method() == Method::GET
        && destination.is_some_and(|destination| destination == "document")
}

/// Asks for the whole page as plain text, so that something can stand behind it.
pub fn ask_for_whole(headers: &mut HeaderMap) {
    for name in NARROWING {
        headers.remove(name);
    }
    let identity = HeaderValue::from_static("identity");
    headers.insert(header::ACCEPT_ENCODING, identity);
}

/// The page with the notice behind it; whatever is no whole, plain page stays as it is.
pub fn add(response: Response<ResponseBody>, notice: Notice<'_>) -> Response<ResponseBody> {
    if response.status() != StatusCode::OK || !is_plain_page(response.headers()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let fields = &mut parts.headers;
    let tail = Bytes::from(html(notice, fields));
    if let Some(length) = fields.get(header::CONTENT_LENGTH) {
        let length = length
            .to_str()
            .ok()
            .and_then(|length| length.parse::<u64>().ok());
        let Some(length) = length else {
            return Response::from_parts(parts, body);
        };
        let whole = HeaderValue::from(length + tail.len() as u64);
        fields.insert(header::CONTENT_LENGTH, whole);
    }
    for name in OF_CONTENT {
        fields.remove(name);
    }
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let body = ResponseBody::stream(Followed::new(body, tail));
    Response::from_parts(parts, body)
}

fn is_plain_page(fields: &HeaderMap) -> bool {
    let partial = [
        header::CONTENT_ENCODING,
        header::CONTENT_RANGE,
        header::CONTENT_DISPOSITION,
    ];
    let kind = fields
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().to_ascii_lowercase();
    let (_, charset) = kind.split_once("charset=").unwrap_or((&kind, "utf-8"));
    let ascii = ["utf-8", "us-ascii", "iso-8859-", "windows-125"];
    let charset = charset.trim_matches(['"', ' ']);
    media_type::is(fields, "text/html")
        && ascii.iter().any(|known| charset.starts_with(known))
        && !partial.iter().any(|name| fields.contains_key(name))
}

/// All of it is ASCII, for whatever charset the page has.
fn html(notice: Notice<'_>, fields: &HeaderMap) -> String {
    let policies = [
        header::CONTENT_SECURITY_POLICY,
        header::CONTENT_SECURITY_POLICY_REPORT_ONLY,
    ];
    let policed = policies.iter().any(|name| fields.contains_key(name));
    let style = if policed { "" } else { STYLE };
    let text = format!(
        "\n<dialog open id=\"gatepost-notice\" aria-label=\"Gatepost\"{style}><form method=\"dialog\">\
         <strong>Gatepost: {}</strong>\
         <p>{}</p><p>{}</p><button formmethod=\"dialog\">Close</button></form></dialog>\n",
        EscapedHtml(notice.title),
        EscapedHtml(notice.what),
        EscapedHtml(notice.remedy),
    );
    let mut ascii = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(ascii, "&#{};", u32::from(c));
        }
    }
    ascii
}

/// A body with something behind it.
#[derive(Debug)]
struct Followed {
    body: ResponseBody,
    tail: Tail,
    trailers: Option<Frame<Bytes>>,
}

#[derive(Debug)]
enum Tail {
    Due(Bytes),
    Sent,
}

impl Followed {
    fn new(body: ResponseBody, tail: Bytes) -> Self {
        Self {
            body,
            tail: Tail::Due(tail),
            trailers: None,
        }
    }
}

impl Body for Followed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Tail::Due(tail) = &mut this.tail else {
            return Poll::Ready(this.trailers.take().map(Ok));
        };
        match std::task::ready!(Pin::new(&mut this.body).poll_frame(context)) {
            Some(Ok(frame)) if !frame.is_trailers() => return Poll::Ready(Some(Ok(frame))),
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            Some(Ok(trailers)) => this.trailers = Some(trailers),
            None => {}
        }
        let tail = std::mem::take(tail);
        this.tail = Tail::Sent;
        Poll::Ready(Some(Ok(Frame::data(tail))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.tail, Tail::Sent) && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let Tail::Due(tail) = &self.tail else {
            return SizeHint::with_exact(0);
        };
        let (inner, more) = (self.body.size_hint(), tail.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + more);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + more);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    const NOTICE: Notice<'_> = Notice {
        title: "sockets",
        what: "<b>\"what\"</b> \u{e9}",
        remedy: "write 'x' & y",
    };

    fn page(fields: &[(&'static str, &str)]) -> Response<ResponseBody> {
        let mut response = Response::new(ResponseBody::full("<html>page</html>"));
        for (name, value) in fields {
            response.headers_mut().insert(*name, value.parse().unwrap());
        }
        response
    }

    async fn text(response: Response<ResponseBody>) -> String {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.into()).unwrap()
    }

    #[tokio::test]
    async fn a_page_gets_the_notice_behind_it_and_a_length_that_fits() {
        let response = add(
            page(&[
                ("content-type", "text/html; charset=UTF-8"),
                ("content-length", "17"),
                ("etag", "\"1\""),
                ("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT"),
                ("cache-control", "max-age=60"),
            ]),
            NOTICE,
        );
        let fields = response.headers().clone();
        assert_eq!(fields["cache-control"], "no-store");
        assert!(!fields.contains_key("etag") && !fields.contains_key("last-modified"));
        let length: usize = fields["content-length"].to_str().unwrap().parse().unwrap();
        let hint = response.body().size_hint().exact().unwrap();
        let text = text(response).await;
        assert_eq!((text.len(), hint), (length, length as u64));
        assert!(
            text.starts_with("<html>page</html>\n<dialog open"),
            "{text}"
        );
        assert!(text.contains("&lt;b&gt;&quot;what&quot;&lt;/b&gt; &#233;") && text.is_ascii());
        assert!(text.contains("write &#39;x&#39; &amp; y") && text.contains("style="));
    }

    #[tokio::test]
    async fn a_page_with_a_policy_gets_neither_style_nor_script() {
        for name in [
            "content-security-policy",
            "content-security-policy-report-only",
        ] {
            let fields = [("content-type", "text/html"), (name, "default-src 'none'")];
            let text = text(add(page(&fields), NOTICE)).await;
            assert!(text.contains("<dialog open"), "{text}");
            assert!(
                !text.contains("style") && !text.contains("script"),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_no_whole_plain_page_stays_as_it_is() {
        let html = ("content-type", "text/html");
        let others: [&[(&'static str, &str)]; 8] = [
            &[],
            &[("content-type", "application/json")],
            &[("content-type", "text/html-fragment")],
            &[("content-type", "text/html; charset=utf-16")],
            &[html, ("content-encoding", "gzip")],
            &[html, ("content-range", "bytes 0-16/17")],
            &[html, ("content-disposition", "attachment")],
            &[html, ("content-length", "seventeen")],
        ];
        for fields in others {
            let response = add(page(fields), NOTICE);
            assert_eq!(text(response).await, "<html>page</html>", "{fields:?}");
        }
        let mut partial = page(&[html]);
        *partial.status_mut() = StatusCode::PARTIAL_CONTENT;
        assert_eq!(text(add(partial, NOTICE)).await, "<html>page</html>");
    }

    #[tokio::test]
    async fn the_notice_stands_before_trailers_and_not_behind_an_error() {
        let stream = |frames: Vec<Result<Frame<Bytes>, BodyError>>| {
            let body = StreamBody::new(futures_util::stream::iter(frames));
            let mut response = page(&[("content-type", "text/html")]);
            *response.body_mut() = ResponseBody::stream(body);
            add(response, NOTICE)
        };
        let data = || Ok(Frame::data(Bytes::from_static(b"page")));
        let mut trailers = HeaderMap::new();
        trailers.insert("server-timing", HeaderValue::from_static("x"));
        let with_trailers = stream(vec![data(), Ok(Frame::trailers(trailers.clone()))]);
        let collected = with_trailers.into_body().collect().await.unwrap();
        assert_eq!(collected.trailers(), Some(&trailers));
        assert!(collected.to_bytes().ends_with(b"</dialog>\n"));

        let mut broken = stream(vec![data(), Err("broken".into())]).into_body();
        assert!(broken.frame().await.unwrap().is_ok());
        assert!(broken.frame().await.unwrap().is_err());
    }

    #[test]
    fn only_a_browser_s_request_for_a_page_is_meant() {
        let request = |method, destination| {
            let request = Request::builder().method(method);
            request
                .header("Sec-Fetch-Dest", destination)
                .body(())
                .unwrap()
        };
        assert!(is_for_page(&request(Method::GET, "document")));
        assert!(!is_for_page(&request(Method::HEAD, "document")));
        assert!(!is_for_page(&request(Method::POST, "document")));
        assert!(!is_for_page(&request(Method::GET, "empty")));
        assert!(!is_for_page(&request(Method::GET, "iframe")));
        assert!(!is_for_page(&Request::new(())));
    }
}
