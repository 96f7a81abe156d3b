//! What follows from a response that may have changed the session's cookie, or another one of its name.

use std::time::Duration;

use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use tokio::time::sleep;

use super::scripted::{Stage, about, answer, closed, digest};
use crate::session::naming::{CookieNames, CookiePlace};
use crate::session::{Answer, ObservedChange, Scope, SessionCookies};

const NAMESAKE_DELETED: &str = "sessionid=\"\"; Max-Age=0; Path=/; Domain=.example.com";

/// As Django's package says it, or as an auth view of one's own, which does not.
fn names(placed: bool) -> CookieNames {
    CookieNames {
        sockets: vec!["/ws/".into()],
        place: placed.then(|| CookiePlace::of(None, "/")),
        ..CookieNames::session("sessionid")
    }
}

/// A page of this session comes with this line.
fn sees(stage: &Stage, session: &str, line: &str, placed: bool) {
    let (names, old) = (names(placed), about(session));
    let fields = HeaderMap::from_iter([(SET_COOKIE, HeaderValue::from_str(line).unwrap())]);
    let host = HeaderValue::from_static("www.example.com");
    let scope = Scope {
        host: &host,
        path: "/shop/",
        cookies: Some(old.cookies.header()),
    };
    let Some(change) = names.session_change(&fields, scope) else {
        return;
    };
    let new = names.after(&fields, scope);
    let at = |cookies: SessionCookies| crate::session::AuthSubject {
        cookies,
        ..about(session)
    };
    stage.lifecycle.follow(ObservedChange {
        new: new.map(at),
        old,
        change,
        stated: None,
        asked: tokio::time::Instant::now().into_std(),
        placed,
    });
}

async fn settled() {
    sleep(Duration::from_millis(10)).await;
}

#[tokio::test(start_paused = true)]
async fn a_namesake_that_is_deleted_or_set_neither_closes_nor_refuses_nor_rebinds() {
    for placed in [true, false] {
        for line in [
            NAMESAKE_DELETED,
            "sessionid=other; Path=/; Domain=.example.com",
            "sessionid=other; Path=/ws/",
            "sessionid=\"\"; Max-Age=0; Path=/ws/",
        ] {
            let stage = Stage::new();
            let tab = stage.tab("live", "1");
            sees(&stage, "live", line, placed);
            // Not before the answer, either.
            assert!(stage.join("live", &answer("1")).is_ok(), "{line}");
            settled().await;
            assert_eq!(closed(&tab), None, "{line}");
            assert_eq!(tab.member().identity().sessions[0], digest("live"));
            assert!(stage.join("live", &answer("1")).is_ok(), "{line}");
            assert_eq!(stage.django.calls().len(), 1, "{line}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_namesake_that_no_socket_gets_is_not_even_asked_about() {
    let stage = Stage::new();
    let tab = stage.tab("live", "1");
    for line in [
        "sessionid=\"\"; Max-Age=0; Path=/shop/",
        "sessionid=\"\"; Max-Age=0; Path=/; Domain=example.org",
        "sessionid=\"\"; Max-Age=0",
    ] {
        sees(&stage, "live", line, true);
    }
    settled().await;
    assert_eq!(closed(&tab), None);
    assert!(stage.django.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_logout_is_acted_upon_at_once_where_django_said_what_its_cookie_is() {
    let stage = Stage::new();
    let tab = stage.tab("live", "1");
    sees(&stage, "live", "sessionid=\"\"; Max-Age=0; Path=/", true);
    assert_eq!(closed(&tab).unwrap().text(), "logged out");
    assert!(stage.django.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_logout_that_may_be_something_else_closes_as_soon_as_django_says_so() {
    for (line, placed) in [
        ("sessionid=\"\"; Max-Age=0; Path=/", false),
        (NAMESAKE_DELETED, true),
    ] {
        let stage = Stage::new();
        let tab = stage.tab("live", "1");
        stage.django.says("live", &Answer::default());
        sees(&stage, "live", line, placed);
        assert_eq!(closed(&tab), None);
        settled().await;
        let reason = closed(&tab).unwrap();
        assert_eq!((reason.code(), &*reason.text()), (4001, "logged out"));
        assert_eq!(stage.join("live", &answer("1")).unwrap_err(), reason);
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_old_session_is_over_the_new_one_decides() {
    for (who, code) in [("1", None), ("2", Some(1013)), ("", Some(4001))] {
        let stage = Stage::new();
        let tab = stage.tab("old", "1");
        let said = if who.is_empty() {
            Answer::default()
        } else {
            answer(who)
        };
        stage.django.says("old", &Answer::default());
        stage.django.says("new", &said);
        sees(&stage, "old", "sessionid=new; Path=/", false);
        settled().await;
        assert_eq!(closed(&tab).map(|reason| reason.code()), code, "{who}");
        if code.is_none() {
            assert_eq!(tab.member().identity().sessions[0], digest("new"));
        }
    }
}

/// Milliseconds from the response that brought the new cookie to the question of a handshake with it, from
/// there to Django's answer.
const MOMENTS: [u64; 5] = [1, 50, 120, 220, 400];

#[tokio::test(start_paused = true)]
async fn a_handshake_with_the_new_cookie_is_let_in_whenever_django_is_asked_and_answers() {
    for (who, code) in [("1", None), ("2", Some(1013))] {
        for placed in [true, false] {
            for (asks, hears) in MOMENTS.iter().flat_map(|a| MOMENTS.map(|b| (*a, b))) {
                let stage = Stage::new();
                let own = stage.tab("old", "1");
                stage.django.says("old", &Answer::default());
                stage.django.says("new", &answer(who));
                stage.django.takes(Duration::from_millis(100));
                sees(&stage, "old", "sessionid=new; Path=/", placed);
                sleep(Duration::from_millis(asks)).await;
                let asked = tokio::time::Instant::now().into_std();
                sleep(Duration::from_millis(hears)).await;
                let case = format!("{who} placed: {placed}, {asks} ms, {hears} ms");
                let tab = stage.join_asked("new", &answer(who), asked);
                let tab = tab.map_err(|reason| format!("{case}: {reason:?}")).unwrap();
                // One more, while or after Django was asked about the others.
                let third = stage.join("new", &answer(who)).unwrap();
                sleep(Duration::from_secs(7)).await;
                let closed = [&own, &tab, &third].map(|tab| closed(tab).map(|why| why.code()));
                assert_eq!(closed, [code, None, None], "{case}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_site_that_deletes_a_namesake_with_each_page_has_django_asked_once_a_second_at_most() {
    let stage = Stage::new();
    let tab = stage.tab("live", "1");
    for _ in 0..100 {
        sees(&stage, "live", NAMESAKE_DELETED, true);
        sleep(Duration::from_millis(50)).await;
    }
    assert!((4..=6).contains(&stage.django.calls().len()));
    // A logout among them is seen with the next question.
    stage.django.says("live", &Answer::default());
    sees(&stage, "live", NAMESAKE_DELETED, true);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(closed(&tab).unwrap().code(), 4001);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_has_no_sockets_is_not_asked_about() {
    let stage = Stage::new();
    sees(&stage, "unknown", NAMESAKE_DELETED, true);
    settled().await;
    assert!(stage.django.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn while_django_is_away_a_doubt_closes_nobody() {
    let stage = Stage::new();
    let tab = stage.tab("live", "1");
    stage.django.go(true);
    sees(&stage, "live", NAMESAKE_DELETED, true);
    settled().await;
    assert_eq!(closed(&tab), None);
}

#[tokio::test(start_paused = true)]
async fn a_signed_session_of_which_django_cannot_know_the_end_has_the_browser_come_back() {
    let deleted = "sessionid=\"\"; Max-Age=0; Path=/";
    for (line, placed, code) in [
        (deleted, false, Some(1013)),
        (deleted, true, Some(4001)),
        (NAMESAKE_DELETED, true, None),
    ] {
        let stage = Stage::new();
        let tab = stage.tab("s:0", "1");
        sees(&stage, "s:0", line, placed);
        settled().await;
        let found = closed(&tab).map(|reason| reason.code());
        assert_eq!(found, code, "{line} {placed}");
    }
}
