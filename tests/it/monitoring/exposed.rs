//! What `/metrics` has, and what a query asks of it in vain.

use std::collections::{BTreeMap, BTreeSet};

use super::promql::{self, Selector};

/// What Prometheus adds to every series.
const ADDED: [&str; 2] = ["instance", "job"];

/// The values of one metric's labels, by label.
type Labels = BTreeMap<String, BTreeSet<String>>;

/// The series of a scrape.
pub struct Exposed(BTreeMap<String, Labels>);

impl Exposed {
    /// Reads the exposition.
    pub fn read(text: &str) -> Self {
        let mut series = BTreeMap::<_, Labels>::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let selector = promql::selectors(line).next().expect("a sample of ours");
            let labels = series.entry(selector.metric.to_owned()).or_default();
            for matcher in selector.matchers {
                let values = matcher.values.into_iter().map(str::to_owned);
                labels
                    .entry(matcher.label.to_owned())
                    .or_default()
                    .extend(values);
            }
        }
        let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        for family in families.map(|line| line.split(' ').next().unwrap()) {
            let is_there = series
                .keys()
                .any(|name| name.trim_end_matches("_total") == family);
            assert!(
                is_there,
                "{family} has no series before something is counted"
            );
        }
        Self(series)
    }

    /// The names of all metrics.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What a query asks for in vain, in words.
    pub fn faults(&self, query: &str) -> Vec<String> {
        let selectors: Vec<_> = promql::selectors(query).collect();
        if selectors.is_empty() && !query.starts_with("up{") {
            return vec![format!("no gatepost_ metric in {query}")];
        }
        let grouped = promql::grouped_by(query).into_iter();
        let grouped = grouped.filter(|label| {
            let mut named = selectors.iter();
            !ADDED.contains(label) && !named.any(|named| self.has(named, label))
        });
        let grouped = grouped.map(|label| format!("nothing in {query} has a label {label}"));
        let grouped: Vec<_> = grouped.collect();
        let selected = selectors.iter().flat_map(|named| self.faults_of(named));
        selected.chain(grouped).collect()
    }

    /// What one selector asks for in vain.
    pub fn faults_of(&self, selector: &Selector<'_>) -> Vec<String> {
        let metric = selector.metric;
        let Some(labels) = self.0.get(metric) else {
            return vec![format!("no metric {metric}")];
        };
        let mut faults = Vec::new();
        for matcher in &selector.matchers {
            let label = matcher.label;
            if ADDED.contains(&label) {
                continue;
            }
            let Some(known) = labels.get(label) else {
                faults.push(format!("{metric} has no label {label}"));
                continue;
            };
            let unknown = matcher
                .values
                .iter()
                .filter(|value| !known.contains(**value));
            faults.extend(unknown.map(|value| format!("{metric} has no {label}=\"{value}\"")));
        }
        faults
    }

    fn has(&self, selector: &Selector<'_>, label: &str) -> bool {
        let labels = self.0.get(selector.metric);
        labels.is_some_and(|labels| labels.contains_key(label))
    }
}
