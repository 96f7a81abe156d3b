//! At a route that keeps visitors, lets a client stay as one that would be told to log in elsewhere.
//!
//! Used by the handshake, when all is decided. The deciding code knows nothing of visitors, so there is one
//! way to be anonymous, whether Django was asked or not.

use std::sync::Arc;

use super::outcome::{Outcome, Settled};
use super::parts::SocketParts;
use super::pending_handshake::{Arrival, Decision};
use super::topics::Entitlement;
use super::visitors::Attendance;
use crate::close::CloseReason;
use crate::hub::Member;
use crate::session::AuthSubject;

/// What it takes to make a visitor of a client.
pub(super) struct Welcome {
    pub(super) parts: Arc<SocketParts>,
    /// The path of its socket route.
    pub(super) path: Arc<str>,
    /// What its views may be asked about: no session.
    pub(super) about: Arc<AuthSubject>,
    pub(super) came: Arrival,
}

impl Welcome {
    /// What becomes of the client now, or when that is known.
    pub(super) fn apply(self, decision: Decision) -> Decision {
        match decision {
            Decision::Now(settled) => Decision::Now(self.settle(settled)),
            Decision::Later(judging) => {
                Decision::Later(Box::pin(async move { self.settle(judging.await) }))
            }
        }
    }

    fn settle(&self, settled: Settled) -> Settled {
        match settled.outcome {
            Outcome::StayAway(..) => Settled {
                outcome: self.join(),
                ..settled
            },
            _ => settled,
        }
    }

    fn join(&self) -> Outcome {
        let parts = &self.parts;
        let address = self.about.address;
        let connect = |nobody| {
            let member = Member::new(nobody, Arc::clone(&self.path), address);
            member.over(self.came.transport).present(self.came.presence)
        };
        let joined = parts.visitors.join(address, self.came.began, connect);
        match joined {
            Ok(visit) => {
                parts.count("visitor");
                let visit = visit.known(&parts.lifecycle, Arc::clone(&self.about));
                let joined = Attendance::Visitor(visit);
                let nothing = Entitlement::default();
                let greeting = parts.topics.admit(joined.member(), &self.came.own, nothing);
                Outcome::Serve { joined, greeting }
            }
            Err(reason) => {
                if matches!(reason, CloseReason::Policy(_)) {
                    parts.count("visitors_full");
                    parts.log_close(&self.path, self.about.address, &reason);
                }
                Outcome::Close(reason)
            }
        }
    }
}
