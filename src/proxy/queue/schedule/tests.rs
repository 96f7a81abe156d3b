use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::net::block::AddressBlock;

fn known(session: u8) -> Requester {
    Requester::Known([session; 16])
}

fn other(last: u8) -> Requester {
    Requester::Other(AddressBlock::of([192, 0, 2, last].into()))
}

/// So many places, all taken by somebody who is long gone from all lines; who waits is told by a name.
fn busy(places: usize) -> Schedule<Requester> {
    let bounds = QueueBounds {
        places,
        waiting: 1_000_000,
    };
    let mut schedule = Schedule::new(bounds);
    for place in 0..places {
        let place = u8::try_from(place).unwrap();
        assert!(schedule.try_take(known(200 - place)));
    }
    schedule
}

fn wait(schedule: &mut Schedule<Requester>, requester: Requester, times: usize) {
    for _ in 0..times {
        schedule.enqueue(requester, requester).unwrap();
    }
}

/// Who gets the places one after the other, where each is given back at once.
fn served(
    schedule: &mut Schedule<Requester>,
    mut holders: Vec<Requester>,
    times: usize,
) -> Vec<Requester> {
    let mut served = Vec::new();
    for _ in 0..times {
        schedule.give_back(holders.remove(0));
        let (requester, waiter) = schedule.serve().unwrap();
        assert_eq!(requester, waiter);
        assert!(schedule.serve().is_none(), "one place was free");
        holders.push(requester);
        served.push(requester);
    }
    served
}

fn long_gone(places: usize) -> Vec<Requester> {
    let places = u8::try_from(places).unwrap();
    (0..places).map(|place| known(200 - place)).collect()
}

#[test]
fn sessions_take_turns_however_many_requests_they_have() {
    let mut schedule = busy(1);
    wait(&mut schedule, known(1), 100);
    wait(&mut schedule, known(2), 2);
    wait(&mut schedule, known(3), 1);
    let served = served(&mut schedule, long_gone(1), 6);
    let expected = [1, 2, 3, 1, 2, 1].map(known);
    assert_eq!(served, expected);
}

#[test]
fn where_places_are_few_each_tenth_goes_to_the_others() {
    for places in [1, 2, 4, 9] {
        let mut schedule = busy(places);
        wait(&mut schedule, other(1), 100);
        for session in 0..20 {
            wait(&mut schedule, known(session), 100);
        }
        let served = served(&mut schedule, long_gone(places), 100);
        for (place, requester) in served.iter().enumerate() {
            let is_other = matches!(requester, Requester::Other(_));
            assert_eq!(is_other, place % 10 == 9, "{places} places, {place}");
        }
    }
}

#[test]
fn of_ten_places_the_others_have_one() {
    let mut schedule = busy(20);
    wait(&mut schedule, other(1), 100);
    for session in 0..20 {
        wait(&mut schedule, known(session), 100);
    }
    let served = served(&mut schedule, long_gone(20), 200);
    let others = served
        .iter()
        .filter(|requester| matches!(requester, Requester::Other(_)));
    assert_eq!(others.count(), 20);
    assert_eq!(schedule.others.taken(), 2);
}

#[test]
fn one_session_has_a_quarter_while_others_wait_and_all_where_none_does() {
    let mut schedule = busy(8);
    wait(&mut schedule, known(1), 100);
    let alone = served(&mut schedule, long_gone(8), 8);
    assert_eq!(alone, [known(1); 8]);
    for session in 2..10 {
        wait(&mut schedule, known(session), 100);
    }
    let crowd = served(&mut schedule, alone, 6);
    assert_eq!(
        crowd,
        [2, 3, 4, 5, 6, 7].map(known),
        "it had too much already"
    );
}

#[test]
fn addresses_take_turns_so_that_one_that_floods_keeps_nobody_from_logging_in() {
    let mut schedule = busy(1);
    wait(&mut schedule, other(1), 100);
    wait(&mut schedule, other(2), 1);
    let served = served(&mut schedule, long_gone(1), 3);
    assert_eq!(served, [1, 2, 1].map(other));
}

#[test]
fn where_all_room_is_taken_the_newest_of_the_others_goes_first() {
    let bounds = QueueBounds {
        places: 1,
        waiting: 3,
    };
    let mut schedule = Schedule::new(bounds);
    assert!(schedule.try_take(known(1)));
    for last in [1, 2, 3] {
        assert!(
            schedule
                .enqueue(other(last), last)
                .unwrap()
                .ousted
                .is_none()
        );
    }
    assert_eq!(schedule.enqueue(other(4), 4).unwrap_err(), QueueFull);
    for (session, ousted) in [(5, 3), (6, 2), (7, 1)] {
        let enqueued = schedule.enqueue(known(session), session).unwrap();
        assert_eq!(enqueued.ousted, Some(ousted));
    }
    assert_eq!(schedule.enqueue(other(8), 8).unwrap_err(), QueueFull);
    assert_eq!(schedule.enqueue(known(5), 8).unwrap_err(), QueueFull);
    assert_eq!(schedule.waiting(), (3, 0));
}

#[test]
fn who_fills_the_queue_alone_makes_room_for_others() {
    let bounds = QueueBounds {
        places: 1,
        waiting: 4,
    };
    for of in [known, other] {
        let mut schedule = Schedule::new(bounds);
        assert!(schedule.try_take(of(9)));
        for name in 0..4 {
            schedule.enqueue(of(1), name).unwrap();
        }
        assert_eq!(schedule.enqueue(of(1), 4).unwrap_err(), QueueFull);
        assert_eq!(schedule.enqueue(of(2), 5).unwrap().ousted, Some(3));
        assert_eq!(schedule.enqueue(of(3), 6).unwrap().ousted, Some(2));
        assert_eq!(schedule.enqueue(of(4), 7).unwrap().ousted, Some(1));
        let one_each = schedule.enqueue(of(5), 8);
        assert_eq!(one_each.unwrap_err(), QueueFull);
    }
}

#[derive(Clone, Debug)]
enum Event {
    Comes(Requester),
    Leaves(usize),
    Ends(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let requester = prop_oneof![(0..4_u8).prop_map(known), (0..4_u8).prop_map(other)];
    prop_oneof![
        4 => requester.prop_map(Event::Comes),
        1 => any::<usize>().prop_map(Event::Leaves),
        3 => any::<usize>().prop_map(Event::Ends),
    ]
}

/// What a fair and careful person would have written down.
#[derive(Default)]
struct Book {
    waits: Vec<(u64, Requester)>,
    holds: Vec<Requester>,
}

impl Book {
    fn serve(&mut self, schedule: &mut Schedule<u64>) {
        while let Some((requester, name)) = schedule.serve() {
            let at = self.waits.iter().position(|(waits, _)| *waits == name);
            assert_eq!(self.waits.remove(at.unwrap()).1, requester);
            self.holds.push(requester);
        }
    }

    fn forget(&mut self, name: u64) -> Requester {
        let at = self.waits.iter().position(|(waits, _)| *waits == name);
        self.waits.remove(at.unwrap()).1
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn places_are_never_lost_bounds_hold_and_nobody_starves(
        places in 1_usize..25,
        room in 0_usize..12,
        events in prop::collection::vec(event(), 0..300),
    ) {
        let mut schedule = Schedule::new(QueueBounds { places, waiting: room });
        let (mut book, mut tickets) = (Book::default(), HashMap::new());
        for (name, event) in (0_u64..).zip(events) {
            match event {
                Event::Comes(requester) if schedule.try_take(requester) => {
                    prop_assert!(book.waits.is_empty(), "nobody comes before those that wait");
                    book.holds.push(requester);
                }
                Event::Comes(requester) => {
                    prop_assert_eq!(book.holds.len(), places, "no place is kept free");
                    if let Ok(enqueued) = schedule.enqueue(requester, name) {
                        if let Some(ousted) = enqueued.ousted {
                            let ousted = book.forget(ousted);
                            let worse = matches!(ousted, Requester::Other(_));
                            prop_assert!(worse || matches!(requester, Requester::Known(_)));
                        }
                        tickets.insert(name, enqueued.ticket);
                        book.waits.push((name, requester));
                    } else {
                        let mut waits = book.waits.iter();
                        let others = waits.any(|(_, one)| matches!(one, Requester::Other(_)));
                        prop_assert!(matches!(requester, Requester::Other(_)) || !others);
                        prop_assert_eq!(book.waits.len(), room);
                    }
                }
                Event::Leaves(which) if !book.waits.is_empty() => {
                    let (name, requester) = book.waits.remove(which % book.waits.len());
                    prop_assert!(schedule.leave(requester, tickets[&name]));
                    prop_assert!(!schedule.leave(requester, tickets[&name]));
                }
                Event::Ends(which) if !book.holds.is_empty() => {
                    let requester = book.holds.remove(which % book.holds.len());
                    schedule.give_back(requester);
                    book.serve(&mut schedule);
                }
                Event::Leaves(_) | Event::Ends(_) => {}
            }
            prop_assert_eq!(schedule.taken(), book.holds.len());
            prop_assert!(schedule.taken() <= places);
            let (known, others) = schedule.waiting();
            prop_assert_eq!(known + others, book.waits.len());
            prop_assert!(known + others <= room);
        }
        // All that wait are served in the end.
        while let Some(requester) = book.holds.pop() {
            schedule.give_back(requester);
            book.serve(&mut schedule);
        }
        prop_assert!(book.waits.is_empty());
        prop_assert_eq!((schedule.taken(), schedule.waiting()), (0, (0, 0)));
        prop_assert_eq!(schedule.known.requesters() + schedule.others.requesters(), 0, "nothing is remembered");
    }

    #[test]
    fn a_request_waits_for_no_more_than_its_turn(
        places in 1_usize..25,
        sessions in 1_u8..12,
        is_known in any::<bool>(),
    ) {
        let mut schedule = busy(places);
        let mut holds = long_gone(places);
        // Everybody else always has more.
        for number in 0..sessions {
            wait(&mut schedule, known(number), 500);
            wait(&mut schedule, other(number), 500);
        }
        let requester = if is_known { known(100) } else { other(100) };
        schedule.enqueue(requester, requester).unwrap();
        // A place in ten, or each tenth, for an address; their turn comes after that of all others. Those
        // that were there may first have to end.
        let rounds = usize::from(sessions) + 1;
        let each = if is_known { 2 } else { 10.max(places / (places / TENTH).max(1) + 1) };
        let most = each * rounds + 2 * places + 10;
        let mut passed = 0;
        // In order of their age: the upstream is fair, too.
        for _ in 0..400 {
            schedule.give_back(holds.remove(0));
            let (served, _) = schedule.serve().unwrap();
            holds.push(served);
            if served == requester {
                break;
            }
            passed += 1;
        }
        prop_assert!(passed <= most, "{passed} were served before, at most {most}");
    }
}
