//! The only way from an error to a response: [`render`].
//!
//! Used by `server`. A browser that accepts HTML gets a page, every other client gets
//! `application/problem+json`.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, Version};

use super::body::ResponseBody;
use super::headers::accepts_html;
use super::page;
use super::problem::{Problem, ProblemDocument, X_REQUEST_ID};
use super::request::{ErrorPages, Reader};

/// How a request wants to be answered; kept because the request itself is gone when it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseFormat {
    form: Form,
    body: Body,
    version: Version,
    navigation: Navigation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Html,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Sent,
    HeadOnly,
}

/// Whether a page may load itself again: a form that was posted must not be posted twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Navigation {
    Repeatable,
    Single,
}

impl ResponseFormat {
    /// Reads it off a request.
    pub fn of<B>(request: &Request<B>) -> Self {
        let method = request.method();
        Self {
            form: if accepts_html(request.headers()) {
                Form::Html
            } else {
                Form::Json
            },
            body: if method == Method::HEAD {
                Body::HeadOnly
            } else {
                Body::Sent
            },
            version: request.version(),
            navigation: if method == Method::GET {
                Navigation::Repeatable
            } else {
                Navigation::Single
            },
        }
    }
}

/// Marks an answer that [`render`] made, and says how it may be shown.
#[derive(Clone, Copy, Debug)]
pub struct Rendered {
    format: ResponseFormat,
    audience: ErrorPages,
}

impl Rendered {
    /// Shows another page in its place, to the public and to clients that accept a page.
    pub fn show(self, page: &Bytes, response: &mut Response<ResponseBody>) {
        if self.format.form != Form::Html || self.audience != ErrorPages::Public {
            return;
        }
        let fields = response.headers_mut();
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(page.len()));
        // It was about the page that is not shown.
        fields.remove(header::CONTENT_SECURITY_POLICY);
        if self.format.body == Body::Sent {
            *response.body_mut() = ResponseBody::full(page.clone());
        }
    }
}

/// The answer for a problem. Without a `reader` (a listener whose requests have no names) it is
/// written for the public.
pub fn render(
    problem: &Problem,
    format: ResponseFormat,
    reader: Option<Reader>,
) -> Response<ResponseBody> {
    let audience = reader.map_or(ErrorPages::Public, |reader| reader.audience);
    let request_id = reader.map(|reader| reader.request_id.to_string());
    let reload = audience == ErrorPages::Developer
        && format.navigation == Navigation::Repeatable
        && problem.is_passing();
    let shown = page::PageContent {
        problem,
        hint: problem
            .hint
            .as_deref()
            .filter(|_| audience == ErrorPages::Developer),
        request_id: request_id.as_deref(),
        reload: if reload {
            page::Reload::WhenBack
        } else {
            page::Reload::Never
        },
    };
    let (text, kind) = match format.form {
        Form::Html => (page::html(&shown), "text/html; charset=utf-8"),
        Form::Json => (json_text(&shown), "application/problem+json"),
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
    add_fields(&mut headers, &shown, format);
    let body = match format.body {
        Body::Sent => ResponseBody::full(text),
        Body::HeadOnly => ResponseBody::empty(),
    };
    let mut response = Response::new(body);
    *response.status_mut() = problem.status;
    *response.headers_mut() = headers;
    response
        .extensions_mut()
        .insert(Rendered { format, audience });
    response
}

fn add_fields(headers: &mut HeaderMap, shown: &page::PageContent<'_>, format: ResponseFormat) {
    let problem = shown.problem;
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if format.form == Form::Html {
        headers.insert(header::CONTENT_SECURITY_POLICY, page::policy(shown));
    }
    if let Some(seconds) = problem.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(methods) = problem.allow {
        headers.insert(header::ALLOW, HeaderValue::from_static(methods));
    }
    // HTTP/2 has no such field; hyper would drop it with a warning.
    if problem.ends_connection && format.version < Version::HTTP_2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(id) = shown
        .request_id
        .and_then(|id| HeaderValue::from_str(id).ok())
    {
        headers.insert(X_REQUEST_ID, id);
    }
}

fn json_text(shown: &page::PageContent<'_>) -> String {
    ProblemDocument::shown_to(shown.problem, shown.hint, shown.request_id).json()
}

#[cfg(test)]
mod tests;
