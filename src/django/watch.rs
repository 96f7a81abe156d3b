//! What Django's responses say of the browser's session: that it ended, that another cookie took its
//! place, that it lives on, and whose it is.
//!
//! Used by `edge` on every response. The surprise: an identity is about the cookie that the browser has
//! *after* this response, which is not always the one it sent; and where that cannot be told, it is
//! about the one whose digest it names.

use std::sync::Arc;

use http::HeaderName;
use http::header::{self, HeaderMap};
use serde::Deserialize;

use super::field;
use crate::ids::SessionDigest;
use crate::proxy::intercept::RequestSummary;
use crate::publish::piggyback::{OneResponse, PiggybackKind};
use crate::secret::Secrets;
use crate::session::{
    About, Answer, AuthSubject, CookieChange, Leases, Lifecycle, Naming, ObservedChange, Scope,
    SessionAt, SessionCookies,
};

const IDENTITY: HeaderName = HeaderName::from_static("gatepost-identity");

/// Watches what responses do to sessions.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) naming: Arc<Naming>,
    pub(super) secrets: Secrets,
    pub(super) leases: Arc<Leases>,
    pub(super) lifecycle: Arc<Lifecycle>,
}

/// Who a session is, as a response states.
#[derive(Debug)]
pub(super) struct StatedIdentity {
    answer: Answer,
    /// Which session it is about, where that is named.
    session: Option<SessionDigest>,
}

impl Watch {
    /// Acts upon what a response says. Nothing is parsed of one that says nothing.
    pub(super) fn observe(
        &self,
        asked: &RequestSummary,
        fields: &HeaderMap,
        response: OneResponse<'_>,
    ) {
        let sets_cookies = fields.contains_key(header::SET_COOKIE);
        let stated = StatedIdentity::read(fields, response);
        if !sets_cookies && stated.is_none() {
            return;
        }
        let names = self.naming.names();
        let change = names
            .session_change(fields, scope(asked))
            .filter(|_| sets_cookies);
        if change.is_none() && stated.is_none() {
            return;
        }
        let before = asked.cookies.as_ref();
        let before = before.and_then(|sent| SessionCookies::pick(sent, &names).ok());
        let after = names.after(fields, scope(asked));
        let is_sure = change
            .as_ref()
            .is_none_or(|change| change.about == About::This);
        let stated = stated.and_then(|stated| {
            let before = before.as_ref().filter(|_| !is_sure);
            self.about(stated, [after.as_ref(), before], response)
        });
        if let (Some(change), Some(old)) = (change, &before) {
            let placed = names.place.is_some();
            let changed = Changed {
                old,
                change,
                new: after.as_ref(),
                placed,
            };
            if self.follow(asked, changed, stated.as_ref()) {
                return;
            }
        }
        if let Some(Statement { cookies, answer }) = &stated {
            let host = &asked.host;
            self.leases
                .grant(SessionAt { host, cookies }, answer, asked.at);
            self.lifecycle.heard(cookies, answer);
        }
    }

    /// Which cookies a statement is about: those that the browser has after the response, or those before it,
    /// where it may have them still. Then it must name its session.
    fn about(
        &self,
        stated: StatedIdentity,
        [after, before]: [Option<&SessionCookies>; 2],
        response: OneResponse<'_>,
    ) -> Option<Statement> {
        let of = |named: SessionDigest| {
            let mut candidates = [after, before].into_iter().flatten();
            candidates.find(|one| one.digests(&self.secrets).contains(&named))
        };
        let found = match stated.session {
            Some(named) => of(named).map(Some).ok_or("it is about another session"),
            None if before.is_some() => Err("it does not say which session it is about"),
            None => Ok(after),
        };
        match found {
            Ok(found) => {
                response.count_taken(PiggybackKind::Identity);
                Some(Statement {
                    cookies: found?.clone(),
                    answer: stated.answer,
                })
            }
            Err(why) => {
                response.refuse(PiggybackKind::Identity, why);
                None
            }
        }
    }

    /// Follows a changed cookie. Returns whether what was stated went with it: it is a lease then only if nothing has
    /// happened to the old session meanwhile.
    fn follow(
        &self,
        asked: &RequestSummary,
        changed: Changed<'_>,
        stated: Option<&Statement>,
    ) -> bool {
        let Changed {
            old,
            change,
            new,
            placed,
        } = changed;
        let is_stated_of =
            |one: &SessionCookies| stated.filter(|stated| stated.cookies.is_same_session(one));
        let stays = new.is_some_and(|new| new.is_same_session(old));
        if change.about == About::Perhaps && !stays && is_stated_of(old).is_some() {
            // Django itself says that the browser has the old one still: it was about a namesake.
            return false;
        }
        let stated = new.and_then(is_stated_of).map(|stated| &stated.answer);
        self.lifecycle.follow(ObservedChange {
            old: AuthSubject::after(asked, old.clone()),
            change,
            stated,
            new: new.map(|new| AuthSubject::after(asked, new.clone())),
            asked: asked.at,
            placed,
        });
        stated.is_some() && !stays
    }
}

/// What Django said of a session on a response.
struct Statement {
    cookies: SessionCookies,
    answer: Answer,
}

/// What a response does to the cookies of its request.
struct Changed<'a> {
    old: &'a SessionCookies,
    change: CookieChange,
    new: Option<&'a SessionCookies>,
    /// Whether Django has said where its session cookie is.
    placed: bool,
}

impl StatedIdentity {
    /// What a response tells, where it tells one thing and in the right words.
    fn read(fields: &HeaderMap, response: OneResponse<'_>) -> Option<Self> {
        let mut texts = field::texts(fields, IDENTITY);
        let text = texts.next()?;
        let stated = match (text, texts.next()) {
            (_, Some(_)) => Err("it came twice".to_owned()),
            (Err(error), None) => Err(error.to_string()),
            (Ok(text), None) => Self::decode(&text),
        };
        stated
            .map_err(|why| response.refuse(PiggybackKind::Identity, &why))
            .ok()
    }

    fn decode(text: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct About {
            session: Option<Box<str>>,
        }

        let answer = Answer::decode(text).map_err(|error| error.to_string())?;
        let about: About = serde_json::from_slice(text).map_err(|_| "`session` is no text")?;
        let session = about.session.map(|digest| digest.parse()).transpose();
        let session = session.map_err(|_| "`session` is not a session digest")?;
        Ok(Self { answer, session })
    }
}

fn scope(asked: &RequestSummary) -> Scope<'_> {
    Scope {
        host: &asked.host,
        path: asked.uri.path(),
        cookies: asked.cookies.as_ref(),
    }
}
