//! Which socket routes there are, after a reload.
//!
//! Asked by the hub of each connection that registers. What Django handed over has no route, and stays.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::Member;
use crate::close::CloseReason;

/// Says which paths socket routes have.
pub struct ServedRoutes(Box<dyn Fn(&str) -> bool + Send + Sync>);

/// Whether connections have a route; before the first reload all have.
#[derive(Debug, Default)]
pub(super) struct RouteCheck(ArcSwapOption<ServedRoutes>);

impl ServedRoutes {
    /// `has` says whether a path is one of a socket route.
    pub fn new(has: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Box::new(has))
    }
}

impl RouteCheck {
    /// These are the routes from now on.
    pub(super) fn replace(&self, routes: ServedRoutes) {
        self.0.store(Some(Arc::new(routes)));
    }

    /// The end of a connection whose route is gone; not at one time for all, in case it comes back.
    pub(super) fn refusal(&self, member: &Member) -> Option<CloseReason> {
        let routes = self.0.load();
        let ServedRoutes(has) = routes.as_deref()?;
        let stays = member.is_handed_over || has(&member.socket);
        (!stays).then(|| CloseReason::GoingAway {
            delay_ms: 1000 + member.id.low_bits() % 1000,
        })
    }
}

impl fmt::Debug for ServedRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServedRoutes").finish_non_exhaustive()
    }
}
