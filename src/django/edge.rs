//! What the gateway adds to requests for Django, and does about its answers.
//!
//! `proxy` calls it through [`Intercept`], for the Django upstream alone; `app` makes it. A request is
//! signed in the moment it is sent, since it may have waited for Django to come back.

use std::sync::Arc;

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::farewell::{Farewell, REVOKE};
use super::field;
use super::presence::Presence;
use super::watch::Watch;
use crate::broker::Broker;
use crate::ids::DigestKey;
use crate::net::drain::DrainWatch;
use crate::proxy::intercept::{Intercept, Outgoing, PassedOn, RequestSummary};
use crate::proxy::queue::{RequestQueue, Requester};
use crate::publish::piggyback::{OneResponse, Piggyback, PiggybackKind};
use crate::secret::Secrets;
use crate::session::{Leases, Lifecycle, Naming};
use crate::web::request::Downstream;
use crate::web::signature::{BodyHash, Signer};
use crate::web::vouch::{Vouched, vouch};

const POSITION: HeaderName = HeaderName::from_static("gatepost-position");
const PUBLISH: HeaderName = HeaderName::from_static("gatepost-publish");

/// Observes the Django upstream.
#[derive(Debug)]
pub struct Edge {
    signer: Signer,
    presence: Presence,
    piggyback: Piggyback,
    watch: Watch,
    naming: Arc<Naming>,
    farewell: Farewell,
    broker: Arc<Broker>,
    queue: Option<RequestQueue>,
}

/// What it asks, and what it hands its observations to.
#[derive(Debug)]
pub struct EdgeParts {
    /// The current secret signs requests; all make digests.
    pub secrets: Secrets,
    /// Knows which cookies matter.
    pub naming: Arc<Naming>,
    /// Knows where the history is.
    pub broker: Arc<Broker>,
    /// Takes what rides on responses.
    pub piggyback: Piggyback,
    /// Keep who a session is.
    pub leases: Arc<Leases>,
    /// Hears what becomes of sessions.
    pub lifecycle: Arc<Lifecycle>,
    /// Runs what waits for a response to be passed on.
    pub drain: DrainWatch,
    /// Where requests wait for Django, if they do.
    pub queue: Option<RequestQueue>,
}

impl Edge {
    /// An edge of these parts.
    pub fn new(parts: EdgeParts) -> Self {
        Self {
            signer: Signer::new(&parts.secrets.current),
            presence: Presence {
                naming: Arc::clone(&parts.naming),
                digests: DigestKey::new(&parts.secrets.current),
                hub: Arc::clone(parts.broker.hub()),
                lifecycle: Arc::clone(&parts.lifecycle),
            },
            farewell: Farewell {
                naming: Arc::clone(&parts.naming),
                hub: Arc::clone(parts.broker.hub()),
                lifecycle: Arc::clone(&parts.lifecycle),
                drain: parts.drain,
            },
            piggyback: parts.piggyback,
            watch: Watch {
                naming: Arc::clone(&parts.naming),
                secrets: parts.secrets,
                leases: parts.leases,
                lifecycle: parts.lifecycle,
            },
            naming: parts.naming,
            broker: parts.broker,
            queue: parts.queue,
        }
    }

    /// What was published in the request goes before what was revoked in it: a session that ends gets
    /// its last frames first.
    fn deliver(fields: &HeaderMap, response: OneResponse<'_>) {
        for text in field::texts(fields, PUBLISH) {
            match text {
                Ok(array) => response.publish(&array),
                Err(error) => response.refuse(PiggybackKind::Publication, &error.to_string()),
            }
        }
        for text in field::texts(fields, REVOKE) {
            match text {
                Ok(array) => response.revoke(&array),
                Err(error) => response.refuse(PiggybackKind::Revocation, &error.to_string()),
            }
        }
    }
}

impl Intercept for Edge {
    fn queue(
        &self,
        fields: &HeaderMap,
        downstream: &Downstream,
    ) -> Option<(&RequestQueue, Requester)> {
        let queue = self.queue.as_ref()?;
        Some((queue, self.presence.requester(fields, downstream.address)))
    }

    fn outgoing(&self, request: Outgoing<'_>, downstream: &Downstream) {
        self.presence.add_fields(request.fields, downstream.claimed);
        // Before Django reads anything: what a page shows is at least as new as its position.
        if let Ok(position) = HeaderValue::try_from(self.broker.position().to_string()) {
            request.fields.insert(POSITION, position);
        }
        let target = request.uri.path_and_query();
        let vouched = Vouched {
            method: request.method,
            target: target.map_or("/", |target| target.as_str()),
            address: downstream.address,
            body: BodyHash::Streamed,
        };
        vouch(&self.signer, vouched, request.fields);
    }

    fn incoming(
        &self,
        asked: &RequestSummary,
        status: StatusCode,
        fields: &HeaderMap,
    ) -> Option<PassedOn> {
        if !speaks_to_us(fields) {
            return None;
        }
        self.naming.observe(fields);
        let passed_on = self.farewell.begin(asked, status, fields);
        let response = self.piggyback.on(asked.uri.path(), asked.place);
        Self::deliver(fields, response);
        self.watch.observe(asked, fields, response);
        passed_on
    }
}

/// Whether an answer has a field that is read here. Most have none, which one look at their names tells:
/// each of the lookups that follow costs more.
fn speaks_to_us(fields: &HeaderMap) -> bool {
    let mut names = fields.keys();
    names.any(|name| *name == header::SET_COOKIE || name.as_str().starts_with("gatepost-"))
}
