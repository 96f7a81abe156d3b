//! What Django's responses say of the browser's session: that it ended, that another cookie took its
//! place, that it lives on, and whose it is.
//!
//! Used by `edge` on every response. The surprise: an identity is about the cookie that the browser has
//! *after* this response, which is not always the one it sent; and where nobody can tell that, it is
//! about the one whose digest it names.

use std::sync::Arc;

use http::HeaderName;
use http::header::{self, HeaderMap};
use serde::Deserialize;

use super::field;
use crate::ids::SessionDigest;
use crate::proxy::intercept::RequestSummary;
use crate::publish::piggyback::{Piggyback, PiggybackKind};
use crate::secret::Secrets;
use crate::session::{
    About, Answer, AuthSubject, Leases, Lifecycle, Naming, News, Scope, Seen, SessionAt,
    SessionCookies,
};

const IDENTITY: HeaderName = HeaderName::from_static("gatepost-identity");

/// Watches responses for news of sessions.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) naming: Arc<Naming>,
    pub(super) secrets: Secrets,
    pub(super) leases: Arc<Leases>,
    pub(super) lifecycle: Arc<Lifecycle>,
}

/// Who a session is, as a response told.
#[derive(Debug)]
pub(super) struct Told {
    answer: Answer,
    /// Which session it is about, where that was said.
    session: Option<SessionDigest>,
}

impl Watch {
    /// Acts upon what a response says. Nothing is parsed of one that says nothing.
    pub(super) fn see(&self, asked: &RequestSummary, fields: &HeaderMap, piggyback: &Piggyback) {
        let sets_cookies = fields.contains_key(header::SET_COOKIE);
        let told = Told::read(fields, piggyback);
        if !sets_cookies && told.is_none() {
            return;
        }
        let names = self.naming.names();
        let news = names.news(fields, scope(asked)).filter(|_| sets_cookies);
        if news.is_none() && told.is_none() {
            return;
        }
        let before = asked.cookies.as_ref();
        let before = before.and_then(|sent| SessionCookies::pick(sent, &names).ok());
        let after = names.after(fields, scope(asked));
        let is_sure = news.as_ref().is_none_or(|news| news.about == About::This);
        let told = told.and_then(|told| {
            let before = before.as_ref().filter(|_| !is_sure);
            self.about(told, [after.as_ref(), before], piggyback)
        });
        if let (Some(news), Some(old)) = (news, &before) {
            let placed = names.place.is_some();
            let change = Changed {
                old,
                news,
                new: after.as_ref(),
                placed,
            };
            if self.follow(asked, change, told.as_ref()) {
                return;
            }
        }
        if let Some((cookies, answer)) = &told {
            let host = &asked.host;
            self.leases
                .grant(SessionAt { host, cookies }, answer, asked.at);
            self.lifecycle.heard(cookies, answer);
        }
    }

    /// Of which cookies something is told: of those that the browser has after the response, or of those
    /// before it, where it may have them still. Then it must be said of which session it is.
    fn about(
        &self,
        told: Told,
        [after, before]: [Option<&SessionCookies>; 2],
        piggyback: &Piggyback,
    ) -> Option<(SessionCookies, Answer)> {
        let of = |named: SessionDigest| {
            let mut candidates = [after, before].into_iter().flatten();
            candidates.find(|one| one.digests(&self.secrets).contains(&named))
        };
        let found = match told.session {
            Some(named) => of(named).map(Some).ok_or("it is about another session"),
            None if before.is_some() => Err("it does not say which session it is about"),
            None => Ok(after),
        };
        match found {
            Ok(found) => {
                piggyback.count_taken(PiggybackKind::Identity);
                Some((found?.clone(), told.answer))
            }
            Err(why) => {
                piggyback.refuse(PiggybackKind::Identity, why);
                None
            }
        }
    }

    /// Follows a changed cookie. Whether what was told went with it: it is a lease then only if nothing has
    /// happened to the old session meanwhile.
    fn follow(
        &self,
        asked: &RequestSummary,
        change: Changed<'_>,
        told: Option<&(SessionCookies, Answer)>,
    ) -> bool {
        let Changed {
            old,
            news,
            new,
            placed,
        } = change;
        let is_told_of = |one: &SessionCookies| told.filter(|(of, _)| of.is_same_session(one));
        let stays = new.is_some_and(|new| new.is_same_session(old));
        if news.about == About::Perhaps && !stays && is_told_of(old).is_some() {
            // Django itself says that the browser has the old one still: it was about a namesake.
            return false;
        }
        let told = new.and_then(is_told_of).map(|(_, answer)| answer);
        self.lifecycle.follow(Seen {
            old: context(asked, old.clone()),
            news,
            told,
            new: new.map(|new| context(asked, new.clone())),
            asked: asked.at,
            placed,
        });
        told.is_some() && !stays
    }
}

/// What a response does to the cookies of its request.
struct Changed<'a> {
    old: &'a SessionCookies,
    news: News,
    new: Option<&'a SessionCookies>,
    /// Whether Django has said where its session cookie is.
    placed: bool,
}

impl Told {
    /// What a response tells, where it tells one thing and in the right words.
    fn read(fields: &HeaderMap, piggyback: &Piggyback) -> Option<Self> {
        let mut texts = field::texts(fields, IDENTITY);
        let text = texts.next()?;
        let told = match (text, texts.next()) {
            (_, Some(_)) => Err("it came twice".to_owned()),
            (Err(error), None) => Err(error.to_string()),
            (Ok(text), None) => Self::decode(&text),
        };
        told.map_err(|why| piggyback.refuse(PiggybackKind::Identity, &why))
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

/// What it takes to ask Django of the new session.
fn context(asked: &RequestSummary, cookies: SessionCookies) -> AuthSubject {
    let known = [
        (header::USER_AGENT, &asked.user_agent),
        (header::ACCEPT_LANGUAGE, &asked.accept_language),
        (header::ORIGIN, &asked.origin),
    ];
    let known = known.into_iter();
    let known = known.filter_map(|(name, value)| Some((name, value.clone()?)));
    let fields: HeaderMap = known.collect();
    AuthSubject::of(cookies, &fields, &asked.host, asked.address)
}
