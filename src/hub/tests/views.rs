//! What views grant, beside tokens and each other.

use std::time::SystemTime;

use super::topics::{LATER, by_token, heard, received, revocation, topic};
use super::*;
use crate::ids::{TopicName, ViewTarget};

fn view(path: &str) -> ViewTarget {
    ViewTarget::new(path)
}

fn by(path: &str, expires: Option<SystemTime>) -> HeardView {
    HeardView {
        view: view(path),
        asked: Instant::now(),
        expires,
        is_own: false,
    }
}

fn grant(hub: &Hub, to: &Membership, name: &str, heard: &HeardView) -> Result<(), NotHeard> {
    let grant = Grant {
        topic: topic(name),
        by: Granter::View(heard.clone()),
    };
    hub.subscribe(to.member().id, &grant).map(|_| ())
}

fn says(hub: &Hub, to: &Membership, path: &str, says: ViewSays<'_>) -> usize {
    let now = ViewNow {
        view: &view(path),
        asked: Instant::now(),
        says,
    };
    let identity = to.member().identity();
    hub.grants().settle_view(Holder::Session(&identity), &now)
}

fn ended(names: &str, reason: &str) -> String {
    format!(r#"{{"gatepost":"unsubscribed","topics":[{names}],"reason":"{reason}"}}"#)
}

#[test]
fn a_topic_is_heard_while_one_of_its_grants_holds() {
    let hub = Arc::new(Hub::new(LIMITS));
    let listener = join(&hub, "1", &[]);
    for path in ["/a/", "/b/"] {
        grant(&hub, &listener, "news", &by(path, None)).unwrap();
    }
    hub.subscribe(listener.member().id, &by_token("news", LATER))
        .unwrap();
    says(&hub, &listener, "/a/", ViewSays::Topics(&[], None));
    let identity = listener.member().identity();
    let session = Holder::Session(&identity);
    hub.grants()
        .end_token(session, &topic("news"), Instant::now());
    assert_eq!(received(&listener), [""; 0]);
    assert_eq!(heard(&hub, "news"), 1);
    says(&hub, &listener, "/b/", ViewSays::Topics(&[], None));
    assert_eq!(heard(&hub, "news"), 0);
    let word = ended("\"news\"", "not_allowed");
    assert_eq!(received(&listener), ["{}", &word]);
    assert!(hub.grants().views(session).is_empty());
}

#[test]
fn a_public_token_is_not_asked_about() {
    let hub = Arc::new(Hub::new(LIMITS));
    let listener = join(&hub, "1", &[]);
    let by = Granter::Token {
        issued: LATER,
        is_public: true,
    };
    let topic = topic("news");
    let public = Grant {
        topic: topic.clone(),
        by,
    };
    hub.subscribe(listener.member().id, &public).unwrap();
    let identity = listener.member().identity();
    let session = Holder::Session(&identity);
    assert!(hub.grants().token_topics(session).is_empty());
    hub.grants().end_token(session, &topic, Instant::now());
    assert_eq!(heard(&hub, "news"), 1);
}

#[test]
fn who_stops_listening_or_loses_a_topic_goes_by_no_view_any_more() {
    let hub = Arc::new(Hub::new(LIMITS));
    let (one, other) = (join(&hub, "1", &[]), join(&hub, "2", &[]));
    let end = SystemTime::now() + Duration::from_hours(1);
    for listener in [&one, &other] {
        grant(&hub, listener, "news", &by("/a/", Some(end))).unwrap();
    }
    assert_eq!(hub.registry.ends.len(), 2);
    hub.unsubscribe(one.member().id, &topic("news"));
    hub.revoke_topic(&revocation("news", Some("2")));
    assert_eq!(hub.registry.ends.len(), 0);
    for listener in [&one, &other] {
        let identity = listener.member().identity();
        assert!(hub.grants().views(Holder::Session(&identity)).is_empty());
    }
    grant(&hub, &one, "news", &by("/a/", Some(end))).unwrap();
    let again = grant(&hub, &other, "news", &by("/a/", Some(end)));
    assert_eq!(again, Err(NotHeard::Revoked));
    drop((one, other));
    assert_eq!(hub.registry.ends.len(), 0);
}

#[test]
fn an_answer_that_was_asked_for_before_a_revocation_grants_nothing() {
    let hub = Arc::new(Hub::new(LIMITS));
    let listener = join(&hub, "1", &[]);
    let before = by("/a/", None);
    hub.revoke_topic(&revocation("news", None));
    let granted = grant(&hub, &listener, "news", &before);
    assert_eq!(granted, Err(NotHeard::Revoked));
    let (user, topics) = (UserId::new("1"), [topic("news")]);
    assert!(hub.revoked_since(&topics, &user, before.asked));
    let after = by("/a/", None);
    assert!(!hub.revoked_since(&topics, &user, after.asked));
    assert_eq!(grant(&hub, &listener, "news", &after), Ok(()));
}

#[test]
fn an_answer_takes_nothing_away_that_was_granted_since_it_was_asked_for() {
    let hub = Arc::new(Hub::new(LIMITS));
    let listener = join(&hub, "1", &[]);
    let asked = Instant::now();
    grant(&hub, &listener, "news", &by("/a/", None)).unwrap();
    let identity = listener.member().identity();
    let old = ViewNow {
        view: &view("/a/"),
        asked: asked.checked_sub(Duration::from_secs(1)).unwrap(),
        says: ViewSays::Nothing(&CloseReason::NotAllowed),
    };
    hub.grants().settle_view(Holder::Session(&identity), &old);
    assert_eq!(heard(&hub, "news"), 1);
}

#[test]
fn its_own_view_decides_about_a_connection_and_a_later_one_about_its_topics_alone() {
    let hub = Arc::new(Hub::new(LIMITS));
    let (own, later) = (join(&hub, "1", &[]), join(&hub, "2", &[]));
    let heard_own = HeardView {
        is_own: true,
        ..by("/a/", None)
    };
    hub.watch(own.member().id, &heard_own);
    grant(&hub, &own, "news", &heard_own).unwrap();
    grant(&hub, &later, "news", &by("/a/", None)).unwrap();
    let refused = CloseReason::NotAllowed;
    assert_eq!(says(&hub, &own, "/a/", ViewSays::Nothing(&refused)), 1);
    assert_eq!(says(&hub, &later, "/a/", ViewSays::Nothing(&refused)), 0);
    let word = ended("\"news\"", "not_allowed");
    assert_eq!(received(&own), std::slice::from_ref(&word));
    assert_eq!(received(&later), [word]);
}

#[test]
fn what_a_view_granted_ends_when_it_says_so_and_where_it_is_silent_for_too_long() {
    let hub = Arc::new(Hub::new(LIMITS));
    let listener = join(&hub, "1", &[]);
    let now = SystemTime::now();
    let (over, later) = (now - Duration::from_secs(1), now + Duration::from_hours(1));
    grant(&hub, &listener, "news", &by("/a/", Some(over))).unwrap();
    let due = hub.grants().take_ends(now, 10);
    assert_eq!((due.len(), &due[0].view), (1, &view("/a/")));
    // It is asked again while it says nothing, and for how long is the caller's business.
    let away = CloseReason::DjangoUnreachable;
    let hour = Duration::from_hours(1);
    says(&hub, &listener, "/a/", ViewSays::Silence(hour, &away));
    assert_eq!(hub.registry.ends.len(), 1);
    let topics: [TopicName; 1] = [topic("news")];
    says(
        &hub,
        &listener,
        "/a/",
        ViewSays::Topics(&topics, Some(later)),
    );
    assert!(hub.grants().take_ends(now, 10).is_empty());
    assert_eq!(heard(&hub, "news"), 1);
    says(
        &hub,
        &listener,
        "/a/",
        ViewSays::Topics(&topics, Some(over)),
    );
    assert_eq!(received(&listener), ["{}", &ended("\"news\"", "expired")]);
    grant(&hub, &listener, "news", &by("/a/", None)).unwrap();
    says(
        &hub,
        &listener,
        "/a/",
        ViewSays::Silence(Duration::ZERO, &away),
    );
    assert_eq!(received(&listener), [ended("\"news\"", "unavailable")]);
}

#[test]
fn views_are_bounded_as_topics_are() {
    let hub = Arc::new(Hub::new(LIMITS).limited(HubLimits {
        topics_per_connection: 2,
        ..UNLIMITED
    }));
    let listener = join(&hub, "1", &[]);
    for (path, granted) in [
        ("/a/", Ok(())),
        ("/b/", Ok(())),
        ("/c/", Err(NotHeard::TooMany)),
        ("/a/", Ok(())),
    ] {
        assert_eq!(grant(&hub, &listener, "news", &by(path, None)), granted);
    }
}
