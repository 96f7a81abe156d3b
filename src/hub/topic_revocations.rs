//! Revocations of topics, which tokens that were issued before must not slip past.
//!
//! Written by [`Hub::revoke_topic`](super::Hub::revoke_topic), read when a connection subscribes. The surprise: all
//! moments are of Django's clock, in unix milliseconds: it issues the tokens and says when it revoked. Only
//! when a revocation may be forgotten the gateway's clock decides, as it does when a token expires.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::revoked_topic::{
    KeptRevocation, MOST, OlderTokens, RevokedTopic, SPARE, TopicRevocation,
};
use super::subscriptions::Granter;
use super::topic_file::TopicFile;
use crate::ids::{TopicName, UserId};
use crate::median::median;
use crate::unix_time;

/// Forgetting walks all, so it is done at most so often.
const BETWEEN_SWEEPS: Duration = Duration::from_secs(1);
/// What this gateway was told so long ago is forgotten, and with it all that views were asked before.
const TOLD: Duration = Duration::from_hours(24);
/// No token lives longer, in milliseconds: for what nobody knows.
const LONGEST_LIFE: u64 = 31 * 24 * 3_600_000;

/// Which tokens count no more.
#[derive(Debug, Default)]
pub(super) struct TopicRevocations {
    table: Mutex<RevokedTopics>,
    file: Option<TopicFile>,
}

#[derive(Debug, Default)]
struct RevokedTopics {
    by_topic: HashMap<RevokedTopic, OlderTokens>,
    /// What was forgotten because there was too much.
    forgotten: Option<OlderTokens>,
    swept: Option<Instant>,
    told: ToldRevocations,
}

/// When this gateway was told of revocations: what a view was asked before that may be older.
#[derive(Debug, Default)]
struct ToldRevocations {
    by_topic: HashMap<RevokedTopic, Instant>,
    /// Those until then were forgotten.
    forgotten: Option<Instant>,
}

impl TopicRevocations {
    /// Takes over what the gateway before left in a file, and keeps there what is revoked from now on.
    pub(super) fn kept_in(path: PathBuf) -> Self {
        let file = TopicFile::new(path);
        let found = file.load();
        let (now, mut table) = (unix_now(), RevokedTopics::default());
        for KeptRevocation { revoked, older } in found.kept {
            match revoked {
                _ if older.until <= now => {}
                Some(revoked) => table.put(revoked, older, now),
                None => table.forget(older),
            }
        }
        if found.is_damaged {
            tracing::warn!(
                file = %file.path().display(),
                "what the gateway before knew of revoked topics cannot be read: tokens that were issued \
                 before now are refused"
            );
            let than = now + SPARE;
            let until = than + LONGEST_LIFE;
            table.forget(OlderTokens { than, until });
        }
        file.rewrite(&table.kept());
        Self {
            table: Mutex::new(table),
            file: Some(file),
        }
    }

    /// Has a revocation survive this process.
    pub(super) fn keep(&self, revocation: &TopicRevocation) {
        let Some(file) = &self.file else { return };
        if file.add(&KeptRevocation::of(revocation)) {
            let mut table = self.table.lock();
            table.forget_expired(unix_now());
            let kept = table.kept();
            drop(table);
            file.rewrite(&kept);
            // It may not be in the table yet.
            file.add(&KeptRevocation::of(revocation));
        }
    }

    /// Writes the file once more, where another process has written its own.
    pub(super) fn write_again(&self) {
        if let Some(file) = &self.file {
            let kept = self.table.lock().kept();
            file.rewrite(&kept);
        }
    }

    pub(super) fn record(&self, revocation: &TopicRevocation) {
        let KeptRevocation { revoked, older } = KeptRevocation::of(revocation);
        if let Some(revoked) = revoked {
            let mut table = self.table.lock();
            table.told.put(&revoked, Instant::now());
            table.put(revoked, older, unix_now());
        }
    }

    /// Whether a grant of a topic counts no more for a user.
    pub(super) fn cover(&self, topic: &TopicName, user: &UserId, by: &Granter) -> bool {
        match by {
            Granter::Token { issued, .. } => self.cover_issued(topic, user, *issued),
            Granter::View(heard) => self.cover_asked(topic, user, heard.asked),
            Granter::Stream { asked, .. } => self.cover_asked(topic, user, *asked),
        }
    }

    /// Whether what a view says of a topic counts no more for a user, which was asked at `asked`.
    pub(super) fn cover_asked(&self, topic: &TopicName, user: &UserId, asked: Instant) -> bool {
        self.table.lock().told.cover(topic, user, asked)
    }

    /// Whether a token for a topic counts no more for a user, that was issued at `issued`.
    fn cover_issued(&self, topic: &TopicName, user: &UserId, issued: u64) -> bool {
        let table = self.table.lock();
        if table.forgotten.is_some_and(|older| issued < older.than) {
            return true;
        }
        if table.by_topic.is_empty() {
            return false;
        }
        about(topic, user).any(|revoked| {
            let older = table.by_topic.get(&revoked);
            older.is_some_and(|older| issued < older.than)
        })
    }
}

/// What is revoked where a topic is revoked from a user: from that one, or from all.
fn about<'a>(
    topic: &'a TopicName,
    user: &'a UserId,
) -> impl Iterator<Item = RevokedTopic> + use<'a> {
    let users = [None, Some(user.clone())];
    users.into_iter().map(|user| RevokedTopic {
        topic: topic.clone(),
        user,
    })
}

impl ToldRevocations {
    fn put(&mut self, revoked: &RevokedTopic, now: Instant) {
        if self.by_topic.len() >= MOST && !self.by_topic.contains_key(revoked) {
            self.by_topic.clear();
            self.forgotten = Some(now);
        }
        self.by_topic.insert(revoked.clone(), now);
    }

    fn forget_old(&mut self) {
        let forgotten = &mut self.forgotten;
        self.by_topic.retain(|_, at| {
            let is_old = at.elapsed() >= TOLD;
            if is_old {
                *forgotten = (*forgotten).max(Some(*at));
            }
            !is_old
        });
    }

    /// Whether a view was asked about a topic before that was revoked.
    fn cover(&self, topic: &TopicName, user: &UserId, asked: Instant) -> bool {
        if self.forgotten.is_some_and(|until| asked <= until) {
            return true;
        }
        !self.by_topic.is_empty()
            && about(topic, user).any(|revoked| {
                let told = self.by_topic.get(&revoked);
                told.is_some_and(|told| asked <= *told)
            })
    }
}

impl RevokedTopics {
    fn kept(&self) -> Vec<KeptRevocation> {
        let known = self.by_topic.iter();
        let known = known.map(|(revoked, older)| (Some(revoked.clone()), *older));
        let forgotten = self.forgotten.map(|older| (None, older));
        let all = known.chain(forgotten);
        all.map(|(revoked, older)| KeptRevocation { revoked, older })
            .collect()
    }

    /// No token counts that is older.
    fn forget(&mut self, older: OlderTokens) {
        self.forgotten = Some(self.forgotten.map_or(older, |known| known.and(older)));
    }

    fn put(&mut self, revoked: RevokedTopic, older: OlderTokens, now: u64) {
        self.sweep(now);
        if self.by_topic.len() >= MOST && !self.by_topic.contains_key(&revoked) {
            self.forget_older_half();
        }
        let known = self.by_topic.entry(revoked).or_insert(older);
        *known = known.and(older);
    }

    /// Makes room, and refuses every token that what is forgotten may be about.
    fn forget_older_half(&mut self) {
        let Some(than) = median(self.by_topic.values().map(|older| older.than)) else {
            return;
        };
        let mut forgotten = self.forgotten;
        self.by_topic.retain(|_, older| {
            let is_old = older.than <= than;
            if is_old {
                forgotten = Some(forgotten.map_or(*older, |known| known.and(*older)));
            }
            !is_old
        });
        self.forgotten = forgotten;
    }

    fn sweep(&mut self, now: u64) {
        if self
            .swept
            .is_some_and(|swept| swept.elapsed() < BETWEEN_SWEEPS)
        {
            return;
        }
        self.swept = Some(Instant::now());
        self.forget_expired(now);
    }

    fn forget_expired(&mut self, now: u64) {
        self.by_topic.retain(|_, older| now < older.until);
        self.told.forget_old();
        self.forgotten = self.forgotten.filter(|older| now < older.until);
    }
}

fn unix_now() -> u64 {
    unix_time::milliseconds(unix_time::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn topic(name: &str) -> TopicName {
        TopicName::new(name).unwrap()
    }

    fn revocation(name: &str, user: Option<&str>, at: u64) -> TopicRevocation {
        TopicRevocation {
            topic: topic(name),
            user: user.map(UserId::new),
            at,
            max_age: HOUR,
        }
    }

    #[test]
    fn tokens_that_are_older_count_no_more_with_two_seconds_to_spare() {
        let now = unix_now();
        let revocations = TopicRevocations::default();
        revocations.record(&revocation("a.b:1", None, now));
        revocations.record(&revocation("a.b:2", Some("42"), now));
        let cover =
            |name, user, issued| revocations.cover_issued(&topic(name), &UserId::new(user), issued);
        assert!(cover("a.b:1", "1", now + 1999) && cover("a.b:1", "2", 0));
        assert!(!cover("a.b:1", "1", now + 2000));
        assert!(cover("a.b:2", "42", now + 1999));
        assert!(!cover("a.b:2", "43", now));
        assert!(!cover("a.b:3", "42", 0));
        // An older one that comes late takes nothing back.
        revocations.record(&revocation("a.b:1", None, now - 5000));
        assert!(cover("a.b:1", "1", now + 1999));
    }

    #[test]
    fn it_is_remembered_until_the_last_older_token_has_expired() {
        let now = unix_now();
        let revocations = TopicRevocations::default();
        let hour = unix_time::milliseconds(HOUR);
        revocations.record(&revocation("a.b:1", None, now - hour - 2000));
        revocations.record(&revocation("a.b:2", None, now - hour + 60_000));
        revocations.table.lock().swept = None;
        revocations.record(&revocation("a.b:3", None, now));
        assert_eq!(revocations.table.lock().by_topic.len(), 2);
        assert!(revocations.cover_issued(&topic("a.b:2"), &UserId::new("1"), 0));
    }

    #[test]
    fn they_survive_the_process_and_where_that_cannot_be_read_no_older_token_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("topics");
        let now = unix_now();
        let cover = |revocations: &TopicRevocations, name, issued| {
            revocations.cover_issued(&topic(name), &UserId::new("1"), issued)
        };
        let revocations = TopicRevocations::kept_in(path.clone());
        let over = revocation("a.b:2", None, now - 2 * 3_600_000);
        for revocation in [&revocation("a.b:1", Some("1"), now), &over] {
            revocations.keep(revocation);
            revocations.record(revocation);
        }
        let next = TopicRevocations::kept_in(path.clone());
        assert!(cover(&next, "a.b:1", now) && !cover(&next, "a.b:2", 0));
        assert_eq!(next.table.lock().by_topic.len(), 1);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        std::fs::write(&path, format!("{text}{{\"topic\":")).unwrap();
        for _ in 0..2 {
            let next = TopicRevocations::kept_in(path.clone());
            assert!(cover(&next, "a.b:1", now) && cover(&next, "other", now));
            assert!(!cover(&next, "other", now + 60_000));
        }
    }

    #[test]
    fn where_memory_is_full_every_token_that_is_older_than_what_was_forgotten_is_refused() {
        let now = unix_now();
        let revocations = TopicRevocations::default();
        for n in 0..70_000 {
            revocations.record(&revocation(&format!("a.b:{n}"), None, now + n));
        }
        assert!(revocations.table.lock().by_topic.len() <= MOST);
        let cover =
            |name, issued| revocations.cover_issued(&topic(name), &UserId::new("1"), issued);
        let oldest_known = now + 32_769;
        assert!(cover("other", oldest_known + SPARE - 2));
        assert!(!cover("other", oldest_known + SPARE));
        assert!(cover("a.b:69999", now + 69_999 + SPARE - 1));
    }
}
