//! A reload changes which names get a certificate, and from whom.

use super::{PATIENCE, SHOP, issued, issuer, ports, setup, told, trusting};
use crate::harness::pebble::Pebble;
use crate::harness::{Django, eventually_some, json};

const WWW: &str = "www.shop.test";

#[tokio::test]
async fn names_that_come_get_a_certificate_and_those_that_go_are_refused() {
    let (django, ports) = (Django::start().await, ports());
    let Some(pebble) = Pebble::start(ports).await else {
        return;
    };
    let with = |hosts: &[&str]| {
        let setup = trusting(setup(&django, &pebble.directory(), ports), &pebble.ca());
        setup.set("server.hosts", hosts.to_vec())
    };
    let gateway = with(&[SHOP]).start().await;
    let first = issued(&gateway).await;
    assert_eq!(issuer(&gateway, WWW).await, None);

    gateway.reloaded(&with(&[SHOP, WWW])).await;
    let second = eventually_some(PATIENCE, async || {
        assert!(issuer(&gateway, SHOP).await.is_some(), "served throughout");
        issuer(&gateway, WWW).await
    })
    .await;
    assert_eq!(first, second);

    gateway.reloaded(&with(&[WWW])).await;
    assert_eq!(issuer(&gateway, SHOP).await, None);
    assert_eq!(issuer(&gateway, WWW).await, Some(second));
    let told = told(&gateway).await;
    assert_eq!(told.as_array().unwrap().len(), 1);
    assert_eq!(told[0]["name"], WWW);
    gateway.stop().await;
}

#[tokio::test]
async fn another_authority_s_certificate_takes_the_place_of_the_old_one_once_it_is_there() {
    let (django, ports) = (Django::start().await, ports());
    let (Some(old), Some(mut new)) = (Pebble::start(ports).await, Pebble::start(ports).await)
    else {
        return;
    };
    let by = |pebble: &Pebble| trusting(setup(&django, &pebble.directory(), ports), &pebble.ca());
    let gateway = by(&old).start().await;
    let first = issued(&gateway).await;

    new.go_away();
    gateway.reloaded(&by(&new)).await;
    eventually_some(PATIENCE, async || {
        assert_eq!(issuer(&gateway, SHOP).await.as_ref(), Some(&first));
        told(&gateway).await[0]["error"].as_str().map(str::to_owned)
    })
    .await;

    new.come_back().await;
    let again = by(&new).set("headers.X-Frame-Options", "DENY");
    gateway.reloaded(&again).await;
    eventually_some(PATIENCE, async || {
        let now = issuer(&gateway, SHOP).await.expect("served throughout");
        (now != first).then_some(())
    })
    .await;
    assert_eq!(told(&gateway).await[0]["error"], json!(null));
    gateway.stop().await;
}
