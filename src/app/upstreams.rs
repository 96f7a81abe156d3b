//! The upstreams of a configuration.
//!
//! Made before the routes, which share them. A reload keeps those that it does not change: their connections, what
//! is known of their addresses, and the count of requests under way, which is bounded over a reload too.

use crate::config::{Config, FrontendConfig, UpstreamAddress};
use crate::net::drain::DrainWatch;
use crate::proxy::upstream::{Upstream, UpstreamSettings};
use crate::telemetry::metrics::Metrics;

/// The upstreams of a configuration. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Upstreams {
    pub(super) django: Upstream,
    /// Where a server answers the paths that nothing else does.
    pub(super) frontend: Option<Upstream>,
    /// Of `[[upstreams]]`; people call them by their paths.
    pub(super) further: Vec<Upstream>,
}

/// Makes those of a configuration.
struct Maker<'a> {
    config: &'a Config,
    metrics: &'a Metrics,
    drain: &'a DrainWatch,
}

impl Upstreams {
    /// All of them, where there are none yet.
    pub(super) fn first(config: &Config, metrics: &Metrics, drain: &DrainWatch) -> Self {
        let maker = Maker {
            config,
            metrics,
            drain,
        };
        maker.all(&[])
    }

    /// All of the next configuration; the same as before where nothing about one is new.
    pub(super) fn next(&self, config: &Config, metrics: &Metrics, drain: &DrainWatch) -> Self {
        let maker = Maker {
            config,
            metrics,
            drain,
        };
        let django = std::iter::once(&self.django);
        let all = django.chain(&self.frontend).chain(&self.further);
        maker.all(&all.collect::<Vec<_>>())
    }
}

impl Maker<'_> {
    fn all(&self, before: &[&Upstream]) -> Upstreams {
        let config = self.config;
        let one = |name: &str, addresses: &[UpstreamAddress]| self.one(before, name, addresses);
        let frontend = match &config.frontend {
            Some(FrontendConfig::Upstream(addresses)) => Some(one("frontend", addresses)),
            _ => None,
        };
        let further = config.upstreams.iter();
        Upstreams {
            django: one("django", &config.django.upstream),
            frontend,
            further: further.map(|to| one(&to.path, &to.upstream)).collect(),
        }
    }

    fn one(&self, before: &[&Upstream], name: &str, addresses: &[UpstreamAddress]) -> Upstream {
        let settings = UpstreamSettings {
            name: name.to_owned(),
            addresses: addresses.to_vec(),
            connect_timeout: self.config.limits.upstream_connect_timeout,
            timeout: self.config.limits.upstream_timeout,
            hold: self.config.django.hold,
        };
        if let Some(kept) = before.iter().find(|one| *one.settings() == settings) {
            return (*kept).clone();
        }
        let retries = self.metrics.retries_of(name);
        Upstream::new(settings, retries, self.drain.clone())
    }
}
