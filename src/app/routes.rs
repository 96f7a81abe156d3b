//! Builds the route table: which path is answered by what.
//!
//! Used by the composition root alone. Without a `[frontend]` Django answers every path that nothing
//! else does, so a project without one needs no list of paths.

use std::path::Path;
use std::sync::Arc;

use tokio::time::Instant;

use super::shared::SharedParts;
use crate::config::{
    Config, FolderAccess, FolderConfig, FrontendConfig, Mode, SocketConfig, UpstreamAddress,
};
use crate::django::edge::{Edge, EdgeParts};
use crate::files::folder::Folder;
use crate::files::internal::InternalFolders;
use crate::hub::ServedRoutes;
use crate::proxy::StreamedPaths;
use crate::proxy::forward::{ForwardSettings, Forwarder, UpstreamKind};
use crate::proxy::intercept::Intercept;
use crate::proxy::route::RouteTable;
use crate::proxy::upstream::Upstream;
use crate::publish::piggyback::Piggyback;
use crate::server::by_permission::FilesByPermission;
use crate::server::route::Route;
use crate::server::upstream_handler::UpstreamHandler;
use crate::socket::{
    ConnectionLimits, HandedOver, OriginRule, SocketParts, SocketRoute, SocketSettings, TopicDesk,
    ViewRoute, ViewRoutes, Visitors,
};
use crate::telemetry::seldom::OncePerKey;

/// Never answered to the outside: Django's auth view lives here.
const RESERVED: &str = "/_gatepost/";
/// Kinds of refusals of which the log is told; there are fewer.
const MOST_KINDS: usize = 64;

/// Makes the routes of a configuration.
pub(super) struct Routes<'a> {
    pub(super) shared: &'a SharedParts,
    pub(super) config: &'a Config,
}

/// What an upstream may name, or hand over, in place of an answer.
struct BehindUpstreams {
    files: Arc<FilesByPermission>,
    streams: Arc<HandedOver>,
}

impl Routes<'_> {
    pub(super) fn table(&self) -> RouteTable<Arc<Route>> {
        let parts = Arc::new(self.socket_parts());
        let streams = HandedOver::new(Arc::clone(&parts), &self.shared.secrets);
        let behind = BehindUpstreams {
            files: Arc::new(self.files_by_permission()),
            streams: Arc::new(streams),
        };
        RouteTable::new(self.sockets(&parts), self.prefixes(&behind))
    }

    fn prefixes(&self, behind: &BehindUpstreams) -> Vec<(String, Arc<Route>)> {
        let (config, upstreams) = (self.config, &self.shared.upstreams);
        let forward = |to: &Upstream, kind| self.upstream(behind, to, kind);
        let django = forward(&upstreams.django, UpstreamKind::Django);
        let rest = match (&config.frontend, &upstreams.frontend) {
            (Some(FrontendConfig::Build { root, fallback }), _) => {
                self.folder("/", root, Some(fallback))
            }
            (_, Some(frontend)) => forward(frontend, frontend_kind(config.mode)),
            (_, None) => Arc::clone(&django),
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
        prefixes.extend(config.files.iter().map(|served| self.served(served)));
        for (route, upstream) in config.upstreams.iter().zip(&upstreams.further) {
            prefixes.push((route.path.clone(), forward(upstream, UpstreamKind::Plain)));
        }
        prefixes
    }

    fn served(&self, served: &FolderConfig) -> (String, Arc<Route>) {
        let route = match served.access {
            FolderAccess::Public => self.folder(&served.path, &served.root, None),
            FolderAccess::Internal => Arc::new(Route::Internal),
        };
        (served.path.clone(), route)
    }

    fn upstream(&self, behind: &BehindUpstreams, to: &Upstream, kind: UpstreamKind) -> Arc<Route> {
        Arc::new(Route::Upstream(UpstreamHandler {
            forwarder: self.forwarder(to, kind),
            files: Arc::clone(&behind.files),
            streams: Arc::clone(&behind.streams),
        }))
    }

    fn folder(&self, prefix: &str, root: &Path, fallback: Option<&String>) -> Arc<Route> {
        let folder = Folder::new(root.to_owned(), fallback.cloned()).sharing(&self.shared.files);
        Arc::new(Route::Folder {
            prefix: prefix.to_owned(),
            folder,
        })
    }

    fn files_by_permission(&self) -> FilesByPermission {
        let served = self.config.files.iter();
        let internal = served.filter(|folder| folder.access == FolderAccess::Internal);
        let folders = internal.map(|folder| (folder.path.clone(), folder.root.clone()));
        FilesByPermission {
            folders: InternalFolders::new(folders, &self.shared.files),
        }
    }

    fn forwarder(&self, to: &Upstream, kind: UpstreamKind) -> Forwarder {
        let (config, shared) = (self.config, self.shared);
        let intercept = (kind == UpstreamKind::Django).then(|| self.edge());
        let settings = ForwardSettings {
            upstream: to.clone(),
            kind,
            body_size: config.limits.body_size,
            body_timeout: config.limits.body_timeout,
            body_rate: config.limits.body_rate,
            buffering: shared.buffering.clone(),
            encoders: shared.encoders.clone(),
            streamed: match kind {
                UpstreamKind::DevServer => StreamedPaths::All,
                _ => StreamedPaths::Below(config.buffering.unbuffered.clone()),
            },
            intercept,
        };
        Forwarder::new(settings, shared.drain.clone())
    }

    fn edge(&self) -> Arc<dyn Intercept> {
        let shared = self.shared;
        Arc::new(Edge::new(EdgeParts {
            secrets: shared.secrets.clone(),
            naming: Arc::clone(&shared.naming),
            broker: Arc::clone(&shared.broker),
            piggyback: Piggyback::new(Arc::clone(&shared.intake)),
            leases: Arc::clone(shared.authority.leases()),
            lifecycle: Arc::clone(&shared.lifecycle),
            drain: shared.drain.clone(),
            queue: shared.queue.clone(),
        }))
    }

    fn sockets(&self, parts: &Arc<SocketParts>) -> Vec<(String, Arc<Route>)> {
        let route = |socket: &SocketConfig| {
            let origin = origin_rule(socket);
            let (path, parts) = (socket.path.as_str().into(), Arc::clone(parts));
            let route = SocketRoute {
                path,
                origin,
                echo: socket.echo,
                anonymous: socket.anonymous,
                presence: socket.presence == crate::config::PresenceNotice::On,
                view: socket.view,
                parts,
            };
            (socket.path.clone(), Arc::new(Route::Socket(route)))
        };
        self.config.sockets.iter().map(route).collect()
    }

    fn views(&self) -> ViewRoutes {
        let sockets = self.config.sockets.iter().filter(|socket| socket.view);
        let route = |socket: &SocketConfig| {
            let route = ViewRoute {
                origin: origin_rule(socket),
                anonymous: socket.anonymous,
            };
            (socket.path.clone(), route)
        };
        ViewRoutes::new(sockets.map(route).collect())
    }

    fn socket_parts(&self) -> SocketParts {
        let (config, shared) = (self.config, self.shared);
        let settings = SocketSettings {
            message_size: config.limits.message_size,
            message_rate: config.limits.message_rate,
            largest_frame: config.delivery.outbox_size,
            ping: config.delivery.ping,
            began: Instant::now(),
            write_timeout: config.limits.write_timeout,
        };
        SocketParts {
            authority: Arc::clone(&shared.authority),
            naming: Arc::clone(&shared.naming),
            lifecycle: Arc::clone(&shared.lifecycle),
            limits: ConnectionLimits::new(&config.limits, Arc::clone(&shared.places.connections)),
            throttle: Arc::clone(&shared.places.throttle),
            settings: Arc::new(settings),
            visitors: Visitors::new(Arc::clone(&shared.hub), Arc::clone(&shared.places.visitors)),
            topics: TopicDesk::new(
                Arc::clone(&shared.broker),
                &shared.secrets,
                Arc::clone(&shared.metrics),
            ),
            views: self.views(),
            metrics: Arc::clone(&shared.metrics),
            drain: shared.drain.clone(),
            logged: OncePerKey::new(MOST_KINDS),
        }
    }
}

fn frontend_kind(mode: Mode) -> UpstreamKind {
    match mode {
        Mode::Dev => UpstreamKind::DevServer,
        Mode::Production => UpstreamKind::Plain,
    }
}

/// The paths of socket routes.
pub(super) fn served(config: &Config) -> ServedRoutes {
    let sockets = config.sockets.iter();
    let table = RouteTable::new(
        sockets.map(|socket| (socket.path.clone(), ())).collect(),
        Vec::new(),
    );
    ServedRoutes::new(move |path| table.find(path).is_some())
}

fn origin_rule(socket: &SocketConfig) -> OriginRule {
    OriginRule {
        allowed: socket.allowed_origins.iter().cloned().collect(),
        required: socket.require_origin,
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
