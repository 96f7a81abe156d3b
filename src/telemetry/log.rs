//! The log: lines on stderr, for people or as JSON.
//!
//! Installed once by `cli`. What is logged comes from clients, so no value can begin a line of its
//! own or reach a terminal as a control sequence. The surprise: other crates log warnings at most,
//! because the details of an HTTP library have cookies in them.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal as _};
use std::str::FromStr as _;

use tracing::level_filters::LevelFilter;
use tracing::subscriber::SetGlobalDefaultError;
use tracing::{Subscriber, field, subscriber};
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{self, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::{Registry, fmt as lines};

use crate::config::{LogConfig, LogFormat};

/// Sends everything that is logged from now on to stderr.
pub fn install(config: &LogConfig) -> Result<(), SetGlobalDefaultError> {
    let colours = io::stderr().is_terminal();
    match config.format {
        LogFormat::Pretty => subscriber::set_global_default(pretty(config, io::stderr, colours)),
        LogFormat::Json => subscriber::set_global_default(json(config, io::stderr)),
    }
}

/// This moment, as the lines of the log have it.
pub fn timestamp() -> String {
    let mut text = String::new();
    // Writing to a `String` cannot fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

/// Logs a panic, which is always a bug of ours, as one line instead of a text over several.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(field::display);
        tracing::error!(%message, place, "a bug in Gatepost, please report it");
    }));
}

fn pretty<W>(config: &LogConfig, writer: W, colours: bool) -> impl Subscriber + use<W>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let fields = format::debug_fn(|writer, field, value| match field.name() {
        "message" => write!(SingleLine(writer), "{value:?}"),
        name => {
            write!(writer, "{name}=")?;
            write!(SingleLine(writer), "{value:?}")
        }
    });
    let mut layer = lines::layer()
        .fmt_fields(fields.delimited(" "))
        .with_writer(writer)
        .with_target(false)
        .log_internal_errors(false);
    if !colours {
        // Otherwise the variable NO_COLOR decides.
        layer = layer.with_ansi(false);
    }
    Registry::default().with(layer.with_filter(levels(config)))
}

fn json<W>(config: &LogConfig, writer: W) -> impl Subscriber + use<W>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = lines::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_writer(EscapedJson(writer))
        // It would be reported to stderr, and a closed stderr would end the task with a panic.
        .log_internal_errors(false);
    Registry::default().with(layer.with_filter(levels(config)))
}

fn levels(config: &LogConfig) -> Targets {
    let level = LevelFilter::from_str(&config.level).unwrap_or(LevelFilter::INFO);
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target(env!("CARGO_PKG_NAME"), level)
}

/// Whether a terminal or a reader of lines would do something else with the character than show it.
pub fn is_active(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Writes control characters, line separators and marks that turn the direction as escapes.
struct SingleLine<'w, 'a>(&'w mut Writer<'a>);

impl fmt::Write for SingleLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| match c {
            c if is_active(c) => write!(self.0, "{}", c.escape_default()),
            c => self.0.write_char(c),
        })
    }
}

/// JSON lines with escapes for what JSON itself does not escape; `None`: there is nothing to escape.
pub fn escape_json(lines: &str) -> Option<String> {
    let is_bare = |c| c != '\n' && is_active(c);
    if !lines.chars().any(is_bare) {
        return None;
    }
    let mut escaped = String::with_capacity(lines.len() + 16);
    for c in lines.chars() {
        let _ = match c {
            c if is_bare(c) => write!(escaped, "\\u{:04x}", u32::from(c)),
            c => escaped.write_char(c),
        };
    }
    Some(escaped)
}

/// JSON escapes only the first 32 control characters; this escapes the others.
struct EscapedJson<W>(W);

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for EscapedJson<W> {
    type Writer = EscapedJson<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        EscapedJson(self.0.make_writer())
    }
}

impl<W: io::Write> io::Write for EscapedJson<W> {
    /// Takes whole lines, as tracing-subscriber writes them.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let written = match escape_json(&text) {
            Some(escaped) => self.0.write_all(escaped.as_bytes()),
            None => self.0.write_all(line),
        };
        written.map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use crate::config::AccessConfig;
    use crate::telemetry::span;

    use super::*;

    const HOSTILE: &str = "/a\u{1b}[2J\r\n2026 INFO forged\u{9b}31m\u{7f}\u{202e}x\"é";

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn config(level: &str) -> LogConfig {
        LogConfig {
            format: LogFormat::Pretty,
            level: level.to_owned(),
            access: AccessConfig::default(),
        }
    }

    fn log_hostile() {
        let error = io::Error::other(HOSTILE);
        tracing::info!(path = %HOSTILE, quoted = HOSTILE, debug = ?HOSTILE, "said {HOSTILE}");
        tracing::info!(error = &error as &dyn std::error::Error, "failed");
    }

    fn pretty_lines(level: &str, log: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = pretty(&config(level), move || writer.clone(), false);
        subscriber::with_default(subscriber, log);
        lines.text()
    }

    #[test]
    fn a_logged_value_cannot_forge_a_line_or_steer_a_terminal() {
        let text = pretty_lines("info", log_hostile);
        assert_eq!(text.lines().count(), 2, "{text:?}");
        assert!(text.chars().all(|c| c == '\n' || !is_active(c)), "{text:?}");
        assert!(
            text.contains("\\u{1b}[2J") && text.contains('é'),
            "{text:?}"
        );
    }

    #[test]
    fn a_json_line_is_one_line_and_keeps_the_value() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = json(&config("info"), move || writer.clone());
        subscriber::with_default(subscriber, log_hostile);
        let text = lines.text();
        assert_eq!(text.lines().count(), 2, "{text:?}");
        assert!(text.chars().all(|c| c == '\n' || !is_active(c)), "{text:?}");
        let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(line["path"], HOSTILE);
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], format!("said {HOSTILE}"));
    }

    #[test]
    fn the_level_is_for_the_gateway_and_other_crates_warn_at_most() {
        let text = pretty_lines("debug", || {
            tracing::debug!("ours");
            tracing::trace!("too detailed");
            tracing::debug!(target: "h2::frame", "theirs with a cookie");
            tracing::warn!(target: "h2::frame", "their warning");
        });
        assert!(
            text.contains("ours") && text.contains("their warning"),
            "{text}"
        );
        assert!(
            !text.contains("too detailed") && !text.contains("cookie"),
            "{text}"
        );
        let text = pretty_lines("error", || tracing::warn!(target: "h2", "not shown"));
        assert_eq!(text, "");
    }

    fn warn_inside_of_a_request() {
        let uri = "https://app.test/a%20b/?next=qu3ry";
        let request = http::Request::get(uri).header("cookie", "c00kie").body(());
        let connection = span::connection("192.0.2.1:5").entered();
        let request = span::request(&request.unwrap()).entered();
        span::record("upstream", || HOSTILE);
        tracing::warn!("late");
        drop((request, connection));
    }

    #[test]
    fn a_line_tells_what_it_is_about_where_debug_is_on() {
        let text = pretty_lines("debug", warn_inside_of_a_request);
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(text.chars().all(|c| c == '\n' || !is_active(c)), "{text:?}");
        for told in [
            "peer=192.0.2.1:5",
            "method=GET path=\"/a%20b/\"",
            "upstream=/a",
            ": late",
        ] {
            assert!(text.contains(told), "{told} in {text}");
        }
        for secret in ["qu3ry", "c00kie"] {
            assert!(!text.contains(secret), "{text}");
        }
    }

    #[test]
    fn above_debug_no_span_is_made() {
        let text = pretty_lines("info", warn_inside_of_a_request);
        assert!(text.ends_with("WARN late\n"), "{text:?}");
        pretty_lines("info", || {
            assert!(span::socket().is_disabled());
            assert!(span::current().is_disabled());
        });
    }
}
