//! Connections without a session, at routes that keep them: they hear topics alone.
//!
//! Used by the handshake where it would close 4001 elsewhere. The surprise: a visitor stays one for as long as the
//! connection lives, also when somebody logs in with the same browser; the page's next connection is theirs.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::close::CloseReason;
use crate::hub::{Hub, Member, Membership};
use crate::identity::Identity;
use crate::net::block::AddressBlock;
use crate::net::per_address::{AddressPermit, PerAddress, PlaceLimits};
use crate::session::SessionMember;

/// Lets visitors in.
#[derive(Debug)]
pub struct Visitors {
    hub: Arc<Hub>,
    places: Arc<PerAddress>,
    /// The identity that all of them share.
    identity: Arc<Identity>,
}

/// A connection's place among all: its session's, or a visitor's.
#[derive(Debug)]
pub(super) enum Attendance {
    Session(SessionMember),
    Visitor(Visit),
}

/// A visitor's connection. Dropping it takes the connection out of the hub.
#[derive(Debug)]
pub(super) struct Visit {
    membership: Membership,
    _place: AddressPermit,
}

impl Visitors {
    /// Without visitors yet. `most` is for one address; `None`: any number.
    pub fn new(hub: Arc<Hub>, most: Option<usize>) -> Self {
        let limits = PlaceLimits {
            total: None,
            each: most,
        };
        Self {
            hub,
            places: PerAddress::new(limits),
            identity: Arc::new(Identity::visitor()),
        }
    }

    /// Makes a visitor's connection, whose handshake came at `began`.
    pub(super) fn join(
        &self,
        path: &Arc<str>,
        address: IpAddr,
        began: Instant,
    ) -> Result<Visit, CloseReason> {
        let place = self.places.take(Some(AddressBlock::of(address)));
        let place =
            place.map_err(|_| CloseReason::Policy("too many visitors from this address"))?;
        let member = Member::new(Arc::clone(&self.identity), Arc::clone(path), address);
        Ok(Visit {
            membership: self.hub.register(member, began)?,
            _place: place,
        })
    }
}

impl Attendance {
    /// The connection.
    pub(super) fn member(&self) -> &Member {
        match self {
            Self::Session(member) => member.member(),
            Self::Visitor(visit) => visit.membership.member(),
        }
    }
}
