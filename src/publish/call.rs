//! Which call a request of the internal API is.
//!
//! Used by `api`. The surprise: the media type says whether it is one publication or a batch.

use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Method};

use super::error::PublishError;
use crate::web::media_type;

pub(super) const JSON: &str = "application/json";
pub(super) const NDJSON: &str = "application/x-ndjson";

/// The calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ApiCall {
    Publish,
    PublishBatch,
    Revoke,
    Wake,
    Recheck,
    Online,
    Connections,
}

/// What the paths name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Publications,
    Revocations,
    Wakes,
    Rechecks,
    Presence,
    Connections,
}

impl Resource {
    pub(super) fn of(path: &str) -> Result<Self, PublishError> {
        match path {
            "/v1/publish" => Ok(Self::Publications),
            "/v1/revoke" => Ok(Self::Revocations),
            "/v1/wake" => Ok(Self::Wakes),
            "/v1/recheck" => Ok(Self::Rechecks),
            "/v1/online" => Ok(Self::Presence),
            "/v1/connections" => Ok(Self::Connections),
            _ => Err(PublishError::NoSuchCall),
        }
    }

    pub(super) fn check_method(self, method: &Method) -> Result<(), PublishError> {
        let allowed = match self {
            Self::Publications | Self::Revocations | Self::Rechecks | Self::Wakes => "POST",
            Self::Presence | Self::Connections => "GET",
        };
        if method.as_str() == allowed {
            Ok(())
        } else {
            Err(PublishError::Method { allowed })
        }
    }

    /// The call, which for publications the media type decides.
    pub(super) fn call(self, headers: &HeaderMap) -> Result<ApiCall, PublishError> {
        let is = |name: &str| media_type::is(headers, name);
        match self {
            Self::Connections => Ok(ApiCall::Connections),
            Self::Presence => Ok(ApiCall::Online),
            // It says nothing, so it may say it in any form.
            Self::Wakes => Ok(ApiCall::Wake),
            _ if headers.contains_key(CONTENT_ENCODING) => Err(self.media_type()),
            Self::Publications if is(JSON) => Ok(ApiCall::Publish),
            Self::Publications if is(NDJSON) => Ok(ApiCall::PublishBatch),
            Self::Revocations if is(JSON) => Ok(ApiCall::Revoke),
            Self::Rechecks if is(JSON) => Ok(ApiCall::Recheck),
            _ => Err(self.media_type()),
        }
    }

    fn media_type(self) -> PublishError {
        let expected = match self {
            Self::Publications => {
                "application/json (one publication) or application/x-ndjson (one a line)"
            }
            _ => JSON,
        };
        PublishError::MediaType { expected }
    }
}
