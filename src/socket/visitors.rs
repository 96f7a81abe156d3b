//! Connections without a session, at routes that keep them: they hear topics alone.
//!
//! Used by the handshake where it would close 4001 elsewhere. A visitor stays one for as long as the connection
//! lives, also when a user logs in with the same browser; the page's next connection is theirs.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::close::CloseReason;
use crate::config::Limits;
use crate::hub::{Hub, Member, Membership};
use crate::identity::Identity;
use crate::net::block::AddressBlock;
use crate::net::per_address::{AddressPermit, PerAddress, PlaceLimits};
use crate::session::{AuthSubject, Lifecycle, SessionMember, VisitorShare};

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

/// A connection without a session, nearly always a visitor's. Dropping it takes the connection out of the hub.
#[derive(Debug)]
pub(super) struct Visit {
    membership: Membership,
    /// What Django's views can be asked about, where they may be.
    known: Option<KnownVisitor>,
    /// A visitor's among those of its address.
    _place: Option<AddressPermit>,
}

/// A visitor that views can be asked about.
#[derive(Debug)]
struct KnownVisitor {
    about: Arc<AuthSubject>,
    _share: VisitorShare,
}

impl Visit {
    /// Has Django's views asked about it, now and later.
    pub(super) fn known(self, lifecycle: &Lifecycle, about: Arc<AuthSubject>) -> Self {
        let share = lifecycle.visit(self.membership.member().id, &about);
        Self {
            known: Some(KnownVisitor {
                about,
                _share: share,
            }),
            ..self
        }
    }
}

impl Visitors {
    /// Takes visitors to be among `places`.
    pub fn new(hub: Arc<Hub>, places: Arc<PerAddress>) -> Self {
        Self {
            hub,
            places,
            identity: Arc::new(Identity::visitor()),
        }
    }

    /// How many there may be.
    pub fn places(limits: &Limits) -> PlaceLimits {
        PlaceLimits {
            total: None,
            each: limits.anonymous_per_address,
        }
    }

    /// Makes a connection of a user without a session, whom Django was asked about at `began`.
    pub(super) fn join_user(
        &self,
        user: Arc<Identity>,
        began: Instant,
        connect: impl FnOnce(Arc<Identity>) -> Member,
    ) -> Result<Visit, CloseReason> {
        Ok(Visit {
            membership: self.hub.register(connect(user), began)?,
            known: None,
            _place: None,
        })
    }

    /// Makes a visitor's connection, whose handshake came at `began`.
    pub(super) fn join(
        &self,
        address: IpAddr,
        began: Instant,
        connect: impl FnOnce(Arc<Identity>) -> Member,
    ) -> Result<Visit, CloseReason> {
        let place = self.places.take(Some(AddressBlock::of(address)));
        let place =
            place.map_err(|_| CloseReason::Policy("too many visitors from this address"))?;
        let member = connect(Arc::clone(&self.identity));
        Ok(Visit {
            membership: self.hub.register(member, began)?,
            known: None,
            _place: Some(place),
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

    /// What Django is asked about it; `None` where its session has just ended, or nothing can be asked.
    pub(super) fn subject(&self) -> Option<AuthSubject> {
        match self {
            Self::Session(member) => member.subject(),
            Self::Visitor(visit) => {
                let known = visit.known.as_ref()?;
                Some(AuthSubject::clone(&known.about))
            }
        }
    }
}
