//! Since when sessions may hear what views grant them, as far as this gateway knows.
//!
//! Written when a view has answered, read when a client that comes back is given what it missed. While a client is
//! away the gateway does not ask. A grant that held before and holds now is taken for one that held in between,
//! unless something was said of it: a refusal, an end, a revocation, a recheck. Of what is forgotten here nothing old
//! is replayed, and the client is told.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use crate::ids::{SessionDigest, TopicName, UserId, ViewTarget};
use crate::median::median;

/// Topics of all answers that are kept, in some 20 MB. Beyond it the older half of the answers is forgotten.
const MOST: usize = 131_072;

/// The last answers of views.
#[derive(Debug, Default)]
pub(super) struct HeldGrants {
    table: Mutex<HeldTable>,
}

#[derive(Debug, Default)]
struct HeldTable {
    by_view: HashMap<HeldKey, HeldAnswer>,
    weight: usize,
    /// For so long it is known whether something was revoked.
    remembered: Duration,
}

/// A session, or visitors, and a view.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct HeldKey {
    session: Option<SessionDigest>,
    view: ViewTarget,
}

impl HeldKey {
    /// What is kept of a session, or of visitors, and a view.
    pub(super) fn of(session: Option<SessionDigest>, view: &ViewTarget) -> Self {
        Self {
            session,
            view: view.clone(),
        }
    }
}

/// What a view granted when it was asked last; without topics: nothing.
#[derive(Debug)]
pub(super) struct HeldAnswer {
    user: UserId,
    pub(super) asked: Instant,
    expires: Option<SystemTime>,
    topics: Box<[HeldTopic]>,
}

#[derive(Debug)]
struct HeldTopic {
    topic: TopicName,
    /// It was granted then, and ever since.
    since: Instant,
}

impl HeldAnswer {
    /// A view that was asked at `asked` grants these topics.
    pub(super) fn of(user: &UserId, asked: Instant, topics: &[TopicName]) -> Self {
        let topics = topics.iter().map(|topic| HeldTopic {
            topic: topic.clone(),
            since: asked,
        });
        Self {
            user: user.clone(),
            asked,
            expires: None,
            topics: topics.collect(),
        }
    }

    /// It does until then, where it says.
    pub(super) fn until(self, expires: Option<SystemTime>) -> Self {
        Self { expires, ..self }
    }

    /// Whether what it granted may hold at the next answer, which is about this user.
    fn lasts(&self, user: &UserId, remembered: Duration) -> bool {
        let is_over = self.expires.is_some_and(|end| end <= SystemTime::now());
        self.user == *user && !is_over && self.asked.elapsed() < remembered
    }

    fn since(&self, topic: &TopicName) -> Option<Instant> {
        let mut topics = self.topics.iter();
        Some(topics.find(|held| held.topic == *topic)?.since)
    }

    fn weight(&self) -> usize {
        1 + self.topics.len()
    }
}

impl HeldGrants {
    /// None yet. Revocations are remembered for so long; nothing that is older goes on.
    pub(super) fn remembering(remembered: Duration) -> Self {
        Self {
            table: Mutex::new(HeldTable {
                remembered,
                ..HeldTable::default()
            }),
        }
    }

    /// Revocations are remembered for so long from now on. Where that is longer, nothing goes on that is known by now:
    /// of what was revoked in the time that is added nothing may be left.
    pub(super) fn remember_for(&self, remembered: Duration) {
        let mut table = self.table.lock();
        if table.remembered < remembered {
            *table = HeldTable {
                remembered,
                ..HeldTable::default()
            };
        }
    }

    /// A view has answered. Of the answer before, `goes_on` says whether a topic of it was left alone since.
    pub(super) fn put(
        &self,
        key: HeldKey,
        mut answer: HeldAnswer,
        goes_on: impl Fn(&HeldAnswer, &TopicName) -> bool,
    ) {
        let mut table = self.table.lock();
        if let Some(old) = table.by_view.get(&key) {
            if old.asked > answer.asked {
                return;
            }
            if old.lasts(&answer.user, table.remembered) {
                for held in &mut answer.topics {
                    let since = old.since(&held.topic);
                    let since = since.filter(|_| goes_on(old, &held.topic));
                    held.since = since.unwrap_or(held.since);
                }
            }
        }
        table.insert(key, answer);
    }

    /// A view that was asked at `asked` grants nothing, or what it granted has ended then.
    pub(super) fn end(&self, key: &HeldKey, asked: Instant) {
        let mut table = self.table.lock();
        // It stays, without topics: an answer from before may still be on its way.
        let ended = table.by_view.get_mut(key);
        if let Some(held) = ended.filter(|held| held.asked <= asked) {
            let weight = held.topics.len();
            (held.asked, held.topics) = (asked, Box::default());
            table.weight -= weight;
        }
    }

    /// Since when a topic may be heard that a view granted which was asked at `asked`.
    pub(super) fn since(&self, key: &HeldKey, topic: &TopicName, asked: Instant) -> Instant {
        let table = self.table.lock();
        let known = table.by_view.get(key);
        let known = known.filter(|held| held.asked >= asked);
        known.and_then(|held| held.since(topic)).unwrap_or(asked)
    }
}

impl HeldTable {
    fn insert(&mut self, key: HeldKey, answer: HeldAnswer) {
        self.weight += answer.weight();
        if let Some(old) = self.by_view.insert(key, answer) {
            self.weight -= old.weight();
        }
        if self.weight > MOST {
            self.forget_older_half();
        }
    }

    fn forget_older_half(&mut self) {
        let Some(until) = median(self.by_view.values().map(|held| held.asked)) else {
            return;
        };
        self.by_view.retain(|_, held| held.asked > until);
        self.weight = self.by_view.values().map(HeldAnswer::weight).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> HeldGrants {
        HeldGrants::remembering(Duration::from_mins(10))
    }

    fn topic(name: &str) -> TopicName {
        TopicName::new(name).unwrap()
    }

    fn key(path: &str) -> HeldKey {
        HeldKey::of(None, &ViewTarget::new(path))
    }

    /// A view says so; gives when it was asked.
    fn says(held: &HeldGrants, path: &str, topics: &[&str]) -> Instant {
        let topics: Vec<_> = topics.iter().map(|name| topic(name)).collect();
        let asked = Instant::now();
        let answer = HeldAnswer::of(&UserId::new("1"), asked, &topics);
        held.put(key(path), answer, |_, _| true);
        asked
    }

    fn since(held: &HeldGrants, name: &str, asked: Instant) -> Instant {
        held.since(&key("/a/"), &topic(name), asked)
    }

    #[test]
    fn a_grant_holds_from_answer_to_answer_until_one_has_it_not() {
        let held = held();
        let first = says(&held, "/a/", &["news"]);
        let second = says(&held, "/a/", &["news", "more"]);
        assert_eq!(since(&held, "news", second), first);
        assert_eq!(since(&held, "more", second), second);
        says(&held, "/a/", &["more"]);
        let last = says(&held, "/a/", &["news", "more"]);
        assert_eq!(since(&held, "news", last), last);
        assert_eq!(since(&held, "more", last), second);
    }

    #[test]
    fn an_answer_from_before_its_end_brings_nothing_back() {
        let held = held();
        let early = Instant::now();
        says(&held, "/a/", &["news"]);
        held.end(&key("/a/"), Instant::now());
        let late = HeldAnswer::of(&UserId::new("1"), early, &[topic("news")]);
        held.put(key("/a/"), late, |_, _| true);
        let again = says(&held, "/a/", &["news"]);
        assert_eq!(since(&held, "news", again), again);
        // An end that is older than the answer says nothing of it.
        held.end(&key("/a/"), early);
        assert_eq!(since(&held, "news", again), again);
        let next = says(&held, "/a/", &["news"]);
        assert_eq!(since(&held, "news", next), again);
    }

    #[test]
    fn what_is_over_or_long_ago_or_was_touched_does_not_go_on() {
        let held = held();
        let answer = |expires| {
            let answer = HeldAnswer::of(&UserId::new("1"), Instant::now(), &[topic("news")]);
            answer.until(expires)
        };
        let goes_on = |held: &HeldGrants, first: HeldAnswer, is_untouched: bool| {
            let begin = first.asked;
            held.put(key("/a/"), first, |_, _| false);
            let next = answer(None);
            let asked = next.asked;
            held.put(key("/a/"), next, |_, _| is_untouched);
            since(held, "news", asked) == begin
        };
        assert!(goes_on(&held, answer(None), true));
        assert!(!goes_on(&held, answer(None), false));
        assert!(!goes_on(&held, answer(Some(SystemTime::now())), true));
        assert!(!goes_on(&HeldGrants::default(), answer(None), true));
        let others = HeldAnswer::of(&UserId::new("2"), Instant::now(), &[topic("news")]);
        assert!(!goes_on(&held, others, true));
    }

    #[test]
    fn however_much_is_granted_what_is_kept_has_a_bound() {
        let held = held();
        let names = ["news"; 1000];
        for path in 0..200 {
            says(&held, &format!("/{path}/"), &names);
        }
        let table = held.table.lock();
        assert!(table.weight <= MOST && table.by_view.len() > 50);
        let weights = table.by_view.values().map(HeldAnswer::weight);
        assert_eq!(table.weight, weights.sum::<usize>());
    }
}
