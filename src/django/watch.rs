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
use super::set_cookie::{self, Change, Place};
use crate::close::CloseReason;
use crate::hub::Hub;
use crate::ids::SessionDigest;
use crate::proxy::intercept::Asked;
use crate::publication::Audience;
use crate::publish::riding::{Rider, Riding};
use crate::secret::Secrets;
use crate::session::{Answer, CookieNames, Leases, SessionAt, SessionCookies};

const IDENTITY: HeaderName = HeaderName::from_static("gatepost-identity");

/// Watches responses for news of sessions.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) names: CookieNames,
    pub(super) secrets: Secrets,
    pub(super) leases: Arc<Leases>,
    pub(super) hub: Arc<Hub>,
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
            set_cookie::change(fields, &self.names.session, place(asked))
        } else {
            None
        };
        let told = Told::read(fields, riding);
        if change.is_none() && told.is_none() {
            return;
        }
        let after = self.after(asked, fields, change.as_ref());
        let told = told.and_then(|told| {
            let of = after.as_ref().map(|after| after.digests(&self.secrets));
            told.about(of.as_deref().unwrap_or_default(), riding)
        });
        if change == Some(Change::Deleted) {
            self.end(asked);
        }
        if let (Some(cookies), Some(answer)) = (&after, &told) {
            let host = &asked.host;
            self.leases
                .grant(SessionAt { host, cookies }, answer, asked.at);
        }
    }

    /// Closes the sockets of the session that the request carried.
    fn end(&self, asked: &Asked) {
        let old = self.pick(asked);
        let digests = old.map(|old| old.digests(&self.secrets));
        for session in digests.into_iter().flatten() {
            let reason = CloseReason::SessionEnded("logged out".into());
            self.hub.close(&Audience::Session(session), &reason);
        }
    }

    fn pick(&self, asked: &Asked) -> Option<SessionCookies> {
        SessionCookies::pick(asked.cookies.as_ref()?, &self.names)
    }

    /// The cookies that count, as the browser has them from now on.
    fn after(
        &self,
        asked: &Asked,
        fields: &HeaderMap,
        session: Option<&Change>,
    ) -> Option<SessionCookies> {
        let others = self.names.others.iter().filter_map(|name| {
            let change = set_cookie::change(fields, name, place(asked))?;
            Some((name.as_str(), change))
        });
        let session = session.map(|change| (self.names.session.as_str(), change.clone()));
        let changes: Vec<_> = session.into_iter().chain(others).collect();
        let header = set_cookie::cookies_after(asked.cookies.as_ref(), &changes)?;
        SessionCookies::pick(&header, &self.names)
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

fn place(asked: &Asked) -> Place<'_> {
    Place {
        host: asked.host.to_str().unwrap_or_default(),
        path: asked.uri.path(),
    }
}
