//! What an operator orders of a running gateway: maintenance and a pause.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::Method;
use rustix::process::Signal;

use crate::harness::gateway::{NOTIFICATIONS, Setup};
use crate::harness::operator::told;
use crate::harness::{
    Answer, Browser, Django, Gateway, PATIENCE, Page, eventually, eventually_some, json,
};

const SESSION: &str = "anns-session";
const MAINTENANCE: &str = "gatepost_maintenance";
const WAITING: &str = "gatepost_pause_waiting";

async fn django() -> Django {
    let django = Django::start().await;
    django.signs_in(SESSION, "42");
    django.answers("/page/", Answer::ok("Django's"));
    django
}

fn with_files(django: &Django) -> Setup {
    Gateway::in_front_of(django)
        .set("server.mode", "production")
        .set("server.health", "/healthz")
        .set("errors.root", "errors")
        .element("files", toml::toml! { path = "/static/" root = "static" })
        .file("static/a.txt", "a")
        .file("errors/503.html", "<h1>our 503</h1>")
}

/// A request that is under way from here on.
fn begin(browser: Browser, path: &'static str) -> BoxFuture<'static, Page> {
    let sent = tokio::spawn(async move { browser.get(path).await });
    async move { sent.await.unwrap() }.boxed()
}

/// Waits until so many requests wait for the end of a pause.
async fn waiting(gateway: &Gateway, count: f64) {
    let api = gateway.api();
    eventually_some(PATIENCE, async || {
        let now = api.metric(WAITING).await;
        ((now - count).abs() < 0.5).then_some(())
    })
    .await;
}

#[tokio::test]
async fn maintenance_is_503_with_the_project_s_page_while_files_health_and_sockets_go_on() {
    let django = django().await;
    let gateway = with_files(&django).start().await;
    let ann = gateway.browser_of(SESSION);
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let words = ["maintenance", "on", "--message", "Back at <5>"];
    gateway.told(&words).await.done();

    let page = ann.ask(Method::GET, "/page/").header("Accept", "text/html");
    let page = page.send().await;
    assert_eq!(
        (page.status.as_u16(), page.text().as_str()),
        (503, "<h1>our 503</h1>")
    );
    assert_eq!(page.header("retry-after").unwrap(), "60");
    let answer = ann.get("/page/").await;
    assert_eq!(answer.json()["code"], "maintenance");
    assert_eq!(answer.json()["detail"], "Back at <5>");
    let refused = ann.handshake(NOTIFICATIONS).refused().await;
    assert_eq!(refused.status(), 503);
    assert!(django.requests_to("/page/").is_empty());

    assert_eq!(ann.get("/static/a.txt").await.text(), "a");
    assert_eq!(ann.get("/healthz").await.text(), "ok");
    let api = gateway.api();
    let ready = api.get("/ready").await;
    assert_eq!(ready.status(), 200);
    assert_eq!(ready.json()["maintenance"], true);
    assert!((api.metric(MAINTENANCE).await - 1.0).abs() < 0.1);
    let refused = r#"gatepost_refused_total{reason="maintenance"}"#;
    assert!((api.metric(refused).await - 3.0).abs() < 0.1);
    let frame = json!({"to": {"user": "42"}, "frame": {"n": 1}});
    api.publish(&frame).await;
    socket.expect_frame(r#"{"n":1}"#).await;

    gateway.told(&["maintenance", "off"]).await.done();
    assert_eq!(ann.get("/page/").await.text(), "Django's");
    assert_eq!(api.get("/ready").await.json().get("maintenance"), None);
    assert!(api.metric(MAINTENANCE).await < 0.1);
    socket.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn the_gateway_s_own_page_has_the_message_as_text() {
    let django = django().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let words = ["maintenance", "on", "--message", "Back at <5>"];
    gateway.told(&words).await.done();
    let browser = gateway.browser();
    let page = browser
        .ask(Method::GET, "/page/")
        .header("Accept", "text/html");
    let text = page.send().await.text();
    assert!(text.contains("Back at &lt;5&gt;"), "{text}");
    gateway.stop().await;
}

#[tokio::test]
async fn allowed_networks_pass_by_the_address_that_proxies_name() {
    let django = django().await;
    let setup = Gateway::in_front_of(&django);
    let setup = setup.set("server.trusted_proxies", vec!["127.0.0.1"]);
    let gateway = setup.start().await;
    let words = ["maintenance", "on", "--allow", "192.0.2.0/24", "--allow"];
    gateway
        .told(&[&words[..], &["2001:db8::7"]].concat())
        .await
        .done();
    let browser = gateway.browser();
    for (client, status) in [
        ("192.0.2.7", 200),
        ("2001:db8::7", 200),
        ("192.0.3.7", 503),
        ("192.0.2.7, 192.0.3.7", 503),
    ] {
        let page = browser.ask(Method::GET, "/page/");
        let page = page.header("X-Forwarded-For", client).send().await;
        assert_eq!(page.status, status, "{client}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn maintenance_survives_a_restart_and_its_end_does_too() {
    let django = django().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    gateway.told(&["maintenance", "on"]).await.done();
    let file = ".gatepost/maintenance";
    let kept = fs::read(gateway.folder().join(file)).unwrap();
    gateway.stop().await;
    let setup = Gateway::in_front_of(&django).file(file, kept);
    let next = setup.start().await;
    assert_eq!(next.browser().get("/page/").await.status, 503);
    next.told(&["maintenance", "off"]).await.done();
    assert!(!next.folder().join(file).exists());
    next.stop().await;
}

#[tokio::test]
async fn requests_wait_through_a_pause_and_sockets_stay() {
    let django = django().await;
    let gateway = with_files(&django).start().await;
    let ann = gateway.browser_of(SESSION);
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let told = gateway.told(&["pause", "--for", "5m"]).await.done();
    assert!(told.contains("5m"), "{told}");
    let page = begin(gateway.browser(), "/page/");
    waiting(&gateway, 1.0).await;
    let ready = gateway.api().get("/ready").await.json();
    assert_eq!(
        (&ready["status"], &ready["paused"]),
        (&json!("ready"), &json!(true))
    );
    assert_eq!(ann.get("/static/a.txt").await.text(), "a");
    assert_eq!(ann.get("/healthz").await.text(), "ok");
    let frame = json!({"to": {"user": "42"}, "frame": {"n": 1}});
    gateway.api().publish(&frame).await;
    socket.expect_frame(r#"{"n":1}"#).await;
    assert!(django.requests_to("/page/").is_empty());
    gateway.told(&["resume"]).await.done();
    assert_eq!(page.await.text(), "Django's");
    waiting(&gateway, 0.0).await;
    socket.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_pause_ends_by_itself_and_with_the_gateway() {
    let django = django().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    gateway.told(&["pause", "--for", "300ms"]).await.done();
    let page = begin(gateway.browser(), "/page/");
    assert_eq!(page.await.text(), "Django's");
    gateway.told(&["pause", "--for", "5m"]).await.done();
    let page = begin(gateway.browser(), "/page/");
    waiting(&gateway, 1.0).await;
    assert_eq!(gateway.stop().await, 0);
    assert_eq!(page.await.text(), "Django's");
}

#[tokio::test]
async fn what_waits_longer_than_queue_timeout_or_beyond_queue_is_told_when_to_come_back() {
    let django = django().await;
    let gateway = Gateway::in_front_of(&django)
        .set("django.queue", 1)
        .set("django.queue_timeout", "1s")
        .start()
        .await;
    gateway.told(&["pause", "--for", "5m"]).await.done();
    let first = begin(gateway.browser(), "/page/");
    waiting(&gateway, 1.0).await;
    let second = gateway.browser().get("/page/").await;
    let first = first.await;
    for page in [first, second] {
        assert_eq!(page.status, 503);
        assert_eq!(page.json()["code"], "paused");
        let seconds: u32 = page.header("retry-after").unwrap().parse().unwrap();
        assert!((290..=300).contains(&seconds), "{seconds}");
    }
    assert!(django.requests_to("/page/").is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_waits_no_longer() {
    let django = django().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    gateway.told(&["pause"]).await.done();
    let mut raw = gateway.browser().raw().await;
    let host = gateway.browser().host().to_owned();
    raw.send(format!("GET /page/ HTTP/1.1\r\nHost: {host}\r\n\r\n"))
        .await;
    waiting(&gateway, 1.0).await;
    drop(raw);
    waiting(&gateway, 0.0).await;
    gateway.stop().await;
    assert!(django.requests_to("/page/").is_empty());
}

#[tokio::test]
async fn the_api_takes_orders_from_who_has_the_secret_or_the_token_alone() {
    let django = django().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let api = gateway.api();
    let order = |api: &crate::harness::api::Api| api.post("/v1/pause", r#"{"on":false}"#);
    let internal = fs::read_to_string(gateway.folder().join(".gatepost/internal")).unwrap();
    let token = internal.lines().nth(1).unwrap();
    assert_eq!(order(&api).await.json(), json!({"on": false}));
    let signing = api.clone().signing_with(crate::harness::SECRET);
    assert_eq!(order(&signing).await.status(), 200);
    let operator = api.clone().with_bearer(token);
    assert_eq!(order(&operator).await.status(), 200);
    assert_eq!(order(&api.clone().without_secret()).await.status(), 401);
    let wrong = api.clone().with_bearer(&token.replace(['0', '1'], "2"));
    assert_eq!(order(&wrong).await.status(), 401);
    // The token is no secret of Django's.
    let frame = r#"{"to":{"everyone":true},"frame":{}}"#;
    assert_eq!(operator.post("/v1/publish", frame).await.status(), 401);
    assert_eq!(operator.get("/v1/connections").await.status(), 401);

    let refused = api.post("/v1/pause", r#"{"on":true,"for":"2h"}"#).await;
    assert_eq!(refused.status(), 400);
    assert_eq!(refused.json()["code"], "json_refused");
    assert_eq!(api.get("/v1/maintenance").await.status(), 405);
    gateway.stop().await;
}

#[tokio::test]
async fn verbs_say_by_their_exit_code_what_came_of_them() {
    let django = django().await;
    let gateway = Gateway::in_front_of(&django).spawn().await;
    let state = gateway.folder().join(".gatepost");
    let pid = fs::read_to_string(state.join("pid")).unwrap();
    assert_eq!(pid, format!("{}\n", gateway.pid().as_raw_nonzero()));
    for file in ["pid", "internal"] {
        let mode = fs::metadata(state.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let refused = gateway
        .told(&["maintenance", "on", "--allow", "10.0.0.1/8"])
        .await;
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""));
    assert!(refused.stderr.contains("10.0.0.0/8"), "{}", refused.stderr);
    assert_eq!(gateway.told(&["pause", "--for", "2h"]).await.code, Some(2));
    assert_eq!(gateway.told(&["maintenance"]).await.code, Some(2));
    gateway.told(&["pause", "--for", "1m"]).await.done();
    eventually(PATIENCE, || gateway.log().contains("paused")).await;
    let kept = fs::read(state.join("internal")).unwrap();
    gateway.terminate();
    assert_eq!(gateway.exit().await.code(), Some(0));
    assert!(!state.join("pid").exists() && !state.join("internal").exists());

    let nobody = gateway.told(&["resume"]).await;
    assert_eq!((nobody.code, nobody.stdout.as_str()), (Some(1), ""));
    assert!(
        nobody.stderr.contains("no gateway runs"),
        "{}",
        nobody.stderr
    );
    // As one leaves it that was killed.
    fs::write(state.join("internal"), kept).unwrap();
    let nobody = told(gateway.folder(), &["resume"]).await;
    assert_eq!(nobody.code, Some(1));
    assert!(
        nobody.stderr.contains("nothing answers"),
        "{}",
        nobody.stderr
    );
}

#[tokio::test]
async fn verbs_reach_a_unix_socket_and_a_gateway_whose_folder_is_closed_serves_without_them() {
    let django = django().await;
    let setup = Gateway::in_front_of(&django).set("server.internal", "unix:internal.sock");
    let gateway = setup.spawn().await;
    gateway.told(&["pause", "--for", "1m"]).await.done();
    gateway.told(&["resume"]).await.done();
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.exit().await.code(), Some(0));

    let setup = Gateway::in_front_of(&django).file(".gatepost", "no folder");
    let closed = setup.start().await;
    assert_eq!(closed.browser().get("/page/").await.text(), "Django's");
    let nobody = closed.told(&["resume"]).await;
    assert_eq!(nobody.code, Some(1));
    let order = closed.api().post("/v1/maintenance", r#"{"on":true}"#).await;
    let said = order.json();
    let warning = said["warning"].as_str().unwrap_or_default();
    assert!(warning.starts_with("a restart would end it"), "{said}");
    assert_eq!(closed.browser().get("/page/").await.status, 503);
    closed.stop().await;
}
