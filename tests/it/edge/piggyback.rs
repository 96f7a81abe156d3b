//! What Django publishes and revokes on its own responses.

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use http::{Method, Version};
use serde_json::Value;

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::signature::{now, session_digest};
use crate::harness::{Answer, Django, Frontend, Gate, Gateway, eventually, json};

const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];
const PATIENCE: std::time::Duration = crate::harness::PATIENCE;

fn field(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn publishing(publications: &Value) -> Answer {
    Answer::ok("done").header("Gatepost-Publish", &field(publications))
}

async fn stage() -> (Django, Gateway) {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    django.signs_in("bobs-session", "43");
    let gateway = Gateway::in_front_of(&django).start().await;
    (django, gateway)
}

#[tokio::test]
async fn a_page_that_begins_to_act_as_another_user_has_its_sockets_come_back_as_them() {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    let gateway = Gateway::in_front_of(&django).start().await;
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    django.signs_in("anns-session", "43");
    let recheck = json!([{"session": session_digest("anns-session"), "recheck": true}]);
    django.answers(
        "/act/",
        Answer::ok("").header("Gatepost-Revoke", &field(&recheck)),
    );
    ann.get("/act/").await;
    assert_eq!(
        socket.expect_close(1013).await.reason,
        "another user logged in"
    );
    ann.socket(NOTIFICATIONS).await.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn what_a_view_publishes_on_its_response_reaches_sockets_and_not_the_browser() {
    let (django, gateway) = stage().await;
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let bob = gateway.browser_of("bobs-session");
    let list = json!([{"to": {"user": "42"}, "frame": {"n": 1}}, {"to": {"user": "42"}, "frame": {"n": 2}}]);
    django.answers("/save/", publishing(&list));
    for version in BOTH {
        let page = bob.ask_over(version, "/save/").send().await;
        assert_eq!(
            (page.text().as_str(), page.header("gatepost-publish")),
            ("done", None)
        );
        socket.expect_frame(r#"{"n":1}"#).await;
        socket.expect_frame(r#"{"n":2}"#).await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn several_lines_and_padding_are_taken_and_an_id_counts_once() {
    let (django, gateway) = stage().await;
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let entry = |n: u32| json!([{"to": {"user": "42"}, "frame": n, "id": n.to_string()}]);
    let answer = Answer::ok("")
        .header("Gatepost-Publish", &URL_SAFE.encode(entry(1).to_string()))
        .header("Gatepost-Publish", &field(&entry(2)));
    django.answers("/save/", answer);
    ann.get("/save/").await;
    ann.get("/save/").await;
    socket.expect_frame("1").await;
    socket.expect_frame("2").await;
    socket.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_revocation_on_a_response_closes_after_what_was_published_with_it() {
    let (django, gateway) = stage().await;
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let revocations = json!([{"user": "42", "code": 4002, "reason": "deactivated"}]);
    let answer = publishing(&json!([{"to": {"user": "42"}, "frame": "bye"}]))
        .header("Gatepost-Revoke", &field(&revocations));
    django.answers("/deactivate/", answer);
    let page = gateway.browser_of("bobs-session").get("/deactivate/").await;
    assert_eq!(page.header("gatepost-revoke"), None);
    socket.expect_frame("\"bye\"").await;
    assert_eq!(socket.expect_close(4002).await.reason, "deactivated");
    gateway.stop().await;
}

#[tokio::test]
async fn a_recheck_on_a_response_closes_only_who_is_no_longer_good() {
    let (django, gateway) = stage().await;
    django.signs_in("anns-phone", "42");
    let ann = gateway.browser_of("anns-session");
    let mut here = ann.socket(NOTIFICATIONS).await;
    let mut phone = gateway.browser_of("anns-phone").socket(NOTIFICATIONS).await;
    let mut bobs = gateway
        .browser_of("bobs-session")
        .socket(NOTIFICATIONS)
        .await;
    django.judges("anns-phone", Answer::anonymous());
    django.judges("bobs-session", Answer::anonymous());
    let entries = json!([{"user": "42", "recheck": true}]);
    let answer = Answer::ok("").header("Gatepost-Revoke", &field(&entries));
    django.answers("/save/", answer);
    ann.get("/save/").await;
    phone.expect_close(4001).await;
    here.expect_nothing().await;
    // Sessions that were not named are not asked about.
    bobs.expect_nothing().await;
    let about = session_digest("bobs-session");
    let entries = json!([{"session": about, "recheck": true}]);
    let answer = Answer::ok("").header("Gatepost-Revoke", &field(&entries));
    django.answers("/save/", answer);
    ann.get("/save/").await;
    bobs.expect_close(4001).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_page_that_saves_the_user_and_the_session_disturbs_no_socket() {
    let (django, gateway) = stage().await;
    let hour = 3600;
    let end = now() + hour;
    django.says_of("anns-session", &json!({"user": "42", "expires_at": end}));
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    // The session is saved with a message for the user, say, which sets its cookie once more.
    let cookie = format!("sessionid=anns-session; Max-Age={}; Path=/", 2 * hour);
    let entries = json!([{"user": "42", "recheck": true}]);
    let answer = Answer::redirect("/profile/").header("Gatepost-Revoke", &field(&entries));
    django.answers("/save/", answer.header("Set-Cookie", &cookie));
    ann.get("/save/").await;
    socket.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_malformed_or_too_long_is_refused_visibly_and_harms_nothing() {
    let (django, gateway) = stage().await;
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let good = json!({"to": {"user": "42"}, "frame": "good"});
    let long = json!([{"to": {"user": "42"}, "frame": "x".repeat(7000)}]);
    let bad = [
        "%%%".to_owned(),
        URL_SAFE_NO_PAD.encode("[{\"to\":"),
        URL_SAFE_NO_PAD.encode([0xff, 0xfe]),
        field(&good),
        field(&long),
        field(&json!([{"to": {"nobody": 1}, "frame": 1}])),
    ];
    for value in &bad {
        django.answers(
            "/bad/",
            Answer::ok("page").header("Gatepost-Publish", value),
        );
        let page = ann.get("/bad/").await;
        assert_eq!(
            (page.text().as_str(), page.header("gatepost-publish")),
            ("page", None)
        );
    }
    socket.expect_nothing().await;
    // A bad entry fails alone.
    django.answers(
        "/mixed/",
        publishing(&json!([{"to": {}, "frame": 1}, good])),
    );
    ann.get("/mixed/").await;
    socket.expect_frame("\"good\"").await;
    let metrics = gateway.api().get("/metrics").await.text();
    for line in [
        r#"gatepost_piggybacked_total{what="publication",outcome="refused"} 7"#,
        r#"gatepost_piggybacked_total{what="publication",outcome="taken"} 1"#,
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn nobody_but_django_can_publish_on_a_response() {
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
    let list = json!([{"to": {"everyone": true}, "frame": "forged"}]);
    let revocations = json!([{"everyone": true}]);
    let forged = publishing(&list).header("Gatepost-Revoke", &field(&revocations));
    frontend.answers_everything(forged.clone());
    other.answers_everything(forged);
    for path in ["/", "/other/"] {
        let page = ann.get(path).await;
        assert_eq!((page.status.as_u16(), page.text().as_str()), (200, "done"));
        assert_eq!(page.header("gatepost-publish"), None);
        assert_eq!(page.header("gatepost-revoke"), None);
    }
    // Nor can a client, in a request.
    let ask = ann.ask(Method::GET, "/api/");
    ask.header("gatepost-publish", &field(&list)).send().await;
    assert!(
        django
            .only_request_to("/api/")
            .header("gatepost-publish")
            .is_none()
    );
    socket.expect_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_browser_that_hangs_up_in_mid_request_loses_nothing() {
    let (django, gateway) = stage().await;
    let ann = gateway.browser_of("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    for version in BOTH {
        let gate = Gate::closed();
        let list = json!([{"to": {"user": "42"}, "frame": format!("{version:?}")}]);
        django.answers("/slow/", publishing(&list).after(&gate));
        let before = django.requests_to("/slow/").len();
        let bob = gateway.browser_of("bobs-session");
        let mut link = bob.connect(version).await;
        let request = bob.ask_over(version, "/slow/").finish();
        let leaves = tokio::spawn(async move { drop(link.send(request).await) });
        eventually(PATIENCE, || django.requests_to("/slow/").len() > before).await;
        leaves.abort();
        assert!(leaves.await.unwrap_err().is_cancelled());
        // The gateway has noticed by the time it has answered another request.
        bob.get("/").await;
        gate.open();
        socket.expect_frame(&format!("\"{version:?}\"")).await;
    }
    gateway.stop().await;
}
