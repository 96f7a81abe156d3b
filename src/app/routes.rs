//! Builds the route table: which path is answered by what.
//!
//! Used by the composition root alone. The surprise: without a `[frontend]` Django answers every path
//! that nothing else does, so a project without one needs no list of paths.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Shared;
use crate::config::{Config, FrontendConfig, Mode, UpstreamAddress};
use crate::django::edge::{Edge, EdgeParts};
use crate::files::folder::Folder;
use crate::proxy::StreamedPaths;
use crate::proxy::forward::{ForwardSettings, Forwarder, UpstreamKind};
use crate::proxy::intercept::Intercept;
use crate::proxy::route::RouteTable;
use crate::proxy::upstream::{Upstream, UpstreamSettings};
use crate::publish::riding::Riding;
use crate::server::dispatch::Route;
use crate::socket::{Entrance, OriginRule, Slowing, SocketParts, SocketRoute, SocketSettings};

/// Never answered to the outside: Django's auth view lives here.
const RESERVED: &str = "/_gatepost/";

impl Shared {
    pub(super) fn routes(&self, config: &Config) -> RouteTable<Arc<Route>> {
        RouteTable::new(self.sockets(config), self.prefixes(config))
    }

    fn prefixes(&self, config: &Config) -> Vec<(String, Arc<Route>)> {
        let forward = |name: &str, addresses: &[UpstreamAddress], kind| {
            Arc::new(Route::Upstream(self.forwarder(
                config,
                (name, addresses),
                kind,
            )))
        };
        let django = forward("django", &config.django.upstream, UpstreamKind::Django);
        let rest = match &config.frontend {
            None => Arc::clone(&django),
            Some(FrontendConfig::Upstream(addresses)) => {
                let kind = match config.mode {
                    Mode::Dev => UpstreamKind::DevServer,
                    Mode::Production => UpstreamKind::Plain,
                };
                forward("frontend", addresses, kind)
            }
            Some(FrontendConfig::Build { root, fallback }) => {
                self.folder("/", root, Some(fallback))
            }
        };
        let mut prefixes = vec![
            (RESERVED.to_owned(), Arc::new(Route::Reserved)),
            ("/".to_owned(), rest),
        ];
        for path in &config.django.paths {
            // "/" among Django's paths wins over a frontend, which then answers nothing.
            prefixes.retain(|(other, _)| other != path);
            prefixes.push((path.clone(), Arc::clone(&django)));
        }
        for served in &config.files {
            prefixes.push((
                served.path.clone(),
                self.folder(&served.path, &served.root, None),
            ));
        }
        for further in &config.upstreams {
            let route = forward(&further.path, &further.upstream, UpstreamKind::Plain);
            prefixes.push((further.path.clone(), route));
        }
        prefixes
    }

    fn folder(&self, prefix: &str, root: &Path, fallback: Option<&String>) -> Arc<Route> {
        let folder = Folder::new(root.to_owned(), fallback.cloned()).sharing(&self.files);
        Arc::new(Route::Folder {
            prefix: prefix.to_owned(),
            folder,
        })
    }

    fn forwarder(
        &self,
        config: &Config,
        (name, addresses): (&str, &[UpstreamAddress]),
        kind: UpstreamKind,
    ) -> Forwarder {
        let settings = UpstreamSettings {
            name: name.to_owned(),
            addresses: addresses.to_vec(),
            connect_timeout: config.limits.upstream_connect_timeout,
            timeout: config.limits.upstream_timeout,
            hold: config.django.hold,
        };
        let intercept = (kind == UpstreamKind::Django).then(|| self.edge());
        let settings = ForwardSettings {
            upstream: Upstream::new(settings, self.drain.clone()),
            kind,
            body_size: config.limits.body_size,
            body_timeout: config.limits.body_timeout,
            body_rate: config.limits.body_rate,
            buffering: self.buffering.clone(),
            streamed: match kind {
                UpstreamKind::DevServer => StreamedPaths::All,
                _ => StreamedPaths::Below(config.buffering.unbuffered.clone()),
            },
            intercept,
        };
        Forwarder::new(settings, self.drain.clone())
    }

    fn edge(&self) -> Arc<dyn Intercept> {
        Arc::new(Edge::new(EdgeParts {
            secrets: self.secrets.clone(),
            naming: Arc::clone(&self.naming),
            hub: Arc::clone(&self.hub),
            riding: Riding::new(Arc::clone(&self.intake)),
            leases: Arc::clone(self.authority.leases()),
            lifecycle: Arc::clone(&self.lifecycle),
            drain: self.drain.clone(),
        }))
    }

    fn sockets(&self, config: &Config) -> Vec<(String, Arc<Route>)> {
        let parts = Arc::new(self.socket_parts(config));
        let route = |socket: &crate::config::SocketConfig| {
            let origin = OriginRule {
                allowed: socket.allowed_origins.iter().cloned().collect(),
                required: socket.require_origin,
            };
            let (path, parts) = (socket.path.as_str().into(), Arc::clone(&parts));
            let route = SocketRoute {
                path,
                origin,
                echo: socket.echo,
                parts,
            };
            (socket.path.clone(), Arc::new(Route::Socket(route)))
        };
        config.sockets.iter().map(route).collect()
    }

    fn socket_parts(&self, config: &Config) -> SocketParts {
        let settings = SocketSettings {
            message_size: config.limits.message_size,
            message_rate: config.limits.message_rate,
            largest_frame: config.delivery.outbox_size,
            ping: config.delivery.ping,
            began: Instant::now(),
            write_timeout: config.limits.write_timeout,
        };
        SocketParts {
            authority: Arc::clone(&self.authority),
            naming: Arc::clone(&self.naming),
            lifecycle: Arc::clone(&self.lifecycle),
            entrance: Arc::new(Entrance::new(&config.limits)),
            slowing: Slowing::new(Arc::clone(&self.metrics)),
            settings: Arc::new(settings),
            metrics: Arc::clone(&self.metrics),
            drain: self.drain.clone(),
            told: Mutex::default(),
        }
    }
}

/// Whether a developer is alone with the gateway: nothing behind it is on another machine.
pub(super) fn is_all_local(config: &Config) -> bool {
    let frontend = match &config.frontend {
        Some(FrontendConfig::Upstream(addresses)) => addresses.as_slice(),
        _ => &[],
    };
    let further = config.upstreams.iter().flat_map(|route| &route.upstream);
    let mut all = config.django.upstream.iter().chain(frontend).chain(further);
    config.mode == Mode::Dev && all.all(UpstreamAddress::is_on_loopback)
}
