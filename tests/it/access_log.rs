//! The access log: a line for each request, what is in it, where it goes.

use std::fs::{self, read_to_string};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use http::Version;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::gateway::{NOTIFICATIONS, Setup};
use crate::harness::{
    Answer, Django, Gate, Gateway, PATIENCE, Process, eventually, eventually_some,
};

const FILE: &str = "access.log";
const COOKIE: &str = "c00kie9f2anns-session";
const SECRET_VALUE: &str = "s3cret7d1value";

fn logged(django: &Django, format: &str) -> Setup {
    let setup = Gateway::in_front_of(django).set("log.access", format);
    setup.set("log.access_file", FILE)
}

fn file(gateway: &Process) -> PathBuf {
    gateway.folder().join(FILE)
}

/// The line of the first request to this path.
async fn line(gateway: &Process, path: &str) -> Value {
    eventually_some(PATIENCE, async || {
        let text = read_to_string(file(gateway)).unwrap();
        let whole = text.lines().filter(|_| text.ends_with('\n'));
        let mut lines = whole.map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.find(|line| line["path"] == path)
    })
    .await
}

#[tokio::test]
async fn a_line_has_these_fields_and_nothing_that_is_secret() {
    let django = Django::start().await;
    django.answers("/a%20page/", Answer::ok("five!"));
    let gateway = logged(&django, "json").spawn().await;
    let ann = gateway.browser_of(COOKIE);
    let path = format!("/a%20page/?next={SECRET_VALUE}&{SECRET_VALUE}&page=2");
    let asked = ann.ask_over(Version::HTTP_2, &path);
    let page = asked
        .header(
            "referer",
            &format!("https://ann:{SECRET_VALUE}@a.test/b/?{SECRET_VALUE}"),
        )
        .header("user-agent", "Mozilla \"5\"")
        .header("authorization", &format!("Bearer {SECRET_VALUE}"))
        .send()
        .await;
    assert_eq!(page.text(), "five!");

    let line = line(&gateway, "/a%20page/").await;
    let told = |key: &str| {
        line[key]
            .as_str()
            .unwrap_or_else(|| panic!("{key} in {line}"))
    };
    let mut names: Vec<_> = line
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    let expected = "address agent bytes host id method ms path protocol query referer status time trace upstream_ms";
    assert_eq!(names.join(" "), expected);
    assert_eq!(told("query"), "next&page");
    assert_eq!(told("referer"), "https://a.test/b/");
    assert_eq!(told("agent"), "Mozilla \"5\"");
    assert_eq!((told("method"), told("protocol")), ("GET", "HTTP/2.0"));
    assert_eq!((told("address"), told("host")), ("127.0.0.1", ann.host()));
    assert_eq!((&line["status"], &line["bytes"]), (&200.into(), &5.into()));
    let sent = django.requests_to("/a%20page/");
    assert_eq!(told("id"), sent[0].header("x-request-id").unwrap());
    let (whole, upstream) = (line["ms"].as_u64(), line["upstream_ms"].as_u64());
    assert!(upstream.unwrap() <= whole.unwrap(), "{line}");
    assert!(told("time").ends_with('Z'), "{line}");

    let text = read_to_string(file(&gateway)).unwrap();
    for secret in [COOKIE, SECRET_VALUE] {
        assert!(!text.contains(secret), "{text}");
    }
    let mode = fs::metadata(file(&gateway)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777 & !0o640, 0);
}

#[tokio::test]
async fn whatever_is_asked_has_a_line_when_its_answer_has_ended() {
    let django = Django::start().await;
    django.signs_in(COOKIE, "42");
    let gate = Gate::closed();
    django.answers("/slow/", Answer::ok("late").after(&gate));
    let gateway = logged(&django, "json").spawn().await;
    let ann = gateway.browser_of(COOKIE);

    let mut left = gateway.browser().raw().await;
    left.send(format!(
        "GET /slow/ HTTP/1.1\r\nHost: {}\r\n\r\n",
        ann.host()
    ))
    .await;
    eventually(PATIENCE, || !django.requests_to("/slow/").is_empty()).await;
    drop(left);
    let line_of = async |path: &str| line(&gateway, path).await;
    assert_eq!(line_of("/slow/").await["status"], 499);
    gate.open();

    let socket = ann.socket(NOTIFICATIONS).await;
    let handshake = line_of(NOTIFICATIONS).await;
    assert_eq!(
        (&handshake["status"], &handshake["bytes"]),
        (&101.into(), &0.into())
    );
    drop(socket);

    let refused = ann.get("/a%00b").await;
    let line = line_of("/a%00b").await;
    assert_eq!(line["status"], refused.status.as_u16());
    assert_eq!(line["bytes"], refused.body.len());
    assert_eq!(line["upstream_ms"], Value::Null);
}

#[tokio::test]
async fn without_a_file_lines_go_to_stdout_as_every_reader_knows_them() {
    let django = Django::start().await;
    django.answers("/page/", Answer::ok("five!"));
    let setup = Gateway::in_front_of(&django).set("log.access", "combined");
    let gateway = setup.set("log.address", "masked").spawn().await;
    let browser = gateway.browser();
    let asked = browser.ask_over(Version::HTTP_11, "/page/?a=b");
    asked.header("user-agent", "Mozilla/5.0").send().await;
    let line = eventually_some(PATIENCE, async || {
        let log = gateway.log();
        let line = log.lines().find(|line| line.contains("/page/"))?;
        Some(line.to_owned())
    })
    .await;
    let begin = "127.0.0.0 - - [";
    let end = " +0000] \"GET /page/?a HTTP/1.1\" 200 5 \"-\" \"Mozilla/5.0\"";
    assert!(line.starts_with(begin) && line.ends_with(end), "{line}");
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_reopened_at_a_signal_and_no_line_is_lost() {
    let django = Django::start().await;
    let gateway = logged(&django, "json").spawn().await;
    let browser = gateway.browser();
    browser.get("/first/").await;
    line(&gateway, "/first/").await;
    for (signal, times) in [(Signal::USR1, 1), (Signal::HUP, 2)] {
        let moved = gateway.folder().join(format!("access.log.{times}"));
        fs::rename(file(&gateway), &moved).unwrap();
        let (before, after) = (format!("/before/{times}/"), format!("/after/{times}/"));
        browser.get(&before).await;
        let said = || read_to_string(&moved).unwrap();
        eventually(PATIENCE, || said().contains(&before)).await;
        gateway.signal(signal);
        eventually(PATIENCE, || file(&gateway).exists()).await;
        browser.get(&after).await;
        line(&gateway, &after).await;
        assert!(!said().contains(&after), "{}", said());
    }
    gateway.terminate();
    assert_eq!(gateway.exit().await.code(), Some(0));
}

#[tokio::test]
async fn one_that_cannot_be_reopened_keeps_its_file() {
    let django = Django::start().await;
    let gateway = logged(&django, "json").spawn().await;
    let browser = gateway.browser();
    let moved = gateway.folder().join("moved");
    fs::rename(file(&gateway), &moved).unwrap();
    fs::create_dir(file(&gateway)).unwrap();
    gateway.signal(Signal::USR1);
    eventually(PATIENCE, || gateway.log().contains("its old file is kept")).await;
    assert!(gateway.log().contains("access.log"), "{}", gateway.log());
    browser.get("/kept/").await;
    eventually(PATIENCE, || {
        read_to_string(&moved).unwrap().contains("/kept/")
    })
    .await;
}

#[tokio::test]
async fn the_last_request_has_its_line_when_the_gateway_ends() {
    let django = Django::start().await;
    let gateway = logged(&django, "json").spawn().await;
    for number in 0..100 {
        gateway.browser().get(&format!("/page/{number}/")).await;
    }
    gateway.terminate();
    assert_eq!(gateway.exit().await.code(), Some(0));
    let text = read_to_string(file(&gateway)).unwrap();
    assert_eq!(text.lines().count(), 100, "{text}");
}

#[tokio::test]
async fn a_file_that_cannot_be_had_is_told_at_the_start() {
    let django = Django::start().await;
    let setup = Gateway::in_front_of(&django).set("log.access", "json");
    let error = setup
        .set("log.access_file", "nowhere/access.log")
        .try_start()
        .await;
    let error = error.err().expect("it does not start");
    assert!(
        error.contains("nowhere/access.log") && error.contains("log.access_file"),
        "{error}"
    );
}

#[tokio::test]
async fn by_default_there_is_none() {
    let django = Django::start().await;
    let gateway = Gateway::in_front_of(&django).spawn().await;
    gateway.browser().get("/page/").await;
    gateway.signal(Signal::USR1);
    gateway.terminate();
    assert_eq!(gateway.exit().await.code(), Some(0));
    assert!(!gateway.log().contains("/page/"), "{}", gateway.log());
}
