//! Where spans go, by OpenTelemetry's own variables: not by keys, so that a gateway and the Django beside it are told once.
//!
//! Read here is what the gateway decides by; the SDK reads the same variables, and further ones, for itself. What it
//! would pass over without a word is a finding here.

use super::Environment;

/// Spans that wait to be sent, where nothing else is said.
const QUEUE: usize = 2048;
const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// What the variables `OTEL_…` say of spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtelConfig {
    /// Whether spans are to be sent.
    pub is_wanted: bool,
    /// How many may wait for that.
    pub queue: usize,
    /// Values that nothing is done by.
    pub findings: Vec<String>,
}

impl Default for OtelConfig {
    fn default() -> Self {
        Self {
            is_wanted: false,
            queue: QUEUE,
            findings: Vec::new(),
        }
    }
}

impl OtelConfig {
    pub(super) fn read(environment: &Environment) -> Self {
        let value = |name| value(environment, name);
        let endpoint = of_traces(environment, "ENDPOINT");
        let protocol = of_traces(environment, "PROTOCOL");
        let is_disabled =
            value("OTEL_SDK_DISABLED").is_some_and(|is| is.eq_ignore_ascii_case("true"));
        let is_wanted = match value("OTEL_TRACES_EXPORTER") {
            Some(named) => named.split(',').any(|one| one.trim() == "otlp"),
            None => endpoint.is_some(),
        };
        if is_disabled || !is_wanted {
            return Self::default();
        }
        let mut config = Self {
            is_wanted,
            ..Self::default()
        };
        if let Some(protocol) = protocol.filter(|is| *is != "http/protobuf") {
            config.is_wanted = false;
            config.findings.push(format!(
                "OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}, but Gatepost sends spans by http/protobuf alone, so it sends none; \
                 set OTEL_EXPORTER_OTLP_TRACES_PROTOCOL and …_ENDPOINT (port 4318, as a rule) for it"
            ));
        }
        match value("OTEL_BSP_MAX_QUEUE_SIZE").map(str::parse) {
            Some(Ok(queue)) if queue > 0 => config.queue = queue,
            Some(_) => config.findings.push(format!(
                "OTEL_BSP_MAX_QUEUE_SIZE is no number above 0; it is taken for {QUEUE}"
            )),
            None => {}
        }
        config.check_sampler(
            value("OTEL_TRACES_SAMPLER"),
            value("OTEL_TRACES_SAMPLER_ARG"),
        );
        config
    }

    fn check_sampler(&mut self, sampler: Option<&str>, argument: Option<&str>) {
        let Some(sampler) = sampler else { return };
        if !SAMPLERS.contains(&sampler) {
            let known = SAMPLERS.join(", ");
            self.findings.push(format!(
                "OTEL_TRACES_SAMPLER is {sampler}, which is taken for parentbased_always_on; there are {known}"
            ));
        }
        let ratio = argument.and_then(|ratio| ratio.parse::<f64>().ok());
        if sampler.ends_with("traceidratio") && !ratio.is_some_and(|it| (0.0..=1.0).contains(&it)) {
            self.findings.push(format!(
                "{sampler} needs OTEL_TRACES_SAMPLER_ARG, a number from 0 to 1; without, every trace is sampled"
            ));
        }
    }
}

/// Empty counts as unset, as OpenTelemetry has it.
fn value<'a>(environment: &'a Environment, name: &str) -> Option<&'a str> {
    environment.value(name).filter(|value| !value.is_empty())
}

/// What is said of traces alone goes before what is said of all.
fn of_traces<'a>(environment: &'a Environment, what: &str) -> Option<&'a str> {
    let own = value(environment, &format!("OTEL_EXPORTER_OTLP_TRACES_{what}"));
    own.or_else(|| value(environment, &format!("OTEL_EXPORTER_OTLP_{what}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

    fn of(variables: &[(&str, &str)]) -> OtelConfig {
        let owned = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        OtelConfig::read(&owned.collect())
    }

    #[test]
    fn spans_are_sent_where_an_endpoint_or_the_exporter_is_named() {
        let at = (ENDPOINT, "http://127.0.0.1:4318");
        for (variables, is_wanted) in [
            (&[][..], false),
            (&[at], true),
            (
                &[(
                    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                    "http://a.test/v1/traces",
                )],
                true,
            ),
            (&[(ENDPOINT, "")], false),
            (&[("OTEL_TRACES_EXPORTER", "otlp")], true),
            (&[at, ("OTEL_TRACES_EXPORTER", "console, otlp")], true),
            (&[at, ("OTEL_TRACES_EXPORTER", "none")], false),
            (&[at, ("OTEL_SDK_DISABLED", "True")], false),
            (&[("OTEL_SERVICE_NAME", "shop")], false),
        ] {
            let config = of(variables);
            assert_eq!(config.is_wanted, is_wanted, "{variables:?}");
            assert!(config.findings.is_empty(), "{config:?}");
        }
    }

    #[test]
    fn a_value_that_nothing_is_done_by_is_a_finding() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ] {
            let config = of(&[(ENDPOINT, "http://a.test"), (name, value)]);
            let [finding] = &*config.findings else {
                panic!("{config:?}")
            };
            assert!(
                finding.contains(if value == "traceidratio" {
                    "_ARG"
                } else {
                    name
                }),
                "{finding}"
            );
            assert_eq!((config.is_wanted, config.queue), (value != "grpc", QUEUE));
        }
        let ratio = [
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.1"),
        ];
        let queue = [
            (ENDPOINT, "http://a.test"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "7"),
        ];
        let config = of(&[&ratio[..], &queue].concat());
        assert_eq!((config.queue, config.findings), (7, vec![]));
    }

    #[test]
    fn traces_may_go_their_own_way() {
        let config = of(&[
            (ENDPOINT, "http://a.test:4317"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            (
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                "http://a.test:4318/v1/traces",
            ),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
        ]);
        assert!(config.is_wanted && config.findings.is_empty(), "{config:?}");
    }
}
