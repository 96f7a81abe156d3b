use std::net::Ipv4Addr;

use super::*;
use crate::ids::{GroupName, SessionDigest};
use crate::publication::Frame;
use crate::secret::Secret;

const LIMITS: OutboxLimits = OutboxLimits {
    frames: 8,
    bytes: 1024,
};

fn session(value: &str) -> SessionDigest {
    SessionDigest::of(&Secret::new(vec![7; 32]), value.as_bytes())
}

fn member(user: &str, groups: &[&str], socket: &str) -> Member {
    Member {
        id: ConnectionId::random(),
        identity: Identity {
            user: UserId::new(user),
            groups: groups.iter().map(|name| GroupName::new(name)).collect(),
            sessions: [session(user)].into(),
            expires_at: None,
        },
        socket: socket.into(),
        address: Ipv4Addr::LOCALHOST.into(),
        since: SystemTime::now(),
        outbox: Outbox::default(),
    }
}

fn publication(to: Audience) -> Publication {
    Publication {
        to: vec![to],
        frame: Frame::new("{}"),
        key: None,
        expires: None,
        exclude: None,
        socket: None,
    }
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
    let reached = |to| hub.deliver(&publication(to)).sockets;
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
        hub.deliver(&both),
        Delivery {
            sockets: 1,
            offline: 1,
            crowded: false,
        }
    );
}

#[test]
fn a_dropped_membership_leaves_no_trace() {
    let hub = Arc::new(Hub::new(LIMITS));
    let first = join(&hub, "1", &["staff"]);
    let second = join(&hub, "1", &["staff"]);
    drop(first);
    assert_eq!(hub.len(), 1);
    assert_eq!(hub.connections(&UserId::new("1")).len(), 1);
    drop(second);
    assert!(hub.is_empty());
    assert_eq!(hub.deliver(&publication(Audience::Everyone)).sockets, 0);
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
    assert_eq!(hub.deliver(&narrowed).sockets, 1);
    narrowed.exclude = Some(elsewhere.member().id);
    narrowed.socket = Some("/ws/other/".into());
    assert_eq!(
        hub.deliver(&narrowed),
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
    // Who asks anew is let in: the user was kicked, not banned.
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
    hub.drain(Duration::ZERO).await;
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
    hub.drain(Duration::from_secs(5)).await;
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
