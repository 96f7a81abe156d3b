//! Why there is no certificate.
//!
//! The keeper says it in the log and in `/ready`. Authorities' sentences are shown, as they name the
//! cause (a record of the DNS, a port that is closed) and the gateway cannot know it better.

use crate::causes;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::challenge_kind::ChallengeKind;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum AcmeError {
    /// The authority cannot be reached, or says no.
    #[error("the certificate authority did not do what it was asked for")]
    Authority(#[from] instant_acme::Error),
    /// It cannot reach this gateway under the name.
    #[error("the challenge {kind} failed; is the name's DNS record this machine's, and {port} reachable?", port = kind.port())]
    Challenge {
        /// Which.
        kind: ChallengeKind,
        /// What the authority says.
        source: RefusalText,
    },
    /// It hangs.
    #[error("the certificate authority took longer than {0:?}")]
    Slow(Duration),
    /// It issued something else.
    #[error("the certificate authority issued what is no certificate for this name and key")]
    Unusable,
    /// It is not known whether the name is to have another one.
    #[error("Django does not say whether the name may have a certificate")]
    Unsaid(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The request for a certificate cannot be made.
    #[error("the request for a certificate cannot be made")]
    Request(#[from] rcgen::Error),
    /// The answer to a challenge cannot be made.
    #[error("the answer to the challenge cannot be made")]
    Answer(#[from] crate::tls::error::TlsError),
    /// Neither account nor certificates can be kept.
    #[error("{} cannot be written or read; account, keys and certificates are kept there", path.display())]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The account is not one.
    #[error("{} is no account of an authority; remove it to have a new one made", path.display())]
    Account {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The key of an account at the authority is not one.
    #[error("the file of `tls.acme.eab.key_file` does not hold base64url")]
    ExternalAccount,
}

/// What an authority says of a failed challenge.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct RefusalText(pub(super) String);

/// What the authority calls an account that it does not know.
const NO_ACCOUNT: &str = "accountDoesNotExist";

impl AcmeError {
    /// Whether the account is gone, so that a new one has to be made.
    pub(super) fn is_about_account(&self) -> bool {
        let Self::Authority(instant_acme::Error::Api(problem)) = self else {
            return false;
        };
        let kind = problem.r#type.as_deref().unwrap_or_default();
        kind.rsplit(':').next() == Some(NO_ACCOUNT)
    }

    /// Whether another challenge may do.
    pub(super) fn is_about_challenge(&self) -> bool {
        matches!(self, Self::Challenge { .. })
    }

    /// With its causes, in one line.
    pub(super) fn sentence(&self) -> String {
        causes::chain(self)
    }
}
