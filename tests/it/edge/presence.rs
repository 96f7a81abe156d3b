//! What Django is told of the sender's connections.

use http::{Method, Version};

use crate::harness::gateway::NOTIFICATIONS;
use crate::harness::server::Received;
use crate::harness::{Browser, Django, Gateway, PATIENCE, eventually_some};

const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

async fn stage() -> (Django, Gateway) {
    let django = Django::start().await;
    django.signs_in("anns-session", "42");
    django.signs_in("anns-phone", "42");
    django.signs_in("bobs-session", "43");
    let gateway = Gateway::in_front_of(&django).start().await;
    (django, gateway)
}

/// What Django got, where the page named this connection as its own.
async fn asked(django: &Django, browser: &Browser, version: Version, claim: &str) -> Received {
    let ask = browser.ask_over(version, "/page/");
    ask.header("gatepost-connection", claim).send().await;
    django.requests_to("/page/").pop().unwrap()
}

/// The id of the user's only connection of this session.
async fn connection_of(gateway: &Gateway, user: &str) -> String {
    let only = gateway.api().connected(user, 1).await.remove(0);
    only["connection"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_page_may_name_its_own_sessions_connections_and_no_others() {
    let (django, gateway) = stage().await;
    let (ann, bob) = (
        gateway.browser_of("anns-session"),
        gateway.browser_of("bobs-session"),
    );
    let _anns = ann.socket(NOTIFICATIONS).await;
    let _bobs = bob.socket(NOTIFICATIONS).await;
    let anns = connection_of(&gateway, "42").await;
    let bobs = connection_of(&gateway, "43").await;
    for version in BOTH {
        for (browser, claim, told) in [
            (&ann, &anns, Some(&anns)),
            (&ann, &bobs, None),
            (&bob, &anns, None),
            (&gateway.browser_of("anns-phone"), &anns, None),
            (&gateway.browser_of("unknown-session"), &anns, None),
            (&gateway.browser(), &anns, None),
            (&ann, &"0123456789abcdef".to_owned(), None),
            (&ann, &"me".to_owned(), None),
        ] {
            let request = asked(&django, browser, version, claim).await;
            let seen = request.all("gatepost-connection");
            assert_eq!(
                seen,
                told.into_iter().cloned().collect::<Vec<_>>(),
                "{claim}"
            );
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_connection_that_is_gone_is_nobodys() {
    let (django, gateway) = stage().await;
    let ann = gateway.browser_of("anns-session");
    let (socket, _other) = (
        ann.socket(NOTIFICATIONS).await,
        ann.socket(NOTIFICATIONS).await,
    );
    let both = gateway.api().connected("42", 2).await;
    socket.close().await;
    let left = gateway.api().connected("42", 1).await.remove(0);
    let gone = both
        .iter()
        .find(|one| one["connection"] != left["connection"]);
    let gone = gone.unwrap()["connection"].as_str().unwrap();
    let request = asked(&django, &ann, Version::HTTP_11, gone).await;
    assert!(request.header("gatepost-connection").is_none());
    gateway.stop().await;
}

#[tokio::test]
async fn django_hears_how_many_connections_the_user_has() {
    let (django, gateway) = stage().await;
    let ann = gateway.browser_of("anns-session");
    let phone = gateway.browser_of("anns-phone");
    let online = async |browser: &Browser, version| {
        let lie = browser
            .ask_over(version, "/page/")
            .header("gatepost-online", "9");
        lie.send().await;
        django
            .requests_to("/page/")
            .pop()
            .unwrap()
            .header("gatepost-online")
    };
    assert_eq!(online(&ann, Version::HTTP_11).await, None);
    let _one = ann.socket(NOTIFICATIONS).await;
    let two = ann.socket(NOTIFICATIONS).await;
    let _three = phone.socket(NOTIFICATIONS).await;
    for version in BOTH {
        assert_eq!(online(&ann, version).await.as_deref(), Some("3"));
        assert_eq!(online(&phone, version).await.as_deref(), Some("3"));
        assert_eq!(
            online(&gateway.browser_of("bobs-session"), version).await,
            None
        );
        assert_eq!(online(&gateway.browser(), version).await, None);
    }
    two.close().await;
    eventually_some(PATIENCE, async || {
        let left = online(&ann, Version::HTTP_11).await;
        (left.as_deref() == Some("2")).then_some(())
    })
    .await;
    let form = ann.ask(Method::POST, "/form/").body("x").send().await;
    assert_eq!(form.echoed("gatepost-online"), ["2"]);
    gateway.stop().await;
}
