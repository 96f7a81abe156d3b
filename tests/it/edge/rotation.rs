//! Another value for the session cookie on a response of Django: a password change, a login, a logout
//! that leaves a message, or a signed cookie that was rewritten. Only Django knows which.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, Version};

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::signature::session_digest;
use crate::harness::{Answer, Browser, Django, Gate, Gateway, PATIENCE, eventually, json};

const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

async fn stage() -> (Django, Gateway) {
    let django = Django::start().await;
    django.calls_its_cookie("sessionid; Path=/");
    django.signs_in("anns-session", "42");
    django.signs_in("anns-phone", "42");
    django.signs_in("anns-tablet", "42");
    django.signs_in("bobs-session", "43");
    django.answers(
        "/logout/",
        Answer::ok("").header("Set-Cookie", "sessionid=\"\"; Max-Age=0; Path=/"),
    );
    let gateway = Gateway::in_front_of(&django).start().await;
    (django, gateway)
}

/// A response that gives the browser another session cookie.
fn gives(cookie: &str) -> Answer {
    let line =
        format!("sessionid={cookie}; HttpOnly; Max-Age=1209600; Path=/; SameSite=Lax; Secure");
    Answer::redirect("/done/").header("Set-Cookie", &line)
}

/// The user's password was changed in this browser: the old session is over, the new one is theirs.
async fn changes_password(django: &Django, ann: &Browser, version: Version, new: &str) {
    let old = ann.cookie("sessionid").unwrap();
    django.judges(&old, Answer::anonymous());
    django.signs_in(new, "42");
    django.answers("/password/", gives(new));
    ann.ask_over(version, "/password/").send().await;
    assert_eq!(ann.cookie("sessionid").as_deref(), Some(new));
}

#[tokio::test]
async fn a_password_change_keeps_this_browsers_sockets_and_binds_them_to_the_new_cookie() {
    for version in BOTH {
        let (django, gateway) = stage().await;
        let ann = gateway.browser_of("anns-session");
        let mut socket = ann.socket(NOTIFICATIONS).await;
        let before = django.auth_calls().len();
        changes_password(&django, &ann, version, "new").await;
        eventually(PATIENCE, || django.auth_calls().len() > before).await;
        let asked = django.auth_calls().pop().unwrap();
        assert_eq!(asked.cookie("sessionid").as_deref(), Some("new"));
        let frame = json!({"to": {"user": "42"}, "frame": "still here"});
        gateway.api().publish(&frame).await;
        socket.expect_frame("\"still here\"").await;
        assert_eq!(django.auth_calls().len(), before + 1);
        // It is the new session's now.
        ann.get("/logout/").await;
        socket.expect_close(4001).await;
        gateway.stop().await;
    }
}

#[tokio::test]
async fn what_the_response_itself_says_of_the_new_session_spares_the_call() {
    let (django, gateway) = stage().await;
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let before = django.auth_calls().len();
    django.judges("anns-session", Answer::anonymous());
    let said = URL_SAFE_NO_PAD.encode(json!({"user": "42", "groups": ["fresh"]}).to_string());
    django.answers(
        "/password/",
        gives("new").header("Gatepost-Identity", &said),
    );
    ann.ask_over(Version::HTTP_2, "/password/").send().await;
    let frame = json!({"to": {"group": "fresh"}, "frame": 1});
    gateway.api().publish(&frame).await;
    socket.expect_frame("1").await;
    assert_eq!(django.auth_calls().len(), before);
    ann.get("/logout/").await;
    socket.expect_close(4001).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_login_as_another_user_closes_and_so_does_a_session_of_nobodys() {
    let (django, gateway) = stage().await;
    django.signs_in("new-of-bob", "43");
    for (new, code) in [("new-of-bob", 1013), ("new-of-nobody", 4001)] {
        for version in BOTH {
            let old = format!("old-{version:?}-{new}").replace('/', "-");
            django.signs_in(&old, "42");
            let ann = gateway.browser_of(&old);
            let mut socket = ann.socket(NOTIFICATIONS).await;
            django.answers("/login/", gives(new));
            ann.ask_over(version, "/login/").send().await;
            socket.expect_close(code).await;
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn the_users_other_sessions_are_asked_about_at_once() {
    let (django, gateway) = stage().await;
    let ann = gateway.browser_of("anns-session");
    let mut here = ann.socket(NOTIFICATIONS).await;
    let mut phone = gateway.browser_of("anns-phone").socket(NOTIFICATIONS).await;
    let mut tablet = gateway
        .browser_of("anns-tablet")
        .socket(NOTIFICATIONS)
        .await;
    let mut bobs = gateway
        .browser_of("bobs-session")
        .socket(NOTIFICATIONS)
        .await;
    // The password was changed: Django knows the phone no more; the tablet it does.
    django.judges("anns-phone", Answer::anonymous());
    changes_password(&django, &ann, Version::HTTP_11, "new").await;
    phone.expect_close(4001).await;
    for socket in [&mut here, &mut tablet, &mut bobs] {
        socket.expect_nothing().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn the_old_cookie_admits_nobody_any_more() {
    let (django, gateway) = stage().await;
    let ann = gateway.browser_of("anns-session");
    let _socket = ann.socket(NOTIFICATIONS).await;
    django.signs_in("new", "42");
    django.answers("/password/", gives("new"));
    // A handshake that is under way: Django has said yes to the old cookie, as it may for a moment.
    let gate = Gate::closed();
    django.judges("anns-session", Answer::user("42").after(&gate));
    let calls = django.auth_calls().len();
    let late = gateway.browser_of("anns-session");
    let late = tokio::spawn(async move { late.handshake(NOTIFICATIONS).send().await });
    eventually(PATIENCE, || django.auth_calls().len() > calls).await;
    ann.get("/password/").await;
    gate.open();
    let mut late = late.await.unwrap().unwrap();
    assert_eq!(
        late.closed().await.code,
        1013,
        "the browser has the new cookie by now"
    );
    let mut later = gateway
        .browser_of("anns-session")
        .socket(NOTIFICATIONS)
        .await;
    // It may have been sent before the browser had the response.
    let close = later.expect_close(1013).await;
    assert_eq!(close.reason, "the session has just changed, come back");
    ann.socket(NOTIFICATIONS).await.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_signed_cookie_that_is_written_anew_closes_nothing_and_asks_seldom() {
    let (django, gateway) = stage().await;
    let value = |n: u32| format!(".eJxVjDsOwjAQBe_iGlnx:1rXx{n:02}:AbC-_{n}");
    for n in 0..10 {
        django.signs_in(&value(n), "42");
    }
    let ann = gateway.browser_of(&value(0));
    let mut first = ann.socket(NOTIFICATIONS).await;
    let before = django.auth_calls().len();
    for n in 1..10 {
        django.answers("/", gives(&value(n)));
        ann.get("/").await;
    }
    let asked = django.auth_calls().len() - before;
    assert!(asked <= 1, "{asked} calls for nine writes");
    // A handshake that crossed a response is to come back with what that brought.
    let mut crossing = gateway.browser_of(&value(8)).socket(NOTIFICATIONS).await;
    crossing.expect_close(1013).await;
    let mut second = ann.socket(NOTIFICATIONS).await;
    for socket in [&mut first, &mut second] {
        socket.expect_nothing().await;
    }
    // The last value is what a logout ends them by.
    ann.get("/logout/").await;
    first.expect_close(4001).await;
    second.expect_close(4001).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_cookie_that_the_auth_answer_sets_is_the_one_a_logout_ends() {
    let (django, gateway) = stage().await;
    // An auth view of the project's own, with SESSION_SAVE_EVERY_REQUEST: signed, and in the database.
    for (old, new) in [
        (".eJx:1:old", ".eJx:1:new"),
        ("same", "same"),
        ("old", "new"),
    ] {
        let line = format!("sessionid={new}; Max-Age=1209600; Path=/; HttpOnly");
        django.judges(old, Answer::user("42").header("Set-Cookie", &line));
        django.signs_in(new, "42");
        if old == new {
            django.judges(old, Answer::user("42").header("Set-Cookie", &line));
        }
        let ann = gateway.browser_of(old);
        let mut socket = ann.socket(NOTIFICATIONS).await;
        assert_eq!(ann.cookie("sessionid").as_deref(), Some(new));
        let frame = json!({"to": {"user": "42"}, "frame": new});
        gateway.api().publish(&frame).await;
        socket.expect_frame(&format!("{new:?}")).await;
        ann.get("/logout/").await;
        socket.expect_close(4001).await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_handshake_under_way_while_its_signed_cookie_is_written_anew_is_told_to_come_back() {
    let (django, gateway) = stage().await;
    let (old, new) = (".eJx:1rXx0:old", ".eJx:1rXx1:new");
    django.signs_in(new, "42");
    let gate = Gate::closed();
    django.judges(old, Answer::user("42").after(&gate));
    let ann = gateway.browser_of(old);
    // A page opens its socket and asks for data, with SESSION_SAVE_EVERY_REQUEST.
    let tab = gateway.browser_of(old);
    let tab = tokio::spawn(async move { tab.handshake(NOTIFICATIONS).send().await });
    eventually(PATIENCE, || !django.auth_calls().is_empty()).await;
    django.answers("/data/", gives(new));
    ann.get("/data/").await;
    gate.open();
    let mut early = tab.await.unwrap().unwrap();
    assert_eq!(early.closed().await.code, 1013);
    let mut socket = ann.socket(NOTIFICATIONS).await;
    ann.get("/logout/").await;
    socket.expect_close(4001).await;
    gateway.stop().await;
}

#[tokio::test]
async fn who_logs_in_as_another_user_is_let_in_though_django_answers_about_the_old_session_last() {
    // A view of the project's own: Django does not say what its session cookie is.
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = gateway.browser_of("anns-session");
    let mut first = ann.socket(NOTIFICATIONS).await;
    let (of_old, of_new) = (Gate::closed(), Gate::closed());
    django.judges("anns-session", Answer::anonymous().after(&of_old));
    django.judges("bobs-session", Answer::user("43").after(&of_new));
    django.answers("/login/", gives("bobs-session"));
    ann.get("/login/").await;
    let bob = gateway.browser_of("bobs-session");
    let second = tokio::spawn(async move { bob.handshake(NOTIFICATIONS).send().await });
    eventually(PATIENCE, || django.auth_calls().len() == 3).await;
    // Django is asked again about the new session, and answers that first.
    django.signs_in("bobs-session", "43");
    of_old.open();
    assert_eq!(
        first.expect_close(1013).await.reason,
        "another user logged in"
    );
    of_new.open();
    let mut second = second.await.unwrap().unwrap();
    let frame = json!({"to": {"user": "43"}, "frame": "to bob"});
    gateway.api().publish(&frame).await;
    second.expect_frame("\"to bob\"").await;
    gateway.stop().await;
}

#[tokio::test]
async fn who_logs_in_as_another_user_is_let_in_while_django_is_asked_about_the_new_session() {
    let (django, gateway) = stage().await;
    gateway.stop().await;
    let gateway = Gateway::in_front_of(&django).set("auth.lease", "10s");
    let gateway = gateway.start().await;
    let ann = gateway.browser_of("anns-session");
    let mut first = ann.socket(NOTIFICATIONS).await;
    // As the package says it: the old session is closed by its digest, the new one named and judged.
    let closes = json!([{
        "session": session_digest("anns-session"), "code": 1013, "reason": "another user logged in",
    }]);
    let said = json!({"user": "43", "session": session_digest("bobs-session")});
    let ride = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let response = gives("bobs-session").header("Gatepost-Revoke", &ride(closes));
    django.answers("/login/", response.header("Gatepost-Identity", &ride(said)));
    let gate = Gate::closed();
    django.judges("bobs-session", Answer::user("43").after(&gate));
    let login = ann.ask(Method::POST, "/login/");
    login.header("sec-fetch-mode", "navigate").send().await;
    let bob = gateway.browser_of("bobs-session");
    let second = tokio::spawn(async move { bob.handshake(NOTIFICATIONS).send().await });
    eventually(PATIENCE, || django.auth_calls().len() == 3).await;
    gate.open();
    let mut second = second.await.unwrap().unwrap();
    first.expect_close(1013).await;
    let frame = json!({"to": {"user": "43"}, "frame": "to bob"});
    gateway.api().publish(&frame).await;
    second.expect_frame("\"to bob\"").await;
    gateway.stop().await;
}
