//! What the gateway adds to requests for Django, and does about its answers.
//!
//! `proxy` calls it through [`Intercept`], for the Django upstream alone; `app` makes it. The surprise:
//! a request is signed in the moment it is sent, since it may have waited for Django to come back.

use http::{HeaderMap, HeaderValue};

use super::target::survives_quoting;
use crate::proxy::intercept::{Asked, Intercept, Outgoing};
use crate::secret::Secrets;
use crate::web::request::Downstream;
use crate::web::signature::{self, BodyHash, SIGNATURE, SignedParts, Signer, TARGET};

/// Looks on at the Django upstream.
#[derive(Debug)]
pub struct Edge {
    signer: Signer,
}

impl Edge {
    /// An edge that signs with the current secret.
    pub fn new(secrets: &Secrets) -> Self {
        Self {
            signer: Signer::new(&secrets.current),
        }
    }

    fn sign(&self, request: Outgoing<'_>) {
        let target = request
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str());
        let (method, fields) = (request.method, request.fields);
        if !survives_quoting(target)
            && let Ok(told) = HeaderValue::from_str(target)
        {
            fields.insert(TARGET, told);
        }
        let parts = SignedParts::of(method, target, fields, BodyHash::Streamed);
        let signature = self.signer.sign(&parts, signature::unix_seconds());
        fields.insert(SIGNATURE, signature);
    }
}

impl Intercept for Edge {
    fn outgoing(&self, request: Outgoing<'_>, _downstream: &Downstream) {
        self.sign(request);
    }

    fn incoming(&self, _asked: &Asked, _fields: &HeaderMap) {}
}
