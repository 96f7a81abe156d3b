//! `Set-Cookie` of the session cookie on Django's responses: what it does to sockets.

use http::Version;

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::{Answer, Django, Frontend, Gateway};

const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// As Django writes it.
const DELETED: &str =
    "sessionid=\"\"; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; SameSite=Lax";

fn logs_out() -> Answer {
    Answer::redirect("/").header("Set-Cookie", DELETED)
}

async fn stage() -> (Django, Gateway) {
    let django = Django::start().await;
    django.calls_its_cookie("sessionid; Path=/");
    for (session, user) in [
        ("anns-session", "42"),
        ("anns-phone", "42"),
        ("bobs-session", "43"),
    ] {
        django.signs_in(session, user);
    }
    let gateway = Gateway::in_front_of(&django).start().await;
    (django, gateway)
}

#[tokio::test]
async fn a_logout_in_one_tab_closes_the_sockets_of_all() {
    let (django, gateway) = stage().await;
    django.answers("/logout/", logs_out());
    let bob = gateway.browser_of("bobs-session");
    let mut bobs = bob.socket(NOTIFICATIONS).await;
    for version in BOTH {
        let session = format!("anns-{version:?}").replace('/', "-");
        django.signs_in(&session, "42");
        let ann = gateway.browser_of(&session);
        let (mut one, mut two) = (
            ann.socket(NOTIFICATIONS).await,
            ann.socket(NOTIFICATIONS).await,
        );
        let page = ann.ask_over(version, "/logout/").send().await;
        assert_eq!(page.header("set-cookie").as_deref(), Some(DELETED));
        for socket in [&mut one, &mut two] {
            assert_eq!(socket.expect_close(4001).await.reason, "logged out");
        }
        // Django's answer of a moment ago counts no more.
        let mut late = gateway.browser_of(&session).socket(NOTIFICATIONS).await;
        late.expect_close(4001).await;
    }
    bobs.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn other_servers_and_other_cookies_log_nobody_out() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let (frontend, other) = (Frontend::start().await, Frontend::start().await);
    let gateway = Gateway::in_front_of(&django)
        .frontend(&frontend)
        .upstream("/other/", &other)
        .start()
        .await;
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    frontend.answers_everything(logs_out());
    other.answers_everything(logs_out());
    for (path, line) in [
        ("/api/1/", "csrftoken=\"\"; Max-Age=0; Path=/"),
        ("/api/2/", "sessionid=\"\"; Max-Age=0; Path=/admin/"),
        (
            "/api/3/",
            "sessionid=\"\"; Max-Age=0; Path=/; Domain=example.org",
        ),
        ("/api/4/", "xsessionid=\"\"; Max-Age=0; Path=/"),
    ] {
        django.answers(path, Answer::ok("").header("Set-Cookie", line));
    }
    for path in ["/", "/other/", "/api/1/", "/api/2/", "/api/3/", "/api/4/"] {
        gateway.browser_of("anns-session").get(path).await;
        socket.expect_nothing().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_logout_without_a_session_or_with_another_ones_closes_nothing() {
    let (django, gateway) = stage().await;
    django.answers("/logout/", logs_out());
    let mut socket = gateway
        .browser_of("anns-session")
        .socket(NOTIFICATIONS)
        .await;
    for browser in [gateway.browser(), gateway.browser_of("anns-phone")] {
        browser.get("/logout/").await;
        socket.expect_nothing().await;
    }
    gateway.stop().await;
}

/// A site that once had its cookie on the whole domain takes that one away with every page.
const NAMESAKE: &str = "sessionid=\"\"; Max-Age=0; Path=/; Domain=localhost";

#[tokio::test]
async fn a_namesake_that_is_deleted_or_set_leaves_the_live_session_alone() {
    let (django, gateway) = stage().await;
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let before = django.auth_calls().len();
    for (n, line) in [
        NAMESAKE,
        "sessionid=another; Path=/; Domain=localhost",
        "sessionid=\"\"; Max-Age=0; Path=/ws/",
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/page-{n}/");
        django.answers(&path, Answer::ok("").header("Set-Cookie", line));
        gateway.browser_of("anns-session").get(&path).await;
        let mut late = gateway
            .browser_of("anns-session")
            .socket(NOTIFICATIONS)
            .await;
        late.expect_nothing().await;
    }
    socket.expect_nothing().await;
    assert!(django.auth_calls().len() > before, "Django is asked");
    gateway.stop().await;
}

#[tokio::test]
async fn a_logout_of_a_view_of_ones_own_closes_as_soon_as_django_says_that_nobody_is_logged_in() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    django.answers("/logout/", logs_out());
    django.judges("anns-session", Answer::status(401, ""));
    ann.get("/logout/").await;
    assert_eq!(socket.expect_close(4001).await.reason, "logged out");
    let mut late = gateway
        .browser_of("anns-session")
        .socket(NOTIFICATIONS)
        .await;
    assert_eq!(late.expect_close(4001).await.reason, "logged out");
    gateway.stop().await;
}
