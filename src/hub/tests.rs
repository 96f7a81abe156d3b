mod topics;
mod views;

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::identity::Identity;
use crate::ids::{GroupName, SessionDigest};
use crate::publication::{Content, Frame, Position, Publication};
use crate::secret::Secret;

const LIMITS: OutboxLimits = OutboxLimits {
    frames: 8,
    bytes: 1024,
};

const UNLIMITED: HubLimits = HubLimits {
    outbox: LIMITS,
    connections_per_user: None,
    topics_per_connection: usize::MAX,
};

fn session(value: &str) -> SessionDigest {
    SessionDigest::of(&Secret::new(vec![7; 32]), value.as_bytes())
}

fn member(user: &str, groups: &[&str], socket: &str) -> Member {
    Member::new(
        identity(user, groups, user),
        socket.into(),
        Ipv4Addr::LOCALHOST.into(),
    )
}

fn identity(user: &str, groups: &[&str], cookie: &str) -> Arc<Identity> {
    Arc::new(Identity {
        user: UserId::new(user),
        groups: groups.iter().map(|name| GroupName::new(name)).collect(),
        sessions: [session(cookie)].into(),
        expires_at: None,
    })
}

fn publication(to: Audience) -> Publication {
    Publication {
        to: vec![to],
        content: Content::Frame(Frame::new("{}")),
        event: None,
        end: false,
        key: None,
        expires: None,
        exclude: None,
        socket: None,
    }
}

/// Delivers a publication as the next one.
fn deliver(hub: &Hub, publication: &Publication) -> Delivery {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let sequence = NUMBER.fetch_add(1, Ordering::Relaxed);
    let position = Position {
        generation: 1,
        sequence,
    };
    hub.deliver(&publication.to, &Item::published(publication, position))
}

fn join(hub: &Arc<Hub>, user: &str, groups: &[&str]) -> Membership {
    hub.register(member(user, groups, "/ws/"), Instant::now())
        .unwrap()
}

#[test]
fn a_crowd_is_visited_in_the_order_it_came() {
    let hub = Arc::new(Hub::new(LIMITS));
    let crowd: Vec<_> = (0..600).map(|_| join(&hub, "1", &["staff"])).collect();
    let came: Vec<_> = crowd.iter().map(|one| one.member().id).collect();
    let staff = Audience::Group(GroupName::new("staff"));
    for audience in [Audience::Everyone, staff] {
        let mut visited = Vec::new();
        hub.registry
            .each(&audience, |member| visited.push(member.id));
        assert_eq!(visited, came, "{audience:?}");
    }
}

#[test]
fn every_audience_finds_its_connections_and_no_others() {
    let hub = Arc::new(Hub::new(LIMITS));
    let first = join(&hub, "1", &["staff"]);
    let _second = join(&hub, "1", &["staff"]);
    let _other = join(&hub, "2", &["staff", "press"]);
    let reached = |to| deliver(&hub, &publication(to)).sockets;
    assert_eq!(reached(Audience::User(UserId::new("1"))), 2);
    assert_eq!(reached(Audience::Group(GroupName::new("staff"))), 3);
    assert_eq!(reached(Audience::Group(GroupName::new("press"))), 1);
    assert_eq!(reached(Audience::Session(session("2"))), 1);
    assert_eq!(reached(Audience::Connection(first.member().id)), 1);
    assert_eq!(reached(Audience::Everyone), 3);
}

#[test]
fn users_without_connections_are_counted_as_offline() {
    let hub = Arc::new(Hub::new(LIMITS));
    let _here = join(&hub, "1", &[]);
    let mut both = publication(Audience::User(UserId::new("1")));
    both.to.push(Audience::User(UserId::new("2")));
    assert_eq!(
        deliver(&hub, &both),
        Delivery {
            sockets: 1,
            offline: 1,
            crowded: false,
        }
    );
}

#[test]
fn several_audiences_of_one_publication_reach_a_connection_once() {
    let hub = Arc::new(Hub::new(LIMITS));
    let both = join(&hub, "1", &["staff", "press"]);
    let _one = join(&hub, "2", &["press"]);
    let mut publication = publication(Audience::Group(GroupName::new("staff")));
    publication
        .to
        .push(Audience::Group(GroupName::new("press")));
    assert_eq!(deliver(&hub, &publication).sockets, 2);
    assert_eq!(deliver(&hub, &publication).sockets, 2);
    assert_eq!(both.member().outbox.counts(), (0, 2));
}

#[test]
fn a_dropped_membership_leaves_no_trace() {
    let hub = Arc::new(Hub::new(LIMITS));
    let first = join(&hub, "1", &["staff"]);
    let second = join(&hub, "1", &["staff"]);
    drop(first);
    assert_eq!(hub.len(), 1);
    assert_eq!(hub.online(&UserId::new("1")), 1);
    drop(second);
    assert!(hub.is_empty());
    assert_eq!(deliver(&hub, &publication(Audience::Everyone)).sockets, 0);
}

#[test]
fn exclude_and_socket_narrow_the_audience() {
    let hub = Arc::new(Hub::new(LIMITS));
    let sender = join(&hub, "1", &[]);
    let elsewhere = hub
        .register(member("1", &[], "/ws/other/"), Instant::now())
        .unwrap();
    let mut narrowed = publication(Audience::User(UserId::new("1")));
    narrowed.exclude = Some(sender.member().id);
    assert_eq!(deliver(&hub, &narrowed).sockets, 1);
    narrowed.exclude = Some(elsewhere.member().id);
    narrowed.socket = Some("/ws/other/".into());
    assert_eq!(
        deliver(&hub, &narrowed),
        Delivery {
            sockets: 0,
            offline: 0,
            crowded: false,
        }
    );
}

#[test]
fn a_handshake_under_way_does_not_survive_the_revocation_of_its_user() {
    let hub = Arc::new(Hub::new(LIMITS));
    let asked = Instant::now();
    let kicked = CloseReason::Revoked {
        code: 4000,
        text: "kicked".into(),
    };
    assert_eq!(hub.close(&Audience::User(UserId::new("1")), &kicked), 0);
    assert_eq!(
        hub.register(member("1", &[], "/ws/"), asked).unwrap_err(),
        kicked
    );
    assert!(hub.is_empty());
    // A handshake that asks again is let in: the user was kicked, not banned.
    assert!(
        hub.register(member("1", &[], "/ws/"), Instant::now())
            .is_ok()
    );
}

#[test]
fn a_session_that_ended_is_refused_even_to_who_asks_anew() {
    let hub = Arc::new(Hub::new(LIMITS));
    let ended = CloseReason::SessionEnded("logged out".into());
    hub.close(&Audience::Session(session("1")), &ended);
    assert_eq!(
        hub.register(member("1", &[], "/ws/"), Instant::now())
            .unwrap_err(),
        ended
    );
}

#[tokio::test]
async fn a_handshake_older_than_the_drain_is_refused() {
    let hub = Arc::new(Hub::new(LIMITS));
    let asked = Instant::now();
    hub.drain(Duration::ZERO, Duration::ZERO).await;
    let refused = hub.register(member("1", &[], "/ws/"), asked);
    assert_eq!(refused.unwrap_err().code(), 1001);
    assert!(hub.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_drain_closes_everyone_spread_over_its_window() {
    let hub = Arc::new(Hub::new(LIMITS));
    let members: Vec<_> = (0..10)
        .map(|user| join(&hub, &user.to_string(), &[]))
        .collect();
    let begun = tokio::time::Instant::now();
    hub.drain(Duration::from_secs(5), Duration::from_secs(5))
        .await;
    assert_eq!(begun.elapsed().as_millis(), 4500);
    let context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut delays = std::collections::HashSet::new();
    for membership in &members {
        let taken = membership.member().outbox.poll_take(&context);
        let std::task::Poll::Ready(Taken::Close(reason)) = taken else {
            panic!("{taken:?}")
        };
        assert_eq!(reason.code(), 1001);
        let delay: u32 = reason.text().parse().unwrap();
        assert!((5000..=7500).contains(&delay), "{delay}");
        delays.insert(delay);
    }
    assert!(delays.len() > 1, "all would come back together: {delays:?}");
}

fn rejoin(hub: &Arc<Hub>, identity: &Arc<Identity>) -> Membership {
    let member = Member::new(
        Arc::clone(identity),
        "/ws/".into(),
        Ipv4Addr::LOCALHOST.into(),
    );
    hub.register(member, Instant::now()).unwrap()
}

fn reached(hub: &Hub, to: Audience) -> usize {
    deliver(hub, &publication(to)).sockets
}

fn group(name: &str) -> Audience {
    Audience::Group(GroupName::new(name))
}

fn close_of(membership: &Membership) -> Option<CloseReason> {
    let context = std::task::Context::from_waker(std::task::Waker::noop());
    match membership.member().outbox.poll_take(&context) {
        std::task::Poll::Ready(Taken::Close(reason)) => Some(reason),
        _ => None,
    }
}

#[test]
fn a_rebound_connection_is_found_where_it_belongs_now_and_nowhere_else() {
    let hub = Arc::new(Hub::new(LIMITS));
    let before = identity("1", &["staff", "press"], "old");
    let after = identity("1", &["press", "chess"], "new");
    let (first, second) = (rejoin(&hub, &before), rejoin(&hub, &before));
    assert_eq!(hub.rebind(&before, &after, Instant::now()), 2);
    assert_eq!(reached(&hub, group("staff")), 0);
    assert_eq!(reached(&hub, group("press")), 2);
    assert_eq!(reached(&hub, group("chess")), 2);
    assert_eq!(reached(&hub, Audience::Session(session("old"))), 0);
    assert_eq!(reached(&hub, Audience::Session(session("new"))), 2);
    assert_eq!(hub.online(&UserId::new("1")), 2);
    drop((first, second));
    for audience in [group("press"), group("chess"), Audience::Everyone] {
        assert_eq!(reached(&hub, audience), 0);
    }
}

#[test]
fn connections_of_the_same_cookie_that_were_judged_apart_are_bound_and_closed_apart() {
    let hub = Arc::new(Hub::new(LIMITS));
    let (blue, red) = (identity("1", &[], "s"), identity("2", &[], "s"));
    let (of_blue, of_red) = (rejoin(&hub, &blue), rejoin(&hub, &red));
    let staff = identity("1", &["staff"], "s");
    assert_eq!(hub.rebind(&blue, &staff, Instant::now()), 1);
    assert_eq!(hub.close_bound(&red, &CloseReason::NotLoggedIn), 1);
    assert_eq!(close_of(&of_red), Some(CloseReason::NotLoggedIn));
    assert_eq!(close_of(&of_blue), None);
    assert_eq!(reached(&hub, group("staff")), 1);
}

#[test]
fn what_was_revoked_while_django_was_asked_does_not_survive_a_rebind() {
    let hub = Arc::new(Hub::new(LIMITS));
    let (before, after) = (identity("1", &[], "old"), identity("1", &["staff"], "new"));
    let member = rejoin(&hub, &before);
    let asked = Instant::now();
    let ended = CloseReason::SessionEnded("logged out".into());
    hub.close(&Audience::Session(session("new")), &ended);
    hub.rebind(&before, &after, asked);
    assert_eq!(close_of(&member), Some(ended));
}

#[test]
fn a_superseded_session_is_told_to_come_back_at_first_and_to_log_in_later() {
    let hub = Arc::new(Hub::new(LIMITS));
    let asked = Instant::now();
    let ended = CloseReason::SessionEnded("replaced".into());
    let changed = CloseReason::SessionChanged;
    let refused = |asked| hub.register(member("1", &[], "/ws/"), asked).unwrap_err();
    hub.supersede(session("1"), Acquaintance::Known, &ended);
    assert_eq!(refused(asked), changed);
    // Sent with the old cookie while the response with the new one was on its way.
    assert_eq!(refused(Instant::now()), changed);
    assert_eq!(hub.ended(session("1")), Some(changed));
    let supersede = |ago| {
        let at = Instant::now()
            .checked_sub(Duration::from_secs(ago))
            .unwrap();
        let by = superseding::Superseding { at, ended: &ended };
        hub.revocations
            .supersede(session("1"), Acquaintance::Known, by);
    };
    for ago in [3, 59] {
        supersede(ago);
        assert_eq!(refused(Instant::now()), ended);
        assert_eq!(hub.ended(session("1")), Some(ended.clone()));
    }
    supersede(60);
    assert_eq!(hub.ended(session("1")), None);
    supersede(3);
    hub.lift(session("1"));
    assert_eq!(hub.ended(session("1")), None);
    assert!(
        hub.register(member("1", &[], "/ws/"), Instant::now())
            .is_ok()
    );
}

#[test]
fn a_session_that_was_ended_is_told_to_log_in_at_once_whether_or_not_it_is_superseded_too() {
    let hub = Arc::new(Hub::new(LIMITS));
    let one = session("1");
    let ended = CloseReason::SessionEnded("logged out".into());
    let replaced = CloseReason::SessionEnded("replaced".into());
    hub.close(&Audience::Session(one), &ended);
    assert_eq!(hub.ended(one), Some(ended.clone()));
    hub.supersede(one, Acquaintance::Known, &replaced);
    assert_eq!(hub.ended(one), Some(ended.clone()));
    hub.lift(one);
    hub.supersede(one, Acquaintance::Known, &replaced);
    assert_eq!(hub.ended(one), Some(CloseReason::SessionChanged));
    hub.close(&Audience::Session(one), &ended);
    assert_eq!(hub.ended(one), Some(ended));
}

#[test]
fn what_django_said_before_a_recheck_counts_no_more_and_an_ended_session_stays_ended() {
    let hub = Arc::new(Hub::new(LIMITS));
    let asked = Instant::now();
    hub.close(
        &Audience::Session(session("2")),
        &CloseReason::SessionEnded("logged out".into()),
    );
    for user in ["1", "2"] {
        hub.outdate(&Audience::User(UserId::new(user)), Instant::now());
        hub.outdate(&Audience::Session(session(user)), Instant::now());
    }
    let code = |user, asked| {
        let registered = hub.register(member(user, &[], "/ws/"), asked);
        registered.map_or_else(|reason| reason.code(), |_| 0)
    };
    assert_eq!(code("1", asked), 1013);
    assert_eq!(code("1", Instant::now()), 0);
    assert_eq!(code("2", Instant::now()), 4001);
}

/// Rebinding, leaving and delivering at once leave no trace in any index.
#[test]
fn connections_that_leave_while_they_are_rebound_leave_no_trace() {
    let hub = Arc::new(Hub::new(LIMITS));
    let identities: Vec<_> = (0..4)
        .map(|n| identity("1", &[["a", "b"][n % 2], "all"], ["x", "y"][n / 2]))
        .collect();
    for _ in 0..50 {
        let crowd: Vec<_> = (0..40).map(|n| rejoin(&hub, &identities[n % 4])).collect();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for n in 0..40 {
                        let (from, to) = (&identities[n % 4], &identities[(n * 3 + 1) % 4]);
                        hub.rebind(from, to, Instant::now());
                    }
                });
            }
            scope.spawn(|| reached(&hub, group("all")));
            scope.spawn(move || drop(crowd));
        });
        for name in ["a", "b", "all"] {
            assert_eq!(reached(&hub, group(name)), 0, "{name}");
        }
        for cookie in ["x", "y"] {
            assert_eq!(reached(&hub, Audience::Session(session(cookie))), 0);
        }
        assert_eq!((hub.online(&UserId::new("1")), hub.len()), (0, 0));
    }
}

#[test]
fn sessions_that_a_client_invents_fill_no_memory_and_what_is_forgotten_for_them_is_asked_anew() {
    let hub = Arc::new(Hub::new(LIMITS));
    let asked = Instant::now();
    let ended = CloseReason::SessionEnded("logged out".into());
    hub.close(&Audience::Session(session("1")), &ended);
    for n in 0..70_000 {
        hub.close(
            &Audience::Session(session(&format!("invented-{n}"))),
            &ended,
        );
    }
    assert!(hub.revocations.len() <= 65_536, "{}", hub.revocations.len());
    let code = |user, asked| {
        let registered = hub.register(member(user, &[], "/ws/"), asked);
        registered.map_or_else(|reason| reason.code(), |_| 0)
    };
    // Who logged out has been forgotten, so no session slips through with an older answer.
    assert_eq!((code("1", asked), code("2", asked)), (1013, 1013));
    assert_eq!(code("2", Instant::now()), 0);
    assert_eq!(code("invented-69999", Instant::now()), 4001);
}

#[test]
fn sessions_of_which_nothing_is_known_are_forgotten_before_anybody_else_has_to_be_asked_of() {
    let hub = Arc::new(Hub::new(LIMITS));
    let (asked, ended) = (
        Instant::now(),
        CloseReason::SessionEnded("logged out".into()),
    );
    hub.close(&Audience::Session(session("1")), &ended);
    for n in 0..70_000 {
        let invented = session(&format!("invented-{n}"));
        if n % 2 == 0 {
            hub.refuse_stranger(invented, &ended);
        } else {
            hub.supersede(invented, Acquaintance::Stranger, &ended);
        }
    }
    assert!(hub.revocations.len() <= 5000, "{}", hub.revocations.len());
    let code = |user| {
        let registered = hub.register(member(user, &[], "/ws/"), asked);
        registered.map_or_else(|reason| reason.code(), |_| 0)
    };
    assert_eq!((code("1"), code("2")), (4001, 0));
    assert_eq!((code("invented-0"), code("invented-69998")), (0, 4001));
    // It was known before, or only later: it is not one of these.
    hub.refuse_stranger(session("1"), &ended);
    hub.refuse_stranger(session("3"), &ended);
    hub.close(&Audience::Session(session("3")), &ended);
    for n in 0..5000 {
        hub.refuse_stranger(session(&format!("more-{n}")), &ended);
    }
    assert_eq!((code("1"), code("3")), (4001, 4001));
}
