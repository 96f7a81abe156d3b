mod grants;
mod resume;
mod topics;

use std::net::Ipv4Addr;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::hub::{Grant, Member, Membership, OutboxLimits, Taken};
use crate::identity::Identity;
use crate::ids::{ConnectionId, UserId};
use crate::publication::{Audience, Content, Frame};

fn hub(frames: usize) -> Arc<Hub> {
    Arc::new(Hub::new(OutboxLimits {
        frames,
        bytes: 1 << 20,
    }))
}

fn join(hub: &Arc<Hub>, user: &str) -> Membership {
    let identity = Identity {
        user: UserId::new(user),
        groups: [].into(),
        sessions: [].into(),
        expires_at: None,
    };
    let address = Ipv4Addr::LOCALHOST.into();
    let member = Member::new(Arc::new(identity), "/ws/".into(), address);
    hub.register(member, Instant::now()).unwrap()
}

fn user(id: &str) -> Audience {
    Audience::User(UserId::new(id))
}

fn publication(to: Audience, frame: &str) -> Publication {
    Publication {
        to: vec![to],
        content: Content::Frame(Frame::new(frame)),
        event: None,
        end: false,
        key: None,
        expires: None,
        exclude: None,
        socket: None,
    }
}

fn subscribe(broker: &Broker, connection: ConnectionId, grants: &[Grant]) -> Heard {
    let subscribing = Subscribing {
        since: Since::Unsaid,
        grants,
    };
    broker.subscribe(connection, subscribing, |_| None)
}

/// All that waits for a connection, in order.
fn received(membership: &Membership) -> Vec<String> {
    let context = Context::from_waker(Waker::noop());
    let mut received = Vec::new();
    while let Poll::Ready(Taken::Item(item)) = membership.member().outbox.poll_take(&context) {
        received.push(item.text().unwrap().to_string());
    }
    received
}

#[test]
fn publications_are_counted_within_one_generation() {
    let broker = Broker::new(hub(8), Duration::from_secs(299));
    let first = broker.publish(&publication(user("1"), "{}"), None);
    let second = broker.publish(&publication(user("2"), "{}"), None);
    assert_eq!(first.position.generation, second.position.generation);
    assert_eq!(second.position.sequence, first.position.sequence + 1);
    assert_eq!((first.delivery.sockets, first.delivery.offline), (0, 1));
}

#[test]
fn the_same_id_is_one_message_and_one_answer() {
    let hub = hub(8);
    let tab = join(&hub, "1");
    let broker = Broker::new(hub, Duration::from_secs(299));
    let first = broker.publish(&publication(user("1"), "1"), Some("order-7"));
    assert_eq!((first.delivery.sockets, first.duplicate), (1, false));
    drop(join(&broker.hub, "1"));
    for _ in 0..2 {
        let again = broker.publish(&publication(user("1"), "2"), Some("order-7"));
        assert!(again.duplicate);
        assert_eq!(
            Receipt {
                duplicate: false,
                ..again
            },
            first
        );
    }
    assert_eq!(received(&tab), ["1"]);
}

#[test]
fn an_id_is_forgotten_in_time() {
    let broker = Broker::new(hub(8), Duration::ZERO);
    let publication = publication(user("1"), "1");
    assert!(!broker.publish(&publication, Some("a")).duplicate);
    assert!(!broker.publish(&publication, Some("a")).duplicate);
}

#[test]
fn concurrent_publications_reach_all_sockets_in_one_order() {
    const EACH: usize = 500;
    let hub = hub(10 * EACH);
    let tabs = [join(&hub, "1"), join(&hub, "1"), join(&hub, "1")];
    let broker = Broker::new(hub, Duration::from_secs(299));
    std::thread::scope(|scope| {
        for publisher in 0..4 {
            let broker = &broker;
            scope.spawn(move || {
                for number in 0..EACH {
                    let to = if number % 2 == 0 {
                        user("1")
                    } else {
                        Audience::Everyone
                    };
                    broker.publish(&publication(to, &format!("{publisher}-{number:04}")), None);
                }
            });
        }
    });
    let first = received(&tabs[0]);
    assert_eq!(first.len(), 4 * EACH);
    assert_eq!(received(&tabs[1]), first);
    assert_eq!(received(&tabs[2]), first);
    for publisher in ["0-", "1-", "2-", "3-"] {
        let own: Vec<_> = first.iter().filter(|f| f.starts_with(publisher)).collect();
        assert!(own.is_sorted());
    }
}
