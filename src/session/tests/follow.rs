//! What happens to sockets when cookies end, are replaced or renewed.

use std::time::{Duration, Instant, SystemTime};

use tokio::time::sleep;

use super::scripted::{Stage, about, answer, closed, cookies, digest, in_group};
use crate::close::CloseReason;
use crate::ids::UserId;
use crate::publication::Audience;
use crate::session::lease::Lookup;
use crate::session::{About, Answer, Change, CookieChange, ObservedChange};

/// Lets what was spawned run to its end.
async fn settled() {
    sleep(Duration::from_millis(10)).await;
}

/// A page that gives this session another cookie.
fn observed(old: &str, new: &str) -> ObservedChange<'static> {
    ObservedChange {
        old: about(old),
        new: Some(about(new)),
        change: CookieChange {
            kind: Change::Set {
                value: new.into(),
                max_age: None,
            },
            about: About::This,
        },
        stated: None,
        asked: tokio::time::Instant::now().into_std(),
        placed: true,
    }
}

fn codes(tabs: &[&crate::session::SessionMember]) -> Vec<Option<u16>> {
    let code = |tab: &&_| closed(tab).map(|reason| reason.code());
    tabs.iter().map(code).collect()
}

#[tokio::test(start_paused = true)]
async fn a_logout_closes_every_tab_of_the_session_and_nothing_else() {
    let stage = Stage::new();
    let tabs = [
        stage.tab("a", "1"),
        stage.tab("a", "1"),
        stage.tab("b", "1"),
    ];
    assert_eq!(stage.lifecycle.ended(&cookies("a"), "logged out"), 2);
    assert_eq!(
        codes(&[&tabs[0], &tabs[1], &tabs[2]]),
        [Some(4001), Some(4001), None]
    );
    let refused = stage.join("a", &answer("1")).unwrap_err();
    assert_eq!(refused, CloseReason::SessionEnded("logged out".into()));
    assert_eq!(stage.lifecycle.refusal(&cookies("a")), Some(refused));
    assert!(stage.django.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_new_cookie_of_the_same_user_keeps_the_sockets_and_has_the_other_sessions_asked_about() {
    let stage = Stage::new();
    let (own, phone, bob) = (
        stage.tab("old", "1"),
        stage.tab("phone", "1"),
        stage.tab("bob", "2"),
    );
    stage.django.says("old", &Answer::default());
    stage.django.says("phone", &Answer::default());
    stage.django.says("new", &answer("1"));
    stage.replaces("old", "new", None);
    settled().await;
    assert_eq!(codes(&[&own, &phone, &bob]), [None, Some(4001), None]);
    let session = own.member().identity().sessions[0];
    assert_eq!(session, digest("new"));
    assert_eq!(stage.lifecycle.online(&digest("new")), Some(2));
    assert_eq!(stage.lifecycle.online(&digest("old")), None);
    let refused = stage
        .join_asked("old", &answer("1"), Instant::now())
        .unwrap_err();
    assert_eq!(refused, CloseReason::SessionChanged);
    assert_eq!(stage.django.calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_new_cookie_of_another_user_or_of_nobody_closes() {
    let stage = Stage::new();
    let (first, second) = (stage.tab("a", "1"), stage.tab("b", "1"));
    stage.django.says("c", &answer("2"));
    stage.replaces("a", "c", None);
    stage.replaces("b", "nobody", None);
    settled().await;
    assert_eq!(codes(&[&first, &second]), [Some(1013), Some(4001)]);
}

#[tokio::test(start_paused = true)]
async fn what_came_with_the_new_cookie_is_not_asked_again() {
    let stage = Stage::new();
    let own = stage.tab("old", "1");
    let known = Some(in_group("1", "staff"));
    stage.replaces("old", "new", known);
    settled().await;
    assert_eq!(own.member().identity().groups.len(), 1);
    assert_eq!(own.member().identity().sessions[0], digest("new"));
    assert!(stage.django.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_handshake_under_way_with_the_old_cookie_is_told_to_come_back() {
    let stage = Stage::new();
    let asked = Instant::now();
    let _own = stage.tab("old", "1");
    stage.replaces("old", "new", Some(answer("1")));
    let late = stage.join_asked("old", &answer("1"), asked).unwrap_err();
    assert_eq!(late.code(), 1013);
}

#[tokio::test(start_paused = true)]
async fn django_is_not_asked_about_who_is_not_connected() {
    let stage = Stage::new();
    stage.replaces("old", "new", None);
    stage.lifecycle.renewed(&cookies("old"), None);
    stage.lifecycle.recheck_user(&UserId::new("1")).await;
    settled().await;
    assert!(stage.django.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn signed_sessions_are_asked_about_once_in_a_while_and_stay() {
    let stage = Stage::new();
    let own = stage.tab("s:0", "1");
    for n in 1..=40 {
        stage.django.says(&format!("s:{n}"), &answer("1"));
        stage.replaces(&format!("s:{}", n - 1), &format!("s:{n}"), None);
        sleep(Duration::from_millis(100)).await;
    }
    sleep(Duration::from_secs(6)).await;
    assert_eq!(closed(&own), None);
    assert_eq!(stage.django.calls().len(), 1);
    assert_eq!(own.member().identity().sessions[0], digest("s:40"));
    // The old values stay good: another request of the browser may still be under way with one.
    assert!(stage.join("s:3", &answer("1")).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_signed_session_that_may_have_a_new_password_has_the_users_others_asked_about() {
    let stage = Stage::new();
    let (own, phone) = (stage.tab("s:0", "1"), stage.tab("phone:0", "1"));
    stage.django.says("s:1", &answer("1"));
    stage.django.says("phone:0", &Answer::default());
    stage.replaces("s:0", "s:1", None);
    sleep(Duration::from_secs(6)).await;
    assert_eq!(codes(&[&own, &phone]), [None, Some(4001)]);
}

#[tokio::test(start_paused = true)]
async fn a_signed_session_that_logs_out_closes_at_once_under_its_newest_cookie() {
    let stage = Stage::new();
    let own = stage.tab("s:0", "1");
    stage.replaces("s:0", "s:1", None);
    assert_eq!(stage.lifecycle.ended(&cookies("s:1"), "logged out"), 1);
    assert_eq!(codes(&[&own]), [Some(4001)]);
}

#[tokio::test(start_paused = true)]
async fn a_cookie_that_django_hands_out_again_is_good_again() {
    let stage = Stage::new();
    drop(stage.tab("s:0", "1"));
    stage.lifecycle.ended(&cookies("s:0"), "logged out");
    let again = || stage.join_asked("s:0", &answer("1"), Instant::now());
    assert!(again().is_err());
    stage.replaces("s:9", "s:0", None);
    assert!(again().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_recheck_of_a_user_closes_what_is_no_longer_good_and_counts_it() {
    let stage = Stage::new();
    let tabs = [
        stage.tab("a", "1"),
        stage.tab("a", "1"),
        stage.tab("b", "1"),
        stage.tab("c", "2"),
    ];
    stage.django.says("a", &Answer::default());
    let asked = tokio::time::Instant::now().into_std();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(stage.lifecycle.recheck_user(&UserId::new("1")).await, 2);
    let closed: Vec<_> = tabs.iter().map(|tab| closed(tab).is_some()).collect();
    assert_eq!(closed, [true, true, false, false]);
    assert_eq!(stage.django.calls().len(), 1);
    // What Django said before counts no more.
    assert_eq!(
        stage
            .join_asked("b", &answer("1"), asked)
            .unwrap_err()
            .code(),
        1013
    );
    assert_eq!(stage.lifecycle.recheck_session(&digest("b")).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_user_who_is_saved_with_each_request_is_asked_about_once_a_second() {
    let stage = Stage::new();
    let own = stage.tab("a", "1");
    stage.django.says("a", &answer("1"));
    for _ in 0..100 {
        drop(stage.lifecycle.recheck_user(&UserId::new("1")));
        sleep(Duration::from_millis(30)).await;
    }
    // Three seconds, and the last wish is not lost: what Django says by then counts.
    assert_eq!(stage.django.calls().len(), 3);
    stage.django.says("a", &Answer::default());
    assert_eq!(stage.lifecycle.recheck_user(&UserId::new("1")).await, 1);
    assert_eq!(stage.django.calls().len(), 4);
    assert_eq!(codes(&[&own]), [Some(4001)]);
}

#[tokio::test(start_paused = true)]
async fn where_django_is_away_the_new_cookie_is_asked_about_as_soon_as_it_is_back() {
    let stage = Stage::new();
    stage.run();
    let (own, thief) = (stage.tab("old", "1"), stage.tab("other", "1"));
    stage.django.says("new", &answer("1"));
    stage.django.says("other", &Answer::default());
    stage.django.go(true);
    stage.replaces("old", "new", None);
    drop(stage.lifecycle.recheck_user(&UserId::new("1")));
    settled().await;
    stage.django.go(false);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(codes(&[&own, &thief]), [None, Some(4001)]);
    assert_eq!(own.member().identity().sessions[0], digest("new"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_overtaken_changes_nothing() {
    let stage = Stage::new();
    let own = stage.tab("a", "1");
    let before = tokio::time::Instant::now().into_std();
    sleep(Duration::from_secs(1)).await;
    // A newer handshake heard of a group; an older one comes late and knows nothing of it.
    let _newer = stage.join("a", &in_group("1", "staff")).unwrap();
    let _older = stage.join_asked("a", &answer("1"), before).unwrap();
    assert_eq!(own.member().identity().groups.len(), 1);
    let older = stage.join_asked("a", &answer("2"), before).unwrap_err();
    assert_eq!(older.code(), 1013);
    assert_eq!(closed(&own), None);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_of_another_user_with_the_same_cookie_closes_the_old_sockets() {
    let stage = Stage::new();
    let own = stage.tab("a", "1");
    let next = stage.tab("a", "2");
    assert_eq!(codes(&[&own, &next]), [Some(1013), None]);
    assert_eq!(stage.live.len(), 1);
    drop(own);
    assert_eq!(stage.lifecycle.online(&digest("a")), Some(1));
    drop(next);
    assert!(stage.live.is_empty());
}

#[test]
fn sessions_that_come_go_and_change_at_once_leave_nothing_behind() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let stage = Stage::new();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let stage = &stage;
            scope.spawn(move || {
                for n in 0..200 {
                    let cookie = format!("s{}", (n + thread) % 3);
                    let known = if n % 2 == 0 {
                        answer("1")
                    } else {
                        in_group("1", "staff")
                    };
                    let tab = stage.join(&cookie, &known);
                    stage
                        .lifecycle
                        .renewed(&cookies(&cookie), Some(Duration::from_mins(1)));
                    drop(tab);
                }
            });
        }
    });
    assert!(stage.live.is_empty());
    assert!(stage.hub.is_empty());
    assert!(
        stage
            .hub
            .connections(&Audience::Session(digest("s1")), 1)
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_renewed_while_its_user_is_asked_about_again_stays_open() {
    let stage = Stage::new();
    let ends_in = |hours| Answer {
        expires_at: Some(SystemTime::now() + Duration::from_hours(hours)),
        ..answer("1")
    };
    stage.django.says("s", &ends_in(1));
    let own = stage.join("s", &ends_in(1)).unwrap();
    // A page that saves the user, with SESSION_SAVE_EVERY_REQUEST; then Django is away for a while.
    stage.django.go(true);
    sleep(Duration::from_secs(1)).await;
    let recheck = stage.lifecycle.recheck_user(&UserId::new("1"));
    let later = Some(Duration::from_hours(2));
    stage.lifecycle.renewed(&cookies("s"), later);
    assert_eq!(recheck.await, 0);
    stage
        .lifecycle
        .renewed(&cookies("s"), later.map(|later| 2 * later));
    assert_eq!(codes(&[&own]), [None]);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_crosses_a_signed_cookie_written_anew_is_told_to_come_back() {
    let stage = Stage::new();
    let replaced = |n| {
        let (old, new) = (format!("s:{n}"), format!("s:{}", n + 1));
        stage.django.says(&new, &answer("1"));
        stage.replaces(&old, &new, Some(answer("1")));
    };
    let join = |cookie: &str, asked| {
        let joined = stage.join_asked(cookie, &answer("1"), asked);
        joined.map(drop).map_err(|reason| reason.code())
    };
    let now = || tokio::time::Instant::now().into_std();
    // Whether or not the session has sockets: one that came in would not hear of the logout.
    for n in [0, 10] {
        let before = now();
        let tab = (n > 0).then(|| stage.tab("s:10", "1"));
        sleep(Duration::from_millis(1)).await;
        replaced(n);
        replaced(n + 1);
        let (old, newest) = (format!("s:{n}"), format!("s:{}", n + 2));
        for asked in [before, now()] {
            assert_eq!(join(&old, asked), Err(1013));
        }
        let changed = Some(CloseReason::SessionChanged);
        assert_eq!(stage.lifecycle.refusal(&cookies(&old)), changed);
        assert_eq!(join(&newest, now()), Ok(()));
        sleep(Duration::from_secs(3)).await;
        // A browser that never had the response has the old value still, and Django takes it.
        assert_eq!(stage.lifecycle.refusal(&cookies(&old)), None);
        assert_eq!(join(&old, now()), Ok(()));
        assert_eq!(join(&old, before), Err(1013));
        drop(tab);
    }
}

#[tokio::test(start_paused = true)]
async fn responses_that_each_write_a_signed_cookie_anew_lose_no_socket() {
    let stage = Stage::new();
    let replaced = |old, new| {
        stage.django.says(new, &answer("1"));
        stage.replaces(old, new, None);
    };
    let own = stage.tab("s:0", "1");
    // Two requests at once: the browser keeps what comes last, which may be either.
    replaced("s:0", "s:1");
    replaced("s:0", "s:2");
    replaced("s:1", "s:3");
    sleep(Duration::from_secs(6)).await;
    assert_eq!(own.member().identity().sessions[0], digest("s:3"));
    // One that took long.
    replaced("s:0", "s:4");
    for _ in 0..100 {
        replaced("s:4", "s:5");
        replaced("s:0", "s:4");
    }
    sleep(Duration::from_secs(6)).await;
    assert_eq!(closed(&own), None);
    assert_eq!(stage.lifecycle.ended(&cookies("s:4"), "logged out"), 1);
    assert_eq!(codes(&[&own]), [Some(4001)]);
}

#[tokio::test(start_paused = true)]
async fn what_django_said_before_a_newer_answer_closes_nobody() {
    let stage = Stage::new();
    let asked = tokio::time::Instant::now();
    sleep(Duration::from_secs(1)).await;
    let own = stage.tab("s", "1");
    let sessions = stage.live.of_session(&digest("s"));
    let nobody = Answer::default();
    assert_eq!(
        stage
            .lifecycle
            .rechecks
            .settle(&sessions, Ok(&nobody), asked),
        0
    );
    assert_eq!(codes(&[&own]), [None]);
    let now = tokio::time::Instant::now();
    assert_eq!(
        stage.lifecycle.rechecks.settle(&sessions, Ok(&nobody), now),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_asked_before_its_session_was_found_ended_is_not_let_in() {
    let stage = Stage::new();
    let asked = tokio::time::Instant::now();
    let _own = stage.tab("s", "1");
    sleep(Duration::from_secs(1)).await;
    let nobody = Answer::default();
    let sessions = stage.live.of_session(&digest("s"));
    let now = tokio::time::Instant::now();
    assert_eq!(
        stage.lifecycle.rechecks.settle(&sessions, Ok(&nobody), now),
        1
    );
    let late = stage.join_asked("s", &answer("1"), asked.into_std());
    assert_eq!(late.unwrap_err().code(), 1013);
}

#[tokio::test(start_paused = true)]
async fn what_a_page_says_that_was_asked_for_before_a_recheck_does_not_count_against_it() {
    for (old, new) in [("s:0", "s:1"), ("old", "new")] {
        let stage = Stage::new();
        let own = stage.tab(old, "1");
        let asked = tokio::time::Instant::now().into_std();
        sleep(Duration::from_secs(1)).await;
        // The user is deactivated while a page of theirs is made, which found them active.
        stage.django.says(old, &Answer::default());
        let recheck = stage.lifecycle.recheck_user(&UserId::new("1"));
        let said = answer("1");
        stage.lifecycle.follow(ObservedChange {
            stated: Some(&said),
            asked,
            ..observed(old, new)
        });
        recheck.await;
        sleep(Duration::from_secs(6)).await;
        assert_eq!(codes(&[&own]), [Some(4001)], "{new}");
        let lease = stage.leases.key(about(new).session());
        assert!(matches!(stage.leases.find(&lease), Lookup::Miss), "{new}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_signed_cookie_that_changes_while_its_session_waits_for_a_question_has_the_others_asked_about()
 {
    let stage = Stage::new();
    let soon = Answer {
        expires_at: Some(SystemTime::now() + Duration::from_mins(1)),
        ..answer("1")
    };
    let (own, phone) = (stage.join("s:0", &soon).unwrap(), stage.tab("phone:0", "1"));
    stage.django.says("s:0", &answer("1"));
    stage.django.says("s:1", &answer("1"));
    stage.lifecycle.renewed(&cookies("s:0"), None);
    stage.django.says("phone:0", &Answer::default());
    stage.replaces("s:0", "s:1", None);
    sleep(Duration::from_secs(6)).await;
    assert_eq!(codes(&[&own, &phone]), [None, Some(4001)]);
}

#[tokio::test(start_paused = true)]
async fn a_new_cookie_while_django_is_away_for_long_has_the_others_asked_about_when_it_is_back() {
    for (old, new) in [("s:0", "s:1"), ("old", "new")] {
        let stage = Stage::new();
        stage.run();
        let (own, phone) = (stage.tab(old, "1"), stage.tab("phone", "1"));
        stage.django.says(new, &answer("1"));
        stage.django.says("phone", &Answer::default());
        stage.django.go(true);
        stage.replaces(old, new, None);
        sleep(Duration::from_secs(12)).await;
        assert_eq!(codes(&[&own, &phone]), [None, None], "{new}");
        stage.django.go(false);
        sleep(Duration::from_secs(7)).await;
        assert_eq!(codes(&[&own, &phone]), [None, Some(4001)], "{new}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_recheck_while_django_is_away_for_long_is_made_up_for_when_it_is_back() {
    let stage = Stage::new();
    stage.run();
    let own = stage.tab("a", "1");
    stage.django.says("a", &Answer::default());
    stage.django.go(true);
    assert_eq!(stage.lifecycle.recheck_user(&UserId::new("1")).await, 0);
    sleep(Duration::from_secs(12)).await;
    assert_eq!(codes(&[&own]), [None]);
    stage.django.go(false);
    sleep(Duration::from_secs(7)).await;
    assert_eq!(codes(&[&own]), [Some(4001)]);
}

#[tokio::test(start_paused = true)]
async fn a_new_session_that_is_prolonged_before_django_has_judged_it_keeps_its_sockets() {
    for (old, new) in [("s:0", "s:1"), ("old", "new")] {
        let stage = Stage::new();
        let ends_in = |hours| Answer {
            expires_at: Some(SystemTime::now() + Duration::from_hours(hours)),
            ..answer("1")
        };
        let own = stage.join(old, &ends_in(1)).unwrap();
        stage.django.says(new, &ends_in(2));
        stage.replaces(old, new, None);
        let later = Some(Duration::from_hours(2));
        stage.lifecycle.renewed(&cookies(new), later);
        sleep(Duration::from_secs(6)).await;
        assert_eq!(codes(&[&own]), [None], "{new}");
        assert_eq!(own.member().identity().sessions[0], digest(new));
    }
}
