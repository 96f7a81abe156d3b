//! What connections listen to.

use super::*;
use crate::ids::TopicName;
use crate::words::Word;

/// Later than anything that a test revokes.
pub(super) const LATER: u64 = 100_000_000_000_000;

pub(super) fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

pub(super) fn heard(hub: &Hub, name: &str) -> usize {
    reached(hub, Audience::Topic(topic(name)))
}

fn subscribe(hub: &Hub, membership: &Membership, name: &str, issued: u64) -> Result<(), NotHeard> {
    let grant = by_token(name, issued);
    hub.subscribe(membership.member().id, &grant).map(|_| ())
}

pub(super) fn by_token(name: &str, issued: u64) -> Grant {
    Grant {
        topic: topic(name),
        by: Granter::Token {
            issued,
            is_public: false,
        },
    }
}

pub(super) fn revocation(name: &str, user: Option<&str>) -> TopicRevocation {
    TopicRevocation {
        topic: topic(name),
        user: user.map(UserId::new),
        at: 1_794_000_000_000,
        max_age: Duration::from_hours(24 * 365 * 1000),
    }
}

/// All that waits for a connection, in order.
pub(super) fn received(membership: &Membership) -> Vec<String> {
    let context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut received = Vec::new();
    while let std::task::Poll::Ready(Taken::Item(item)) =
        membership.member().outbox.poll_take(&context)
    {
        received.push(item.text().unwrap().to_string());
    }
    received
}

#[test]
fn a_topic_reaches_those_who_listen_until_they_stop_or_leave() {
    let hub = Arc::new(Hub::new(LIMITS));
    let (first, second) = (join(&hub, "1", &[]), join(&hub, "2", &[]));
    let _silent = join(&hub, "1", &[]);
    for listener in [&first, &second] {
        subscribe(&hub, listener, "shop.order:17", LATER).unwrap();
    }
    subscribe(&hub, &first, "news", LATER).unwrap();
    assert_eq!(heard(&hub, "shop.order:17"), 2);
    assert_eq!((heard(&hub, "news"), heard(&hub, "other")), (1, 0));
    assert_eq!(hub.listeners(&topic("shop.order:17")), 2);
    assert!(hub.unsubscribe(first.member().id, &topic("shop.order:17")));
    assert!(!hub.unsubscribe(first.member().id, &topic("shop.order:17")));
    assert_eq!(heard(&hub, "shop.order:17"), 1);
    assert_eq!(first.member().topics(), [topic("news")]);
    drop((first, second));
    assert_eq!((heard(&hub, "shop.order:17"), heard(&hub, "news")), (0, 0));
}

#[test]
fn a_topic_that_is_granted_twice_is_heard_once() {
    let hub = Arc::new(Hub::new(LIMITS));
    let listener = join(&hub, "1", &[]);
    for _ in 0..2 {
        subscribe(&hub, &listener, "news", LATER).unwrap();
    }
    heard(&hub, "news");
    assert_eq!(received(&listener), ["{}"]);
    assert!(hub.unsubscribe(listener.member().id, &topic("news")));
    assert_eq!(heard(&hub, "news"), 0);
}

#[test]
fn a_connection_listens_to_no_more_topics_than_it_may() {
    let hub = Arc::new(Hub::new(LIMITS).limited(HubLimits {
        topics_per_connection: 2,
        ..UNLIMITED
    }));
    let listener = join(&hub, "1", &[]);
    let names = ["a", "b", "c", "a"].map(|name| subscribe(&hub, &listener, name, LATER));
    assert_eq!(names, [Ok(()), Ok(()), Err(NotHeard::TooMany), Ok(())]);
    // What was lost keeps its place, or a client could have the gateway remember any number.
    hub.revoke_topic(&revocation("a", None));
    assert_eq!(
        subscribe(&hub, &listener, "c", LATER),
        Err(NotHeard::TooMany)
    );
    hub.unsubscribe(listener.member().id, &topic("b"));
    assert_eq!(subscribe(&hub, &listener, "c", LATER), Ok(()));
}

#[test]
fn a_revoked_topic_is_heard_no_more_and_its_listeners_are_told_in_order() {
    let hub = Arc::new(Hub::new(LIMITS));
    let (one, other) = (join(&hub, "1", &[]), join(&hub, "2", &[]));
    for listener in [&one, &other] {
        subscribe(&hub, listener, "news", 0).unwrap();
    }
    heard(&hub, "news");
    assert_eq!(hub.revoke_topic(&revocation("news", Some("1"))), 1);
    assert_eq!(heard(&hub, "news"), 1);
    let word = r#"{"gatepost":"unsubscribed","topics":["news"],"reason":"revoked"}"#;
    assert_eq!(received(&one), ["{}", word]);
    assert_eq!(received(&other), ["{}", "{}"]);
    assert_eq!(hub.revoke_topic(&revocation("news", Some("1"))), 0);
    assert_eq!(received(&one), [""; 0]);
    assert_eq!(hub.revoke_topic(&revocation("news", None)), 1);
    assert_eq!(received(&other), [word]);
    assert_eq!((hub.len(), heard(&hub, "news")), (2, 0));
}

#[test]
fn nothing_that_was_granted_before_a_revocation_is_heard_after_it() {
    let hub = Arc::new(Hub::new(LIMITS));
    let revoked = revocation("news", Some("1"));
    hub.revoke_topic(&revoked);
    let (one, other) = (join(&hub, "1", &[]), join(&hub, "2", &[]));
    let before = subscribe(&hub, &one, "news", revoked.at + 1999);
    assert_eq!(before, Err(NotHeard::Revoked));
    assert_eq!(one.member().topics(), []);
    assert_eq!(subscribe(&hub, &other, "news", 0), Ok(()));
    assert_eq!(subscribe(&hub, &one, "news", revoked.at + 2000), Ok(()));
    // What a connection has lost nothing grants it again; another one gets it.
    hub.revoke_topic(&revoked);
    let again = subscribe(&hub, &one, "news", LATER);
    assert_eq!(again, Err(NotHeard::Revoked));
    assert!(!hub.unsubscribe(one.member().id, &topic("news")));
    let again = subscribe(&hub, &one, "news", LATER);
    assert_eq!(again, Err(NotHeard::Revoked));
    let anew = join(&hub, "1", &[]);
    assert_eq!(subscribe(&hub, &anew, "news", LATER), Ok(()));
}

#[test]
fn what_was_granted_to_one_user_is_nothing_to_another() {
    let hub = Arc::new(Hub::new(LIMITS));
    let (ann, ben) = (identity("1", &[], "s"), identity("2", &[], "s"));
    let renewed = identity("1", &["staff"], "t");
    let listener = rejoin(&hub, &ann);
    subscribe(&hub, &listener, "news", LATER).unwrap();
    hub.rebind(&ann, &renewed, Instant::now());
    assert_eq!(heard(&hub, "news"), 1);
    hub.rebind(&renewed, &ben, Instant::now());
    assert_eq!(heard(&hub, "news"), 0);
    assert_eq!(listener.member().topics(), []);
}

#[test]
fn a_visitor_hears_topics_and_words_alone_and_leaves_no_trace() {
    let hub = Arc::new(Hub::new(LIMITS).limited(HubLimits {
        connections_per_user: Some(1),
        ..UNLIMITED
    }));
    let nobody = Arc::new(Identity::visitor());
    let (one, other) = (rejoin(&hub, &nobody), rejoin(&hub, &nobody));
    subscribe(&hub, &one, "news", LATER).unwrap();
    assert_eq!(reached(&hub, Audience::Everyone), 0);
    assert_eq!(reached(&hub, Audience::Connection(one.member().id)), 0);
    assert_eq!(reached(&hub, Audience::User(UserId::new(""))), 0);
    assert_eq!(heard(&hub, "news"), 1);
    assert_eq!(hub.say_everyone(Word::resync().text()), 2);
    assert_eq!(received(&one), ["{}", r#"{"gatepost":"resync"}"#]);
    drop((one, other));
    assert!(hub.is_empty());
    assert_eq!(heard(&hub, "news"), 0);
}

#[test]
fn who_has_left_hears_nothing_and_leaves_no_trace() {
    let hub = Arc::new(Hub::new(LIMITS));
    let gone = join(&hub, "1", &[]).member().id;
    let grant = by_token("news", LATER);
    assert_eq!(hub.subscribe(gone, &grant), Err(NotHeard::Gone));
    hub.say(gone, Word::resync().text());
    assert_eq!(heard(&hub, "news"), 0);
}

/// Subscribing, revoking, rebinding, leaving and delivering at once leave no trace in any index.
#[test]
fn connections_that_leave_while_they_subscribe_leave_no_trace() {
    let hub = Arc::new(Hub::new(LIMITS));
    let names = ["a", "b", "c"];
    for round in 0..50_u64 {
        let crowd: Vec<_> = (0..30).map(|_| join(&hub, "1", &["staff"])).collect();
        let ids: Vec<_> = crowd.iter().map(|one| one.member().id).collect();
        std::thread::scope(|scope| {
            for (index, name) in names.into_iter().enumerate() {
                let (hub, ids) = (&hub, &ids);
                scope.spawn(move || {
                    for (n, id) in ids.iter().enumerate() {
                        let _ = hub.subscribe(*id, &by_token(name, LATER + round));
                        if n % 3 == index {
                            hub.unsubscribe(*id, &topic(name));
                        }
                    }
                });
            }
            scope.spawn(|| hub.revoke_topic(&revocation("a", None)));
            scope.spawn(|| heard(&hub, "b"));
            scope.spawn(move || drop(crowd));
        });
        for name in names {
            assert_eq!(heard(&hub, name), 0, "{name}");
        }
        assert!(hub.is_empty());
    }
}
