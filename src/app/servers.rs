//! What serves clients for as long as the gateway lives: one server for each kind of listener, whose handlers a
//! reload replaces.
//!
//! Made and kept by the composition root.

use std::sync::Arc;

use super::limits;
use super::listeners::Listeners;
use super::open_listener::OpenListener;
use super::public;
use super::site::Site;
use crate::net::descriptors::DescriptorShares;
use crate::net::drain::{Drain, DrainWatch};
use crate::server::challenged::Challenged;
use crate::server::current::CurrentHandler;
use crate::server::dispatch::Dispatch;
use crate::server::health::Checked;
use crate::server::internal::Internal;
use crate::server::plain::PlainHttp;
use crate::server::serve::Server;
use crate::server::service::ServerLimits;

type OriginHandler = CurrentHandler<Checked<Dispatch>>;
type PlainHandler = CurrentHandler<Checked<Challenged<PlainHttp>>>;

/// The servers.
#[derive(Debug)]
pub(super) struct Servers {
    shares: DescriptorShares,
    origin: Arc<OriginHandler>,
    plain: Arc<PlainHandler>,
    internal: Arc<CurrentHandler<Internal>>,
    public_server: Arc<Server<OriginHandler>>,
    plain_server: Arc<Server<PlainHandler>>,
    internal_server: Arc<Server<CurrentHandler<Internal>>>,
    drain: DrainWatch,
    internal_drain: DrainWatch,
}

impl Servers {
    /// Answers by this site, at no listener yet. The internal listener ends by a drain of its own.
    pub(super) fn new(
        site: &Site,
        shares: DescriptorShares,
        [drain, internal_drain]: [&Drain; 2],
    ) -> Self {
        let (drain, internal_drain) = (drain.watch(), internal_drain.watch());
        let [limits, own] = limits::of_listeners(&site.config.limits, shares);
        let origin = Arc::new(CurrentHandler::new(Arc::new(origin(site))));
        let plain = Arc::new(CurrentHandler::new(Arc::new(plain_http(site))));
        let internal = Arc::new(CurrentHandler::new(Arc::clone(&site.internal)));
        let public_server = Server::new(Arc::clone(&origin), limits, drain.clone());
        let plain_server = Server::new(Arc::clone(&plain), limits, drain.clone());
        let plain_server = plain_server.sharing(&public_server);
        let internal_server = Server::new(Arc::clone(&internal), own, internal_drain.clone());
        let servers = Self {
            shares,
            origin,
            plain,
            internal,
            public_server: Arc::new(public_server),
            plain_server: Arc::new(plain_server),
            internal_server: Arc::new(internal_server),
            drain,
            internal_drain,
        };
        servers.limit(site);
        servers
    }

    /// Has the next request answered by this site, and the next client served within its limits.
    pub(super) fn adopt(&self, site: &Site) {
        self.limit(site);
        self.origin.replace(Arc::new(origin(site)));
        self.plain.replace(Arc::new(plain_http(site)));
        self.internal.replace(Arc::clone(&site.internal));
    }

    fn limit(&self, site: &Site) {
        let config = &site.config;
        let (proxies, introduced) = (&config.server.proxies, config.server.proxy_protocol);
        let [limits, own] = limits::of_listeners(&config.limits, self.shares);
        let public = ServerLimits {
            websocket_over_http2: config.server.websocket_over_http2,
            ..limits
        };
        self.public_server.adopt(public, proxies, introduced);
        self.plain_server.adopt(limits, proxies, introduced);
        let nobody = crate::config::ProxiesConfig::default();
        self.internal_server.adopt(own, &nobody, false);
    }

    /// Accepts clients from all listeners that nobody accepts from yet.
    pub(super) fn serve(&self, listeners: &mut Listeners, site: &Site) {
        if let Some(listener) = listeners.internal.as_mut().and_then(OpenListener::serve) {
            let server = Arc::clone(&self.internal_server);
            self.internal_drain.spawn(server.run_plain(listener));
        }
        for listener in listeners.http.iter_mut().filter_map(OpenListener::serve) {
            let server = Arc::clone(&self.plain_server);
            self.drain.spawn(server.run_plain(listener));
        }
        let Some(store) = &site.store else {
            return;
        };
        for listener in listeners.https.iter_mut().filter_map(OpenListener::serve) {
            let server = Arc::clone(&self.public_server);
            self.drain
                .spawn(server.run_tls(listener, Arc::clone(store)));
        }
    }
}

fn origin(site: &Site) -> Checked<Dispatch> {
    let check = public::health_check(&site.config, &site.readiness);
    Checked::new(Arc::clone(&site.dispatch), check)
}

fn plain_http(site: &Site) -> Checked<Challenged<PlainHttp>> {
    let check = public::health_check(&site.config, &site.readiness);
    let store = site.store.as_ref();
    let plain = public::plain(&site.dispatch, &site.config, store);
    let challenges = store.map(|store| Arc::clone(store.challenges()));
    let plain = Challenged::new(plain, challenges);
    Checked::new(Arc::new(plain), check)
}
