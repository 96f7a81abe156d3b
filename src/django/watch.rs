//! What Django's responses say of the browser's session: that it ended, that another cookie took its
//! place, that it lives on, and whose it is.
//!
//! Used by `edge` on every response. The surprise: an identity is about the cookie that the browser has
//! *after* this response, which is not always the one it sent.

use std::sync::Arc;

use http::HeaderName;
use http::header::{self, HeaderMap};
use serde::Deserialize;

use super::field;
use crate::ids::SessionDigest;
use crate::proxy::intercept::Asked;
use crate::publish::riding::{Rider, Riding};
use crate::secret::Secrets;
use crate::session::{
    Answer, CookieNames, Leases, Lifecycle, Recheck, Scope, SessionAt, SessionCookies,
};

const IDENTITY: HeaderName = HeaderName::from_static("gatepost-identity");

/// Watches responses for news of sessions.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) names: CookieNames,
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
    pub(super) fn see(&self, asked: &Asked, fields: &HeaderMap, riding: &Riding) {
        let change = if fields.contains_key(header::SET_COOKIE) {
            self.names.change(fields, scope(asked))
        } else {
            None
        };
        let told = Told::read(fields, riding);
        if change.is_none() && told.is_none() {
            return;
        }
        let after = self.names.after(fields, scope(asked));
        let told = told.and_then(|told| {
            let of = after.as_ref().map(|after| after.digests(&self.secrets));
            told.about(of.as_deref().unwrap_or_default(), riding)
        });
        if let (Some(change), Some(old)) = (change, self.pick(asked)) {
            let new = after.clone().map(|after| context(asked, after));
            let told = told.as_ref();
            self.lifecycle.follow(&old, &change, (new, told));
        }
        if let (Some(cookies), Some(answer)) = (&after, &told) {
            let host = &asked.host;
            self.leases
                .grant(SessionAt { host, cookies }, answer, asked.at);
        }
    }

    fn pick(&self, asked: &Asked) -> Option<SessionCookies> {
        SessionCookies::pick(asked.cookies.as_ref()?, &self.names)
    }
}

impl Told {
    /// What a response tells, where it tells one thing and in the right words.
    fn read(fields: &HeaderMap, riding: &Riding) -> Option<Self> {
        let mut texts = field::texts(fields, IDENTITY);
        let text = texts.next()?;
        let told = match (text, texts.next()) {
            (_, Some(_)) => Err("it came twice".to_owned()),
            (Err(error), None) => Err(error.to_string()),
            (Ok(text), None) => Self::decode(&text),
        };
        told.map_err(|why| riding.refuse(Rider::Identity, &why))
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

    /// The answer, unless it is about a session of other digests: a page of somebody else's, from a
    /// cache within Django.
    fn about(self, digests: &[SessionDigest], riding: &Riding) -> Option<Answer> {
        if self
            .session
            .is_some_and(|session| !digests.contains(&session))
        {
            riding.refuse(Rider::Identity, "it is about another session");
            return None;
        }
        riding.count_taken(Rider::Identity);
        Some(self.answer)
    }
}

fn scope(asked: &Asked) -> Scope<'_> {
    Scope {
        host: &asked.host,
        path: asked.uri.path(),
        cookies: asked.cookies.as_ref(),
    }
}

/// What it takes to ask Django of the new session.
fn context(asked: &Asked, cookies: SessionCookies) -> Recheck {
    let known = [
        (header::USER_AGENT, &asked.user_agent),
        (header::ACCEPT_LANGUAGE, &asked.accept_language),
        (header::ORIGIN, &asked.origin),
    ];
    let known = known.into_iter();
    let known = known.filter_map(|(name, value)| Some((name, value.clone()?)));
    let fields: HeaderMap = known.collect();
    Recheck::of(cookies, &fields, &asked.host, asked.address)
}
