//! Django's sessions: which cookie carries one, and who it is.
//!
//! `socket` asks the [`Authority`] for each handshake; [`Leases`] keep what it answered, and what Django
//! said on ordinary responses. The surprise: "nobody is logged in" is an
//! answer, everything that went wrong is an [`AuthError`], and the two never mix: only the answer may
//! send a person to the login page.

mod admission;
mod answer;
mod asker;
mod asking;
mod authority;
mod batch;
mod caller;
mod cookie;
mod diagnose;
mod diagnosis;
mod doubt;
mod endpoint;
mod error;
mod flight;
mod followup;
mod jar;
mod lease;
mod lifecycle;
mod live;
mod meaning;
mod naming;
mod offer;
mod outage;
mod pace;
mod patience;
mod place;
mod question;
mod queue;
mod rechecking;
mod revalidate;
mod sealed;
mod set_cookie;
mod shard;
mod shelf;
mod standing;
mod turn;
mod unquote;

pub use admission::Crowded;
pub use answer::{Answer, AnswerError};
pub use asker::Asker;
pub use authority::{Authority, Judging, LoggedIn, Verdict};
pub use caller::Reach;
pub use cookie::{NoSession, SessionCookies};
pub use diagnose::refused_signature;
pub use diagnosis::{Diagnosis, Kind, Silence};
pub use doubt::Seen;
pub use endpoint::{AuthSettings, LARGEST_ANSWER};
pub use error::{AuthError, AuthorityError};
pub use lease::{LeaseKey, LeaseTerms, Leases, SessionAt};
pub use lifecycle::{Lifecycle, LifecycleParts, LifecycleSettings};
pub use live::{LiveSessions, Tab};
pub use naming::{CookieNames, Naming};
pub use place::{Call, Place, PlaceSettings, describe};
pub use question::{Question, Recheck};
pub use sealed::{LeaseFile, SealError, Survivors};
pub use set_cookie::{About, Change, News, Scope};
pub use standing::Diagnoses;

#[cfg(test)]
pub(crate) mod tests;
