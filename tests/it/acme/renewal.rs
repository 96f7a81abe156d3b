//! Certificates that live for seconds are renewed, unless the authority is away.

use std::time::Duration;

use http::Version;

use super::{RENEWED, SHOP, browser, certificates, ports, serial, setup, trusting};
use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::pebble::Pebble;
use crate::harness::{Django, PATIENCE, eventually, eventually_some, json};

/// Renewed when a third of it is left.
const LIFE: Duration = Duration::from_secs(15);

#[tokio::test]
async fn a_certificate_is_renewed_while_connections_and_requests_go_on() {
    let (django, ports) = (Django::start().await, ports());
    django.signs_in("anns-session", "42");
    let Some(pebble) = Pebble::issuing_for(ports, LIFE).await else {
        return;
    };
    let setup = trusting(setup(&django, &pebble.directory(), ports), &pebble.ca());
    let gateway = setup.start().await;
    let https = gateway.https();
    let first = eventually_some(PATIENCE, async || serial(https).await).await;
    let ann = browser(https, SHOP).signed_in("anns-session");
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let mut link = ann.connect(Version::HTTP_2).await;

    eventually_some(LIFE * 3, async || {
        let request = ann.ask_over(Version::HTTP_2, "/").finish();
        assert_eq!(link.send(request).await.unwrap().status(), 200);
        assert_eq!(ann.get("/").await.status, 200);
        let now = serial(https).await.expect("one is served throughout");
        (now != first).then_some(())
    })
    .await;

    let publication = json!({"to": {"user": "42"}, "frame": {"n": 1}});
    assert_eq!(gateway.api().publish(&publication).await["sockets"], 1);
    socket.expect_frame(r#"{"n":1}"#).await;
    assert!(!link.is_closed());
    let renewed = gateway.api().metric(RENEWED).await;
    assert!(renewed > 1.9, "the first, and the renewal: {renewed}");
    gateway.stop().await;
}

#[tokio::test]
async fn while_the_authority_is_away_the_old_certificate_is_served_and_it_is_said() {
    let (django, ports) = (Django::start().await, ports());
    let Some(mut pebble) = Pebble::issuing_for(ports, LIFE).await else {
        return;
    };
    let setup = || trusting(setup(&django, &pebble.directory(), ports), &pebble.ca());
    let gateway = setup().spawn().await;
    let https = gateway.https();
    let first = eventually_some(PATIENCE, async || serial(https).await).await;
    let again = setup().set("headers.X-Frame-Options", "DENY");

    pebble.go_away();
    let error = eventually_some(LIFE * 3, async || {
        let told = certificates(&gateway.api()).await;
        told[0]["error"].as_str().map(str::to_owned)
    })
    .await;
    assert!(
        error.contains("did not do what it was asked for"),
        "{error}"
    );
    assert_eq!(serial(https).await.as_ref(), Some(&first));
    let said = "the certificate cannot be renewed; the old one is served on";
    eventually(PATIENCE, || gateway.log().contains(said)).await;

    // It is asked again after a minute, as the keeper's own tests see; a reload begins at once.
    pebble.come_back().await;
    again.write_into(gateway.folder());
    let answer = gateway.api().post("/v1/reload", "").await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    eventually_some(LIFE * 3, async || {
        let now = serial(https).await.expect("one is served throughout");
        (now != first).then_some(())
    })
    .await;
    assert_eq!(certificates(&gateway.api()).await[0]["error"], json!(null));
    assert!(gateway.log().contains("does not know the account"));
    gateway.terminate();
    assert!(gateway.exit().await.success());
}
