//! Who comes back gets what was missed, once and in order, or is told that something is missing.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::broker::Joining;
use crate::hub::{Granter, ItemForm, NotHeard, TopicRevocation};
use crate::ids::TopicName;

const USERS: [&str; 2] = ["1", "2"];
const TOPICS: [&str; 2] = ["news", "shop.order:1"];

fn broker(each: usize) -> Broker {
    let limits = HistoryLimits {
        each,
        ..HistoryLimits::default()
    };
    Broker::new(hub(1000), Duration::from_secs(299)).with_history(limits, HistoryMetrics::default())
}

fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

fn heard(name: &str) -> Audience {
    Audience::Topic(topic(name))
}

fn grant(name: &str, issued: u64) -> Grant {
    Grant {
        topic: topic(name),
        by: Granter::Token {
            issued: moment(issued),
            is_public: false,
        },
    }
}

/// A moment as the gateway is told it, far ahead so that nothing is forgotten meanwhile.
fn moment(seconds: u64) -> u64 {
    50_000_000_000_000 + 1000 * seconds
}

fn resume(broker: &Broker, user: &str, since: Since, grants: &[Grant]) -> (Membership, Recovery) {
    let membership = join(&broker.hub, user);
    let heard = broker.join(&Joining {
        connection: membership.member().id,
        since,
        told: None,
        grants,
    });
    (membership, heard.recovery)
}

fn at(position: Position) -> Since {
    Since::Position(Some(position))
}

fn say(broker: &Broker, to: Audience, frame: &str) -> Position {
    broker.publish(&publication(to, frame), None).position
}

#[test]
fn what_was_missed_comes_in_order_and_before_anything_new() {
    let broker = broker(10);
    let begin = say(&broker, user("1"), "had");
    say(&broker, user("1"), "a");
    say(&broker, Audience::Everyone, "b");
    say(&broker, user("2"), "another's");
    say(&broker, heard("news"), "c");
    let last = say(&broker, user("1"), "d");
    let (tab, recovery) = resume(&broker, "1", at(begin), &[grant("news", 0)]);
    say(&broker, user("1"), "new");
    assert_eq!(received(&tab), ["a", "b", "c", "d", "new"]);
    assert!(recovery.recovered);
    assert_eq!(recovery.position, begin);
    // Who has everything gets nothing, and goes on from here.
    let (tab, recovery) = resume(&broker, "1", at(last), &[]);
    assert_eq!(received(&tab), ["new"]);
    assert!(recovery.recovered);
    let now = broker.position();
    let (tab, recovery) = resume(&broker, "1", at(now), &[]);
    assert!(received(&tab).is_empty());
    assert_eq!((recovery.position, recovery.recovered), (now, true));
}

#[test]
fn a_position_of_another_user_gives_nothing_of_theirs() {
    let broker = broker(10);
    let begin = broker.position();
    say(&broker, user("1"), "anns");
    let (tab, recovery) = resume(&broker, "2", at(begin), &[]);
    assert!(received(&tab).is_empty() && recovery.recovered);
}

#[test]
fn a_visitor_that_comes_back_gets_its_topics_alone() {
    let broker = broker(10);
    let begin = broker.position();
    say(&broker, Audience::Everyone, "all");
    say(&broker, heard("news"), "news");
    let (tab, recovery) = resume(&broker, "", at(begin), &[grant("news", 0)]);
    assert_eq!(received(&tab), ["news"]);
    assert!(recovery.recovered);
}

#[test]
fn what_cannot_be_had_is_said_and_nothing_old_is_sent() {
    let broker = broker(2);
    let begin = broker.position();
    for frame in ["a", "b", "c"] {
        say(&broker, user("1"), frame);
    }
    say(&broker, Audience::Everyone, "all");
    let ahead = Position {
        sequence: 99,
        ..begin
    };
    let elsewhere = Position {
        generation: begin.generation ^ 1,
        ..begin
    };
    for since in [at(begin), at(ahead), at(elsewhere), Since::Position(None)] {
        let (tab, recovery) = resume(&broker, "1", since, &[]);
        assert!(!recovery.recovered, "{since:?}");
        assert_eq!(recovery.position, broker.position());
        assert!(received(&tab).is_empty());
    }
    // Others lost nothing.
    let (tab, recovery) = resume(&broker, "2", at(begin), &[]);
    assert_eq!(
        (received(&tab), recovery.recovered),
        (vec!["all".to_owned()], true)
    );
    let (tab, recovery) = resume(&broker, "1", Since::Unsaid, &[]);
    assert!(received(&tab).is_empty() && recovery.recovered);
}

#[test]
fn after_a_resync_no_position_from_before_counts() {
    let broker = broker(10);
    let before = say(&broker, user("1"), "a");
    broker.resync_everyone();
    let (tab, recovery) = resume(&broker, "1", at(before), &[]);
    assert!(received(&tab).is_empty() && !recovery.recovered);
    let (_, recovery) = resume(&broker, "1", at(broker.position()), &[]);
    assert!(recovery.recovered);
}

#[test]
fn what_was_published_while_the_handshake_was_under_way_follows_the_first_frames() {
    let broker = broker(10);
    say(&broker, user("1"), "known to Django");
    let asked = Instant::now();
    say(&broker, user("1"), "a");
    let membership = join(&broker.hub, "1");
    // It is registered, so this waits for it already; and of the topic it hears later.
    say(&broker, user("1"), "b");
    say(&broker, heard("news"), "c");
    say(&broker, user("1"), "d");
    let told = broker.join(&Joining {
        connection: membership.member().id,
        since: Since::Unsaid,
        told: Some(asked),
        grants: &[grant("news", 0)],
    });
    say(&broker, heard("news"), "e");
    assert_eq!(received(&membership), ["a", "b", "c", "d", "e"]);
    assert!(told.recovery.recovered);
    assert_eq!(told.recovery.position.sequence, 1);
}

#[test]
fn options_count_for_what_was_missed_as_they_do_for_what_is_new() {
    let broker = broker(10);
    let begin = broker.position();
    let mut elsewhere = publication(user("1"), "elsewhere");
    elsewhere.socket = Some("/other/".into());
    let mut over = publication(user("1"), "over");
    over.expires = Some(Instant::now() + Duration::from_millis(1));
    let mut old = publication(user("1"), "old");
    old.key = Some("k".into());
    let mut newest = publication(heard("news"), "newest");
    newest.key = Some("k".into());
    for publication in [&elsewhere, &over, &old, &newest] {
        broker.publish(publication, None);
    }
    while over.expires.is_some_and(|end| Instant::now() < end) {
        std::thread::yield_now();
    }
    let (tab, recovery) = resume(&broker, "1", at(begin), &[grant("news", 0)]);
    assert_eq!(
        (received(&tab), recovery.recovered),
        (vec!["newest".to_owned()], true)
    );
    let mut others = publication(heard("shop.order:1"), "own");
    others.exclude = Some(tab.member().id);
    broker.publish(&others, None);
    let subscribing = Subscribing {
        since: at(begin),
        grants: &[grant("shop.order:1", 0)],
    };
    let heard = broker.subscribe(tab.member().id, subscribing, |_| None);
    assert!(received(&tab).is_empty() && heard.recovery.recovered);
}

#[test]
fn a_topic_that_is_asked_for_later_comes_from_its_position_on_and_never_twice() {
    let broker = broker(10);
    let begin = broker.position();
    say(&broker, heard("news"), "a");
    let (tab, _) = resume(&broker, "1", Since::Unsaid, &[]);
    let live = say(&broker, user("1"), "live");
    let ask = |since| {
        let subscribing = Subscribing {
            since,
            grants: &[grant("news", 0)],
        };
        let heard = broker.subscribe(tab.member().id, subscribing, |heard| {
            let position = heard.recovery.position;
            Some(Word::subscribed(&["news"], position, heard.recovery.recovered).text())
        });
        heard.recovery.recovered
    };
    assert!(ask(Since::Unsaid));
    say(&broker, heard("news"), "b");
    let subscribed = |position: &str| {
        format!(
            r#"{{"gatepost":"subscribed","topics":["news"],"position":"{position}","recovered":true}}"#
        )
    };
    let two = live.to_string();
    assert_eq!(received(&tab), ["live", &*subscribed(&two), "b"]);
    // Only what came before it began to listen is missing.
    assert!(ask(at(begin)));
    assert_eq!(received(&tab), [&*subscribed(&begin.to_string()), "a"]);
    assert!(ask(at(begin)));
    let last = subscribed(&broker.position().to_string());
    assert_eq!(received(&tab), [last]);
}

#[test]
fn nothing_is_heard_from_before_a_revocation_and_that_is_said() {
    let broker = broker(10);
    let begin = broker.position();
    let revoke = |user: Option<&str>| {
        broker.revoke_topic(&TopicRevocation {
            topic: topic("news"),
            user: user.map(UserId::new),
            at: moment(10),
            max_age: Duration::from_hours(1),
        });
    };
    say(&broker, heard("news"), "before");
    revoke(Some("1"));
    say(&broker, heard("news"), "after");
    say(&broker, user("1"), "own");
    let (tab, recovery) = resume(&broker, "1", at(begin), &[grant("news", 20)]);
    assert_eq!(
        (received(&tab), recovery.recovered),
        (vec!["after".to_owned(), "own".to_owned()], false)
    );
    let (tab, recovery) = resume(&broker, "2", at(begin), &[grant("news", 0)]);
    assert_eq!(
        (received(&tab), recovery.recovered),
        (vec!["before".to_owned(), "after".to_owned()], true)
    );
    revoke(None);
    say(&broker, heard("news"), "last");
    let (tab, recovery) = resume(&broker, "2", at(begin), &[grant("news", 20)]);
    assert_eq!(
        (received(&tab), recovery.recovered),
        (vec!["last".to_owned()], false)
    );
    // Nothing was withheld of who has more.
    let (_, recovery) = resume(&broker, "2", at(broker.position()), &[grant("news", 20)]);
    assert!(recovery.recovered);
}

/// What happens, to which page or topic.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A page comes, or comes back.
    Connect {
        page: usize,
    },
    /// It loses its connection after so many items of what waits for it.
    Cut {
        page: usize,
        reads: usize,
    },
    /// It reads all that waits.
    Read {
        page: usize,
    },
    /// It asks for its topics once more, with the position that it has.
    Subscribe {
        page: usize,
    },
    /// Django gives it new tokens.
    Renew {
        page: usize,
    },
    Revoke {
        topic: usize,
        user: Option<usize>,
    },
    Publish {
        to: usize,
    },
    Resync,
}

/// A page, as honest clients are: its position is the last that it was told.
#[derive(Default)]
struct Page {
    user: usize,
    issued: u64,
    position: Option<Position>,
    connection: Option<Membership>,
    got: BTreeSet<u64>,
    /// What it has to get, or be told that something is missing.
    owed: BTreeSet<u64>,
    /// What was taken from its user before it connected, of each topic up to which number.
    cuts: [u64; 2],
    /// Whether it went back to an older position for a topic, so that it may get again what it has.
    went_back: bool,
}

struct World {
    broker: Broker,
    pages: Vec<Page>,
    clock: u64,
    /// When a topic was last taken from a user, and at which number.
    revoked: [[Option<(u64, u64)>; 2]; 2],
    published: Vec<usize>,
    /// When everybody was told to fetch anew.
    resynced: u64,
}

fn step() -> impl Strategy<Value = Step> {
    let (page, topic) = (0..4_usize, 0..TOPICS.len());
    prop_oneof![
        4 => page.clone().prop_map(|page| Step::Connect { page }),
        4 => (page.clone(), 0..6_usize).prop_map(|(page, reads)| Step::Cut { page, reads }),
        2 => page.clone().prop_map(|page| Step::Read { page }),
        1 => page.clone().prop_map(|page| Step::Subscribe { page }),
        1 => page.prop_map(|page| Step::Renew { page }),
        1 => (topic, proptest::option::of(0..USERS.len()))
            .prop_map(|(topic, user)| Step::Revoke { topic, user }),
        14 => (0..5_usize).prop_map(|to| Step::Publish { to }),
        1 => Just(Step::Resync),
    ]
}

/// To each user, to each topic, to everyone.
fn audience(to: usize) -> Audience {
    match to {
        0 | 1 => user(USERS[to]),
        2 | 3 => heard(TOPICS[to - 2]),
        _ => Audience::Everyone,
    }
}

impl World {
    fn new() -> Self {
        let page = |page: usize| Page {
            user: page % 2,
            issued: 10,
            ..Page::default()
        };
        Self {
            broker: broker(6),
            pages: (0..4).map(page).collect(),
            clock: 10,
            revoked: [[None; 2]; 2],
            published: Vec::new(),
            resynced: 0,
        }
    }

    /// Whether a page's token grants a topic.
    fn may(&self, page: &Page, topic: usize) -> bool {
        self.revoked[topic][page.user].is_none_or(|(at, _)| page.issued >= at + 2)
    }

    /// Whether a page has a right to a publication.
    fn is_owed(&self, page: &Page, number: u64) -> bool {
        let to = self.published[usize::try_from(number).unwrap() - 1];
        match to {
            0 | 1 => page.user == to,
            2 | 3 => {
                let cut = self.revoked[to - 2][page.user];
                self.may(page, to - 2) && cut.is_none_or(|(_, last)| number > last)
            }
            _ => to == 4,
        }
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Connect { page } => self.connect(page)?,
            Step::Cut { page, reads } => {
                self.read(page, reads)?;
                self.pages[page].connection = None;
            }
            Step::Read { page } => {
                self.read(page, usize::MAX)?;
                let page = &mut self.pages[page];
                if page.connection.is_some() {
                    prop_assert!(page.owed.is_empty(), "lost: {:?}", page.owed);
                    page.position = Some(self.broker.position());
                    page.went_back = false;
                }
            }
            Step::Subscribe { page } => self.subscribe(page)?,
            Step::Renew { page } => {
                self.clock += 1;
                self.pages[page].issued = self.clock;
            }
            Step::Revoke { topic, user } => self.revoke(topic, user),
            Step::Publish { to } => self.publish(to),
            Step::Resync => {
                self.broker.resync_everyone();
                self.published.push(usize::MAX);
                self.resynced = self.published.len() as u64;
                for page in &mut self.pages {
                    page.owed.clear();
                }
            }
        }
        Ok(())
    }

    fn publish(&mut self, to: usize) {
        let number = self.published.len() + 1;
        self.published.push(to);
        say(&self.broker, audience(to), &number.to_string());
        let number = number as u64;
        for page in 0..self.pages.len() {
            if self.is_owed(&self.pages[page], number) && self.listens(page, to) {
                self.pages[page].owed.insert(number);
            }
        }
    }

    /// Whether a page would hear of it now, or has a position from which it would.
    fn listens(&self, page: usize, to: usize) -> bool {
        let page = &self.pages[page];
        match (&page.connection, to) {
            (Some(connection), 2 | 3) => connection
                .member()
                .topics()
                .contains(&topic(TOPICS[to - 2])),
            (Some(_), _) => true,
            (None, _) => page.position.is_some(),
        }
    }

    fn revoke(&mut self, topic: usize, user: Option<usize>) {
        self.clock += 3;
        self.broker.revoke_topic(&TopicRevocation {
            topic: self::topic(TOPICS[topic]),
            user: user.map(|user| UserId::new(USERS[user])),
            at: moment(self.clock),
            max_age: Duration::from_hours(1),
        });
        let last = self.published.len() as u64;
        for each in 0..USERS.len() {
            if user.is_none_or(|user| user == each) {
                self.revoked[topic][each] = Some((self.clock, last));
            }
        }
        for page in 0..self.pages.len() {
            let page = &self.pages[page];
            let owed = page.owed.iter().copied();
            // What waits for a connection already is on its way.
            let left: BTreeSet<_> = owed
                .filter(|number| page.connection.is_some() || self.is_owed(page, *number))
                .collect();
            let index = self
                .pages
                .iter()
                .position(|other| std::ptr::eq(other, page));
            self.pages[index.unwrap()].owed = left;
        }
    }

    fn grants(&self, page: usize) -> Vec<Grant> {
        let issued = self.pages[page].issued;
        TOPICS.iter().map(|name| grant(name, issued)).collect()
    }

    fn connect(&mut self, page: usize) -> Result<(), TestCaseError> {
        if self.pages[page].connection.is_some() {
            return Ok(());
        }
        let since = self.pages[page].position.map_or(Since::Unsaid, at);
        let user = USERS[self.pages[page].user];
        let (connection, recovery) = resume(&self.broker, user, since, &self.grants(page));
        let named = self.pages[page].position;
        if named.is_some_and(|named| named.sequence < self.resynced) {
            prop_assert!(!recovery.recovered);
        }
        let owed: BTreeSet<_> = {
            let page = &self.pages[page];
            let owed = page.owed.iter().copied();
            owed.filter(|number| self.is_owed(page, *number)).collect()
        };
        let user = self.pages[page].user;
        let cut = |topic: usize| self.revoked[topic][user].map_or(0, |(_, last)| last);
        let cuts = [cut(0), cut(1)];
        let page = &mut self.pages[page];
        page.cuts = cuts;
        page.owed = owed;
        page.connection = Some(connection);
        page.position = Some(recovery.position);
        if !recovery.recovered {
            // It fetches everything anew, and may get of it what was withheld of nothing else.
            page.owed.clear();
            page.got.clear();
        }
        Ok(())
    }

    fn subscribe(&mut self, page: usize) -> Result<(), TestCaseError> {
        self.read(page, usize::MAX)?;
        let Some(id) = self.pages[page]
            .connection
            .as_ref()
            .map(|it| it.member().id)
        else {
            return Ok(());
        };
        let since = self.pages[page].position.unwrap();
        let grants = self.grants(page);
        let subscribing = Subscribing {
            since: at(since),
            grants: &grants,
        };
        let heard = self.broker.subscribe(id, subscribing, |_| None);
        for refused in &heard.refused {
            prop_assert_eq!(refused.why, NotHeard::Revoked);
        }
        let page = &mut self.pages[page];
        if heard.recovery.position.sequence < page.position.unwrap().sequence {
            page.went_back = true;
        }
        Ok(())
    }

    /// Reads so much of what waits, and counts.
    fn read(&mut self, index: usize, mut reads: usize) -> Result<(), TestCaseError> {
        let Some(connection) = self.pages[index].connection.take() else {
            return Ok(());
        };
        let outbox = &connection.member().outbox;
        while reads > 0
            && let Some(item) = outbox.take_within(usize::MAX)
        {
            let Some(position) = item.position() else {
                continue;
            };
            reads -= 1;
            let number = position.sequence;
            let to = self.published[usize::try_from(number).unwrap() - 1];
            let page = &mut self.pages[index];
            let may_hear = match to {
                0 | 1 => to == page.user,
                2 | 3 => number > page.cuts[to - 2],
                _ => to == 4,
            };
            prop_assert!(may_hear, "a stray: {number}");
            let is_new = page.got.insert(number);
            prop_assert!(is_new || page.went_back, "doubled: {number}");
            page.owed.remove(&number);
            page.position = Some(position);
        }
        self.pages[index].connection = Some(connection);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_is_lost_in_silence_doubled_or_heard_without_a_grant(
        steps in proptest::collection::vec(step(), 1..120)
    ) {
        let mut world = World::new();
        for step in steps {
            world.step(step)?;
        }
        for page in 0..world.pages.len() {
            if world.pages[page].position.is_some() {
                world.step(Step::Connect { page })?;
            }
            world.step(Step::Read { page })?;
        }
    }
}

/// Each form is about as large as what was published, and the history's budget counts that alone.
#[test]
fn what_clients_make_of_a_frame_does_not_stay_in_the_history() {
    let broker = broker(10);
    let context = Context::from_waker(Waker::noop());
    let begin = say(&broker, user("2"), "before");
    let listening = join(&broker.hub, "1");
    say(&broker, user("1"), "a");
    let mut written = 0;
    let mut write = |tab: &Membership| {
        let Poll::Ready(Taken::Item(item)) = tab.member().outbox.poll_take(&context) else {
            panic!("nothing waits");
        };
        item.in_form(ItemForm::Envelope, |item| {
            written += 1;
            item.text().unwrap()
        });
    };
    write(&listening);
    for _ in 0..2 {
        write(&resume(&broker, "1", at(begin), &[]).0);
    }
    assert_eq!(written, 3);
}
