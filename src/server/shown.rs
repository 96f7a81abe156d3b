//! What a developer is shown in the pages themselves.
//!
//! Used by `dispatch`, in dev and where no other machine can see it. A wrong setting comes first: without
//! it no socket works.

use std::sync::Arc;

use http::Response;

use super::unrouted::{Advice, Unrouted};
use crate::session::Diagnosis;
use crate::web::body::ResponseBody;
use crate::web::notice::{self, Notice};

/// One thing to show.
#[derive(Debug)]
pub(super) enum DeveloperNotice {
    /// Why Django has judged nothing.
    Diagnosis(Arc<Diagnosis>),
    /// A WebSocket that no route takes.
    Unrouted(Arc<Advice>),
}

impl DeveloperNotice {
    /// What there is to show.
    pub(super) fn of(standing: Option<Arc<Diagnosis>>, unrouted: &Unrouted) -> Option<Self> {
        let standing = standing.map(Self::Diagnosis);
        standing.or_else(|| unrouted.shown().map(Self::Unrouted))
    }

    /// The page with it.
    fn add(&self, answer: Response<ResponseBody>) -> Response<ResponseBody> {
        let notice = match self {
            Self::Diagnosis(diagnosis) => Notice {
                title: "sockets cannot be authenticated",
                what: diagnosis.reason(),
                remedy: diagnosis.remedy(),
            },
            Self::Unrouted(advice) => Notice {
                title: "a WebSocket has no route",
                what: &advice.what,
                remedy: &advice.remedy,
            },
        };
        notice::add(answer, notice)
    }
}

/// The page with what there is to show.
pub(super) fn add(
    shown: Option<&DeveloperNotice>,
    answer: Response<ResponseBody>,
) -> Response<ResponseBody> {
    match shown {
        Some(shown) => shown.add(answer),
        None => answer,
    }
}
