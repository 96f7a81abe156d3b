//! Django's word that the gateway goes on with its answer: `Gatepost-Stream`.
//!
//! Noted where answers of Django's are looked at, before the field is removed; `server` has the stream begun.
//! Nothing of it is believed here. The field vouches for the body, which is still to come.

use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::intercept::RequestSummary;

const GATEPOST_STREAM: HeaderName = HeaderName::from_static("gatepost-stream");

/// An answer that describes a stream.
#[derive(Clone, Debug)]
pub struct HandOver {
    /// What stands in the field; empty where it came twice.
    pub vouched: HeaderValue,
    /// The request that it answers.
    pub asked: Box<RequestSummary>,
}

impl HandOver {
    /// What an answer says, if it is one that hands a stream over.
    pub(super) fn of(
        asked: &RequestSummary,
        status: StatusCode,
        fields: &HeaderMap,
    ) -> Option<Self> {
        let mut lines = fields.get_all(GATEPOST_STREAM).iter();
        let vouched = lines.next().filter(|_| status.is_success())?;
        let once = lines.next().is_none() && status == StatusCode::OK;
        Some(Self {
            vouched: if once {
                vouched.clone()
            } else {
                HeaderValue::from_static("")
            },
            asked: Box::new(asked.clone()),
        })
    }
}
