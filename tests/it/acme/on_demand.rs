//! Names that Django allows get a certificate when a client asks for them, and cost nothing when it does not.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};

use super::{
    PATIENCE, SHOP, browser, certificates, issued, issuer, ports, presented, setup, told, trusting,
};
use crate::harness::gateway::Setup;
use crate::harness::pebble::{Challenged, Pebble};
use crate::harness::raw::Raw;
use crate::harness::{Answer, Django, Gateway, eventually, eventually_some, json};

const HOSTS_PATH: &str = "/_gatepost/hosts/";
const BLOG: &str = "blog.customer.test";
const FORUM: &str = "forum.customer.test";
const LIFE: Duration = Duration::from_secs(15);

/// The names that Django allows from now on.
fn allowing(django: &Django, names: &[&str]) -> Arc<Mutex<Vec<String>>> {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let names = Arc::new(Mutex::new(names));
    let allowed = Arc::clone(&names);
    django.rule(move |request| {
        let target = request.target();
        let name = target.strip_prefix("/_gatepost/hosts/?name=")?;
        let is_allowed = allowed.lock().unwrap().iter().any(|known| known == name);
        Some(Answer::status(if is_allowed { 204 } else { 404 }, ""))
    });
    names
}

fn by_demand(setup: Setup) -> Setup {
    setup.configure(|table| {
        let acme = table["tls"]["acme"].as_table_mut().unwrap();
        acme.insert("names".to_owned(), "django".into());
    })
}

fn at(django: &Django, pebble: &Pebble, ports: Challenged) -> Setup {
    by_demand(trusting(
        setup(django, &pebble.directory(), ports),
        &pebble.ca(),
    ))
}

fn questions(django: &Django) -> usize {
    django.requests_to(HOSTS_PATH).len()
}

/// The status of a page that is asked for under a name.
async fn status(gateway: &Gateway, name: &str) -> u16 {
    browser(gateway.https(), name)
        .get("/")
        .await
        .status
        .as_u16()
}

/// What plain HTTP answers to a name: the status, and where it sends the browser.
async fn plain(gateway: &Gateway, name: &str) -> (u16, Option<String>) {
    let mut raw = Raw::tcp(gateway.http()).await;
    raw.send(format!("GET /a HTTP/1.1\r\nHost: {name}\r\n\r\n"))
        .await;
    let answer = raw.answer().await;
    (answer.status(), answer.header("location"))
}

#[tokio::test]
async fn the_first_clients_of_an_allowed_name_wait_for_its_certificate_and_it_is_there_after_a_restart()
 {
    let (django, ports) = (Django::start().await, ports());
    let Some(pebble) = Pebble::start(ports).await else {
        return;
    };
    let names = allowing(&django, &[BLOG]);
    let setup = || at(&django, &pebble, ports);
    let gateway = setup().start().await;
    issued(&gateway).await;
    let first = join_all((0..20).map(|_| issuer(&gateway, BLOG))).await;
    assert!(first.iter().all(Option::is_some), "{first:?}");
    let question = django.only_request_to(HOSTS_PATH);
    assert_eq!(question.method(), "GET");
    assert_eq!(question.header("host").unwrap(), SHOP);
    assert!(
        question
            .header("gatepost-signature")
            .unwrap()
            .contains("v1=")
    );
    assert_eq!(status(&gateway, BLOG).await, 200);
    assert_eq!(status(&gateway, SHOP).await, 200);
    assert_eq!(issuer(&gateway, "evil.test").await, None);
    assert_eq!(issuer(&gateway, "evil.test").await, None);
    assert_eq!(questions(&django), 2, "a no is kept");
    assert_eq!(told(&gateway).await[1]["name"], BLOG);
    assert_eq!(told(&gateway).await[1]["error"], json!(null));
    let asked = "gatepost_certificate_questions_total";
    for outcome in ["allowed", "refused"] {
        let counted = gateway
            .api()
            .metric(&format!("{asked}{{outcome=\"{outcome}\"}}"))
            .await;
        assert!((counted - 1.0).abs() < 0.1, "{outcome}: {counted}");
    }
    let files = kept(&gateway);
    gateway.stop().await;

    // Neither the authority nor Django has to say anything.
    names.lock().unwrap().clear();
    let setup = setup();
    drop(pebble);
    let again = files
        .into_iter()
        .fold(setup, |setup, (name, text)| setup.file(&name, text));
    let again = again.start().await;
    assert_eq!(issuer(&again, BLOG).await, first[0]);
    assert_eq!(status(&again, BLOG).await, 200);
    assert_eq!(questions(&django), 2);
    again.stop().await;
}

/// What is in the folder of the authority.
fn kept(gateway: &Gateway) -> Vec<(String, Vec<u8>)> {
    let mut folders = vec![gateway.folder().join(".gatepost/acme")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(gateway.folder()).unwrap();
                files.push((name.display().to_string(), std::fs::read(&path).unwrap()));
            }
        }
    }
    files
}

#[tokio::test]
async fn who_comes_by_plain_http_is_sent_on_to_https_once_django_allows_the_name() {
    let (django, ports) = (Django::start().await, ports());
    let Some(pebble) = Pebble::start(ports).await else {
        return;
    };
    allowing(&django, &[BLOG]);
    let http = format!("127.0.0.1:{}", ports.http);
    let gateway = at(&django, &pebble, ports)
        .set("server.http", http)
        .start()
        .await;
    issued(&gateway).await;
    let (code, location) = plain(&gateway, "Blog.Customer.test").await;
    assert_eq!(code, 308, "{location:?}");
    assert!(location.unwrap().starts_with("https://Blog.Customer.test:"));
    assert_eq!(plain(&gateway, "evil.test").await, (421, None));
    assert_eq!(plain(&gateway, "192.0.2.1").await, (421, None));
    assert_eq!(questions(&django), 2);
    assert!(issuer(&gateway, BLOG).await.is_some());
    assert_eq!(questions(&django), 2);
    gateway.stop().await;
}

#[tokio::test]
async fn a_name_that_django_allows_no_more_is_no_host_and_its_certificate_lapses() {
    let (django, ports) = (Django::start().await, ports());
    let Some(pebble) = Pebble::issuing_for(ports, LIFE).await else {
        return;
    };
    let names = allowing(&django, &[BLOG, FORUM]);
    let gateway = at(&django, &pebble, ports).spawn().await;
    let first = eventually_some(PATIENCE, async || presented(gateway.https(), BLOG).await).await;
    let page = async |name| {
        browser(gateway.https(), name)
            .get("/")
            .await
            .status
            .as_u16()
    };
    assert_eq!((page(BLOG).await, page(FORUM).await), (200, 200));
    names.lock().unwrap().retain(|name| name == FORUM);

    let said = "requests for the name get 421 from now on";
    eventually(LIFE * 2, || gateway.log().contains(said)).await;
    assert_eq!(page(BLOG).await, 421);
    assert_eq!(
        presented(gateway.https(), BLOG).await,
        Some(first),
        "until it ends"
    );
    let error = certificates(&gateway.api()).await[1]["error"].to_string();
    assert!(
        error.contains("Django does not allow this name any more"),
        "{error}"
    );
    let forgotten = "the certificate has ended, and the name is forgotten";
    eventually(LIFE * 2, || gateway.log().contains(forgotten)).await;
    assert_eq!(presented(gateway.https(), BLOG).await, None);
    assert_eq!(page(FORUM).await, 200, "the others are renewed");
    let told = certificates(&gateway.api()).await;
    assert_eq!(told.as_array().unwrap().len(), 2, "{told}");
    gateway.terminate();
    assert!(gateway.exit().await.success());
}

#[tokio::test]
async fn invented_names_cost_django_next_to_nothing_and_are_never_ordered() {
    let (django, ports) = (Django::start().await, ports());
    let Some(pebble) = Pebble::start(ports).await else {
        return;
    };
    allowing(&django, &[BLOG]);
    let gateway = at(&django, &pebble, ports).start().await;
    issued(&gateway).await;
    assert!(issuer(&gateway, BLOG).await.is_some());
    let began = Instant::now();
    let refused = stream::iter(0..3000)
        .map(|number| {
            let gateway = &gateway;
            async move { issuer(gateway, &format!("n{number}.invented.test")).await }
        })
        .buffer_unordered(100)
        .filter(|issuer| std::future::ready(issuer.is_none()));
    assert_eq!(refused.count().await, 3000);
    // All come from one address: ten at once, then one a second; one was asked about before.
    let most = 1 + 10 + usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    let asked = questions(&django);
    assert!((11..=most).contains(&asked), "{asked} of {most}");
    assert!(django.peak(HOSTS_PATH) <= 4);
    assert_eq!(told(&gateway).await.as_array().unwrap().len(), 2);
    let too_many = "gatepost_certificate_questions_total{outcome=\"too_many\"}";
    assert!(gateway.api().metric(too_many).await > 2000.0);
    assert_eq!(status(&gateway, BLOG).await, 200);
    gateway.stop().await;
}

#[tokio::test]
async fn a_reload_begins_and_ends_to_ask_django_and_refuses_no_handshake_of_what_stays() {
    let (django, ports) = (Django::start().await, ports());
    let Some(pebble) = Pebble::start(ports).await else {
        return;
    };
    allowing(&django, &[BLOG, FORUM]);
    let off = || trusting(setup(&django, &pebble.directory(), ports), &pebble.ca());
    let gateway = off().start().await;
    issued(&gateway).await;
    assert_eq!(issuer(&gateway, BLOG).await, None);
    assert_eq!(questions(&django), 0);

    gateway.reloaded(&by_demand(off())).await;
    let first = eventually_some(PATIENCE, async || issuer(&gateway, BLOG).await).await;
    assert_eq!(status(&gateway, BLOG).await, 200);
    gateway
        .reloaded(&by_demand(off()).set("headers.X-Frame-Options", "DENY"))
        .await;
    assert_eq!(issuer(&gateway, BLOG).await, Some(first.clone()));
    assert_eq!(status(&gateway, BLOG).await, 200);
    assert_eq!(
        questions(&django),
        1,
        "what is there is not asked about again"
    );

    gateway.reloaded(&off()).await;
    assert_eq!(issuer(&gateway, BLOG).await, None);
    assert_eq!(issuer(&gateway, FORUM).await, None);
    assert_eq!(questions(&django), 1);
    assert_eq!(told(&gateway).await.as_array().unwrap().len(), 1);

    // Its certificate is found again, without an order.
    gateway.reloaded(&by_demand(off())).await;
    eventually_some(PATIENCE, async || issuer(&gateway, BLOG).await).await;
    let issued = gateway.api().metric(super::RENEWED).await;
    assert!(issued < 2.1, "{issued}");
    gateway.stop().await;
}

#[tokio::test]
async fn while_django_or_the_authority_is_away_new_names_are_refused_and_it_is_said() {
    let (django, mut pebble_ports) = (Django::start().await, ports());
    let https = pebble_ports.https;
    // The authority asks where nobody listens.
    pebble_ports.https = ports().https;
    let Some(pebble) = Pebble::start(pebble_ports).await else {
        return;
    };
    let ports = Challenged {
        https,
        ..pebble_ports
    };
    django.answers(HOSTS_PATH, Answer::status(503, ""));
    let gateway = at(&django, &pebble, ports).spawn().await;
    eventually_some(PATIENCE, async || {
        assert_eq!(presented(gateway.https(), BLOG).await, None);
        (questions(&django) > 0).then_some(())
    })
    .await;
    let said = "Django does not say whether this name may have a certificate";
    eventually(PATIENCE, || gateway.log().contains(said)).await;
    assert_eq!(presented(gateway.https(), BLOG).await, None);
    assert_eq!(questions(&django), 1, "not at once again");
    let told = certificates(&gateway.api()).await;
    assert_eq!(told.as_array().unwrap().len(), 1, "{told}");

    allowing(&django, &[FORUM]);
    assert_eq!(presented(gateway.https(), FORUM).await, None);
    let error = eventually_some(PATIENCE, async || {
        let told = certificates(&gateway.api()).await;
        let error = told[1]["error"].as_str()?.to_owned();
        error.contains("port 443").then_some(error)
    })
    .await;
    assert!(
        error.contains("the challenge TLS-ALPN-01 failed"),
        "{error}"
    );
    gateway.terminate();
    assert!(gateway.exit().await.success());
}
