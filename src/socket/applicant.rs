//! Asks Django's view of a path what a connection may listen to, on behalf of that connection.
//!
//! Called by the connection. A question goes the way of a handshake at that path, so many connections that ask for
//! one path with one session have one question, and what a handshake learned a short time ago will do.

use std::pin::Pin;
use std::sync::Arc;

use super::origin::PageOrigin;
use super::parts::SocketParts;
use super::topics::{PathAnswer, PathRequest, ViewGrant, ViewSaid};
use super::visitors::Attendance;
use crate::ids::ViewTarget;
use crate::session::{AuthSubject, Authority, Question, Verdict};

/// A connection that asks.
#[derive(Clone, Copy)]
pub(super) struct Applicant<'a> {
    parts: &'a Arc<SocketParts>,
    joined: &'a Attendance,
    /// Where its page is from.
    page: &'a PageOrigin,
}

impl<'a> Applicant<'a> {
    /// A connection with a page from there.
    pub(super) fn new(
        parts: &'a Arc<SocketParts>,
        joined: &'a Attendance,
        page: &'a PageOrigin,
    ) -> Self {
        Self {
            parts,
            joined,
            page,
        }
    }

    /// Begins to ask the view of a path.
    pub(super) fn ask(
        self,
        request: PathRequest,
    ) -> Pin<Box<dyn Future<Output = PathAnswer> + Send>> {
        let is_visitor = matches!(self.joined, Attendance::Visitor(_));
        let found = self.parts.views.find(&request.path, self.page);
        let found = found.filter(|(route, _)| route.anonymous || !is_visitor);
        let asked = found.map(|(_, view)| view).zip(self.joined.subject());
        let authority = Arc::clone(&self.parts.authority);
        Box::pin(async move {
            let said = match asked {
                Some((view, about)) => view_said(&authority, view, about).await,
                None => ViewSaid::Nothing("not_allowed"),
            };
            PathAnswer { request, said }
        })
    }
}

async fn view_said(authority: &Authority, view: ViewTarget, about: AuthSubject) -> ViewSaid {
    if let Some(known) = authority.known(&about, Some(&view)) {
        return said(view, known);
    }
    let question = Question {
        about,
        target: view.as_str().into(),
        request: None,
        view: Some(view.clone()),
    };
    let Ok(pending) = authority.judge(question) else {
        return ViewSaid::Nothing("unavailable");
    };
    match pending.verdict().await {
        Ok(verdict) => said(view, verdict),
        Err(_) => ViewSaid::Nothing("unavailable"),
    }
}

/// What a judgement grants. First frames are for new connections.
fn said(view: ViewTarget, verdict: Verdict) -> ViewSaid {
    let (listening, asked, user) = match verdict {
        Verdict::LoggedIn(found) => {
            let listening = found.listening.unwrap_or_default();
            (listening, found.asked, Some(found.identity.user))
        }
        Verdict::Visitor(found) => (found.listening, found.asked, None),
        Verdict::Anonymous(_) | Verdict::Refused => return ViewSaid::Nothing("not_allowed"),
    };
    let grant = ViewGrant {
        view,
        listening,
        asked,
    };
    ViewSaid::Grants { grant, user }
}
