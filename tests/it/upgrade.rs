//! A new program in the old one's place: nothing is refused, nothing fails, and one that cannot do it changes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use futures_util::future::join_all;
use http::{Method, Version};
use rustix::process::{Pid, Signal, test_kill_process};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::browser::Link;
use crate::harness::gateway::{NOTIFICATIONS, Setup};
use crate::harness::{
    Answer, Browser, Django, Gate, Gateway, PATIENCE, Page, Process, eventually, eventually_some,
    in_time, json,
};

const SESSION: &str = "anns-session";
const FRAME: &str = r#"{"n":1}"#;
const DONE: &str = r#"gatepost_upgrades_total{outcome="done"}"#;
const FAILED: &str = r#"gatepost_upgrades_total{outcome="failed"}"#;
/// What the old one says that goes on.
const GOES_ON: &str = "no new program takes over, this process goes on: ";

async fn django() -> Django {
    let django = Django::start().await;
    django.signs_in(SESSION, "42");
    django.answers("/page/", Answer::ok("page"));
    django
}

fn setup(django: &Django) -> Setup {
    Gateway::in_front_of(django)
        .set("limits.drain_spread", "1s")
        .set("auth.lease", "1m")
}

async fn publish(gateway: &Process) {
    let publication = json!({"to": {"user": "42"}, "frame": {"n": 1}});
    gateway.api().publish(&publication).await;
}

/// Clients that ask one thing after the other, half of them over new connections. Each counts its answers, all of
/// which have to be good.
struct Crowd {
    over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<usize>>,
}

impl Crowd {
    fn begin(gateway: &Process) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let clients = (0..8).map(|client| {
            let (browser, over) = (gateway.browser(), Arc::clone(&over));
            let version = [Version::HTTP_11, Version::HTTP_2][client % 2];
            tokio::spawn(async move {
                let mut answered = 0;
                while !over.load(Ordering::Relaxed) {
                    let mut link = browser.connect(version).await;
                    let most = if client < 4 { 1 } else { usize::MAX };
                    let until = || over.load(Ordering::Relaxed);
                    answered += ask_on(&mut link, &browser, most, until).await;
                }
                answered
            })
        });
        Self {
            clients: clients.collect(),
            over,
        }
    }

    async fn end(self) -> usize {
        self.over.store(true, Ordering::Relaxed);
        let answered = join_all(self.clients).await;
        answered.into_iter().map(Result::unwrap).sum()
    }
}

/// Asks over one connection until that ends as connections end, or it is enough. Returns how many answers came.
async fn ask_on(
    link: &mut Link,
    browser: &Browser,
    most: usize,
    is_over: impl Fn() -> bool,
) -> usize {
    let mut answered = 0;
    while answered < most && !is_over() {
        let request = browser.ask(Method::GET, "/page/").finish();
        let response = match link.send(request).await {
            Ok(response) => response,
            // It was told to go (GOAWAY) before the request left: it says so itself.
            Err(error) if link.is_http2() && (error.is_canceled() || error.is_closed()) => {
                return answered;
            }
            Err(error) => panic!("after {answered} answers: {error:?}"),
        };
        let page = Page::of(response).await.unwrap();
        assert_eq!((page.status.as_u16(), page.text().as_str()), (200, "page"));
        answered += 1;
        if page.header("connection").as_deref() == Some("close") {
            return answered;
        }
    }
    answered
}

fn is_there(pid: Pid) -> bool {
    test_kill_process(pid).is_ok()
}

#[tokio::test]
async fn under_load_nothing_is_refused_nothing_fails_and_sockets_find_their_leases() {
    let django = django().await;
    let gateway = Process::start_replaceable(setup(&django)).await;
    let ann = gateway.browser_of(SESSION);
    let mut sockets = join_all((0..20).map(|_| ann.socket(NOTIFICATIONS))).await;
    let asked = django.auth_calls().len();
    let gate = Gate::closed();
    django.answers("/slow/", Answer::ok("slow").after(&gate));
    let browser = gateway.browser();
    let slow = tokio::spawn(async move { browser.get("/slow/").await });
    eventually(PATIENCE, || django.under_way("/slow/") == 1).await;
    let crowd = Crowd::begin(&gateway);

    let first = gateway.pid();
    gateway.replace_program("echo that is new >&2; exec $real \"$@\"");
    let second = gateway.upgrade().await;
    // New sockets are the new one's at once, those of the old one are told to come back.
    ann.socket(NOTIFICATIONS).await.expect_nothing().await;
    for socket in &mut sockets {
        let closed = socket.expect_close(1001).await;
        let delay: u32 = closed.reason.parse().unwrap();
        assert!(delay <= 500, "there is nothing to wait for: {delay}");
    }
    let mut sockets = join_all((0..20).map(|_| ann.socket(NOTIFICATIONS))).await;
    assert_eq!(django.auth_calls().len(), asked, "Django is asked nothing");
    publish(&gateway).await;
    for socket in &mut sockets {
        socket.expect_frame(FRAME).await;
    }
    assert!(!gateway.has_exited(), "a request is under way");
    gate.open();
    assert_eq!(slow.await.unwrap().text(), "slow");
    assert_eq!(gateway.exit().await.code(), Some(0), "{}", gateway.log());
    assert_eq!(gateway.told_pid(), Some(second));
    assert!((gateway.api().metric(DONE).await - 1.0).abs() < 0.1);

    // The new one can do the same.
    let third = gateway.upgrade().await;
    eventually(PATIENCE, || !is_there(second)).await;
    assert!(is_there(third) && first != third);
    let answered = crowd.end().await;
    assert!(answered > 100, "{answered}");
    assert_eq!(django.auth_calls().len(), asked);
}

/// Publishes a number to Ann, and gives its position.
async fn to_ann(gateway: &Process, n: u64) -> String {
    let publication = json!({"to": {"user": "42"}, "frame": n});
    let receipt = gateway.api().publish(&publication).await;
    receipt["position"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_page_that_comes_back_misses_nothing_of_either() {
    let django = django().await;
    let gateway = Process::start_replaceable(setup(&django)).await;
    let first = to_ann(&gateway, 1).await;
    to_ann(&gateway, 2).await;
    let last = to_ann(&gateway, 3).await;
    gateway.upgrade().await;
    let behind = to_ann(&gateway, 4).await;
    let ann = gateway.browser_of(SESSION);
    for (position, missed) in [
        (&first, &["2", "3", "4"][..]),
        (&last, &["4"]),
        (&behind, &[]),
    ] {
        let path = format!("{NOTIFICATIONS}?position={position}");
        let mut socket = ann.socket(&path).await;
        for frame in missed {
            socket.expect_frame(frame).await;
        }
        socket.expect_nothing().await;
        socket.close().await;
    }
    // Of what was lost before the upgrade it is still known that it was.
    for n in 0..150 {
        to_ann(&gateway, n).await;
    }
    gateway.upgrade().await;
    let path = format!("{NOTIFICATIONS}?position={first}");
    let mut socket = ann.socket(&path).await;
    socket.expect_frame(r#"{"gatepost":"resync"}"#).await;
    let other = gateway.browser_of("bens-session");
    django.signs_in("bens-session", "43");
    let mut socket = other.socket(&path).await;
    socket.expect_nothing().await;
}

#[tokio::test]
async fn what_is_published_and_revoked_meanwhile_reaches_the_sockets_of_both() {
    let django = django().await;
    django.signs_in("bens-session", "43");
    let gate = Gate::closed();
    let rides = r#"[{"to":{"user":"42"},"frame":"rode along"}]"#;
    let answer = Answer::ok("late").header("Gatepost-Publish", &URL_SAFE.encode(rides));
    django.answers("/slow/", answer.after(&gate));
    let setup = setup(&django)
        .set("limits.drain_timeout", "20s")
        .set("limits.drain_spread", "8s");
    let gateway = Process::start_replaceable(setup).await;
    let (ann, ben) = (
        gateway.browser_of(SESSION),
        gateway.browser_of("bens-session"),
    );
    let mut old = join_all((0..12).map(|_| ann.socket(NOTIFICATIONS))).await;
    let mut bens_old = join_all((0..12).map(|_| ben.socket(NOTIFICATIONS))).await;
    let browser = gateway.browser();
    let slow = tokio::spawn(async move { browser.get("/slow/").await });
    eventually(PATIENCE, || django.under_way("/slow/") == 1).await;
    gateway.upgrade().await;
    let mut new = ann.socket(NOTIFICATIONS).await;
    let mut bens_new = ben.socket(NOTIFICATIONS).await;

    // By the new one, to sockets that the old one still has; one at least is not closed yet.
    publish(&gateway).await;
    new.expect_frame(FRAME).await;
    let heard = join_all(old.iter_mut().map(|socket| socket.event(PATIENCE))).await;
    let frame = Some(Message::text(FRAME));
    assert!(heard.contains(&frame), "{heard:?}");
    // By the old one, with the answer to a request that it has.
    gate.open();
    assert_eq!(slow.await.unwrap().text(), "late");
    new.expect_frame(r#""rode along""#).await;
    // A revocation ends those of both.
    gateway
        .api()
        .revoke(&json!({"user": "43", "code": 4100}))
        .await;
    bens_new.expect_close(4100).await;
    let codes = join_all(
        bens_old
            .iter_mut()
            .map(|socket| async { socket.closed().await.code }),
    );
    let codes = codes.await;
    assert!(codes.contains(&4100), "{codes:?}");
    assert!(
        codes.iter().all(|code| [1001, 4100].contains(code)),
        "{codes:?}"
    );
    assert_eq!(gateway.exit().await.code(), Some(0), "{}", gateway.log());
    new.close().await;
}

#[tokio::test]
async fn one_that_ends_at_once_leaves_the_old_one_as_it_was() {
    let django = django().await;
    let gateway = Process::start_replaceable(setup(&django)).await;
    let mut socket = gateway.browser_of(SESSION).socket(NOTIFICATIONS).await;
    let crowd = Crowd::begin(&gateway);
    let own = gateway.pid();
    for (script, whys) in [
        (
            "echo no such library >&2; exit 3",
            ["exit status: 3", "no such library"],
        ),
        ("exec $real check", ["exit status: 0", ""]),
        ("kill -9 $$", ["signal: 9", ""]),
        // It reads a configuration that cannot be used.
        (
            "exec $real run --config /nowhere/gateway.toml",
            ["exit status: 2", "/nowhere/gateway.toml"],
        ),
    ] {
        gateway.replace_program(script);
        let before = gateway.log().matches(GOES_ON).count();
        gateway.signal(Signal::USR2);
        eventually(PATIENCE, || gateway.log().matches(GOES_ON).count() > before).await;
        let log = gateway.log();
        let said = log.lines().rfind(|line| line.contains(GOES_ON)).unwrap();
        for why in whys {
            assert!(said.contains(why), "{script}: {said}");
        }
    }
    publish(&gateway).await;
    socket.expect_frame(FRAME).await;
    assert_eq!(gateway.told_pid(), Some(own));
    assert!((gateway.api().metric(FAILED).await - 4.0).abs() < 0.1);
    assert!(crowd.end().await > 0);
    // And one that is well does it all the same.
    gateway.replace_program("exec $real \"$@\"");
    gateway.upgrade().await;
    socket.expect_close(1001).await;
}

#[tokio::test]
async fn one_that_fails_when_it_may_begin_gives_everything_back() {
    let django = django().await;
    let gateway = Process::start_replaceable(setup(&django)).await;
    let mut socket = gateway.browser_of(SESSION).socket(NOTIFICATIONS).await;
    let told = || std::fs::read_to_string(gateway.folder().join(".gatepost/internal")).unwrap();
    let before = told();
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = busy.local_addr().unwrap().to_string();
    let taken = setup(&django).set("server.http", busy.as_str());
    taken.write_into(gateway.folder());
    gateway.signal(Signal::USR2);
    eventually(PATIENCE, || gateway.log().contains(GOES_ON)).await;
    let log = gateway.log();
    let said = log.lines().rfind(|line| line.contains(GOES_ON)).unwrap();
    assert!(
        said.contains(&busy) && said.contains("exit status: 1"),
        "{said}"
    );
    assert_eq!((gateway.told_pid(), told()), (Some(gateway.pid()), before));
    publish(&gateway).await;
    socket.expect_frame(FRAME).await;
    assert_eq!(gateway.browser().get("/page/").await.text(), "page");
}

#[tokio::test]
async fn one_that_hangs_is_killed_after_ten_seconds_and_a_second_signal_changes_nothing() {
    let django = django().await;
    let gateway = Process::start_replaceable(setup(&django)).await;
    let note = gateway.folder().join("hanging");
    gateway.replace_program(&format!("echo $$ > {}; exec sleep 600", note.display()));
    let asked = Instant::now();
    gateway.signal(Signal::USR2);
    let hanging = eventually_some(PATIENCE, async || {
        let text = std::fs::read_to_string(&note).ok()?;
        Pid::from_raw(text.trim().parse().ok()?)
    })
    .await;
    gateway.signal(Signal::USR2);
    eventually(PATIENCE, || {
        gateway.log().contains("one is under way already")
    })
    .await;
    let refused = gateway.api().post("/v1/reload", "").await;
    assert_eq!(refused.status(), 503);
    assert_eq!(gateway.browser().get("/page/").await.text(), "page");
    assert!(is_there(hanging));
    eventually(2 * PATIENCE, || {
        gateway.log().contains("does not serve within 10s")
    })
    .await;
    assert!(asked.elapsed() >= Duration::from_secs(10));
    assert!(!is_there(hanging));
    assert_eq!(gateway.api().post("/v1/reload", "").await.status(), 200);
    assert_eq!(gateway.browser().get("/page/").await.text(), "page");
}

#[tokio::test]
async fn the_end_of_the_old_one_is_the_end_of_one_that_is_not_ready() {
    let django = django().await;
    let gateway = Process::start_replaceable(setup(&django)).await;
    let note = gateway.folder().join("hanging");
    gateway.replace_program(&format!("echo $$ > {}; exec sleep 600", note.display()));
    gateway.signal(Signal::USR2);
    let hanging = eventually_some(PATIENCE, async || {
        let text = std::fs::read_to_string(&note).ok()?;
        Pid::from_raw(text.trim().parse().ok()?)
    })
    .await;
    gateway.terminate();
    assert_eq!(gateway.exit().await.code(), Some(0), "{}", gateway.log());
    assert!(!is_there(hanging));
}

#[tokio::test]
async fn a_unix_socket_stays_where_it_is_and_answers_always() {
    let django = django().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("internal.sock");
    let setup = setup(&django).set("server.internal", format!("unix:{}", path.display()));
    let gateway = Process::start_replaceable(setup).await;
    let mut socket = gateway.browser_of(SESSION).socket(NOTIFICATIONS).await;
    gateway.upgrade().await;
    socket.expect_close(1001).await;
    let mut socket = gateway.browser_of(SESSION).socket(NOTIFICATIONS).await;
    assert_eq!(gateway.exit().await.code(), Some(0), "{}", gateway.log());
    assert!(path.exists());
    publish(&gateway).await;
    socket.expect_frame(FRAME).await;
    let last = gateway.told_pid().unwrap();
    rustix::process::kill_process(last, Signal::TERM).unwrap();
    eventually(PATIENCE, || !path.exists()).await;
}

#[tokio::test]
async fn systemd_is_told_which_process_is_the_service_s_and_not_that_it_ends() {
    let django = django().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let systemd = tokio::net::UnixDatagram::bind(&path).unwrap();
    let variables = [("NOTIFY_SOCKET", path.to_str().unwrap())];
    let gateway = Process::start_with_variables(setup(&django), &variables).await;
    let told = async || {
        let mut text = [0; 256];
        let length = in_time("a notification", systemd.recv(&mut text)).await;
        String::from_utf8_lossy(&text[..length.unwrap()]).into_owned()
    };
    assert_eq!(told().await.trim(), "READY=1");
    let new = gateway.upgrade().await;
    let expected = format!("MAINPID={}", new.as_raw_nonzero());
    assert_eq!(told().await.trim(), expected);
    // A unit's end is told to all its processes.
    gateway.terminate();
    assert_eq!(gateway.exit().await.code(), Some(0), "{}", gateway.log());
    assert!(is_there(new));
    rustix::process::kill_process(new, Signal::TERM).unwrap();
    assert_eq!(told().await.trim(), "STOPPING=1");
}

#[tokio::test]
async fn sockets_that_systemd_opened_go_on_to_the_new_one() {
    let django = django().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let gateway = Process::start_activated(setup(&django), listener.into(), "https").await;
    assert_eq!(gateway.https(), address);
    gateway.upgrade().await;
    assert_eq!(gateway.exit().await.code(), Some(0), "{}", gateway.log());
    assert_eq!(gateway.browser().get("/page/").await.text(), "page");
    let passed = gateway.log().matches("systemd passes the socket").count();
    assert_eq!(passed, 2, "it is still systemd's");
}

#[tokio::test]
async fn with_djangos_server_as_a_child_it_is_refused() {
    let alone = Gateway::with_django_at("http://127.0.0.1:9").configure(|table| {
        table["django"].as_table_mut().unwrap().remove("upstream");
    });
    let script = "exec python3 -m http.server --bind 127.0.0.1 0 # {socket}";
    let gateway = Process::start_with(alone, &["sh", "-c", script, "{socket}"], &[]).await;
    gateway.signal(Signal::USR2);
    eventually(PATIENCE, || gateway.log().contains(GOES_ON)).await;
    let said = "Django's server is a child of this process";
    assert!(gateway.log().contains(said), "{}", gateway.log());
}
