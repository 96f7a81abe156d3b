//! Django's sessions: which cookie carries one, and who it is.
//!
//! `socket` asks the [`Authority`] once for each handshake. The surprise: "nobody is logged in" is an
//! answer, everything that went wrong is an [`AuthError`], and the two never mix: only the answer may
//! send a person to the login page.

mod answer;
mod authority;
mod cookie;
mod endpoint;
mod place;

pub use authority::{Authority, LoggedIn, Reach, Verdict};
pub use cookie::{CookieNames, SessionCookies};
pub use endpoint::{AuthError, AuthRequest, AuthSettings, AuthorityError, LARGEST_ANSWER};
pub use place::{Call, Place, PlaceSettings, describe};
