//! Django's sessions: which cookie carries one, and who it is.
//!
//! `socket` asks the [`Authority`] for each handshake; [`Leases`] keep what it answered, and what Django
//! said on ordinary responses. "Nobody is logged in" is an answer, everything that went wrong is an
//! [`AuthError`], and the two never mix: only the answer may send a person to the login page.
//!
//! Its rooms, top floor first; a room uses only those under it:
//!
//! | room | what is in it |
//! |---|---|
//! | `live` | the sessions with sockets, and what happens to them |
//! | `authority` | which session is asked about next, and when |
//! | `ask` | one question to Django, and what its answer means |
//! | `lease` | what is relied upon without asking |
//! | the files beside them | cookies, questions, answers, errors |

mod answer;
mod ask;
mod authority;
mod change;
mod cookie;
mod diagnosis;
mod error;
mod jar;
mod lease;
mod live;
mod naming;
mod question;
mod set_cookie;
mod unquote;

pub use answer::{Answer, AnswerError, GrantedTopics};
pub use ask::auth_view::{AuthSettings, LARGEST_ANSWER};
pub use ask::batch::{TopicAnswer, TopicQuestion};
pub use ask::client::Reachability;
pub use ask::diagnoses::Diagnoses;
pub use authority::verdict::{LetIn, LoggedIn, Verdict};
pub use authority::{Authority, NextAuthority, PendingVerdict};
pub use change::{About, Change, CookieChange, Scope};
pub use cookie::{NoSession, SessionAt, SessionCookies, keep as keep_cookies};
pub use diagnosis::{Diagnosis, DiagnosisKind, Unreachable};
pub use error::AuthError;
pub use lease::file::{LeaseFile, SealError, Survivors};
pub use lease::{LeaseKey, LeaseTerms, Leases};
pub use live::asker::Asker;
pub use live::follow::ObservedChange;
pub use live::lifecycle::Lifecycle;
pub use live::parts::{LifecycleParts, LifecycleSettings};
pub use live::{LiveSessions, SessionMember, VisitorShare};
pub use naming::{CookieNames, Naming};
pub use question::{AuthSubject, Judged, LONGEST_TARGET, Question, ViewSubject};

/// What fuzz targets may call (`fuzz/`).
#[cfg(fuzzing)]
pub mod fuzzing {
    use http::{HeaderMap, HeaderValue, StatusCode};

    use super::ask::batch::{self, BatchKind};
    use super::ask::diagnose;
    use super::ask::meaning::{self, Meaning};
    use super::ask::response::{AskedView, Response};
    use super::{CookieNames, Naming};
    use crate::close::LONGEST_REASON;

    pub use super::lease::file::fuzzing::sealed;

    /// What Django answers to a question about a session: only clean JSON can make it a user's.
    pub fn judgement(status: u16, fields: &HeaderMap, body: &[u8]) {
        for of in [AskedView::Auth, AskedView::Path] {
            judge(status, fields, body, of);
        }
    }

    fn judge(status: u16, fields: &HeaderMap, body: &[u8], of: AskedView) {
        let Ok(status) = StatusCode::from_u16(status) else {
            return;
        };
        let response = Response {
            status,
            headers: fields,
            body,
            host: &HeaderValue::from_static("app.example.com:8443"),
            path: "/_gatepost/auth/",
            of,
        };
        match meaning::judge(&response) {
            Meaning::Answer(answer) if answer.user.is_some() => {
                assert!(status == StatusCode::OK && meaning::is_json(fields));
            }
            Meaning::Answer(_) | Meaning::Unavailable => {}
            Meaning::Failing(diagnosis) | Meaning::Fault(diagnosis) => {
                assert!(diagnosis.reason().len() <= LONGEST_REASON);
                assert!(!diagnosis.reason().contains(char::is_control));
            }
        }
        let _ = diagnose::may_refuse_host(&response);
        let naming = Naming::new(None, CookieNames::default());
        naming.observe(fields);
        assert!(!naming.names().session.is_empty());
    }

    /// What Django answers about two sessions at once.
    pub fn batch(body: &[u8]) {
        for kind in [BatchKind::Sessions, BatchKind::Views] {
            if let Some(answers) = batch::answers(body, kind, 2) {
                assert_eq!(answers.len(), 2);
            }
        }
        if let Some(answers) = batch::topic_answers(body, 2) {
            assert_eq!(answers.len(), 2);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
