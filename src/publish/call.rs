//! Which call a request of the internal API is.
//!
//! Used by `api`. The media type says whether it is one publication or a batch.

use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Method};

use super::caller::CallerRole;
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
    Maintenance,
    Pause,
    Reload,
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
    Maintenance,
    Pause,
    Reload,
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
            "/v1/maintenance" => Ok(Self::Maintenance),
            "/v1/pause" => Ok(Self::Pause),
            "/v1/reload" => Ok(Self::Reload),
            _ => Err(PublishError::NoSuchCall),
        }
    }

    pub(super) fn check_method(self, method: &Method) -> Result<(), PublishError> {
        let allowed = match self {
            Self::Presence | Self::Connections => "GET",
            _ => "POST",
        };
        if method.as_str() == allowed {
            Ok(())
        } else {
            Err(PublishError::Method { allowed })
        }
    }

    /// Who may call it.
    pub(super) fn role(self) -> CallerRole {
        match self {
            Self::Maintenance | Self::Pause | Self::Reload => CallerRole::Operator,
            _ => CallerRole::Application,
        }
    }

    /// The call, which for publications the media type decides.
    pub(super) fn call(self, headers: &HeaderMap) -> Result<ApiCall, PublishError> {
        let is = |name: &str| media_type::is(headers, name);
        match self {
            Self::Connections => Ok(ApiCall::Connections),
            Self::Presence => Ok(ApiCall::Online),
            // They say nothing, so they may say it in any form.
            Self::Wakes => Ok(ApiCall::Wake),
            Self::Reload => Ok(ApiCall::Reload),
            _ if headers.contains_key(CONTENT_ENCODING) => Err(self.media_type()),
            Self::Publications if is(JSON) => Ok(ApiCall::Publish),
            Self::Publications if is(NDJSON) => Ok(ApiCall::PublishBatch),
            Self::Revocations if is(JSON) => Ok(ApiCall::Revoke),
            Self::Rechecks if is(JSON) => Ok(ApiCall::Recheck),
            Self::Maintenance if is(JSON) => Ok(ApiCall::Maintenance),
            Self::Pause if is(JSON) => Ok(ApiCall::Pause),
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
