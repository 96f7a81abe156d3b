//! An HTTP error answer: a [`Problem`] (RFC 9457), and its form as JSON.
//!
//! Service errors implement [`ToProblem`]; `render` makes the response.

use http::header::HeaderName;
use http::{Method, StatusCode};
use serde::Serialize;

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

    /// What one reader may know of it: the hint, if any, and the name of the request.
    pub(super) fn shown_to(
        problem: &'a Problem,
        hint: Option<&'a str>,
        request_id: Option<&'a str>,
    ) -> Self {
        Self {
            hint,
            request_id,
            ..Self::of(problem)
        }
    }

    /// As it is sent.
    pub fn json(&self) -> String {
        // Texts and numbers always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What an error says, as a sentence.
pub fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(characters).chain(['.']).collect()
}
