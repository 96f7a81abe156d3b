//! The real binary on the command line: what it prints where, and its exit codes.

use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tempfile::TempDir;

use super::harness::{Browser, PATIENCE, SECRET, eventually_some};

/// A gateway of tests: on loopback, at ports the system chooses.
const LOCAL: &str = "[server]\nhttps = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\nlan = false\n\
                     internal = \"127.0.0.1:0\"\n";

/// The binary with a clean environment, in this folder.
fn gatepost(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatepost"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null());
    command
}

fn output(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = gatepost(folder, arguments).output().unwrap();
    (
        status.code(),
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

fn folder_with(text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("gateway.toml"), text).unwrap();
    folder
}

#[test]
fn check_says_what_answers_which_path() {
    let folder = folder_with(
        "[django]\nupstream = \"unix:/run/gunicorn.sock\"\n\
         [frontend]\nupstream = \"http://127.0.0.1:5173\"\n\
         [[upstreams]]\npath = \"/ws/chat/\"\nupstream = \"http://127.0.0.1:8001\"\n\
         [[sockets]]\npath = \"/ws/notifications/\"\n",
    );
    let (code, stdout, stderr) = output(folder.path(), &["check"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let stdout = stdout.replace(folder.path().canonicalize().unwrap().to_str().unwrap(), "…");
    insta::assert_snapshot!(stdout);
}

#[test]
fn check_and_run_report_all_findings_on_stderr_and_exit_2() {
    let folder = folder_with("[server]\nhost = [\"localhost\"]\nhttps = 8443\n");
    for command in ["check", "run"] {
        let (code, stdout, stderr) = output(folder.path(), &[command]);
        assert_eq!((code, stdout.as_str()), (Some(2), ""));
        insta::assert_snapshot!("findings", stderr);
    }
}

#[test]
fn without_a_file_it_says_how_to_write_one() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["run"][..], &[], &["check"]] {
        let (code, stdout, stderr) = output(folder.path(), arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""));
        assert!(
            stderr.starts_with("gateway.toml: there is no such file\n hint: write one"),
            "{stderr}"
        );
    }
}

#[test]
fn wrong_use_exits_2_and_asking_for_help_exits_0() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["fly"][..], &["run", "--log-format", "xml"], &["--config"]] {
        let (code, stdout, stderr) = output(folder.path(), arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(stderr.starts_with("error: "), "{stderr}");
    }
    let (code, stdout, _) = output(folder.path(), &["--version"]);
    assert_eq!(
        (code, stdout),
        (Some(0), format!("gatepost {}\n", env!("CARGO_PKG_VERSION")))
    );
    let (code, stdout, _) = output(folder.path(), &["--help"]);
    assert_eq!(code, Some(0));
    insta::assert_snapshot!(stdout);
}

#[test]
fn a_busy_port_is_said_with_its_address_and_exits_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = folder_with(&LOCAL.replacen("127.0.0.1:0", &address.to_string(), 1));
    let (code, stdout, stderr) = output(folder.path(), &["run"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    let error = stderr
        .lines()
        .find(|line| line.starts_with("error: "))
        .unwrap_or_default();
    assert!(
        error.contains(&format!("cannot listen on {address}")),
        "{stderr}"
    );
    assert!(
        !stderr.contains("\"ready\"") && !stderr.contains("panicked"),
        "{stderr}"
    );
}

#[test]
fn a_certificate_that_is_none_is_named() {
    let folder = folder_with(&format!(
        "{LOCAL}[tls]\ncert = \"site.pem\"\nkey = \"site.key\"\n"
    ));
    for name in ["site.pem", "site.key"] {
        fs::write(folder.path().join(name), "not PEM\n").unwrap();
    }
    let (code, _, stderr) = output(folder.path(), &["run"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        stderr.contains("error: ") && stderr.contains("site."),
        "{stderr}"
    );
}

#[test]
fn all_certificates_that_cannot_be_used_are_findings_of_a_check() {
    let pair = |name: &str| format!("{{ cert = \"{name}.pem\", key = \"{name}.key\" }}");
    let certificates = [pair("a"), pair("b"), pair("c")].join(", ");
    let folder = folder_with(&format!("{LOCAL}[tls]\ncertificates = [{certificates}]\n"));
    for name in ["a", "b", "c"] {
        let made = rcgen::generate_simple_self_signed(vec!["shop.test".to_owned()]).unwrap();
        let write = |end: &str, text: String| {
            fs::write(folder.path().join(format!("{name}.{end}")), text).unwrap();
        };
        write("pem", made.cert.pem());
        write("key", made.signing_key.serialize_pem());
    }
    fs::write(folder.path().join("c.key"), "not PEM\n").unwrap();
    let (code, stdout, stderr) = output(folder.path(), &["check"]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
    let errors: Vec<_> = stderr
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    let [broken, shared] = &errors[..] else {
        panic!("{stderr}");
    };
    assert!(broken.contains("c.key holds no private key in PEM form"));
    assert!(shared.contains("both hold the name shop.test"));
}

/// A running gateway, killed when dropped.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStderr>>,
    ready: serde_json::Value,
    folder: TempDir,
}

impl Running {
    fn start(text: &str) -> Self {
        let folder = folder_with(text);
        let mut child = gatepost(folder.path(), &["run", "--log-format", "json"])
            .env("GATEPOST_SECRET", SECRET)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        // Ends with the process; the test runner's own deadline is for one that hangs.
        let ready = lines
            .by_ref()
            .map(|line| serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap())
            .find(|line| line["message"] == "ready")
            .unwrap();
        Self {
            child,
            lines,
            ready,
            folder,
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    async fn exit_code(&mut self) -> Option<i32> {
        eventually_some(PATIENCE, async || self.child.try_wait().unwrap())
            .await
            .code()
    }
}

/// A child that does not outlive a test that fails, with its ends of the test's pipes.
struct KilledAtTheEnd(Child);

impl Drop for KilledAtTheEnd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn run_says_once_that_it_is_ready_and_where() {
    let mut gateway = Running::start(LOCAL);
    for key in ["https", "http", "internal"] {
        let address = gateway.ready[key].as_str().unwrap();
        TcpStream::connect(address).unwrap();
    }
    assert_eq!(gateway.ready["mode"], "dev");
    assert_eq!(gateway.ready["level"], "INFO");
    let ca = gateway.ready["ca"].as_str().unwrap().to_owned();
    assert!(
        Path::new(&ca).is_file() && Path::new(&ca).starts_with(gateway.folder.path()),
        "{ca}"
    );
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.exit_code().await, Some(0));
    let rest: Vec<_> = gateway.lines.by_ref().map(Result::unwrap).collect();
    assert!(
        rest.iter().all(|line| !line.contains("\"ready\"")),
        "{rest:?}"
    );
    assert!(rest.iter().all(|line| !line.contains(SECRET)), "{rest:?}");
}

#[tokio::test]
async fn ctrl_c_ends_it_well_too() {
    let mut gateway = Running::start(LOCAL);
    gateway.signal(Signal::INT);
    assert_eq!(gateway.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_second_signal_does_not_wait_for_what_is_under_way() {
    // A request that Django never answers keeps the gateway draining.
    let django = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = django.local_addr().unwrap();
    let mut gateway = Running::start(&format!(
        "{LOCAL}[django]\nupstream = \"http://{upstream}\"\n"
    ));
    let https = gateway.ready["https"].as_str().unwrap().parse().unwrap();
    let browser = Browser::new(https, "localhost", trusting(&gateway));
    let request = tokio::spawn(async move { browser.get("/slow/").await });
    let (_held, _) = tokio::task::spawn_blocking(move || django.accept().unwrap())
        .await
        .unwrap();
    gateway.signal(Signal::TERM);
    let stopping = gateway
        .lines
        .by_ref()
        .map(Result::unwrap)
        .find(|line| line.contains("\"stopping\""));
    assert!(stopping.is_some());
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.exit_code().await, Some(1));
    request.abort();
}

/// The TLS of a client that trusts this gateway's CA.
fn trusting(gateway: &Running) -> Arc<rustls::ClientConfig> {
    let ca = CertificateDer::from_pem_file(gateway.ready["ca"].as_str().unwrap()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

#[tokio::test]
async fn a_log_that_nobody_reads_does_not_end_it() {
    let folder = folder_with(LOCAL);
    let mut child = KilledAtTheEnd(
        gatepost(folder.path(), &["run", "--log-format", "json"])
            .env("GATEPOST_SECRET", SECRET)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    // Read up to the ready line, then close the pipe: every further line fails with EPIPE.
    let mut reader = BufReader::new(child.0.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("\"ready\"") {
        line.clear();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0);
    }
    drop(reader);
    kill_process(Pid::from_child(&child.0), Signal::TERM).unwrap();
    let status = eventually_some(PATIENCE, async || child.0.try_wait().unwrap()).await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn systemd_is_told_when_it_is_ready_and_when_it_stops() {
    let folder = folder_with(LOCAL);
    let path = folder.path().join("notify.sock");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut buffer = [0; 256];
        let length = loop {
            // With a time-out, a signal for any other test's child ends the wait (signal(7)).
            match systemd.recv(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                received => break received.unwrap(),
            }
        };
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let mut child = KilledAtTheEnd(
        gatepost(folder.path(), &["run"])
            .env("NOTIFY_SOCKET", &path)
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    assert_eq!(told().trim_end(), "READY=1");
    kill_process(Pid::from_child(&child.0), Signal::TERM).unwrap();
    assert_eq!(told().trim_end(), "STOPPING=1");
    let status = eventually_some(PATIENCE, async || child.0.try_wait().unwrap()).await;
    assert_eq!(status.code(), Some(0));
}
