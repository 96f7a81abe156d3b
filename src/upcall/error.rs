//! Why Django cannot be called, and why a call has no answer.

/// Why there can be no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The key, or with a path the upstream's name, makes no URL.
    #[error("{key}: Django cannot be asked at `{url}`, which is no URL: {cause}")]
    Url {
        /// The key of gateway.toml that names the view.
        key: &'static str,
        /// As it would be asked.
        url: String,
        /// What is wrong.
        cause: String,
    },
    /// The system's certificates cannot be read, say.
    #[error("cannot make the client that asks Django")]
    Client(#[source] reqwest::Error),
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It took too long.
    #[error("it took too long")]
    TimedOut,
    /// Nothing listens, or the connection broke off.
    #[error("{0}")]
    Broken(String),
}

/// Where there was no answer, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer from {place}: {cause}")]
pub struct NoAnswer {
    /// The address that was called last.
    pub place: String,
    /// What happened.
    pub cause: CallError,
}

impl CallError {
    /// By the innermost cause, which is the one that tells something ("connection refused").
    pub(super) fn of(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::TimedOut;
        }
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        Self::Broken(cause.to_string())
    }
}
