//! What Django's answer becomes: a socket, 4001 for a clean "nobody", and never 4001 for a fault.

use std::time::Duration;

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::signature::now;
use crate::harness::socket::Closed;
use crate::harness::{Answer, Django, Gateway, json};

/// The gateway's answer to one auth answer: 101, then this close.
async fn closed_after(django: &Django, gateway: &Gateway, answer: Answer, code: u16) -> Closed {
    django.judges_everybody(answer);
    let ann = gateway.browser_of("anns-session");
    ann.socket(NOTIFICATIONS).await.expect_close(code).await
}

fn json_text(text: &str) -> Answer {
    Answer::ok(text).header("Content-Type", "application/json")
}

#[tokio::test]
async fn without_a_session_cookie_4001_and_django_is_not_asked() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let mut socket = gateway.browser().socket(NOTIFICATIONS).await;
    let closed = socket.expect_close(4001).await;
    assert!(!closed.reason.is_empty());
    assert!(django.requests().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn among_other_cookies_django_is_asked_for_the_name_of_its_own_once() {
    let django = Django::start().await;
    // It may say who somebody is by other means: without a session nobody is let in.
    django.judges_everybody(Answer::user("42"));
    let gateway = Gateway::in_front_of(&django).start().await;
    for name in ["csrftoken", "xsessionid", "csrftoken"] {
        let browser = gateway.browser().with_cookie(name, "x");
        browser.socket(NOTIFICATIONS).await.expect_close(4001).await;
    }
    assert_eq!(django.only_auth_call().header("cookie"), None);
    gateway.stop().await;
}

#[tokio::test]
async fn anonymous_401_and_403_are_4001() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    for answer in [
        Answer::anonymous(),
        json_text(r#"{"user":null}"#),
        Answer::status(401, "who are you?"),
        Answer::status(403, "go away"),
    ] {
        closed_after(&django, &gateway, answer, 4001).await;
    }
    assert_eq!(django.auth_calls().len(), 4);
    gateway.stop().await;
}

#[tokio::test]
async fn a_fault_is_1011_with_a_diagnosis_and_never_4001() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let faults = [
        ("404", Answer::status(404, "not here")),
        ("405", Answer::status(405, "not so")),
        ("400", Answer::status(400, "Bad Request (400)")),
        ("204", Answer::status(204, "")),
        ("201", Answer::status(201, r#"{"user":"42"}"#)),
        ("HTML", Answer::html("<!doctype html>")),
        ("no content type", Answer::ok(r#"{"user":"42"}"#)),
        ("login page", Answer::redirect("/accounts/login/?next=/x")),
        (
            "https",
            Answer::redirect("https://localhost/_gatepost/auth/"),
        ),
        (
            "slash",
            Answer::status(301, "").header("Location", "/_gatepost/auth//"),
        ),
        ("no member", json_text("{}")),
        ("list", json_text("[]")),
        ("string", json_text(r#""42""#)),
        ("null", json_text("null")),
        ("true", json_text(r#"{"user":true}"#)),
        ("false", json_text(r#"{"user":false}"#)),
        ("empty id", json_text(r#"{"user":""}"#)),
        ("object", json_text(r#"{"user":{"$ne":null}}"#)),
        ("users", json_text(r#"{"user":["42"]}"#)),
        ("fraction", json_text(r#"{"user":4.2}"#)),
        ("groups", json_text(r#"{"user":"42","groups":"staff"}"#)),
        ("group", json_text(r#"{"user":"42","groups":[1]}"#)),
        (
            "expiry",
            json_text(r#"{"user":"42","expires_at":"tomorrow"}"#),
        ),
        ("frames", json_text(r#"{"user":"42","frames":{"n":1}}"#)),
        ("cut JSON", json_text(r#"{"user":"42""#)),
        ("two values", json_text(r#"{"user":"42"} {"user":"43"}"#)),
        (
            "not UTF-8",
            Answer::ok(&b"{\"user\":\"\xff\"}"[..]).header("Content-Type", "application/json"),
        ),
        ("empty", json_text("")),
        (
            "huge",
            Answer::huge(20_000_000).header("Content-Type", "application/json"),
        ),
    ];
    for (name, answer) in faults {
        django.judges_everybody(answer);
        let ann = gateway.browser_of("anns-session");
        let closed = ann.socket(NOTIFICATIONS).await.closed().await;
        assert_eq!(closed.code, 1011, "{name}: {closed:?}");
        assert!(!closed.reason.is_empty(), "{name}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn broken_http_is_a_fault_or_an_outage_and_never_4001() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let broken = [
        ("garbage", Answer::garbage()),
        (
            "half",
            Answer::cut_short(100, r#"{"user":"42"}"#).header("Content-Type", "application/json"),
        ),
        (
            "reset",
            Answer::reset_mid_body(100, r#"{"user":"42"}"#)
                .header("Content-Type", "application/json"),
        ),
        (
            "half chunks",
            Answer::unfinished_chunks([r#"{"user":"42"}"#])
                .header("Content-Type", "application/json"),
        ),
        (
            "endless head",
            Answer::raw([&b"HTTP/1.1 200 OK\r\nX: "[..], &vec![b'x'; 600_000]].concat()).closing(),
        ),
        (
            "101",
            Answer::raw(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            ),
        ),
    ];
    for (name, answer) in broken {
        django.judges_everybody(answer);
        let ann = gateway.browser_of("anns-session");
        let closed = ann.socket(NOTIFICATIONS).await.closed().await;
        assert!(matches!(closed.code, 1011 | 1013), "{name}: {closed:?}");
        assert!(!closed.reason.is_empty(), "{name}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_django_that_cannot_be_reached_is_1013() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django)
        .set("auth.timeout", "700ms")
        .start()
        .await;
    for answer in [
        Answer::status(500, "oops"),
        Answer::html("<h1>Down for maintenance</h1>"),
        Answer::hang(),
        Answer::reset(),
        Answer::close(),
        Answer::stall_mid_body(100, "{").header("Content-Type", "application/json"),
        Answer::trickle(vec!["x"; 100], Duration::from_millis(50)),
    ] {
        let closed = closed_after(&django, &gateway, answer, 1013).await;
        assert!(!closed.reason.is_empty());
    }
    // Reached, and failing: a developer would look for ports and addresses otherwise.
    let debug = "OperationalError at /_gatepost/auth/\nno such table: django_session\n\nMore\n";
    for (page, reason) in [
        (
            "oops",
            "the auth view fails (500): Django's log has the traceback",
        ),
        (
            debug,
            "the auth view fails (500): OperationalError at /_gatepost/auth/: no such table: django_session",
        ),
    ] {
        let answer = Answer::status(500, page).header("Content-Type", "text/plain");
        let closed = closed_after(&django, &gateway, answer, 1013).await;
        assert_eq!(closed.reason, reason);
    }
    django.refuse().await;
    let ann = gateway.browser_of("anns-session");
    let closed = ann.socket(NOTIFICATIONS).await.expect_close(1013).await;
    assert_eq!(closed.reason, "Django cannot be reached, try again later");
    django.listen();
    django.judges_everybody(Answer::user("42"));
    ann.socket(NOTIFICATIONS).await.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let django = Django::start().await;
    django.answers("/other/", Answer::user("42"));
    let gateway = Gateway::in_front_of(&django).start().await;
    closed_after(&django, &gateway, Answer::redirect("/other/"), 1011).await;
    assert!(django.requests_to("/other/").is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn set_cookie_of_the_judgement_travels_on_the_101() {
    let django = Django::start().await;
    let rolling = "sessionid=anns-session; expires=Fri, 01 Jan 2027 00:00:00 GMT; HttpOnly; \
                   Max-Age=1209600; Path=/; SameSite=Lax; Secure";
    let answer = Answer::user("42")
        .header("Set-Cookie", rolling)
        .header("Set-Cookie", "seen=1; Path=/")
        .header("Gatepost-Identity", "secret")
        .header("Server", "scripted");
    django.judges_everybody(answer);
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = gateway.browser_of("anns-session");
    let socket = ann.socket(NOTIFICATIONS).await;
    let answer = &socket.response.head;
    assert_eq!(answer.all("set-cookie"), [rolling, "seen=1; Path=/"]);
    for name in [
        "gatepost-identity",
        "server",
        "content-type",
        "content-length",
    ] {
        assert!(answer.all(name).is_empty(), "{name}: {answer:?}");
    }
    socket.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn frames_of_the_judgement_come_first_byte_for_byte() {
    let django = Django::start().await;
    django.judges_everybody(json_text(
        r#"{"user":"42", "frames":[ {"type" : "unread", "n":1.0}, "\u00fc", [1e400] ]}"#,
    ));
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    socket.expect_frame(r#"{"type" : "unread", "n":1.0}"#).await;
    socket.expect_frame(r#""\u00fc""#).await;
    socket.expect_frame("[1e400]").await;
    socket.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_session_that_expires_is_closed_4001_then() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let until = |end: u64| Answer::json(&json!({"user": "42", "groups": [], "expires_at": end}));
    let over = closed_after(&django, &gateway, until(now() - 1), 4001).await;
    assert!(!over.reason.is_empty());

    let end = now() + 2;
    django.judges_everybody(until(end));
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    socket.expect_nothing().await;
    let closed = socket.expect_close(4001).await;
    assert!(now() >= end && now() <= end + 5, "at {} for {end}", now());
    assert!(closed.reason.contains("expired"), "{closed:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_number_is_an_id_as_django_writes_it() {
    let django = Django::start().await;
    django.judges_everybody(json_text(r#"{"user":42}"#));
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let publication = json!({"to": {"user": "42"}, "frame": {"n": 1}});
    gateway.api().publish(&publication).await;
    socket.expect_frame(r#"{"n":1}"#).await;
    gateway.stop().await;
}
