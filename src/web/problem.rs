//! The only way from an error to a response: a [`Problem`] (RFC 9457).
//!
//! Service errors implement [`ToProblem`]; `server` and `publish` render. The surprise: a browser
//! that accepts HTML gets a page, everybody else gets `application/problem+json`.

use http::StatusCode;

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
}

/// An error that knows the answer it becomes.
pub trait ToProblem {
    /// The answer.
    fn to_problem(&self) -> Problem;
}
