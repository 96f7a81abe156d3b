//! What browsers say of themselves, stored once for all sessions that share it.
//!
//! Used by `table`. A `User-Agent` alone is as large as all else of a session.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderValue;

use crate::session::cookie::SessionCookies;
use crate::session::question::AuthSubject;

/// Kinds of browsers that are stored before the first look for those that no session uses any more.
const FEW: usize = 64;

/// What a browser says of itself to Django.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Browser {
    host: HeaderValue,
    user_agent: Option<HeaderValue>,
    accept_language: Option<HeaderValue>,
    origin: Option<HeaderValue>,
}

/// The browsers of all live sessions.
#[derive(Debug, Default)]
pub(super) struct Browsers {
    known: HashSet<Arc<Browser>>,
    /// How many there may be before the next look for those that no session uses any more.
    look: usize,
}

impl Browser {
    /// What Django is asked about with these cookies.
    pub(super) fn subject(&self, cookies: SessionCookies, address: IpAddr) -> AuthSubject {
        AuthSubject {
            cookies,
            host: self.host.clone(),
            address,
            user_agent: self.user_agent.clone(),
            accept_language: self.accept_language.clone(),
            origin: self.origin.clone(),
        }
    }

    /// Whether it is at this host.
    pub(super) fn is_at(&self, host: &HeaderValue) -> bool {
        self.host == host
    }
}

impl Browsers {
    /// The browser of a subject.
    pub(super) fn of(&mut self, about: &AuthSubject) -> Arc<Browser> {
        let browser = Browser {
            host: about.host.clone(),
            user_agent: about.user_agent.clone(),
            accept_language: about.accept_language.clone(),
            origin: about.origin.clone(),
        };
        if let Some(known) = self.known.get(&browser) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.look {
            self.known.retain(|browser| Arc::strong_count(browser) > 1);
            self.look = FEW.max(2 * self.known.len());
        }
        let browser = Arc::new(browser);
        self.known.insert(Arc::clone(&browser));
        browser
    }
}
