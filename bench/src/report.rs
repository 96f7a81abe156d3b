//! What is measured, what it may cost, and the table of what it did cost.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One line of the table.
pub(crate) struct Measure {
    /// What `--only` takes; the part after a dot is detail of the part before.
    pub(crate) name: &'static str,
    what: &'static str,
    unit: &'static str,
    /// From the first release on.
    at_first: Option<f64>,
    /// Where it is going.
    goal: Option<f64>,
}

const fn budget(
    name: &'static str,
    what: &'static str,
    unit: &'static str,
    [at_first, goal]: [Option<f64>; 2],
) -> Measure {
    Measure {
        name,
        what,
        unit,
        at_first,
        goal,
    }
}

const fn detail(name: &'static str, what: &'static str, unit: &'static str) -> Measure {
    Measure {
        name,
        what,
        unit,
        at_first: None,
        goal: None,
    }
}

/// Everything that is measured, in the order of the table.
pub(crate) const MEASURES: &[Measure] = &[
    budget(
        "idle-memory",
        "per idle authenticated connection",
        "KiB",
        [Some(16.0), Some(10.0)],
    ),
    detail("idle-memory.limit", "  of the limit program", "KiB"),
    budget(
        "burst-memory",
        "the same after 8 frames of 1 KiB, idle again",
        "KiB",
        [Some(20.0), Some(11.0)],
    ),
    budget(
        "broadcast",
        "CPU per broadcast frame of 200 B",
        "x limit",
        [Some(1.5), Some(1.2)],
    ),
    detail("broadcast.cpu", "  of the gateway", "us"),
    detail("broadcast.limit", "  of the limit program", "us"),
    detail("broadcast.last", "  time to the last socket", "ms"),
    budget(
        "queued",
        "the same when 8 frames wait for each socket",
        "x limit",
        [Some(0.4), Some(0.25)],
    ),
    detail("queued.cpu", "  of the gateway", "us"),
    budget(
        "targeted",
        "CPU per targeted publish, single POSTs kept alive",
        "us",
        [Some(45.0), Some(26.0)],
    ),
    budget(
        "ndjson",
        "CPU per targeted publish, NDJSON of 500",
        "us",
        [None, Some(15.0)],
    ),
    budget(
        "connect",
        "CPU per TLS connect with an auth call",
        "ms",
        [Some(0.35), Some(0.25)],
    ),
    detail("connect.rate", "  connects per CPU second", "1/s"),
    detail(
        "connect.limit",
        "  of the limit program, without auth call",
        "ms",
    ),
    budget(
        "idle-cpu",
        "idle CPU, pings included",
        "%",
        [Some(1.0), Some(0.3)],
    ),
    budget(
        "latency",
        "publish to receipt, idle, p50",
        "ms",
        [Some(1.0), Some(0.4)],
    ),
    detail("latency.p99", "  p99", "ms"),
    budget(
        "busy-latency",
        "the same at 10,000 publications a second, p99",
        "ms",
        [Some(25.0), None],
    ),
    detail("busy-latency.p50", "  p50", "ms"),
    budget(
        "topic-memory",
        "per subscription, 5 for each socket",
        "KiB",
        [Some(0.5), None],
    ),
    budget(
        "topic-one",
        "CPU per publish to a topic with one listener",
        "us",
        [Some(26.0), None],
    ),
    budget(
        "topic-all",
        "CPU per frame of a topic that all listen to",
        "x limit",
        [Some(1.35), None],
    ),
    detail("topic-all.cpu", "  of the gateway", "us"),
    budget(
        "stalled",
        "kernel memory of 1,000 sockets that stop reading",
        "MiB",
        [Some(100.0), Some(100.0)],
    ),
    budget(
        "stalled.gateway",
        "  the gateway's own",
        "MiB",
        [Some(100.0), None],
    ),
    detail("stalled.closed", "  closed, of 1,000", ""),
    budget(
        "stalled.lost",
        "  frames lost or doubled when they are back",
        "",
        [Some(0.0), None],
    ),
    budget(
        "stalled-streams",
        "the same of 1,000 event streams",
        "MiB",
        [Some(100.0), Some(100.0)],
    ),
    budget(
        "stalled-streams.gateway",
        "  the gateway's own",
        "MiB",
        [Some(150.0), None],
    ),
    detail("stalled-streams.closed", "  closed, of 1,000", ""),
    budget(
        "stalled-streams.lost",
        "  frames lost or doubled when they are back",
        "",
        [Some(0.0), None],
    ),
    budget(
        "stalled-own",
        "the same of both, each with frames of its own",
        "MiB",
        [Some(100.0), Some(100.0)],
    ),
    budget(
        "stalled-own.gateway",
        "  the gateway's own",
        "MiB",
        [Some(400.0), None],
    ),
    detail("stalled-own.closed", "  closed, of 1,000", ""),
    budget(
        "stalled-own.lost",
        "  lost in silence or doubled",
        "",
        [Some(0.0), None],
    ),
    budget(
        "storm",
        "requests to Django when all sockets come back, batch view",
        "",
        [Some(20.0), None],
    ),
    detail("storm.time", "  until all are connected", "s"),
    budget(
        "storm-single",
        "the same without a batch view",
        "",
        [Some(2000.0), None],
    ),
    budget(
        "storm-pages",
        "the same after a page of each session",
        "",
        [Some(0.0), None],
    ),
    budget(
        "storm-restart",
        "the same after a restart in order (lease file)",
        "",
        [Some(0.0), None],
    ),
    budget(
        "storm-views",
        "requests to Django when 10,000 sessions come back by views, with the batch",
        "",
        [Some(120.0), None],
    ),
    budget(
        "storm-tokens",
        "the same by 2,000 sessions with tokens of two topics",
        "",
        [Some(20.0), None],
    ),
    detail(
        "storm-tokens.sessions",
        "  by 10,000 sessions (at most 500 a request)",
        "",
    ),
    budget(
        "logout",
        "logout leaves Django to close frame, p99",
        "ms",
        [Some(20.0), None],
    ),
    detail("logout.p50", "  p50", "ms"),
    budget(
        "revalidate",
        "requests to Django to check every session again",
        "",
        [Some(20.0), None],
    ),
    detail(
        "revalidate.share",
        "  the longest pause between two, of the interval",
        "%",
    ),
    budget(
        "proxy-h1",
        "CPU per small proxied request, HTTP/1.1 over TLS",
        "x nginx",
        [Some(1.4), Some(1.0)],
    ),
    detail("proxy-h1.cpu", "  of the gateway", "us"),
    detail("proxy-h1.nginx", "  of nginx", "us"),
    budget(
        "proxy-h2",
        "CPU per small proxied request, HTTP/2 over TLS",
        "x nginx",
        [Some(1.8), Some(1.2)],
    ),
    detail("proxy-h2.cpu", "  of the gateway", "us"),
    detail("proxy-h2.nginx", "  of nginx", "us"),
    budget(
        "file-1k",
        "CPU per file of 1 KiB, HTTP/1.1 over TLS",
        "x nginx",
        [Some(2.0), Some(1.2)],
    ),
    detail("file-1k.cpu", "  of the gateway", "us"),
    detail("file-1k.nginx", "  of nginx", "us"),
    budget(
        "file-1k-h2",
        "the same over HTTP/2",
        "x nginx",
        [Some(2.0), Some(1.2)],
    ),
    detail("file-1k-h2.cpu", "  of the gateway", "us"),
    detail("file-1k-h2.nginx", "  of nginx", "us"),
    budget(
        "file-100k",
        "CPU per file of 100 KiB, HTTP/1.1 over TLS",
        "x nginx",
        [Some(1.5), Some(1.2)],
    ),
    detail("file-100k.cpu", "  of the gateway", "us"),
    detail("file-100k.nginx", "  of nginx", "us"),
    budget(
        "file-10m",
        "CPU per file of 10 MiB, HTTP/1.1 over TLS",
        "x nginx",
        [Some(1.0), Some(0.8)],
    ),
    detail("file-10m.cpu", "  of the gateway", "us"),
    detail("file-10m.nginx", "  of nginx", "us"),
    budget(
        "handshake",
        "CPU per full TLS handshake and request, X25519",
        "x nginx",
        [Some(0.7), Some(0.5)],
    ),
    detail("handshake.cpu", "  of the gateway", "us"),
    detail("handshake.nginx", "  of nginx", "us"),
    detail(
        "handshake.hybrid",
        "  of the gateway with X25519MLKEM768",
        "us",
    ),
    budget(
        "download",
        "CPU per GiB downloaded over TLS",
        "x nginx",
        [Some(1.0), Some(0.6)],
    ),
    detail("download.cpu", "  of the gateway", "s"),
    detail("download.nginx", "  of nginx", "s"),
    budget(
        "upload",
        "CPU per GiB uploaded over TLS",
        "x nginx",
        [Some(1.0), Some(0.6)],
    ),
    detail("upload.cpu", "  of the gateway", "s"),
    detail("upload.nginx", "  of nginx (buffers requests)", "s"),
    detail(
        "upload.unbuffered",
        "  of nginx, proxy_request_buffering off",
        "s",
    ),
    budget(
        "compress",
        "CPU: 50 KiB of HTML, as browsers take it",
        "x nginx",
        [Some(1.0), Some(0.8)],
    ),
    detail("compress.cpu", "  of the gateway", "us"),
    detail(
        "compress.nginx",
        "  of nginx, gzip at its default level",
        "us",
    ),
    budget(
        "compress-size",
        "bytes: 50 KiB of HTML, as browsers take it",
        "x nginx",
        [Some(1.0), None],
    ),
    detail("compress-size.ours", "  of the gateway", "B"),
    detail(
        "compress-size.nginx",
        "  of nginx, gzip at its default level",
        "B",
    ),
    budget(
        "compress-gzip",
        "CPU: 50 KiB of HTML, gzip alone",
        "x nginx",
        [Some(1.0), Some(0.8)],
    ),
    detail("compress-gzip.cpu", "  of the gateway", "us"),
    detail(
        "compress-gzip.nginx",
        "  of nginx, gzip at its default level",
        "us",
    ),
    budget(
        "compress-gzip-size",
        "bytes: 50 KiB of HTML, gzip alone",
        "x nginx",
        [Some(1.0), None],
    ),
    detail("compress-gzip-size.ours", "  of the gateway", "B"),
    detail(
        "compress-gzip-size.nginx",
        "  of nginx, gzip at its default level",
        "B",
    ),
    budget(
        "compress-br",
        "CPU: 50 KiB of HTML, br",
        "x nginx",
        [None, None],
    ),
    detail("compress-br.cpu", "  of the gateway", "us"),
    detail(
        "compress-br.nginx",
        "  of nginx, gzip at its default level",
        "us",
    ),
    budget(
        "compress-br-size",
        "bytes: 50 KiB of HTML, br",
        "x nginx",
        [Some(1.0), None],
    ),
    detail("compress-br-size.ours", "  of the gateway", "B"),
    detail(
        "compress-br-size.nginx",
        "  of nginx, gzip at its default level",
        "B",
    ),
    budget(
        "behind",
        "CPU per small proxied request behind a trusted proxy",
        "x direct",
        [Some(1.03), Some(1.03)],
    ),
    detail("behind.cpu", "  behind it", "us"),
    detail("behind.direct", "  without", "us"),
    budget(
        "buffered",
        "CPU per small proxied request that is buffered",
        "x streamed",
        [Some(1.03), Some(1.03)],
    ),
    detail("buffered.cpu", "  buffered", "us"),
    detail("buffered.off", "  streamed", "us"),
    budget(
        "slow-uploads",
        "slowest page beside 5,000 idle uploads, one worker",
        "ms",
        [Some(1000.0), Some(100.0)],
    ),
    detail("slow-uploads.there", "  uploads that were still there", ""),
    budget(
        "slow-downloads",
        "the same beside 5,000 sipping downloads",
        "ms",
        [Some(1000.0), Some(100.0)],
    ),
    detail(
        "slow-downloads.there",
        "  downloads that were still there",
        "",
    ),
];

/// The samples of one run.
#[derive(Default)]
pub(crate) struct Report {
    samples: BTreeMap<&'static str, Vec<f64>>,
}

impl Report {
    /// Takes one sample, and shows it at once: a long run should not be silent.
    pub(crate) fn sample(&mut self, name: &'static str, value: f64) {
        eprintln!("  {name:<20} {value:.3}");
        self.samples.entry(name).or_default().push(value);
    }

    /// The table, one row a measure that has samples.
    pub(crate) fn table(&self) -> String {
        let mut table = format!(
            "{:<52} {:>9} {:>19}  {:<8} {:>7} {:>6}  {:<8} command\n",
            "measure", "median", "min - max", "unit", "budget", "goal", "verdict"
        );
        for measure in MEASURES {
            if let Some(samples) = self.samples.get(measure.name) {
                // Writing to a String cannot fail.
                let _ = writeln!(table, "{}", measure.row(samples));
            }
        }
        table
    }

    /// The table of two gateways that were measured in turns: this one, and `other`.
    pub(crate) fn table_beside(&self, other: &Self) -> String {
        let mut table = format!(
            "{:<52} {:>9} {:>19} {:>9} {:>19} {:>6}  unit\n",
            "measure", "other", "min - max", "this", "min - max", "ratio"
        );
        for measure in MEASURES {
            let reports = [other, self].map(|report| report.samples.get(measure.name));
            if let [Some(theirs), Some(ours)] =
                reports.map(|samples| samples.map(|all| Spread::of(all)))
            {
                let [was, is] = [&theirs, &ours].map(Spread::columns);
                let ratio = ours.median / theirs.median;
                let (what, unit) = (measure.what, measure.unit);
                // Writing to a String cannot fail.
                let _ = writeln!(table, "{what:<52} {was} {is} {ratio:>6.2}  {unit}");
            }
        }
        table
    }
}

/// Where samples lie.
struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    fn of(samples: &[f64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self {
            least: sorted.first().copied().unwrap_or(f64::NAN),
            median: median(&sorted),
            most: sorted.last().copied().unwrap_or(f64::NAN),
        }
    }

    fn columns(&self) -> String {
        let range = format!("{} - {}", short(self.least), short(self.most));
        format!("{:>9} {range:>19}", short(self.median))
    }
}

impl Measure {
    fn row(&self, samples: &[f64]) -> String {
        let spread = Spread::of(samples);
        let limit = |value: Option<f64>| value.map_or(String::new(), |value| format!("<={value}"));
        let command = match self.name.split_once('.') {
            Some(_) => String::new(),
            None => format!("bench/run --only {}", self.name),
        };
        let row = format!(
            "{:<52} {}  {:<8} {:>7} {:>6}  {:<8} {command}",
            self.what,
            spread.columns(),
            self.unit,
            limit(self.at_first),
            limit(self.goal),
            self.verdict(spread.median),
        );
        row.trim_end().to_owned()
    }

    fn verdict(&self, value: f64) -> &'static str {
        match (self.at_first, self.goal) {
            (_, Some(goal)) if value <= goal => "goal",
            (Some(budget), _) if value <= budget => "ok",
            (Some(_), _) => "OVER",
            (None, Some(_)) => "not yet",
            (None, None) => "",
        }
    }
}

/// The middle of sorted samples.
pub(crate) fn median(sorted: &[f64]) -> f64 {
    let (low, high) = (sorted.len().saturating_sub(1) / 2, sorted.len() / 2);
    match (sorted.get(low), sorted.get(high)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => f64::NAN,
    }
}

/// Three digits that matter.
fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{MEASURES, Report, median};

    #[test]
    fn the_table_says_which_budget_is_missed() {
        let mut report = Report::default();
        report.sample("idle-memory", 16.1);
        report.sample("targeted", 44.0);
        report.sample("connect", 0.2);
        let table = report.table();
        let rows = || table.lines().skip(1);
        let verdicts = ["OVER", "ok", "goal"].map(|verdict| {
            rows()
                .filter(|row| row.contains(&format!(" {verdict} ")))
                .count()
        });
        assert_eq!(verdicts, [1, 1, 1], "{table}");
    }

    #[test]
    fn two_gateways_stand_side_by_side_where_both_were_measured() {
        let (mut old, mut new) = (Report::default(), Report::default());
        for (was, is) in [(10.0, 11.0), (12.0, 12.0), (14.0, 16.0)] {
            old.sample("targeted", was);
            new.sample("targeted", is);
        }
        new.sample("stalled", 90.0);
        let table = new.table_beside(&old);
        let row = table.lines().nth(1).unwrap();
        let words: Vec<_> = row.split_whitespace().rev().take(10).collect();
        let expected = "12.0 10.0 - 14.0 12.0 11.0 - 16.0 1.00 us";
        assert!(row.ends_with("1.00  us"), "{row}");
        assert_eq!(
            words.into_iter().rev().collect::<Vec<_>>().join(" "),
            expected
        );
        assert_eq!(table.lines().count(), 2, "{table}");
    }

    #[test]
    fn every_detail_belongs_to_a_measure() {
        let has = |name| MEASURES.iter().any(|measure| measure.name == name);
        for measure in MEASURES {
            assert!(
                has(measure.name.split('.').next().unwrap()),
                "{}",
                measure.name
            );
        }
    }

    #[test]
    fn the_median_of_an_even_count_lies_between() {
        assert!((median(&[1.0, 2.0, 4.0, 9.0]) - 3.0).abs() < f64::EPSILON);
    }
}
