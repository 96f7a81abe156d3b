//! `gatepost run -- …`: the gateway runs Django's server, here a scripted one. The real ones are in `e2e/`.

mod scripted;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;

use crate::harness::gateway::Setup;
use crate::harness::{BETWEEN_LOOKS, Gateway, PATIENCE, Process, SECRET, in_time};
use scripted::{CODE, SCRIPT, go_on, words};

/// What it says of a server that accepts connections.
const UP: &str = "Django's server is up";

fn this_binary() -> String {
    std::env::current_exe()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

/// A gateway with no Django named.
fn alone() -> Setup {
    Gateway::with_django_at("").configure(|table| {
        let django = table["django"].as_table_mut().unwrap();
        django.remove("upstream");
        django.insert("hold".to_owned(), "10s".into());
    })
}

/// The same, with an access log in a file.
fn logged(setup: Setup) -> Setup {
    let setup = setup.set("log.access", "combined");
    setup.set("log.access_file", "access.log")
}

/// What a gateway says whose server does this, until it ends by itself.
fn ended(setup: &Setup, words: &[&str], script: &str) -> Output {
    let (_folder, file) = setup.write();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatepost"));
    command
        .args(["run", "--config"])
        .arg(file)
        .arg("--")
        .args(words);
    let command = command.env("GATEPOST_SECRET", SECRET).env(SCRIPT, script);
    command.output().unwrap()
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

/// A gateway whose server does this, and a folder that the server knows.
async fn running(program: &str, script: &str) -> (Process, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let variables = [(SCRIPT, script), ("FOLDER", path)];
    let gateway = Process::start_with(alone(), &words(program), &variables).await;
    (gateway, folder)
}

/// The server's process, by its own word.
async fn server_of(gateway: &Process) -> Pid {
    let page = gateway.browser().get("/").await;
    assert_eq!(page.status, 200, "{}", page.text());
    Pid::from_raw(page.text().parse().unwrap()).unwrap()
}

fn count(log: &str, what: &str) -> usize {
    log.matches(what).count()
}

/// Waits until the gateway has said this so often.
async fn said(gateway: &Process, what: &str, times: usize) {
    let end = Instant::now() + PATIENCE;
    while count(&gateway.log(), what) < times {
        let log = gateway.log();
        assert!(Instant::now() < end, "not {times} times {what:?}:\n{log}");
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

#[test]
fn a_server_that_never_serves_is_given_up_after_five_tries_and_its_code_is_passed_on() {
    let (binary, setup) = (this_binary(), alone());
    for script in ["fails", "listens and fails"] {
        let output = ended(&setup, &words(&binary), script);
        let log = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{log}");
        assert_eq!(count(&log, "app | a server begins"), 5, "{log}");
        let last = "error: Django's server ended with exit code 3 and never accepted a connection";
        assert!(log.contains(last), "{log}");
    }
}

#[test]
fn a_program_that_cannot_be_started_has_the_code_of_a_shell() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("server");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    let script = script.to_str().unwrap();
    let not_there = format!("{script}-of-nobody");
    for (program, code) in [(not_there.as_str(), 127), (script, 126)] {
        let output = ended(&alone(), &[program, "{socket}"], "");
        let log = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{log}");
        assert!(log.contains("cannot be started"), "{log}");
    }
}

#[test]
fn what_is_wrong_with_the_command_is_found_with_all_else() {
    let setup = Gateway::with_django_at("http://127.0.0.1:8000");
    let output = ended(&setup, &["gunicorn", "--bind", ":8000", "x"], "");
    let log = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{log}");
    assert!(
        log.contains("django.upstream: is where another Django listens"),
        "{log}"
    );
    assert!(log.contains("command line: `--bind` says where"), "{log}");
    assert!(log.contains("2 findings"), "{log}");
}

#[tokio::test]
async fn one_that_was_up_is_started_again_and_requests_wait_for_it() {
    let (gateway, _folder) = running(&this_binary(), "serves").await;
    let first = server_of(&gateway).await;
    // One that ends sooner after its first answer than the gateway looks was not up.
    said(&gateway, UP, 1).await;
    // A GET would be sent again.
    let crashed = gateway.browser().post("/crash/", "text/plain", "x").await;
    assert_eq!(crashed.status, 502, "{}", crashed.text());
    let second = server_of(&gateway).await;
    assert_ne!(first, second);
    let restarts = gateway.api().metric("gatepost_app_restarts_total").await;
    assert!((restarts - 1.0).abs() < f64::EPSILON, "{restarts}");
    said(&gateway, UP, 2).await;
    kill_process(second, Signal::KILL).unwrap();
    assert_ne!(server_of(&gateway).await, second);
    said(&gateway, UP, 3).await;
}

#[tokio::test]
async fn one_that_was_up_is_never_given_up() {
    let (gateway, _folder) = running(&this_binary(), "fails after it was up").await;
    let first = server_of(&gateway).await;
    said(&gateway, UP, 1).await;
    kill_process(first, Signal::KILL).unwrap();
    // More failures in a row than one may have that was never up.
    said(&gateway, "exit code 4", 5).await;
    assert!(!gateway.has_exited());
    gateway.terminate();
    assert_eq!(gateway.exit().await.code(), Some(4));
}

#[tokio::test]
async fn the_gateway_drains_then_the_server_ends_and_its_code_is_passed_on() {
    let (gateway, folder) = running(&this_binary(), "serves").await;
    server_of(&gateway).await;
    let browser = gateway.browser();
    let slow = tokio::spawn(async move { browser.get("/slow/").await });
    said(&gateway, "a slow request", 1).await;
    gateway.terminate();
    said(&gateway, "\"draining\"", 1).await;
    assert!(!gateway.log().contains("heard SIGTERM"));
    go_on(folder.path());
    assert_eq!(in_time("the request", slow).await.unwrap().status, 200);
    assert_eq!(gateway.exit().await.code(), Some(CODE.into()));
    let log = gateway.log();
    assert!(
        log.contains("heard SIGTERM") && log.contains("the last line"),
        "{log}"
    );
    assert!(
        log.contains("Django's server ended with exit code 7"),
        "{log}"
    );
}

#[tokio::test]
async fn ended_by_the_very_signal_that_it_was_sent_is_well() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let (gateway, _folder) = running(&this_binary(), "ends by the signal").await;
        let server = server_of(&gateway).await;
        gateway.signal(signal);
        assert_eq!(gateway.exit().await.code(), Some(0), "{}", gateway.log());
        assert!(test_kill_process(server).is_err());
    }
}

#[tokio::test]
async fn a_second_signal_leaves_no_server_behind() {
    let (gateway, _folder) = running(&this_binary(), "deaf").await;
    let server = server_of(&gateway).await;
    gateway.terminate();
    said(&gateway, "\"stopping\"", 1).await;
    gateway.terminate();
    assert_eq!(gateway.exit().await.code(), Some(1), "{}", gateway.log());
    assert!(test_kill_process(server).is_err());
}

#[tokio::test]
async fn signals_are_handed_down_to_who_does_something_at_them() {
    let folder = tempfile::tempdir().unwrap();
    let gunicorn = folder.path().join("gunicorn");
    symlink(this_binary(), &gunicorn).unwrap();
    let gunicorn = gunicorn.to_str().unwrap();
    let setup = logged(alone());
    let gateway = Process::start_with(setup, &words(gunicorn), &[(SCRIPT, "serves")]).await;
    server_of(&gateway).await;
    for (signal, heard, reopened) in [
        (Signal::HUP, "heard SIGHUP", 1),
        (Signal::USR1, "heard SIGUSR1", 2),
    ] {
        gateway.signal(signal);
        said(&gateway, heard, 1).await;
        // The gateway's own file at the same time.
        said(&gateway, "the access log was reopened", reopened).await;
    }

    let (gateway, _folder) = running(&this_binary(), "serves").await;
    server_of(&gateway).await;
    gateway.signal(Signal::HUP);
    said(&gateway, "does not reload the project", 1).await;
    assert!(!gateway.log().contains("heard SIGHUP"));

    let (gateway, _folder) = running(&this_binary(), "ends by the signal").await;
    let server = server_of(&gateway).await;
    gateway.signal(Signal::USR1);
    said(&gateway, "would end by this signal", 1).await;
    assert_eq!(server_of(&gateway).await, server);
}

#[tokio::test]
async fn its_socket_is_in_a_folder_that_nobody_else_may_enter() {
    let (gateway, _folder) = running(&this_binary(), "serves").await;
    let server = server_of(&gateway).await;
    let words = fs::read(format!("/proc/{}/cmdline", server.as_raw_nonzero())).unwrap();
    let words = text(&words);
    let socket = Path::new(words.trim_end_matches('\0').rsplit('\0').next().unwrap());
    let private = socket.parent().unwrap();
    let mode = private.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    gateway.terminate();
    gateway.exit().await;
    assert!(!private.exists());
}
