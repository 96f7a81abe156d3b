//! What a reload cannot change: the keys that only a restart does.
//!
//! Asked by the composition root before it changes anything. To add a key here, say in `docs/deploy.md` that it
//! needs a restart.

use std::path::Path;

use super::error::Location;
use super::{Config, ConfigError, ConfigErrors};

/// The keys that differ between two configurations and that only a restart changes, each as a finding.
pub fn check(file: &Path, now: &Config, next: &Config) -> Result<(), ConfigErrors> {
    let keys = [
        (
            "server.internal",
            now.server.internal == next.server.internal,
        ),
        ("buffering", has_same_buffers(now, next)),
        ("outbox.cursor", now.outbox.cursor == next.outbox.cursor),
        ("log", now.log == next.log),
    ];
    let findings: Vec<_> = keys
        .into_iter()
        .filter(|(_, same)| !same)
        .map(|(key, _)| finding(file, key))
        .collect();
    if findings.is_empty() {
        return Ok(());
    }
    Err(ConfigErrors::new(findings))
}

fn finding(file: &Path, key: &str) -> ConfigError {
    let message = format!("{key} was changed, which only a restart can do");
    ConfigError::new(Location::File(file.to_owned()), message).hint(Some(
        "restart the gateway, or write what was there and reload",
    ))
}

fn has_same_buffers(now: &Config, next: &Config) -> bool {
    let [mut now, mut next] = [now, next].map(|config| config.buffering.clone());
    // Each route's own.
    now.unbuffered.clear();
    next.unbuffered.clear();
    now == next
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;
    use crate::config::load::parse;

    fn changed(now: &str, next: &str) -> Result<(), String> {
        let file = Path::new("gateway.toml");
        let config = |text| parse(text, file, &Environment::default()).unwrap();
        check(file, &config(now), &config(next)).map_err(|findings| findings.to_string())
    }

    #[test]
    fn what_only_a_restart_changes_is_named_all_at_once() {
        let next = "[server]\ninternal = \"127.0.0.1:9401\"\nhosts = [\"a.test\"]\n[log]\nlevel = \"debug\"\n";
        let findings = changed("", next).unwrap_err();
        for key in ["server.internal", "log"] {
            assert!(
                findings.contains(&format!("{key} was changed")),
                "{findings}"
            );
        }
        assert!(!findings.contains("hosts"), "{findings}");
    }

    #[test]
    fn all_else_a_reload_changes() {
        let next = "[server]\nhttps = \"8444\"\n[buffering]\nunbuffered = [\"/upload/\"]\n[auth]\nlease = \"5s\"\n";
        assert_eq!(changed("", next), Ok(()));
        assert!(changed("", "[buffering]\nmemory = \"32MiB\"\n").is_err());
    }
}
