//! How long an answer is relied upon, and which of two.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::scripted::{about, answer, secrets};
use crate::hub::{Hub, OutboxLimits};
use crate::session::lease::Lookup;
use crate::session::{Answer, LeaseTerms, Leases};

const LEASE: Duration = Duration::from_secs(10);

fn leases() -> Leases {
    let limits = OutboxLimits {
        frames: 8,
        bytes: 1024,
    };
    let terms = LeaseTerms {
        lease: LEASE,
        grace: Duration::from_mins(10),
    };
    Leases::new(terms, secrets(), Arc::new(Hub::new(limits)))
}

fn ago(seconds: u64) -> Instant {
    Instant::now()
        .checked_sub(Duration::from_secs(seconds))
        .unwrap()
}

fn known(leases: &Leases) -> (&'static str, Option<String>) {
    let found = leases.find(&leases.key(about("s").session()));
    let (name, lease) = match found {
        Lookup::Fresh(lease) => ("fresh", lease),
        Lookup::Stale(lease) => ("stale", lease),
        Lookup::Miss => return ("nothing", None),
    };
    let user = lease.identity.as_ref().map(|who| who.user.to_string());
    (name, user)
}

#[test]
fn a_lease_begins_when_django_was_asked_however_late_the_answer_comes() {
    let said_of_itself = Answer {
        lease: Some(LEASE),
        ..answer("1")
    };
    for said in [answer("1"), said_of_itself] {
        for (seconds, expected) in [(8, "fresh"), (11, "stale"), (601, "nothing")] {
            let leases = leases();
            leases.grant(about("s").session(), &said, ago(seconds));
            assert_eq!(known(&leases).0, expected, "asked {seconds} s ago");
        }
    }
    // Nobody is not believed to be nobody for longer, not even while Django is away.
    let leases = leases();
    leases.grant(about("s").session(), &Answer::default(), ago(11));
    assert_eq!(known(&leases).0, "nothing");
}

#[test]
fn a_lease_admits_nobody_whose_session_has_ended_by_itself() {
    let leases = leases();
    let ended = Answer {
        expires_at: SystemTime::now().checked_sub(Duration::from_millis(1)),
        ..answer("1")
    };
    leases.grant(about("s").session(), &ended, ago(1));
    assert_eq!(known(&leases).0, "nothing");
}

#[test]
fn of_two_answers_the_one_that_was_asked_for_later_counts() {
    for (first, second) in [(5, 1), (1, 5)] {
        let leases = leases();
        for seconds in [first, second] {
            let said = answer(&seconds.to_string());
            leases.grant(about("s").session(), &said, ago(seconds));
        }
        assert_eq!(known(&leases), ("fresh", Some("1".to_owned())));
    }
    // A page that was asked for before the logout tells of a user; the answer since then does not.
    let leases = leases();
    leases.grant(about("s").session(), &Answer::default(), ago(1));
    leases.grant(about("s").session(), &answer("1"), ago(5));
    assert_eq!(known(&leases), ("fresh", None));
}

#[test]
fn a_host_is_the_same_however_it_is_spelled() {
    let leases = leases();
    let key = |host: &'static str| {
        let mut about = about("s");
        about.host = http::HeaderValue::from_static(host);
        leases.key(about.session())
    };
    let one = key("app.test");
    for same in ["APP.test", "app.test.", "app.test:443", "App.Test.:443"] {
        assert_eq!(key(same), one, "{same}");
    }
    for other in ["app.test:8443", "www.app.test", "app.test.x"] {
        assert_ne!(key(other), one, "{other}");
    }
    assert_eq!(key("[0::1]:443"), key("[::1]"));
}

#[test]
fn what_else_a_client_shows_makes_no_other_session_of_it() {
    let (leases, one) = (leases(), about("s"));
    let duplicate = http::HeaderValue::from_static("sessionid=x; sessionid=s");
    let names = crate::session::CookieNames::session("sessionid");
    let mut other = about("s");
    other.cookies = crate::session::SessionCookies::pick(&duplicate, &names).unwrap();
    let (one, other) = (leases.key(one.session()), leases.key(other.session()));
    assert_ne!(one, other);
    assert_eq!(one.session(), other.session());
    assert_ne!(one.session(), leases.key(about("x").session()).session());
}
