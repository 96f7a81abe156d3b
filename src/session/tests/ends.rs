//! Sessions whose end is moved by what a response says.

use std::time::{Duration, Instant, SystemTime};

use tokio::time::sleep;

use super::scripted::{Stage, about, answer, closed, cookies, digest};
use crate::session::lease::Lookup;
use crate::session::{Answer, SessionMember};

const HOUR: Duration = Duration::from_hours(1);
const SOON: Duration = Duration::from_millis(300);

fn ends_in(time: Option<Duration>) -> Answer {
    Answer {
        expires_at: time.map(|time| SystemTime::now() + time),
        ..answer("1")
    }
}

/// How it was closed, within a few seconds of the machine's own time, by which ends are told.
async fn reason(tab: &SessionMember) -> Option<String> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        if let Some(reason) = closed(tab) {
            return Some(format!("{} {}", reason.code(), reason.text()));
        }
        sleep(Duration::from_millis(5)).await;
    }
    None
}

/// Whether the lease of the session admits somebody.
fn is_known(stage: &Stage) -> bool {
    let found = stage.leases.find(&stage.leases.key(about("s").session()));
    !matches!(found, Lookup::Miss)
}

#[tokio::test]
async fn a_cookie_with_less_time_has_django_asked_once_at_its_end() {
    // Whether or not Django says by itself when a session ends.
    for end in [Some(HOUR), None] {
        let stage = Stage::new();
        stage.run();
        let tab = stage.join("s", &ends_in(end)).unwrap();
        stage.lifecycle.renewed(&cookies("s"), Some(SOON));
        assert_eq!(closed(&tab), None, "a line alone closes nothing");
        assert!(stage.django.calls().is_empty());
        assert_eq!(reason(&tab).await.unwrap(), "4001 session expired");
        assert_eq!(stage.django.calls().len(), 1);
    }
}

#[tokio::test]
async fn a_cookie_with_less_time_closes_nobody_who_is_logged_in_then() {
    for end in [Some(HOUR), None] {
        let stage = Stage::new();
        stage.run();
        let said = ends_in(end);
        let tab = stage.join("s", &said).unwrap();
        stage.django.says("s", &said);
        stage.lifecycle.renewed(&cookies("s"), Some(SOON));
        // Asked at its end, within the second in which that is looked for, and not again.
        assert_eq!(reason(&tab).await, None);
        assert_eq!(tab.member().identity().expires_at, said.expires_at);
        assert_eq!(stage.django.calls().len(), 1);
    }
}

#[tokio::test]
async fn an_end_that_the_browser_was_told_outlasts_an_answer_that_says_none() {
    let stage = Stage::new();
    stage.run();
    let tab = stage.join("s", &answer("1")).unwrap();
    stage.django.says("s", &answer("1"));
    stage.lifecycle.renewed(&cookies("s"), Some(SOON));
    stage.lifecycle.recheck_session(&digest("s")).await;
    stage.join("s", &answer("1")).map(drop).unwrap();
    stage.django.says("s", &Answer::default());
    assert_eq!(reason(&tab).await.unwrap(), "4001 session expired");
}

#[tokio::test]
async fn a_page_that_says_when_the_session_ends_is_believed_where_that_is_sooner() {
    let stage = Stage::new();
    stage.run();
    let tab = stage.join("s", &ends_in(Some(HOUR))).unwrap();
    let later = ends_in(Some(2 * HOUR));
    stage.lifecycle.heard(&cookies("s"), &later);
    assert!(tab.member().identity().expires_at < later.expires_at);
    stage.lifecycle.heard(&cookies("s"), &ends_in(Some(SOON)));
    assert_eq!(reason(&tab).await.unwrap(), "4001 session expired");
    assert_eq!(stage.django.calls().len(), 1);
}

#[tokio::test]
async fn a_lease_ends_with_the_cookie() {
    for end in [Some(HOUR), None] {
        let stage = Stage::new();
        let granted = |end| {
            let (about, said) = (about("s"), ends_in(end));
            stage.leases.grant(about.session(), &said, Instant::now());
        };
        granted(end);
        stage.lifecycle.renewed(&cookies("s"), Some(2 * HOUR));
        stage.lifecycle.renewed(&cookies("s"), Some(SOON));
        stage.lifecycle.renewed(&cookies("other"), Some(SOON / 10));
        assert!(is_known(&stage));
        sleep(SOON).await;
        assert!(!is_known(&stage));
    }
}
