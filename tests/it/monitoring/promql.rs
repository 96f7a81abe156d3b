//! What a text says of metrics: the series that it selects, and the labels that it groups by.
//!
//! No parser of `PromQL`: names that begin with `gatepost_`, the braces behind them, and lists behind `by`.

/// A metric of the gateway, as a query or a guide names it.
#[derive(Debug)]
pub struct Selector<'a> {
    pub metric: &'a str,
    pub matchers: Vec<Matcher<'a>>,
}

/// What is asked of a label.
#[derive(Debug)]
pub struct Matcher<'a> {
    pub label: &'a str,
    /// The values that it names; none where only the label is named.
    pub values: Vec<&'a str>,
}

const PREFIX: &str = "gatepost_";

fn is_of_a_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// Every metric that a text names.
pub fn selectors(text: &str) -> impl Iterator<Item = Selector<'_>> {
    let starts = text.match_indices(PREFIX).map(|(start, _)| start);
    let starts = starts.filter(|start| !text[..*start].ends_with(is_of_a_name));
    starts.map(|start| {
        let rest = &text[start..];
        let (metric, rest) = rest.split_at(rest.find(|c| !is_of_a_name(c)).unwrap_or(rest.len()));
        let braces = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let matchers = braces.map_or("", |(matchers, _)| matchers).split(',');
        let matchers = matchers.map(str::trim).filter(|text| !text.is_empty());
        Selector {
            metric,
            matchers: matchers.map(Matcher::read).collect(),
        }
    })
}

impl<'a> Matcher<'a> {
    fn read(text: &'a str) -> Self {
        let end = text.find(|c| !is_of_a_name(c)).unwrap_or(text.len());
        let (label, rest) = text.split_at(end);
        let values = rest.trim_matches(['=', '~', '!', '"']);
        let values = values
            .split('|')
            .filter(|value| !matches!(*value, "" | "…"));
        Self {
            label,
            values: values.collect(),
        }
    }
}

/// The labels that a query groups by.
pub fn grouped_by(query: &str) -> Vec<&str> {
    let lists = query.split(" by (").skip(1);
    let lists = lists.map(|rest| rest.split_once(')').expect("a list ends").0);
    lists
        .flat_map(|list| list.split(',').map(str::trim))
        .collect()
}

/// The labels that a legend or a summary shows, and the query's result does not have.
pub fn unknown_placeholders(query: &str, shown: &str) -> impl Iterator<Item = String> {
    let mut known = grouped_by(query);
    if known.is_empty() {
        // A plain selector keeps what Prometheus adds.
        known.push("instance");
    }
    let placeholders = shown.split("{{").skip(1);
    let placeholders = placeholders.map(|rest| rest.split_once("}}").expect("closed").0.trim());
    let labels = placeholders.filter(|text| !text.starts_with("$value"));
    let labels = labels.map(|text| text.trim_start_matches("$labels."));
    let unknown = labels.filter(|label| !known.contains(label));
    let unknown = unknown.map(|label| format!("{{{{{label}}}}} is no label of {query}"));
    unknown.collect::<Vec<_>>().into_iter()
}
