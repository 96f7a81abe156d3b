//! How often and when Django is asked, and when sessions end.

use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};

use super::scripted::{Stage, about, answer, closed, in_group};
use crate::ids::{GroupName, UserId};
use crate::session::Answer;

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(start_paused = true)]
async fn ten_thousand_sessions_are_twenty_requests_spread_over_the_interval() {
    let stage = Stage::new();
    stage.run();
    let tabs: Vec<_> = (0..10_000)
        .map(|n| stage.tab(&format!("s{n}"), &n.to_string()))
        .collect();
    let begun = Instant::now();
    sleep(10 * MINUTE).await;
    let calls = stage.django.calls();
    assert!((194..=202).contains(&calls.len()), "{}", calls.len());
    assert!(calls.iter().all(|(_, sessions)| *sessions == 500));
    // All were asked about just now: a quarter of the interval is theirs.
    let first = (calls[0].0 - begun).as_secs();
    assert!((15..=18).contains(&first), "{first}");
    let pauses = calls.windows(2).map(|two| two[1].0 - two[0].0);
    let pauses: Vec<_> = pauses.collect();
    let within = Duration::from_secs(1)..=Duration::from_secs(6);
    assert!(
        pauses.iter().all(|pause| within.contains(pause)),
        "{pauses:?}"
    );
    assert!(tabs.iter().all(|tab| closed(tab).is_none()));
    drop(tabs);
    assert!(stage.live.is_empty());
}

#[tokio::test(start_paused = true)]
async fn five_tabs_are_one_question_every_minute_or_so() {
    let stage = Stage::new();
    stage.run();
    let _tabs: Vec<_> = (0..5).map(|_| stage.tab("s", "1")).collect();
    sleep(20 * MINUTE).await;
    let calls = stage.django.calls();
    assert!((16..=25).contains(&calls.len()), "{}", calls.len());
    assert!(calls.iter().all(|(_, sessions)| *sessions == 1));
    let pauses = calls.windows(2).map(|two| (two[1].0 - two[0].0).as_secs());
    let pauses: std::collections::BTreeSet<_> = pauses.collect();
    assert!(
        pauses.iter().all(|pause| (47..=76).contains(pause)),
        "{pauses:?}"
    );
    assert!(pauses.len() > 1, "without jitter: {pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn who_was_admitted_by_an_old_lease_waits_for_its_turn_as_all_do() {
    let stage = Stage::new();
    stage.run();
    let asked = Instant::now().into_std();
    sleep(5 * MINUTE).await;
    let begun = Instant::now();
    let join = |n: usize| {
        let cookie = format!("s{n}");
        stage.django.says(&cookie, &answer("1"));
        stage.join_asked(&cookie, &answer("1"), asked).unwrap()
    };
    let _tabs: Vec<_> = (0..2_000).map(join).collect();
    sleep(MINUTE.mul_f64(1.2)).await;
    let calls = stage.django.calls();
    assert!((4..=6).contains(&calls.len()), "{}", calls.len());
    assert!(calls[0].0 - begun > MINUTE / 6);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_about_sessions_that_have_gone() {
    let stage = Stage::new();
    stage.run();
    drop(stage.tab("s", "1"));
    sleep(10 * MINUTE).await;
    assert!(stage.django.calls().is_empty());
    let _late = stage.tab("late", "1");
    sleep(2 * MINUTE).await;
    assert!(!stage.django.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_logged_out_elsewhere_is_closed_in_time_and_nobody_else() {
    let stage = Stage::new();
    stage.run();
    let (gone, stays) = (stage.tab("gone", "1"), stage.tab("stays", "2"));
    stage.django.says("gone", &Answer::default());
    sleep(MINUTE.mul_f64(1.25)).await;
    assert_eq!(closed(&gone).unwrap().code(), 4001);
    assert_eq!(closed(&stays), None);
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_new_cookie_is_still_on_its_way_is_not_closed() {
    let stage = Stage::new();
    stage.run();
    let tab = stage.tab("old", "1");
    // Django has replaced the session already, and asks nobody to wait for its response.
    stage.django.says("old", &Answer::default());
    stage.django.says("new", &answer("1"));
    while stage.django.calls().is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    sleep(Duration::from_millis(300)).await;
    stage.replaces("old", "new", None);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(closed(&tab), None);
}

#[tokio::test(start_paused = true)]
async fn another_user_behind_the_same_cookie_closes_and_another_group_does_not() {
    let stage = Stage::new();
    stage.run();
    let (other, same) = (stage.tab("other", "1"), stage.tab("same", "2"));
    stage.django.says("other", &answer("3"));
    stage.django.says("same", &in_group("2", "staff"));
    sleep(MINUTE.mul_f64(1.25)).await;
    assert_eq!(closed(&other).unwrap().code(), 1013);
    assert_eq!(closed(&same), None);
    let groups = same.member().identity().groups.clone();
    assert_eq!(groups[..], [GroupName::new("staff")]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_keeps_sockets_for_grace_and_never_sends_anybody_to_log_in() {
    let stage = Stage::new();
    stage.run();
    let tabs: Vec<_> = (0..2_000)
        .map(|n| stage.tab(&format!("s{n}"), &n.to_string()))
        .collect();
    stage.django.go(true);
    sleep(9 * MINUTE).await;
    assert!(tabs.iter().all(|tab| closed(tab).is_none()));
    sleep(2 * MINUTE).await;
    for tab in &tabs {
        assert_eq!(closed(tab).map(|reason| reason.code()), Some(1013));
    }
}

#[tokio::test(start_paused = true)]
async fn when_django_comes_back_it_is_asked_no_faster_than_ever() {
    let stage = Stage::new();
    stage.run();
    let tabs: Vec<_> = (0..5_000)
        .map(|n| stage.tab(&format!("s{n}"), &n.to_string()))
        .collect();
    stage.django.go(true);
    sleep(9 * MINUTE).await;
    stage.django.go(false);
    let back = Instant::now();
    sleep(5 * MINUTE).await;
    let calls = stage.django.calls();
    let since: Vec<_> = calls.iter().filter(|(at, _)| *at >= back).collect();
    assert!((48..=52).contains(&since.len()), "{}", since.len());
    assert!(tabs.iter().all(|tab| closed(tab).is_none()));
}

#[tokio::test]
async fn a_session_ends_at_its_second_unless_it_was_extended() {
    let stage = Stage::new();
    stage.run();
    let end = SystemTime::now() + Duration::from_millis(1200);
    let ending = Answer {
        expires_at: Some(end),
        ..answer("1")
    };
    let (ends, lives) = (stage.join("ends", &ending), stage.join("lives", &ending));
    let (ends, lives) = (ends.unwrap(), lives.unwrap());
    stage.django.says("ends", &Answer::default());
    let hour = Some(Duration::from_hours(1));
    stage.lifecycle.renewed(&about("lives").cookies, hour);
    let reason = loop {
        if let Some(reason) = closed(&ends) {
            break reason;
        }
        sleep(Duration::from_millis(5)).await;
    };
    assert_eq!((reason.code(), &*reason.text()), (4001, "session expired"));
    let late = SystemTime::now().duration_since(end).unwrap();
    assert!(late < Duration::from_millis(500), "{late:?}");
    assert_eq!(closed(&lives), None);
    assert!(lives.member().identity().expires_at.unwrap() > end);
    assert_eq!(stage.hub.online(&UserId::new("1")), 2);
}

/// A tab of a session that ends by itself in a moment, and what Django would say then.
fn ending(stage: &Stage, cookie: &str, then: &Answer) -> crate::session::SessionMember {
    let ending = Answer {
        expires_at: Some(SystemTime::now() + Duration::from_millis(100)),
        ..answer("1")
    };
    let tab = stage.join(cookie, &ending).unwrap();
    stage.django.says(cookie, then);
    tab
}

/// Until Django was asked so often, in the machine's own time, by which ends are told.
async fn asked(stage: &Stage, times: usize) {
    while stage.django.calls().len() < times {
        sleep(Duration::from_millis(5)).await;
    }
    sleep(Duration::from_millis(20)).await;
}

#[tokio::test]
async fn a_session_that_got_more_time_is_asked_about_once_at_its_end_and_stays() {
    let stage = Stage::new();
    stage.run();
    let later = SystemTime::now() + Duration::from_hours(1);
    let prolonged = Answer {
        expires_at: Some(later),
        ..answer("1")
    };
    let tab = ending(&stage, "prolonged", &prolonged);
    let endless = ending(&stage, "endless", &answer("1"));
    asked(&stage, 1).await;
    sleep(Duration::from_millis(300)).await;
    for tab in [&tab, &endless] {
        assert_eq!(closed(tab), None);
    }
    assert_eq!(tab.member().identity().expires_at, Some(later));
    assert_eq!(endless.member().identity().expires_at, None);
    let calls: usize = stage.django.calls().iter().map(|(_, count)| count).sum();
    assert_eq!(calls, 2);
}

#[tokio::test]
async fn a_session_whose_end_comes_while_django_is_away_is_kept_until_it_is_back() {
    let stage = Stage::new();
    stage.run();
    stage.django.go(true);
    let tab = ending(&stage, "s", &Answer::default());
    asked(&stage, 1).await;
    assert_eq!(closed(&tab), None);
    stage.django.go(false);
    // Its turn comes first, and without waiting for a whole interval.
    asked(&stage, 2).await;
    let reason = loop {
        if let Some(reason) = closed(&tab) {
            break reason;
        }
        sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((reason.code(), &*reason.text()), (4001, "session expired"));
}
