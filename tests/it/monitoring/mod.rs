//! The dashboard, the alert rules and the guides name what a gateway exposes, and nothing else.

mod exposed;
mod promql;

use std::collections::BTreeSet;
use std::fs::read_to_string;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{Django, Gateway};
use exposed::Exposed;

/// What the guides call otherwise: fixtures of pytest (docs/testing.md).
const NO_METRICS: [&str; 3] = [
    "gatepost_outbox",
    "gatepost_sockets",
    "gatepost_environment",
];

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn guide() -> String {
    read_to_string(docs().join("monitoring.md")).unwrap()
}

/// One alert of the rules.
struct Alert {
    name: String,
    expression: String,
    summary: String,
    runbook: String,
}

fn alerts() -> Vec<Alert> {
    let text = read_to_string(docs().join("monitoring/alerts.yml")).unwrap();
    let rules = text.split("- alert: ").skip(1);
    rules.map(Alert::read).collect()
}

impl Alert {
    fn read(rule: &str) -> Self {
        let (name, rest) = rule.split_once('\n').unwrap();
        let lines: Vec<_> = rest.lines().map(str::trim).collect();
        let after = |key: &str| {
            let line = lines.iter().find_map(|line| line.strip_prefix(key));
            line.unwrap_or_else(|| panic!("{name} has no {key}")).trim()
        };
        // A folded scalar goes on in the lines below its key.
        let mut expression = after("expr:").trim_start_matches(">-").to_owned();
        let begins = lines.iter().position(|line| line.starts_with("expr:"));
        for line in &lines[begins.unwrap() + 1..] {
            if line.starts_with("for:") || line.starts_with("labels:") {
                break;
            }
            expression.push(' ');
            expression.push_str(line);
        }
        Self {
            name: name.trim().to_owned(),
            expression,
            summary: after("summary:").to_owned(),
            runbook: after("runbook:").to_owned(),
        }
    }
}

/// Each `expr` of the dashboard, with the legend beside it; each query of its variables.
fn queries_of_the_dashboard() -> Vec<(String, String)> {
    let text = read_to_string(docs().join("monitoring/grafana-dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let queries = targets.flatten();
    let queries = queries.map(|target| (text(&target["expr"]), text(&target["legendFormat"])));
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let variables = variables.filter(|variable| variable["type"] == "query");
    let variables = variables.map(|variable| (text(&variable["definition"]), String::new()));
    queries.chain(variables).collect()
}

async fn scraped() -> Exposed {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let exposed = Exposed::read(&gateway.api().get("/metrics").await.text());
    gateway.stop().await;
    exposed
}

#[tokio::test]
async fn every_query_of_the_dashboard_finds_series_of_a_gateway_that_has_just_begun() {
    let exposed = scraped().await;
    let queries = queries_of_the_dashboard();
    assert!(queries.len() > 20, "{queries:?}");
    let found = queries.iter().flat_map(|(query, legend)| {
        let faults = exposed.faults(query).into_iter();
        faults.chain(promql::unknown_placeholders(query, legend))
    });
    assert_eq!(found.collect::<Vec<_>>(), [""; 0]);
}

#[tokio::test]
async fn every_alert_finds_series_of_a_gateway_that_has_just_begun() {
    let (exposed, alerts) = (scraped().await, alerts());
    assert!(alerts.len() > 10);
    let found = alerts.iter().flat_map(|alert| {
        let faults = exposed.faults(&alert.expression).into_iter();
        faults.chain(promql::unknown_placeholders(
            &alert.expression,
            &alert.summary,
        ))
    });
    assert_eq!(found.collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn the_guide_has_a_heading_for_each_alert_which_names_it_as_its_runbook() {
    let guide = guide();
    let headings = guide.lines().filter_map(|line| line.strip_prefix("### "));
    let headings: BTreeSet<_> = headings
        .filter(|name| name.starts_with("Gatepost"))
        .collect();
    let alerts = alerts();
    let named: BTreeSet<_> = alerts.iter().map(|alert| &*alert.name).collect();
    assert_eq!(headings, named);
    for Alert { name, runbook, .. } in &alerts {
        let anchor = name.to_lowercase();
        assert_eq!(*runbook, format!("docs/monitoring.md#{anchor}"));
    }
}

#[tokio::test]
async fn the_guide_names_every_metric_and_no_guide_names_another() {
    let exposed = scraped().await;
    let guide = guide();
    let told: BTreeSet<_> = promql::selectors(&guide)
        .map(|named| named.metric)
        .collect();
    let missing: Vec<_> = exposed
        .names()
        .filter(|name| !told.contains(name))
        .collect();
    assert_eq!(missing, [""; 0], "docs/monitoring.md says nothing of these");
    let mut pages = vec![docs().join("../README.md")];
    pages.extend(
        std::fs::read_dir(docs())
            .unwrap()
            .map(|page| page.unwrap().path()),
    );
    pages.retain(|page| page.extension().is_some_and(|ending| ending == "md"));
    for page in pages {
        let text = read_to_string(&page).unwrap();
        let named = promql::selectors(&text).filter(|named| !NO_METRICS.contains(&named.metric));
        let faults: Vec<_> = named.flat_map(|named| exposed.faults_of(&named)).collect();
        assert_eq!(faults, [""; 0], "{}", page.display());
    }
}

#[test]
fn a_query_that_finds_nothing_is_noticed() {
    let text = "# TYPE gatepost_a counter\ngatepost_a_total{outcome=\"ok\"} 0\n# EOF\n";
    let exposed = Exposed::read(text);
    let faults = |query| exposed.faults(query).join("; ");
    for right in [
        r#"sum by (outcome) (rate(gatepost_a_total{outcome="ok"}[5m])) > 1"#,
        r#"gatepost_a_total{outcome!~"ok", instance=~"$instance"}"#,
        r#"up{job="gatepost"} == 0"#,
    ] {
        assert_eq!(faults(right), "", "{right}");
    }
    for (wrong, said) in [
        ("gatepost_b_total", "no metric gatepost_b_total"),
        (
            r#"gatepost_a_total{kind="ok"}"#,
            "gatepost_a_total has no label kind",
        ),
        (
            r#"gatepost_a_total{outcome=~"ok|no"}"#,
            r#"gatepost_a_total has no outcome="no""#,
        ),
        (
            "sum by (kind) (gatepost_a_total)",
            "nothing in sum by (kind) (gatepost_a_total) has a label kind",
        ),
        ("rate(up[5m])", "no gatepost_ metric in rate(up[5m])"),
    ] {
        assert_eq!(faults(wrong), said, "{wrong}");
    }
    let said = promql::unknown_placeholders("sum by (kind) (x)", "{{kind}} {{ $labels.code }}");
    assert_eq!(
        said.collect::<Vec<_>>(),
        ["{{code}} is no label of sum by (kind) (x)"]
    );
}
