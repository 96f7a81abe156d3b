//! What is known of a request's sender: whether Django named its session, and what Django is told of its
//! connections, how many its user has and which one is its own.
//!
//! Used by `edge` on every request. A page may claim any connection, so it is told only where it is
//! bound to the very session that the request carries.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::hub::Hub;
use crate::ids::{ConnectionId, DigestKey, SessionDigest};
use crate::net::block::AddressBlock;
use crate::proxy::queue::Requester;
use crate::publication::Audience;
use crate::session::{Lifecycle, Naming, SessionCookies};
use crate::web::admit::CONNECTION_CLAIM;

const ONLINE: HeaderName = HeaderName::from_static("gatepost-online");

/// Knows who is connected.
#[derive(Debug)]
pub(super) struct Presence {
    pub(super) naming: Arc<Naming>,
    pub(super) digests: DigestKey,
    pub(super) hub: Arc<Hub>,
    pub(super) lifecycle: Arc<Lifecycle>,
}

impl Presence {
    /// Adds the fields. To a request without a session, or while nobody is connected, this costs nothing.
    pub(super) fn add_fields(&self, fields: &mut HeaderMap, claimed: Option<ConnectionId>) {
        if self.hub.is_empty() {
            return;
        }
        let Some(session) = self.session(fields) else {
            return;
        };
        if let Some(count) = self.lifecycle.online(&session) {
            fields.insert(ONLINE, HeaderValue::from(count));
        }
        if let Some(id) = claimed
            && self.is_of(id, session)
            && let Ok(id) = HeaderValue::from_str(&id.to_string())
        {
            fields.insert(CONNECTION_CLAIM, id);
        }
    }

    /// Whose line a request waits in, if it has to: a made-up session cookie counts as none.
    pub(super) fn requester(&self, fields: &HeaderMap, address: IpAddr) -> Requester {
        let session = self.session(fields);
        let named = session.filter(|session| self.lifecycle.is_named(session));
        named.map_or_else(
            || Requester::Other(AddressBlock::of(address)),
            |session| Requester::Known(session.first_half()),
        )
    }

    fn session(&self, fields: &HeaderMap) -> Option<SessionDigest> {
        let (cookies, names) = (fields.get(header::COOKIE)?, self.naming.names());
        let value = SessionCookies::value_in(cookies, &names)?;
        Some(self.digests.of(&value))
    }

    fn is_of(&self, id: ConnectionId, session: SessionDigest) -> bool {
        let found = self.hub.connections(&Audience::Connection(id), 1);
        let mut found = found.iter().map(|connection| connection.member.identity());
        found.any(|identity| identity.sessions.contains(&session))
    }
}
