//! Every request to Django is signed, and nothing that a client says looks like it.

use http::Version;

use crate::harness::signature::{assert_signed_but_body, now};
use crate::harness::{Django, Frontend, Gateway, PATIENCE, eventually};

const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

#[tokio::test]
async fn every_request_to_django_is_signed_without_its_body() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser_of("anns-session");
    for version in BOTH {
        browser
            .ask_over(version, "/a%20b/?q=%c3%a4&x=1%2B1")
            .send()
            .await;
        let request = django.requests().pop().unwrap();
        assert_signed_but_body(&request);
        assert!(request.header("gatepost-target").is_none());
    }
    browser.post("/form/", "text/plain", "hello").await;
    assert_signed_but_body(&django.only_request_to("/form/"));
    gateway.stop().await;
}

#[tokio::test]
async fn a_request_that_waited_is_signed_when_it_is_sent() {
    let django = Django::start().await;
    let setup = Gateway::in_front_of(&django).set("django.hold", "20s");
    let gateway = setup.start().await;
    let browser = gateway.browser();
    django.refuse().await;
    let came = now();
    let later = async {
        eventually(PATIENCE, || now() > came).await;
        django.listen();
    };
    let (page, ()) = tokio::join!(browser.get("/"), later);
    assert_eq!(page.status, 200);
    let request = django.requests().pop().unwrap();
    assert_signed_but_body(&request);
    let signature = request.header("gatepost-signature").unwrap();
    let time = signature.split(['=', ',']).nth(1).unwrap();
    assert!(time.parse::<u64>().unwrap() > came);
    gateway.stop().await;
}

#[tokio::test]
async fn a_target_that_django_would_quote_otherwise_is_told() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    for target in ["/%7Eann/?a=1", "/%c3%a4/", "/a?", "/%E9/"] {
        browser.get(target).await;
        let request = django.requests().pop().unwrap();
        assert_eq!(request.target(), target);
        assert_eq!(request.header("gatepost-target").as_deref(), Some(target));
        assert_signed_but_body(&request);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_clients_own_signature_is_thrown_away() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    for version in BOTH {
        let lies = browser
            .ask_over(version, "/")
            .header("gatepost-signature", "t=1,v1=00")
            .header("gatepost-target", "/admin/")
            .header("gatepost-address", "6.6.6.6")
            .header("gatepost-scheme", "http")
            .header("gatepost_address", "6.6.6.6")
            .header("gatepost-online", "7")
            .header("gatepost-identity", "e30");
        lies.send().await;
        let request = django.requests().pop().unwrap();
        assert_signed_but_body(&request);
        let fields = request.head.fields();
        let all = |name: &str| {
            let named =
                |field: &&(String, String)| field.0.to_ascii_lowercase().replace('_', "-") == name;
            fields
                .iter()
                .filter(named)
                .map(|field| field.1.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(all("gatepost-address"), ["127.0.0.1"]);
        assert_eq!(all("gatepost-scheme"), ["https"]);
        for name in ["gatepost-target", "gatepost-online", "gatepost-identity"] {
            assert!(request.header(name).is_none(), "{name}");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn other_upstreams_get_no_signature() {
    let (django, frontend) = (Django::start().await, Frontend::start().await);
    let other = Frontend::start().await;
    let gateway = Gateway::in_front_of(&django)
        .frontend(&frontend)
        .upstream("/other/", &other)
        .start()
        .await;
    let browser = gateway.browser_of("anns-session");
    browser.get("/").await;
    browser.get("/other/").await;
    browser.get("/api/").await;
    for server in [&frontend, &other] {
        let request = server.requests().pop().unwrap();
        let fields = request.head.fields();
        let ours = fields
            .iter()
            .find(|(name, _)| name.to_ascii_lowercase().starts_with("gatepost-"));
        assert!(ours.is_none(), "{ours:?}");
    }
    assert_signed_but_body(&django.only_request_to("/api/"));
    gateway.stop().await;
}
