use std::collections::HashMap;
use std::slice::from_ref;

use proptest::prelude::*;

use super::*;
use crate::hub::Item;
use crate::ids::ConnectionId;
use crate::publication::{Content, Frame, Position, Publication};

const MINUTE: Duration = Duration::from_mins(1);
const LIMITS: HistoryLimits = HistoryLimits {
    each: 3,
    age: MINUTE,
    bytes: 1 << 20,
};

/// Numbers publications, as the broker does.
struct Stage {
    history: History,
    sequence: u64,
    now: Instant,
}

impl Stage {
    fn new(limits: HistoryLimits) -> Self {
        Self {
            history: History::new(limits),
            sequence: 0,
            now: Instant::now(),
        }
    }

    fn mark(&self) -> HistoryMark {
        HistoryMark {
            sequence: self.sequence,
            at: self.now,
        }
    }

    fn publish(&mut self, publication: &Publication) -> u64 {
        self.sequence += 1;
        let position = Position {
            generation: 1,
            sequence: self.sequence,
        };
        let item = Item::published(publication, position);
        let mark = self.mark();
        self.history.keep(&publication.to, &Kept { mark, item });
        self.sequence
    }

    fn say(&mut self, to: &Audience) -> u64 {
        self.publish(&publication(from_ref(to), None, 2))
    }

    fn kept(&self, audience: &Audience, known: u64) -> Vec<u64> {
        let kept = self.history.after(audience, KnownUpTo::Sequence(known));
        kept.map(|kept| kept.mark.sequence).collect()
    }

    fn floor(&mut self, audience: &Audience) -> u64 {
        let floor = self.history.floor(audience, self.now);
        floor.map_or(0, |mark| mark.sequence)
    }
}

fn publication(to: &[Audience], key: Option<&str>, size: usize) -> Publication {
    Publication {
        to: to.to_vec(),
        content: Content::Frame(Frame::new("x".repeat(size))),
        event: None,
        end: false,
        key: key.map(Into::into),
        expires: None,
        exclude: None,
        socket: None,
    }
}

fn at_socket(to: &Audience, key: &str, socket: Option<&str>) -> Publication {
    Publication {
        socket: socket.map(Into::into),
        ..publication(from_ref(to), Some(key), 2)
    }
}

fn user(id: &(impl ToString + ?Sized)) -> Audience {
    Audience::User(UserId::new(&id.to_string()))
}

fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

#[test]
fn an_audience_has_its_last_ones_in_order_and_knows_what_is_gone() {
    let mut stage = Stage::new(LIMITS);
    let (ann, bob) = (user("ann"), user("bob"));
    for _ in 0..3 {
        stage.say(&ann);
        stage.say(&Audience::Everyone);
    }
    assert_eq!(stage.kept(&ann, 0), [1, 3, 5]);
    assert_eq!(stage.kept(&ann, 1), [3, 5]);
    assert_eq!(stage.kept(&ann, 5), [0; 0]);
    assert_eq!((stage.floor(&ann), stage.floor(&bob)), (0, 0));
    stage.publish(&publication(&[ann.clone(), bob.clone()], None, 2));
    assert_eq!((stage.kept(&ann, 0), stage.floor(&ann)), (vec![3, 5, 7], 1));
    assert_eq!((stage.kept(&bob, 0), stage.floor(&bob)), (vec![7], 0));
}

#[test]
fn to_one_connection_nothing_is_kept() {
    let mut stage = Stage::new(LIMITS);
    let tab = Audience::Connection(ConnectionId::random());
    stage.say(&tab);
    assert_eq!((stage.kept(&tab, 0), stage.floor(&tab)), (vec![], 0));
    assert_eq!(stage.history.bytes, 0);
}

#[test]
fn what_is_too_old_goes_and_the_floor_outlives_the_log() {
    let mut stage = Stage::new(LIMITS);
    let (ann, bob) = (user("ann"), user("bob"));
    stage.say(&ann);
    stage.now += Duration::from_millis(59_999);
    stage.say(&bob);
    assert_eq!(stage.kept(&ann, 0), [1]);
    stage.now += Duration::from_millis(1);
    // Reading looks at the clock as well.
    assert_eq!((stage.floor(&ann), stage.kept(&ann, 0)), (1, vec![]));
    assert!(!stage.history.logs.contains_key(&ann));
    assert_eq!(stage.floor(&bob), 0);
    stage.now += MINUTE;
    stage.say(&user("eve"));
    assert_eq!((stage.floor(&ann), stage.floor(&bob)), (1, 2));
    assert_eq!((stage.history.kept, stage.history.order.len()), (1, 1));
}

#[test]
fn a_moment_counts_as_a_position_does() {
    let mut stage = Stage::new(LIMITS);
    let ann = user("ann");
    stage.say(&ann);
    stage.now += Duration::from_secs(1);
    let moment = KnownUpTo::Moment(stage.now);
    stage.say(&ann);
    let after: Vec<_> = stage.history.after(&ann, moment).collect();
    assert_eq!(after[0].mark.sequence, 2);
    assert_eq!(after.len(), 1);
}

#[test]
fn the_oldest_of_all_go_where_there_are_too_many_bytes() {
    let each = ITEM + PLACE + 1000;
    let mut stage = Stage::new(HistoryLimits {
        each: 100,
        bytes: 10 * each,
        ..LIMITS
    });
    for n in 0..15 {
        stage.publish(&publication(&[user(&n)], None, 1000));
        assert!(stage.history.bytes <= 10 * each);
    }
    let floors: Vec<_> = (0..6).map(|n| stage.floor(&user(&n))).collect();
    assert_eq!(floors, [1, 2, 3, 4, 5, 0]);
    assert_eq!(stage.history.bytes, 10 * each);
    // One that does not fit at all costs nobody else anything.
    stage.publish(&publication(&[user(&14)], None, 20 * each));
    assert_eq!(
        (stage.floor(&user(&14)), stage.kept(&user(&14), 0)),
        (16, vec![])
    );
    assert_eq!(stage.kept(&user(&13), 0), [14]);
}

#[test]
fn without_a_history_everything_is_known_to_be_gone() {
    let mut stage = Stage::new(HistoryLimits { each: 0, ..LIMITS });
    stage.say(&user("ann"));
    assert_eq!(
        (stage.floor(&user("ann")), stage.floor(&user("bob"))),
        (1, 0)
    );
    assert_eq!(stage.history.bytes, 0);
}

#[test]
fn the_newest_of_a_key_takes_the_place_of_the_older_one_which_nobody_misses() {
    let mut stage = Stage::new(LIMITS);
    let ann = user("ann");
    stage.say(&ann);
    for _ in 0..5 {
        stage.publish(&publication(from_ref(&ann), Some("progress"), 2));
    }
    stage.publish(&publication(from_ref(&ann), Some("other"), 2));
    assert_eq!((stage.kept(&ann, 0), stage.floor(&ann)), (vec![1, 6, 7], 0));
}

#[test]
fn of_a_key_nothing_goes_that_is_for_other_sockets_than_the_newer_one() {
    let mut stage = Stage::new(HistoryLimits { each: 10, ..LIMITS });
    let ann = user("ann");
    stage.publish(&at_socket(&ann, "k", None));
    stage.publish(&at_socket(&ann, "k", Some("/ws/a/")));
    stage.publish(&at_socket(&ann, "k", Some("/ws/b/")));
    stage.publish(&at_socket(&ann, "k", Some("/ws/a/")));
    assert_eq!(stage.kept(&ann, 0), [1, 3, 4]);
    stage.publish(&at_socket(&ann, "k", None));
    assert_eq!(stage.kept(&ann, 0), [3, 4, 5]);
}

#[test]
fn it_says_how_much_it_keeps() {
    let mut stage = Stage::new(LIMITS);
    let metrics = HistoryMetrics::default();
    stage.history = stage.history.measured_by(metrics.clone());
    let said = || (metrics.bytes.get(), metrics.frames.get());
    let each = i64::try_from(ITEM + 2).unwrap();
    let place = i64::try_from(PLACE).unwrap();
    stage.publish(&publication(&[user("ann"), user("bob")], None, 2));
    stage.publish(&publication(
        &[user("ann"), Audience::Topic(topic("news"))],
        None,
        2,
    ));
    assert_eq!(said(), (2 * each + 4 * place, 4));
    let mark = stage.mark();
    stage.history.cut(&topic("news"), None, mark);
    assert_eq!(said(), (2 * each + 3 * place, 3));
    stage.now += MINUTE;
    stage.floor(&user("ann"));
    assert_eq!(said(), (each + place, 1));
    let mark = stage.mark();
    stage.history.clear_all(mark);
    assert_eq!(said(), (0, 0));
}

#[test]
fn bytes_of_a_crowd_are_counted_once_and_until_the_last_of_it_is_gone() {
    let mut stage = Stage::new(HistoryLimits { each: 1, ..LIMITS });
    stage.publish(&publication(&[user("ann"), user("bob")], None, 1000));
    assert_eq!(stage.history.bytes, ITEM + 1000 + 2 * PLACE);
    stage.say(&user("ann"));
    assert_eq!(stage.history.bytes, 2 * ITEM + 1002 + 2 * PLACE);
    stage.say(&user("bob"));
    assert_eq!(stage.history.bytes, 2 * (ITEM + 2 + PLACE));
    assert!(stage.history.crowds.is_empty());
}

#[test]
fn what_was_taken_from_a_user_is_cut_for_this_user_alone() {
    let mut stage = Stage::new(LIMITS);
    let (order, ann, bob) = (topic("shop.order:17"), UserId::new("1"), UserId::new("2"));
    let heard = Audience::Topic(order.clone());
    stage.say(&heard);
    let mark = stage.mark();
    stage.history.cut(&order, Some(&ann), mark);
    let cut = |stage: &Stage, user| stage.history.cut_of(&order, user);
    assert_eq!((cut(&stage, &ann), cut(&stage, &bob)), (Some(mark), None));
    assert_eq!(stage.kept(&heard, 0), [1]);
    stage.say(&heard);
    let mark = stage.mark();
    stage.history.cut(&order, None, mark);
    assert_eq!(
        (cut(&stage, &ann), cut(&stage, &bob)),
        (Some(mark), Some(mark))
    );
    assert_eq!((stage.kept(&heard, 0), stage.floor(&heard)), (vec![], 2));
}

#[test]
fn after_a_clearance_nobody_has_everything() {
    let mut stage = Stage::new(LIMITS);
    stage.publish(&publication(&[user("ann"), user("bob")], None, 2));
    let mark = stage.mark();
    stage.history.clear_all(mark);
    assert_eq!(
        (stage.floor(&user("ann")), stage.floor(&user("eve"))),
        (1, 1)
    );
    assert_eq!(stage.history.bytes, 0);
    stage.say(&user("ann"));
    assert_eq!(
        (stage.floor(&user("ann")), stage.kept(&user("ann"), 1)),
        (1, vec![2])
    );
}

/// All that was ever published to each, for comparison.
#[derive(Default)]
struct Everything(HashMap<Audience, Vec<u64>>);

proptest! {
    /// Whatever happens, what is kept is all that there was behind the floor, in order, and within the bounds.
    #[test]
    fn the_history_is_complete_behind_its_floors(
        steps in proptest::collection::vec((0..5_u8, 0..5_u8, 1..400_usize, 0..20_u64), 1..300)
    ) {
        let limits = HistoryLimits { each: 4, age: MINUTE, bytes: 12_000 };
        let mut stage = Stage::new(limits);
        let mut all = Everything::default();
        for (one, other, size, seconds) in steps {
            stage.now += Duration::from_secs(seconds);
            let mut to = vec![user(&one)];
            if other != one && other != 0 {
                to.push(user(&other));
            }
            let sequence = stage.publish(&publication(&to, None, size));
            for audience in to {
                all.0.entry(audience).or_default().push(sequence);
            }
            prop_assert!(stage.history.bytes <= limits.bytes);
            for (audience, published) in &all.0 {
                let floor = stage.floor(audience);
                let kept = stage.kept(audience, floor);
                let expected: Vec<_> = published.iter().copied().filter(|n| *n > floor).collect();
                prop_assert_eq!(&kept, &expected);
                prop_assert!(kept.len() <= limits.each);
            }
            let lengths = stage.history.logs.values().map(AudienceLog::len);
            prop_assert_eq!(lengths.sum::<usize>(), stage.history.kept);
        }
        while stage.history.forget_oldest() {}
        prop_assert_eq!((stage.history.bytes, stage.history.kept), (0, 0));
        prop_assert!(stage.history.logs.is_empty() && stage.history.crowds.is_empty());
    }
}
