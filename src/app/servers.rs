//! What serves clients for as long as the gateway lives: one server for each kind of listener, whose handlers a
//! reload replaces.
//!
//! Made and kept by the composition root.

use std::sync::Arc;

use super::generation::Generation;
use super::limits;
use super::listeners::{Listeners, OpenListener};
use super::public;
use crate::net::descriptors::DescriptorShares;
use crate::net::drain::{Drain, DrainWatch};
use crate::server::challenged::Challenged;
use crate::server::current::CurrentHandler;
use crate::server::dispatch::Dispatch;
use crate::server::health::Checked;
use crate::server::internal::Internal;
use crate::server::plain::PlainHttp;
use crate::server::serve::Server;

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
    /// Answers by this generation, at no listener yet. The internal listener ends by a drain of its own.
    pub(super) fn new(
        generation: &Generation,
        shares: DescriptorShares,
        [drain, internal_drain]: [&Drain; 2],
    ) -> Self {
        let (drain, internal_drain) = (drain.watch(), internal_drain.watch());
        let [limits, own] = limits::of_listeners(&generation.config.limits, shares);
        let origin = Arc::new(CurrentHandler::new(Arc::new(origin(generation))));
        let plain = Arc::new(CurrentHandler::new(Arc::new(plain_http(generation))));
        let internal = Arc::new(CurrentHandler::new(Arc::clone(&generation.internal)));
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
        servers.limit(generation);
        servers
    }

    /// Has the next request answered by this generation, and the next client served within its limits.
    pub(super) fn adopt(&self, generation: &Generation) {
        self.limit(generation);
        self.origin.replace(Arc::new(origin(generation)));
        self.plain.replace(Arc::new(plain_http(generation)));
        self.internal.replace(Arc::clone(&generation.internal));
    }

    fn limit(&self, generation: &Generation) {
        let config = &generation.config;
        let (proxies, introduced) = (&config.server.proxies, config.server.proxy_protocol);
        let [limits, own] = limits::of_listeners(&config.limits, self.shares);
        self.public_server.adopt(limits, proxies, introduced);
        self.plain_server.adopt(limits, proxies, introduced);
        let nobody = crate::config::ProxiesConfig::default();
        self.internal_server.adopt(own, &nobody, false);
    }

    /// Accepts clients from all listeners that nobody accepts from yet.
    pub(super) fn serve(&self, listeners: &mut Listeners, generation: &Generation) {
        if let Some(listener) = listeners.internal.as_mut().and_then(OpenListener::serve) {
            let server = Arc::clone(&self.internal_server);
            self.internal_drain.spawn(server.run_plain(listener));
        }
        for listener in listeners.http.iter_mut().filter_map(OpenListener::serve) {
            let server = Arc::clone(&self.plain_server);
            self.drain.spawn(server.run_plain(listener));
        }
        let Some(store) = &generation.store else {
            return;
        };
        for listener in listeners.https.iter_mut().filter_map(OpenListener::serve) {
            let server = Arc::clone(&self.public_server);
            self.drain
                .spawn(server.run_tls(listener, Arc::clone(store)));
        }
    }
}

fn origin(generation: &Generation) -> Checked<Dispatch> {
    let check = public::health_check(&generation.config, &generation.readiness);
    Checked::new(Arc::clone(&generation.dispatch), check)
}

fn plain_http(generation: &Generation) -> Checked<Challenged<PlainHttp>> {
    let check = public::health_check(&generation.config, &generation.readiness);
    let plain = public::plain(&generation.dispatch, &generation.config);
    let store = generation.store.as_ref();
    let challenges = store.map(|store| Arc::clone(store.challenges()));
    let plain = Challenged::new(plain, challenges);
    Checked::new(Arc::new(plain), check)
}
