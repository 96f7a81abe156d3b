//! WebSockets that are asked for where no route of gateway.toml takes them.
//!
//! Noted by `dispatch`. The surprise: such a request goes on as an ordinary one, without its upgrade,
//! and whoever gets it answers 404 as to any other: without a word here a project whose sockets were
//! served by Channels would lose them silently.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

/// Prefixes that the log is told of; then it is somebody who tries names.
const MOST: usize = 32;
/// For how long pages tell of the last one: it may have been a stray.
const SHOWN: Duration = Duration::from_mins(5);
/// Of a path that is shown.
const LONGEST: usize = 200;

/// Remembers what was asked for.
#[derive(Debug)]
pub struct Unrouted {
    /// Where Django is, as gateway.toml has it.
    django: String,
    asked: Mutex<AskedFor>,
}

#[derive(Debug, Default)]
struct AskedFor {
    prefixes: HashSet<String>,
    last: Option<(Instant, Arc<Advice>)>,
}

/// What is said of one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Advice {
    pub(super) what: String,
    pub(super) remedy: String,
}

impl Unrouted {
    /// Nothing was asked for yet; `django` is an address in gateway.toml's words.
    pub fn new(django: String) -> Self {
        Self {
            django,
            asked: Mutex::default(),
        }
    }

    /// Notes a WebSocket that was asked for at `path`.
    pub(super) fn note(&self, path: &str) {
        let prefix = prefix_of(path);
        let advice = Arc::new(self.say(path, &prefix));
        let mut asked = self.asked();
        asked.last = Some((Instant::now(), Arc::clone(&advice)));
        let is_first = asked.prefixes.len() < MOST && asked.prefixes.insert(prefix);
        drop(asked);
        let (what, remedy) = (&advice.what, &advice.remedy);
        if is_first {
            tracing::warn!(remedy, "{what}");
        } else {
            tracing::debug!(remedy, "{what}");
        }
    }

    /// What a page should tell of, if anything.
    pub(super) fn shown(&self) -> Option<Arc<Advice>> {
        let asked = self.asked();
        let (at, advice) = asked.last.as_ref()?;
        (at.elapsed() < SHOWN).then(|| Arc::clone(advice))
    }

    fn say(&self, path: &str, prefix: &str) -> Advice {
        let path: String = path.chars().take(LONGEST).collect();
        let path = path.escape_debug();
        let django = &self.django;
        Advice {
            what: format!(
                "a WebSocket was asked for at {path}, where gateway.toml has no route for one"
            ),
            remedy: format!(
                "for a server of its own, such as Channels, write [[upstreams]] path = \"{prefix}\" \
                 and upstream = \"{django}\" if Django itself runs under ASGI (daphne, uvicorn), or \
                 the address of whatever does; for Gatepost's own frames write [[sockets]] path = \
                 \"{path}\""
            ),
        }
    }

    fn asked(&self) -> MutexGuard<'_, AskedFor> {
        self.asked.lock()
    }
}

/// The first segment, which the sockets of a project have in common.
fn prefix_of(path: &str) -> String {
    let first = path.split('/').nth(1).unwrap_or_default();
    let first: String = first.chars().take(LONGEST).collect();
    match first.as_str() {
        "" => "/".to_owned(),
        first => format!("/{}/", first.escape_debug()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unrouted() -> Unrouted {
        Unrouted::new("http://127.0.0.1:8000".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_one_is_shown_for_a_while_with_what_to_write() {
        let unrouted = unrouted();
        assert_eq!(unrouted.shown(), None);
        unrouted.note("/ws/chat/lobby/");
        let advice = unrouted.shown().unwrap();
        assert!(advice.what.contains("/ws/chat/lobby/"), "{}", advice.what);
        for told in [
            "[[upstreams]] path = \"/ws/\"",
            "upstream = \"http://127.0.0.1:8000\"",
            "[[sockets]] path = \"/ws/chat/lobby/\"",
        ] {
            assert!(advice.remedy.contains(told), "{told}: {}", advice.remedy);
        }
        tokio::time::advance(SHOWN).await;
        assert_eq!(unrouted.shown(), None);
    }

    #[tokio::test]
    async fn nobody_fills_memory_or_page() {
        let unrouted = unrouted();
        for number in 0..1000 {
            unrouted.note(&format!("/{number}{}/", "x".repeat(5000)));
        }
        assert_eq!(unrouted.asked().prefixes.len(), MOST);
        assert!(unrouted.shown().unwrap().what.len() < 2 * LONGEST);
        assert_eq!(prefix_of("/"), "/");
        assert_eq!(prefix_of("/ws"), "/ws/");
    }
}
