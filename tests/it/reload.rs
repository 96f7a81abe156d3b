//! Another `gateway.toml` while the gateway runs: as a whole or not at all, and nobody notices.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use http::{Method, Version};
use rustix::process::Signal;

use crate::harness::browser::Link;
use crate::harness::gateway::{NOTIFICATIONS, Setup};
use crate::harness::server::Server;
use crate::harness::signature::{assert_signed_but_body, session_digest};
use crate::harness::{
    Answer, Browser, Django, Gate, Gateway, PATIENCE, Page, Process, eventually, eventually_some,
    json,
};

const SESSION: &str = "anns-session";
const DONE: &str = r#"gatepost_reloads_total{outcome="done"}"#;
const REFUSED: &str = r#"gatepost_reloads_total{outcome="refused"}"#;
const FRAME: &str = r#"{"n":1}"#;

async fn django(says: &str) -> Django {
    let django = Django::start().await;
    django.signs_in(SESSION, "42");
    django.answers("/page/", Answer::ok(says));
    django
}

/// A request that is under way from here on.
fn begin(browser: Browser, path: &'static str) -> BoxFuture<'static, Page> {
    let sent = tokio::spawn(async move { browser.get(path).await });
    async move { sent.await.unwrap() }.boxed()
}

async fn publish(gateway: &Gateway) {
    let publication = json!({"to": {"user": "42"}, "frame": {"n": 1}});
    gateway.api().publish(&publication).await;
}

/// The answer to a GET over this connection.
async fn page_over(link: &mut Link, browser: &Browser) -> Page {
    let request = browser.ask(Method::GET, "/page/").finish();
    Page::of(link.send(request).await.unwrap()).await.unwrap()
}

#[tokio::test]
async fn requests_go_elsewhere_while_those_under_way_connections_and_sockets_stay() {
    let (old, gate) = (django("old").await, Gate::closed());
    old.answers("/slow/", Answer::ok("old").after(&gate));
    let gateway = Gateway::in_front_of(&old).start().await;
    let ann = gateway.browser_of(SESSION);
    let mut socket = ann.socket(NOTIFICATIONS).await;
    let slow = begin(gateway.browser(), "/slow/");
    eventually(PATIENCE, || old.under_way("/slow/") == 1).await;
    let mut links = Vec::new();
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mut link = ann.connect(version).await;
        assert_eq!(page_over(&mut link, &ann).await.text(), "old");
        links.push(link);
    }

    let new = django("new").await;
    gateway.reloaded(&Gateway::in_front_of(&new)).await;
    for link in &mut links {
        assert_eq!(page_over(link, &ann).await.text(), "new");
    }
    gate.open();
    assert_eq!(slow.await.text(), "old");
    publish(&gateway).await;
    socket.expect_frame(FRAME).await;
    // Django is asked where it is now.
    let bob = gateway.browser_of("bobs-session");
    bob.socket(NOTIFICATIONS).await.closed().await;
    assert_eq!((old.auth_calls().len(), new.auth_calls().len()), (1, 1));
    assert!((gateway.api().metric(DONE).await - 1.0).abs() < 0.1);
    socket.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn under_load_no_socket_is_closed_and_no_request_fails() {
    const RELOADS: usize = 25;
    let both = [django("first").await, django("second").await];
    let gateway = Gateway::in_front_of(&both[0]).start().await;
    let ann = gateway.browser_of(SESSION);
    let mut sockets = join_all((0..50).map(|_| ann.socket(NOTIFICATIONS))).await;
    let over = Arc::new(AtomicBool::new(false));
    let clients = (0..8).map(|client| {
        let (browser, over) = (gateway.browser(), Arc::clone(&over));
        tokio::spawn(async move {
            let mut answered = 0;
            while !over.load(Ordering::Relaxed) {
                // Half of them connect anew each time.
                let version = [Version::HTTP_11, Version::HTTP_2][client % 2];
                let mut link = browser.connect(version).await;
                for _ in 0..=20 * (client / 4) {
                    let page = page_over(&mut link, &browser).await;
                    assert_eq!(page.status, 200, "{}", page.text());
                    answered += 1;
                }
            }
            answered
        })
    });
    let clients: Vec<_> = clients.collect();
    for reload in 0..RELOADS {
        let mut setup = Gateway::in_front_of(&both[reload % 2]);
        if reload % 3 == 0 {
            setup = setup.set("headers.X-Frame-Options", "DENY");
        }
        gateway.reloaded(&setup).await;
    }
    over.store(true, Ordering::Relaxed);
    let answered: usize = join_all(clients)
        .await
        .into_iter()
        .map(Result::unwrap)
        .sum();
    assert!(answered > RELOADS, "{answered}");
    publish(&gateway).await;
    for socket in &mut sockets {
        socket.expect_frame(FRAME).await;
    }
    let api = gateway.api();
    assert!((api.metric("gatepost_connections").await - 50.0).abs() < 0.1);
    assert!(
        api.metric(r#"gatepost_requests_total{outcome="server_error"}"#)
            .await
            < 0.1
    );
    drop(sockets);
    gateway.stop().await;
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_its_findings_are_those_of_check() {
    let django = django("old").await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let mut socket = gateway.browser_of(SESSION).socket(NOTIFICATIONS).await;
    let broken = Gateway::in_front_of(&django)
        .set("server.hosts", vec!["other.test"])
        .set("limits.body_sise", "1MiB")
        .set("django.hold", "soon");
    gateway.rewrite(&broken);
    let told = gateway.told(&["reload"]).await;
    assert_eq!((told.code, told.stdout.as_str()), (Some(2), ""));
    for finding in ["body_sise", "django.hold", "gateway.toml:"] {
        assert!(told.stderr.contains(finding), "{}", told.stderr);
    }
    assert_eq!(gateway.browser().get("/page/").await.text(), "old");
    let api = gateway.api();
    assert!((api.metric(REFUSED).await - 1.0).abs() < 0.1);
    let answer = api.post("/v1/reload", "").await;
    assert_eq!(answer.status(), 422);
    assert_eq!(answer.json()["code"], "reload_refused");
    publish(&gateway).await;
    socket.expect_frame(FRAME).await;

    gateway.rewrite(&Gateway::in_front_of(&django));
    let told = gateway.told(&["reload"]).await.done();
    assert_eq!(told, "reloaded\n");
    socket.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn what_only_a_restart_changes_is_named_and_the_rest_stays_too() {
    let django = django("old").await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let next = Gateway::in_front_of(&django)
        .set("server.internal", "127.0.0.1:1")
        .set("server.hosts", vec!["other.test"]);
    let answer = gateway.reload(&next).await;
    assert_eq!(answer.status(), 422);
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("server.internal"), "{detail}");
    assert!(!detail.contains("server.hosts"), "{detail}");
    assert_eq!(gateway.browser().get("/page/").await.status, 200);
    gateway.stop().await;
}

#[tokio::test]
async fn sockets_of_a_route_that_is_gone_close_1001_and_no_others() {
    let django = django("page").await;
    let two = Gateway::in_front_of(&django).socket("/ws/old/");
    let gateway = two.start().await;
    let ann = gateway.browser_of(SESSION);
    let mut stays = ann.socket(NOTIFICATIONS).await;
    let mut goes = ann.socket("/ws/old/").await;
    let next = Gateway::in_front_of(&django).socket("/ws/new/");
    gateway.reloaded(&next).await;
    goes.expect_close(1001).await;
    let mut new = ann.socket("/ws/new/").await;
    assert_ne!(ann.handshake("/ws/old/").refused().await.status(), 101);
    publish(&gateway).await;
    stays.expect_frame(FRAME).await;
    new.expect_frame(FRAME).await;
    for socket in [stays, new] {
        socket.close().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_handshake_that_waits_for_django_is_not_let_in_behind_its_route() {
    let (django, gate) = (django("page").await, Gate::closed());
    django.judges("bobs-session", Answer::user("43").after(&gate));
    let setup = Gateway::in_front_of(&django).set("auth.accept_after", "10s");
    let gateway = setup.socket("/ws/old/").start().await;
    let bob = gateway.browser_of("bobs-session");
    let handshake = tokio::spawn(async move { bob.socket("/ws/old/").await });
    eventually(PATIENCE, || django.auth_calls().len() == 1).await;
    gateway.reloaded(&Gateway::in_front_of(&django)).await;
    gate.open();
    handshake.await.unwrap().expect_close(1001).await;
    gateway.stop().await;
}

#[tokio::test]
async fn limits_names_and_fields_are_those_of_the_last_reload() {
    let django = django("page").await;
    let files = |setup: Setup| {
        setup
            .element("files", toml::toml! { path = "/static/" root = "static" })
            .file("static/a.txt", "a")
    };
    let gateway = files(Gateway::in_front_of(&django)).start().await;
    let browser = gateway.browser();
    let before = browser.get("/static/a.txt").await;
    assert_eq!(before.header("x-frame-options"), None);
    let next = files(Gateway::in_front_of(&django))
        .set("headers.X-Frame-Options", "DENY")
        .set("limits.body_size", "1KiB")
        .set("limits.connections_per_user", 1)
        .set("server.hosts", vec!["localhost", "other.test"])
        .set("server.health", "/healthz");
    gateway.reloaded(&next).await;
    let after = browser.get("/static/a.txt").await;
    assert_eq!(after.header("x-frame-options").as_deref(), Some("DENY"));
    let large = browser.post("/page/", "text/plain", vec![b'x'; 2048]).await;
    assert_eq!(large.status, 413);
    assert_eq!(browser.get("/healthz").await.text(), "ok");
    let ann = gateway.browser_of(SESSION);
    let first = ann.socket(NOTIFICATIONS).await;
    ann.socket(NOTIFICATIONS).await.expect_close(1008).await;
    first.close().await;
    gateway.stop().await;
}

#[tokio::test]
async fn leases_and_history_live_on() {
    let django = django("page").await;
    let setup = || Gateway::in_front_of(&django).set("auth.lease", "60s");
    let gateway = setup().start().await;
    let ann = gateway.browser_of(SESSION);
    ann.socket(NOTIFICATIONS).await.close().await;
    publish(&gateway).await;
    let first = gateway
        .api()
        .publish(&json!({"to": {"user": "42"}, "frame": {}}))
        .await;
    gateway
        .reloaded(&setup().set("limits.message_size", "1KiB"))
        .await;
    ann.socket(NOTIFICATIONS).await.close().await;
    assert_eq!(django.auth_calls().len(), 1);
    let next = gateway
        .api()
        .publish(&json!({"to": {"user": "42"}, "frame": {}}))
        .await;
    let generation = |receipt: &serde_json::Value| {
        let position = receipt["position"].as_str().unwrap();
        position.split_once('.').unwrap().0.to_owned()
    };
    assert_eq!(generation(&first), generation(&next));
    // Other terms: what was said before is asked about again.
    gateway.reloaded(&setup().set("auth.lease", "50s")).await;
    ann.socket(NOTIFICATIONS).await.close().await;
    assert_eq!(django.auth_calls().len(), 2);
    gateway.stop().await;
}

#[tokio::test]
async fn more_places_at_django_let_in_who_waits() {
    let (django, gate) = (django("page").await, Gate::closed());
    django.answers("/slow/", Answer::ok("slow").after(&gate));
    let places = |places: i64| Gateway::in_front_of(&django).set("django.concurrency", places);
    let gateway = places(1).start().await;
    let slow: Vec<_> = (0..2).map(|_| begin(gateway.browser(), "/slow/")).collect();
    eventually(PATIENCE, || django.under_way("/slow/") == 1).await;
    let api = gateway.api();
    eventually_some(PATIENCE, async || {
        let queue = api.get("/ready").await.json()["queue"].clone();
        (queue["waiting"]["anonymous"] == 1).then_some(())
    })
    .await;
    gateway.reloaded(&places(2)).await;
    eventually(PATIENCE, || django.under_way("/slow/") == 2).await;
    gate.open();
    for page in join_all(slow).await {
        assert_eq!(page.text(), "slow");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn new_listeners_are_bound_and_old_ones_drained() {
    let django = django("page").await;
    let free = || {
        TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
    };
    let gateway = Gateway::in_front_of(&django).start().await;
    let browser = gateway.browser();
    let mut link = browser.connect(Version::HTTP_11).await;
    page_over(&mut link, &browser).await;
    let old = gateway.https();

    let address = free();
    let next = Gateway::in_front_of(&django).set("server.https", address.to_string());
    gateway.reloaded(&next).await;
    let moved = Browser::new(address, "localhost", gateway.tls());
    assert_eq!(moved.get("/page/").await.text(), "page");
    eventually(PATIENCE, || std::net::TcpStream::connect(old).is_err()).await;
    // Who is connected stays so.
    assert_eq!(page_over(&mut link, &browser).await.text(), "page");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = taken.local_addr().unwrap().to_string();
    let next = Gateway::in_front_of(&django).set("server.https", busy.as_str());
    let answer = gateway.reload(&next).await;
    assert_eq!(answer.status(), 422);
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(&busy), "{detail}");
    assert_eq!(moved.get("/page/").await.text(), "page");
    gateway.stop().await;
}

#[tokio::test]
async fn a_certificate_of_another_name_is_made_and_served() {
    let django = django("page").await;
    let gateway = Gateway::in_front_of(&django).start().await;
    let next = Gateway::in_front_of(&django);
    let next = next.set("server.hosts", vec!["localhost", "shop.test"]);
    gateway.reloaded(&next).await;
    let page = gateway.browser_calling("shop.test").get("/page/").await;
    assert_eq!(page.text(), "page");
    gateway.stop().await;
}

/// A gateway in a process of its own, with a certificate that needs no watching.
async fn process(django: &Django, watch: bool) -> Process {
    let setup = Gateway::in_front_of(django).set("server.watch", watch);
    setup.spawn().await
}

#[tokio::test]
async fn sighup_reloads_and_so_does_a_change_of_the_file_where_it_is_watched() {
    let [old, new, newest] = [
        django("old").await,
        django("new").await,
        django("newest").await,
    ];
    let gateway = process(&old, false).await;
    let browser = gateway.browser();
    let page = async || browser.get("/page/").await.text();
    assert_eq!(page().await, "old");
    let write = |django: &Django, watch: bool| {
        let setup = Gateway::in_front_of(django).set("server.watch", watch);
        setup.write_into(gateway.folder());
    };
    write(&new, true);
    gateway.signal(Signal::HUP);
    eventually_some(PATIENCE, async || (page().await == "new").then_some(())).await;
    write(&newest, true);
    eventually_some(PATIENCE, async || (page().await == "newest").then_some(())).await;
    std::fs::write(
        gateway.folder().join("gateway.toml"),
        "[server]\nhots = []\n",
    )
    .unwrap();
    eventually(PATIENCE, || gateway.log().contains("hots")).await;
    assert_eq!(page().await, "newest");
    gateway.terminate();
    assert_eq!(gateway.exit().await.code(), Some(0));
}

#[tokio::test]
async fn an_upstream_that_is_gone_is_asked_no_more() {
    let django = django("page").await;
    let chat = Server::start().await;
    chat.answers("/chat/", Answer::ok("chat"));
    let gateway = Gateway::in_front_of(&django)
        .upstream("/chat/", &chat)
        .start()
        .await;
    let browser = gateway.browser();
    assert_eq!(browser.get("/chat/").await.text(), "chat");
    gateway.reloaded(&Gateway::in_front_of(&django)).await;
    assert_ne!(browser.get("/chat/").await.text(), "chat");
    gateway.stop().await;
}

#[tokio::test]
async fn connections_to_upstreams_that_stay_are_kept() {
    let (old, chat) = (django("page").await, Server::start().await);
    chat.answers(
        "/chat/",
        Answer::ok("chat").header("keep-alive", "timeout=60"),
    );
    let in_front_of = |django| Gateway::in_front_of(django).upstream("/chat/", &chat);
    let gateway = in_front_of(&old).start().await;
    let browser = gateway.browser();
    assert_eq!(browser.get("/chat/").await.text(), "chat");

    let new = django("new").await;
    gateway.reloaded(&in_front_of(&new)).await;
    assert_eq!(browser.get("/page/").await.text(), "new");
    assert_eq!(browser.get("/chat/").await.text(), "chat");

    assert_eq!(chat.connections(), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn another_secret_in_its_file_is_read_and_sockets_are_still_found() {
    let django = django("page").await;
    let of = |secrets: [&str; 2]| {
        let setup = Gateway::in_front_of(&django).set("django.secret_env", "NOWHERE");
        let setup = setup.set("django.secret_file", "secret");
        let setup = setup.set("django.secret_previous_file", "previous");
        setup
            .file("secret", secrets[0])
            .file("previous", secrets[1])
    };
    let [old, new] = [
        "an-older-secret-0123456789abcdef01234567",
        crate::harness::SECRET,
    ];
    let gateway = of([old, new]).start().await;
    let ann = gateway.browser_of(SESSION);
    let mut socket = ann.socket(NOTIFICATIONS).await;
    gateway.reloaded(&of([new, old])).await;
    // What Django sends is signed by the new one, and so is what it gets.
    ann.get("/page/").await;
    let sent = django.only_request_to("/page/");
    assert_signed_but_body(&sent);
    let session = session_digest(SESSION);
    let closed = gateway
        .api()
        .revoke(&json!({"session": session, "code": 4000}))
        .await;
    assert_eq!(closed, 1);
    socket.expect_close(4000).await;
    gateway.stop().await;
}
