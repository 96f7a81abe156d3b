//! Why a command ended otherwise than well, and its exit code.
//!
//! Shown by `main`. A start-up failure shows its whole chain of causes.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::app_server::AppEnd;
use crate::config::ConfigErrors;
use crate::tls::error::TlsError;

/// Why a command failed.
#[derive(Debug)]
pub enum CommandError {
    /// The configuration cannot be used.
    Configuration {
        /// The file.
        path: PathBuf,
        /// All that is wrong.
        errors: ConfigErrors,
    },
    /// Certificates cannot be used, or should not: all that is wrong.
    Certificates(Vec<TlsError>),
    /// What the command is about is not there, or cannot be used.
    Unusable(Box<dyn Error + Send + Sync>),
    /// The gateway could not start.
    Start(Box<dyn Error + Send + Sync>),
    /// A running gateway could not be told something: there is none, or it did not answer.
    Away(String),
    /// It refused what it was told.
    Refused(String),
    /// Django's server did not end well, or could not be had.
    AppServer(AppEnd),
    /// Some of it was not done, which was said where it was seen.
    Incomplete,
    /// A second signal came while the gateway was stopping.
    Interrupted,
}

impl CommandError {
    /// 1 where something failed at run time, 2 for wrong use or configuration; that of Django's server where
    /// it is the one that failed.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Configuration { .. }
            | Self::Certificates(_)
            | Self::Unusable(_)
            | Self::Refused(_) => ExitCode::from(2),
            Self::Start(_) | Self::Away(_) | Self::Incomplete | Self::Interrupted => {
                ExitCode::FAILURE
            }
            Self::AppServer(end) => ExitCode::from(end.code()),
        }
    }

    /// A start-up failure of whatever kind.
    pub(super) fn start(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Start(Box::new(error))
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration { path, errors } => {
                let count = errors.findings().len();
                let findings = if count == 1 { "finding" } else { "findings" };
                let path = path.display();
                write!(
                    f,
                    "{errors}\n\nerror: {path} cannot be used: {count} {findings}"
                )
            }
            Self::Certificates(errors) => {
                for (number, error) in errors.iter().enumerate() {
                    f.write_str(if number > 0 { "\n" } else { "" })?;
                    write_chain(f, error)?;
                }
                Ok(())
            }
            Self::Unusable(error) | Self::Start(error) => write_chain(f, &**error),
            Self::Away(what) | Self::Refused(what) => write!(f, "error: {what}"),
            Self::AppServer(end) => write!(f, "error: Django's server {end}"),
            Self::Incomplete => f.write_str("error: not everything was done, see above"),
            Self::Interrupted => {
                f.write_str("error: stopped by a second signal; what was under way is lost")
            }
        }
    }
}

fn write_chain(f: &mut fmt::Formatter<'_>, error: &(dyn Error + 'static)) -> fmt::Result {
    write!(f, "error: {error}")?;
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(f, "\n  caused by: {error}")?;
        cause = error.source();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot begin")]
    struct Outer(#[source] io::Error);

    #[test]
    fn a_start_up_failure_shows_its_causes() {
        let failure = CommandError::start(Outer(io::Error::other("disk on fire")));
        assert_eq!(
            failure.to_string(),
            "error: cannot begin\n  caused by: disk on fire"
        );
    }
}
