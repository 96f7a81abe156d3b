//! WebSockets that are asked for where no route of gateway.toml takes them.
//!
//! Recorded by `dispatch`. Such a request goes on as an ordinary one, without its upgrade, and is
//! answered 404 like any other. If nothing were said here, a project whose sockets were served by
//! Channels would lose them silently.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::telemetry::seldom::OncePerKey;

/// Prefixes that are logged; more are a client that tries names.
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
    /// The paths of the gateway's own sockets.
    sockets: Vec<String>,
    logged: OncePerKey<String>,
    last: Mutex<Option<AskedFor>>,
}

/// The last one that was asked for.
#[derive(Debug)]
struct AskedFor {
    at: Instant,
    advice: Arc<Advice>,
}

/// What is said of one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Advice {
    pub(super) what: String,
    pub(super) remedy: String,
}

impl Unrouted {
    /// Nothing was asked for yet; `django` is an address in gateway.toml's words, `sockets` are the
    /// paths of its own sockets.
    pub fn new(django: String, sockets: Vec<String>) -> Self {
        Self {
            django,
            sockets,
            logged: OncePerKey::new(MOST),
            last: Mutex::default(),
        }
    }

    /// Records a WebSocket that was asked for at `path`.
    pub(super) fn record(&self, path: &str) {
        let prefix = prefix_of(path);
        let advice = Arc::new(self.say(path, &prefix));
        *self.last.lock() = Some(AskedFor {
            at: Instant::now(),
            advice: Arc::clone(&advice),
        });
        let (what, remedy) = (&advice.what, &advice.remedy);
        if self.logged.is_first(prefix) {
            tracing::warn!(remedy, "{what}");
        } else {
            tracing::debug!(remedy, "{what}");
        }
    }

    /// What a page should tell of, if anything.
    pub(super) fn shown(&self) -> Option<Arc<Advice>> {
        let last = self.last.lock();
        let asked = last.as_ref()?;
        (asked.at.elapsed() < SHOWN).then(|| Arc::clone(&asked.advice))
    }

    fn say(&self, path: &str, prefix: &str) -> Advice {
        let meant = self.but_for_a_slash(path);
        let path: String = path.chars().take(LONGEST).collect();
        let path = path.escape_debug();
        let django = &self.django;
        let remedy = match meant {
            Some(socket) => format!(
                "the socket of gateway.toml is at {socket}: paths are compared letter by letter, \
                 the slash at the end included, so write `wss://${{location.host}}{socket}` in the page"
            ),
            None => format!(
                "for a server of its own, such as Channels, write [[upstreams]] path = \"{prefix}\" \
                 and upstream = \"{django}\" if Django itself runs under ASGI (daphne, uvicorn), or \
                 the address of whatever does; for Gatepost's own frames write [[sockets]] path = \
                 \"{path}\""
            ),
        };
        Advice {
            what: format!(
                "a WebSocket was asked for at {path}, where gateway.toml has no route for one"
            ),
            remedy,
        }
    }

    /// The socket that differs by the slash at its end alone.
    fn but_for_a_slash(&self, path: &str) -> Option<&str> {
        let bare = path.strip_suffix('/').unwrap_or(path);
        let mut sockets = self.sockets.iter().map(String::as_str);
        sockets.find(|socket| socket.strip_suffix('/').unwrap_or(socket) == bare)
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
        let sockets = vec!["/ws/notifications/".to_owned(), "/live".to_owned()];
        Unrouted::new("http://127.0.0.1:8000".to_owned(), sockets)
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_one_is_shown_for_a_while_with_what_to_write() {
        let unrouted = unrouted();
        assert_eq!(unrouted.shown(), None);
        unrouted.record("/ws/chat/lobby/");
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
    async fn a_forgotten_slash_is_named() {
        let unrouted = unrouted();
        for (asked, socket) in [
            ("/ws/notifications", "/ws/notifications/"),
            ("/live/", "/live"),
        ] {
            unrouted.record(asked);
            let remedy = unrouted.shown().unwrap().remedy.clone();
            assert!(remedy.contains(&format!("is at {socket}:")), "{remedy}");
            assert!(!remedy.contains("[[upstreams]]"), "{remedy}");
        }
        unrouted.record("/ws/notification");
        let remedy = unrouted.shown().unwrap().remedy.clone();
        assert!(remedy.contains("[[upstreams]]"), "{remedy}");
    }

    #[tokio::test]
    async fn nobody_fills_memory_or_page() {
        let unrouted = unrouted();
        for number in 0..1000 {
            unrouted.record(&format!("/{number}{}/", "x".repeat(5000)));
        }
        assert!(unrouted.shown().unwrap().what.len() < 2 * LONGEST);
        assert_eq!(prefix_of("/"), "/");
        assert_eq!(prefix_of("/ws"), "/ws/");
    }
}
