//! The only way from an error to a response: a [`Problem`] (RFC 9457).
//!
//! Service errors implement [`ToProblem`]; `server` and `publish` render. The surprise: a browser
//! that accepts HTML gets a page, everybody else gets `application/problem+json`.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use serde::Serialize;

use super::body::ResponseBody;
use super::headers::accepts_html;
use super::page;
use super::request::{ErrorPages, Reader};

/// Names the request in answers and towards upstreams.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An HTTP error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// A stable machine code such as `upstream_refused`.
    pub code: &'static str,
    /// One sentence for people: what happened, to what.
    pub detail: String,
    /// What to do about it; shown to developers only.
    pub hint: Option<String>,
    /// Line and column in the request's body, both from 1.
    pub position: Option<(usize, usize)>,
    /// Seconds after which it is worth trying again.
    pub retry_after: Option<u32>,
    /// Whether the connection must end, because nobody knows where the next request begins.
    pub ends_connection: bool,
    /// The methods that are answered here, where the request's is not.
    pub allow: Option<&'static str>,
}

impl Problem {
    /// A problem without hint, position or retry.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            status,
            code,
            detail,
            hint: None,
            position: None,
            retry_after: None,
            ends_connection: false,
            allow: None,
        }
    }

    /// Adds what a developer should do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the place in the request's body.
    #[must_use]
    pub fn at(mut self, line: usize, column: usize) -> Self {
        self.position = Some((line, column));
        self
    }

    /// Adds when to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Ends the connection after the answer.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.ends_connection = true;
        self
    }

    /// A method that is not answered here, and those that are.
    pub fn method_not_allowed(method: &Method, allow: &'static str) -> Self {
        let detail = format!("{method} is not answered here.");
        let mut problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail);
        problem.allow = Some(allow);
        problem
    }

    /// Whether it says that an upstream is away, so that trying again helps.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self.status.as_u16(), 502..=504) && self.code.starts_with("upstream_")
    }
}

/// An error that knows the answer it becomes.
pub trait ToProblem {
    /// The answer.
    fn to_problem(&self) -> Problem;
}

/// How a request wants to be answered; kept because the request itself is gone when it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
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

impl Asked {
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

/// The answer for a problem. Without a `reader` (a listener whose requests have no names) it is
/// written for the public.
pub fn render(problem: &Problem, asked: Asked, reader: Option<Reader>) -> Response<ResponseBody> {
    let audience = reader.map_or(ErrorPages::Public, |reader| reader.audience);
    let request_id = reader.map(|reader| reader.request_id.to_string());
    let reload = audience == ErrorPages::Developer
        && asked.navigation == Navigation::Repeatable
        && problem.is_passing();
    let shown = page::Shown {
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
    let (text, kind) = match asked.form {
        Form::Html => (page::html(&shown), "text/html; charset=utf-8"),
        Form::Json => (json_text(&shown), "application/problem+json"),
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
    add_fields(&mut headers, &shown, asked);
    let body = match asked.body {
        Body::Sent => ResponseBody::full(text),
        Body::HeadOnly => ResponseBody::empty(),
    };
    let mut response = Response::new(body);
    *response.status_mut() = problem.status;
    *response.headers_mut() = headers;
    response
}

fn add_fields(headers: &mut HeaderMap, shown: &page::Shown<'_>, asked: Asked) {
    let problem = shown.problem;
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if asked.form == Form::Html {
        headers.insert(header::CONTENT_SECURITY_POLICY, page::policy(shown));
    }
    if let Some(seconds) = problem.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(methods) = problem.allow {
        headers.insert(header::ALLOW, HeaderValue::from_static(methods));
    }
    // HTTP/2 has no such field; hyper would drop it with a warning.
    if problem.ends_connection && asked.version < Version::HTTP_2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(id) = shown
        .request_id
        .and_then(|id| HeaderValue::from_str(id).ok())
    {
        headers.insert(X_REQUEST_ID, id);
    }
}

fn json_text(shown: &page::Shown<'_>) -> String {
    let document = ProblemDocument {
        hint: shown.hint,
        request_id: shown.request_id,
        ..ProblemDocument::of(shown.problem)
    };
    // Texts and numbers always serialise.
    serde_json::to_string(&document).unwrap_or_default()
}

/// A problem as JSON: the only place that names its members.
#[derive(Debug, Serialize)]
pub struct ProblemDocument<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

impl<'a> ProblemDocument<'a> {
    /// Everything that a problem says, hint included.
    pub fn of(problem: &'a Problem) -> Self {
        Self {
            r#type: "about:blank",
            title: problem.status.canonical_reason().unwrap_or("Error"),
            status: problem.status.as_u16(),
            code: problem.code,
            detail: &problem.detail,
            hint: problem.hint.as_deref(),
            line: problem.position.map(|(line, _)| line),
            column: problem.position.map(|(_, column)| column),
            request_id: None,
        }
    }
}

#[cfg(test)]
mod tests;
