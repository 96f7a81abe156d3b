//! Every counter of the gateway, as owned handles.
//!
//! Made once by the composition root; parts get the whole [`Metrics`] behind an `Arc`, `admin`
//! writes it as Prometheus text. Handles are kept, never looked up per message.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

pub use super::certificate_metrics::CertificateMetrics;
pub use super::history_metrics::HistoryMetrics;
pub use super::labels::{
    CodeLabel, KindLabel, OutcomeLabel, PiggybackLabel, PlaceLabel, ReasonLabel, UpstreamName,
};
pub use super::outbox_metrics::OutboxMetrics;
use super::series;
pub use super::span_counters::SpanCounters;

/// What is kept of requests and answers for slow clients, in bytes.
pub type BufferedBytes = Family<PlaceLabel, Gauge>;

/// The counters, `gatepost_…` in the exposition.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Live connections.
    pub connections: Gauge,
    /// Those of them that are responses, by form: `sse`, `ndjson`.
    pub streams: Family<KindLabel, Gauge>,
    /// Handshakes by outcome (`series::HANDSHAKES`).
    pub handshakes: Family<OutcomeLabel, Counter>,
    /// Closes that the gateway started, by code.
    pub closes: Family<CodeLabel, Counter>,
    /// Clients that were told to log in again and again, and were kept waiting for it.
    pub slowed: Counter,
    /// Auth calls to Django by outcome (`series::AUTH_CALLS`).
    pub auth_calls: Family<OutcomeLabel, Counter>,
    /// Calls to Django that gave no judgement, by what is wrong.
    pub diagnoses: Family<KindLabel, Counter>,
    /// Handshakes that wait for Django's judgement.
    pub auth_waiting: Gauge,
    /// Publications accepted.
    pub publications: Counter,
    /// Frames handed to connections: a publication counts once for each of them.
    pub frames: Counter,
    /// Topics by what came of them (`series::SUBSCRIPTIONS`).
    pub subscriptions: Family<OutcomeLabel, Counter>,
    /// Clients that came with a position: `recovered`, or `lost`, which were told to fetch anew.
    pub resumes: Family<OutcomeLabel, Counter>,
    /// What such clients can be given.
    pub history: HistoryMetrics,
    /// Words about who is present at a topic, each counted once for all who got it.
    pub presence: Counter,
    /// What came on Django's responses.
    pub piggybacked: Family<PiggybackLabel, Counter>,
    /// The transactional outbox.
    pub outbox: OutboxMetrics,
    /// Requests by outcome, which is the class of the status: `ok`, `client_error`, `server_error`.
    pub requests: Family<OutcomeLabel, Counter>,
    /// What is kept of requests and answers.
    pub buffered: BufferedBytes,
    /// Requests that the gateway refused itself, by the code of the answer.
    pub refused: Family<ReasonLabel, Counter>,
    /// Requests that wait for a place at Django: `known` sessions', `anonymous` ones.
    pub queue_waiting: Family<KindLabel, Gauge>,
    /// Requests that waited for too long.
    pub queue_timeouts: Family<KindLabel, Counter>,
    /// 1 while there is maintenance.
    pub maintenance: Gauge,
    /// 1 while there is a pause.
    pub paused: Gauge,
    /// Requests that wait for its end.
    pub pause_waiting: Gauge,
    /// The certificates that are served.
    pub certificates: CertificateMetrics,
    /// Reloads by outcome: `done`, `refused`.
    pub reloads: Family<OutcomeLabel, Counter>,
    /// New programs in this one's place by outcome: `done` (counted by the new one), `failed`.
    pub upgrades: Family<OutcomeLabel, Counter>,
    /// Starts of Django's server after the first, where the gateway runs it.
    pub app_restarts: Counter,
    /// Lines of the access log that could not be written.
    pub access_lines_lost: Counter,
    /// Requests that were sent to an upstream again, since a connection broke before an answer came.
    pub upstream_retries: Family<UpstreamName, Counter>,
    /// Spans for a collector.
    pub spans: SpanCounters,
}

impl Metrics {
    /// Counts the requests that were sent to one upstream again.
    pub fn retries_of(&self, upstream: &str) -> Counter {
        let name = UpstreamName {
            upstream: upstream.to_owned(),
        };
        self.upstream_retries.get_or_create_owned(&name)
    }

    /// Names every counter in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        self.begin_at_nought();
        let r = registry.sub_registry_with_prefix("gatepost");
        self.register_sockets(r);
        self.register_judgements(r);
        r.register(
            "auth_waiting",
            "Handshakes that wait for Django's judgement",
            self.auth_waiting.clone(),
        );
        r.register(
            "publications",
            "Publications accepted",
            self.publications.clone(),
        );
        r.register(
            "frames",
            "Frames handed to connections",
            self.frames.clone(),
        );
        r.register(
            "piggybacked",
            "What came on responses of Django, by kind and outcome",
            self.piggybacked.clone(),
        );
        self.outbox.register(r);
        self.register_buffers(r);
        self.register_queue(r);
        self.register_server(r);
        self.register_operations(r);
        r.register("requests", "Requests by outcome", self.requests.clone());
        r.register(
            "refused",
            "Requests that the gateway refused itself, by code",
            self.refused.clone(),
        );
        r.register(
            "upstream_retries",
            "Requests that were sent to an upstream again",
            self.upstream_retries.clone(),
        );
    }

    /// Shows the series that are known before anything is counted.
    fn begin_at_nought(&self) {
        let outcomes = |family: &Family<OutcomeLabel, Counter>, known: &[&'static str]| {
            for &outcome in known {
                drop(family.get_or_create(&OutcomeLabel { outcome }));
            }
        };
        outcomes(&self.handshakes, &series::HANDSHAKES);
        outcomes(&self.auth_calls, &series::AUTH_CALLS);
        outcomes(&self.subscriptions, &series::SUBSCRIPTIONS);
        outcomes(&self.resumes, &series::RESUMES);
        outcomes(&self.outbox.pulls, &series::PULLS);
        outcomes(&self.outbox.items, &series::ITEMS);
        for kind in series::STREAMS {
            drop(self.streams.get_or_create(&KindLabel { kind }));
        }
        outcomes(&self.reloads, &["done", "refused"]);
        outcomes(&self.upgrades, &["done", "failed"]);
        for kind in series::QUEUED {
            drop(self.queue_waiting.get_or_create(&KindLabel { kind }));
            drop(self.queue_timeouts.get_or_create(&KindLabel { kind }));
        }
        for code in series::CLOSES {
            drop(self.closes.get_or_create(&CodeLabel { code }));
        }
        for reason in series::REFUSED {
            drop(self.refused.get_or_create(&ReasonLabel { reason }));
        }
        for what in series::PIGGYBACKED {
            for outcome in series::PIGGYBACK_OUTCOMES {
                let label = PiggybackLabel { what, outcome };
                drop(self.piggybacked.get_or_create(&label));
            }
        }
    }

    fn register_operations(&self, r: &mut Registry) {
        r.register("reloads", "Reloads by outcome", self.reloads.clone());
        let (upgrades, help) = (self.upgrades.clone(), "New programs by outcome");
        r.register("upgrades", help, upgrades);
        r.register("maintenance", "1 in maintenance", self.maintenance.clone());
        r.register("paused", "1 while there is a pause", self.paused.clone());
        r.register(
            "pause_waiting",
            "Requests that wait for the end of a pause",
            self.pause_waiting.clone(),
        );
    }

    fn register_server(&self, r: &mut Registry) {
        self.certificates.register(r);
        r.register(
            "app_restarts",
            "Starts of Django's server after the first, where the gateway runs it",
            self.app_restarts.clone(),
        );
        self.spans.register(r);
        r.register(
            "access_lines_lost",
            "Lines of the access log that could not be written",
            self.access_lines_lost.clone(),
        );
    }

    fn register_buffers(&self, r: &mut Registry) {
        r.register(
            "buffered_bytes",
            "What is kept of requests and answers for slow clients",
            self.buffered.clone(),
        );
    }

    fn register_queue(&self, r: &mut Registry) {
        r.register(
            "queue_waiting",
            "Requests that wait for a place at Django",
            self.queue_waiting.clone(),
        );
        r.register(
            "queue_timeouts",
            "Requests that waited for a place at Django for too long",
            self.queue_timeouts.clone(),
        );
    }

    fn register_sockets(&self, r: &mut Registry) {
        r.register("connections", "Live connections", self.connections.clone());
        r.register(
            "streams",
            "Live connections that are responses, by form",
            self.streams.clone(),
        );
        r.register(
            "handshakes",
            "Handshakes by outcome",
            self.handshakes.clone(),
        );
        r.register(
            "closes",
            "Closes the gateway started, by code",
            self.closes.clone(),
        );
        r.register(
            "subscriptions",
            "Topics that connections asked for or lost, by outcome",
            self.subscriptions.clone(),
        );
        r.register(
            "resumes",
            "Clients that came with a position, by whether they got all that they missed",
            self.resumes.clone(),
        );
        self.history.register(r);
        r.register(
            "presence",
            "Words about who is present at a topic, each counted once for all who got it",
            self.presence.clone(),
        );
        r.register(
            "slowed",
            "Closes 4001 that were held back, since the client loops",
            self.slowed.clone(),
        );
    }

    fn register_judgements(&self, r: &mut Registry) {
        r.register(
            "auth_calls",
            "Auth calls to Django by outcome",
            self.auth_calls.clone(),
        );
        r.register(
            "diagnoses",
            "Calls to Django that gave no judgement, by what is wrong",
            self.diagnoses.clone(),
        );
    }
}
