//! `Gatepost-Identity`: a page says whose its session is, and the next handshake costs Django nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, Version};
use serde_json::Value;

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::signature::session_digest;
use crate::harness::{Answer, Django, Frontend, Gate, Gateway, PATIENCE, eventually, json};

const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

fn telling(said: &Value) -> Answer {
    Answer::ok("page").header(
        "Gatepost-Identity",
        &URL_SAFE_NO_PAD.encode(said.to_string()),
    )
}

async fn stage() -> (Django, Gateway) {
    let django = Django::start().await;
    django.calls_its_cookie("sessionid; Path=/");
    let gateway = Gateway::in_front_of(&django)
        .set("auth.lease", "10s")
        .start()
        .await;
    (django, gateway)
}

#[tokio::test]
async fn after_a_page_that_tells_a_handshake_costs_django_nothing() {
    let (django, gateway) = stage().await;
    for version in BOTH {
        let session = format!("anns-{version:?}").replace('/', "-");
        let about = session_digest(&session);
        django.answers(
            "/",
            telling(&json!({"user": "42", "groups": ["staff"], "session": about})),
        );
        let ann = gateway.browser_of(&session);
        let page = ann.ask_over(version, "/").send().await;
        assert_eq!(
            (page.text().as_str(), page.header("gatepost-identity")),
            ("page", None)
        );
        let mut socket = ann.socket(NOTIFICATIONS).await;
        let frame = json!({"to": {"group": "staff"}, "frame": 1});
        gateway.api().publish(&frame).await;
        socket.expect_frame("1").await;
        socket.close().await;
    }
    assert!(django.auth_calls().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn at_a_login_it_is_about_the_new_cookie() {
    let (django, gateway) = stage().await;
    let logs_in = telling(&json!({"user": "42", "session": session_digest("new-session")})).header(
        "Set-Cookie",
        "sessionid=new-session; HttpOnly; Max-Age=1209600; Path=/; Secure",
    );
    django.answers("/login/", logs_in);
    // With a session of nobody's before, and with none at all.
    for browser in [gateway.browser_of("anonymous-session"), gateway.browser()] {
        browser.get("/login/").await;
        assert_eq!(browser.cookie("sessionid").as_deref(), Some("new-session"));
        browser.socket(NOTIFICATIONS).await.close().await;
    }
    assert!(django.auth_calls().is_empty());
    // The old cookie gained nothing.
    let mut old = gateway
        .browser_of("anonymous-session")
        .socket(NOTIFICATIONS)
        .await;
    old.expect_close(1013).await;
    gateway.stop().await;
}

#[tokio::test]
async fn no_other_cookie_gets_the_lease() {
    let (django, gateway) = stage().await;
    django.answers("/", telling(&json!({"user": "42"})));
    gateway.browser_of("anns-session").get("/").await;
    for session in ["anns-sessio", "anns-session2", "bobs-session"] {
        let mut other = gateway.browser_of(session).socket(NOTIFICATIONS).await;
        other.expect_close(4001).await;
    }
    assert_eq!(django.auth_calls().len(), 3);
    // A page without a session says nothing about anybody.
    let stranger = gateway.browser();
    stranger.get("/").await;
    stranger
        .socket(NOTIFICATIONS)
        .await
        .expect_close(4001)
        .await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_page_from_a_cache_within_django_does_not_make_its_readers_the_first_one() {
    let (django, gateway) = stage().await;
    let of_ann = json!({"user": "42", "session": session_digest("anns-session")});
    django.answers("/", telling(&of_ann));
    let bob = gateway.browser_of("bobs-session");
    assert_eq!(bob.get("/").await.text(), "page");
    bob.socket(NOTIFICATIONS).await.expect_close(4001).await;
    assert_eq!(django.auth_calls().len(), 1);
    let metrics = gateway.api().get("/metrics").await.text();
    let line = r#"gatepost_piggybacked_total{what="identity",outcome="refused"} 1"#;
    assert!(metrics.contains(line), "{metrics}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_logout_on_the_same_response_leaves_no_lease() {
    let (django, gateway) = stage().await;
    let logs_out =
        telling(&json!({"user": "42"})).header("Set-Cookie", "sessionid=\"\"; Max-Age=0; Path=/");
    django.answers("/logout/", logs_out);
    gateway.browser_of("anns-session").get("/logout/").await;
    let ann = gateway.browser_of("anns-session");
    ann.socket(NOTIFICATIONS).await.expect_close(4001).await;
    gateway.stop().await;
}

#[tokio::test]
async fn nonsense_is_refused_and_the_page_is_shown_all_the_same() {
    let (django, gateway) = stage().await;
    let ann = gateway.browser_of("anns-session");
    let long = json!({"user": "42", "groups": vec!["x".repeat(250); 30]});
    for said in [
        json!([]),
        json!({}),
        json!({"user": true}),
        json!({"user": "1", "session": 7}),
        long,
    ] {
        django.answers("/", telling(&said));
        assert_eq!(ann.get("/").await.text(), "page", "{said}");
    }
    let twice = telling(&json!({"user": "1"})).header("Gatepost-Identity", "e30");
    django.answers("/", twice);
    assert_eq!(ann.get("/").await.text(), "page");
    ann.socket(NOTIFICATIONS).await.expect_close(4001).await;
    assert_eq!(django.auth_calls().len(), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn only_django_is_believed() {
    let django = Django::start().await;
    let frontend = Frontend::start().await;
    let gateway = Gateway::in_front_of(&django)
        .frontend(&frontend)
        .set("auth.lease", "10s")
        .start()
        .await;
    frontend.answers_everything(telling(&json!({"user": "1"})));
    let eve = gateway.browser_of("eves-session");
    assert_eq!(eve.get("/").await.header("gatepost-identity"), None);
    let said = URL_SAFE_NO_PAD.encode(r#"{"user":"1"}"#);
    let ask = eve
        .ask(Method::GET, "/api/")
        .header("gatepost-identity", &said);
    ask.send().await;
    eve.socket(NOTIFICATIONS).await.expect_close(4001).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_page_that_was_asked_for_before_a_revocation_grants_no_lease_after_it() {
    let (django, gateway) = stage().await;
    let gate = Gate::closed();
    django.answers("/slow/", telling(&json!({"user": "42"})).after(&gate));
    let slow = gateway.browser_of("anns-session");
    let slow = tokio::spawn(async move { slow.get("/slow/").await });
    eventually(PATIENCE, || !django.requests_to("/slow/").is_empty()).await;
    gateway.api().revoke(&json!({"user": "42"})).await;
    gate.open();
    assert_eq!(slow.await.unwrap().text(), "page");
    let mut socket = gateway
        .browser_of("anns-session")
        .socket(NOTIFICATIONS)
        .await;
    socket.expect_close(4001).await;
    assert_eq!(django.auth_calls().len(), 1);
    gateway.stop().await;
}
