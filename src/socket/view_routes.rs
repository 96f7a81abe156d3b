//! The routes at which Django's own view of the path says who may listen: what a page may subscribe to by path.
//!
//! Made by the composition root. A page that has a connection at another route listens by one of these only
//! where it might connect there, so the route's Origin rule counts here too.

use std::sync::Arc;

use http::Uri;

use super::OriginRule;
use super::origin::PageOrigin;
use crate::ids::ViewTarget;
use crate::proxy::route::RouteTable;
use crate::session::LONGEST_TARGET;
use crate::web::path;

/// The path of a connection at such a route, as the hub knows it.
pub(super) fn decoded(uri: &Uri) -> Option<Arc<str>> {
    path::decode(uri.path()).ok().map(Into::into)
}

/// The routes of views.
#[derive(Debug)]
pub struct ViewRoutes(RouteTable<ViewRoute>);

/// One of them.
#[derive(Clone, Debug)]
pub struct ViewRoute {
    /// Which pages may open it.
    pub origin: OriginRule,
    /// Whether it keeps visitors.
    pub anonymous: bool,
}

impl ViewRoutes {
    /// These routes, by their paths.
    pub fn new(routes: Vec<(String, ViewRoute)>) -> Self {
        Self(RouteTable::new(routes, Vec::new()))
    }

    /// The view of a path that a page names, as a request line would have it; `None` where no route takes it, or
    /// not this page.
    pub(super) fn find(&self, text: &str, page: &PageOrigin) -> Option<(&ViewRoute, ViewTarget)> {
        if text.len() > LONGEST_TARGET || text.contains(['?', '#']) {
            return None;
        }
        let decoded = path::decode(text).ok()?;
        let route = self.0.find(&decoded)?;
        let admitted = route.origin.admits(page);
        admitted.then(|| (route, ViewTarget::new(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_a_path_of_such_a_route_is_one() {
        let route = ViewRoute {
            origin: OriginRule::default(),
            anonymous: false,
        };
        let routes = ViewRoutes::new(vec![("/ws/orders/{pk}/".to_owned(), route)]);
        let finds = |text: &str| routes.find(text, &PageOrigin::Own).is_some();
        assert!(finds("/ws/orders/17/") && finds("/ws/orders/%C3%A9/"));
        for other in [
            "",
            "/ws/orders/",
            "/ws/orders/17",
            "ws/orders/17/",
            "//ws/orders/17/",
            "https://app.test/ws/orders/17/",
            "/ws/orders/17/?a=1",
            "/ws/orders/17/#a",
            "/ws/x/../orders/17/",
            "/ws/orders/./",
            "/ws/orders/%2e%2e/",
            "/ws/orders/a%2Fb/",
            "/ws/orders/a%5Cb/",
            "/ws/orders/a b/",
            "/ws/orders/é/",
            "/ws/orders/17/\n",
        ] {
            assert!(!finds(other), "{other}");
        }
        assert!(!finds(&format!(
            "/ws/orders/{}/",
            "1".repeat(LONGEST_TARGET)
        )));
        let foreign = PageOrigin::Allowed("https://partner.test".into());
        assert!(routes.find("/ws/orders/17/", &foreign).is_none());
    }
}
