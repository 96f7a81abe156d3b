//! Socket activation: systemd opens the sockets before the gateway is there, and keeps them over a restart. Here a shell
//! passes them as systemd does.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::gateway::Setup;
use crate::harness::process::activated;
use crate::harness::{Answer, Django, Gateway, Process, SECRET, in_time};

/// What the redirect at plain HTTP begins with.
const REDIRECT: &str = "HTTP/1.1 30";

/// As `ListenStream=127.0.0.1:…` opens it.
fn listening() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn copy(listener: &TcpListener) -> OwnedFd {
    listener.try_clone().unwrap().into()
}

/// Connects, which the kernel alone answers, and asks.
async fn ask(address: SocketAddr) -> TcpStream {
    let mut client = in_time("connecting", TcpStream::connect(address))
        .await
        .unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    client.write_all(request).await.unwrap();
    client
}

async fn answer(mut client: TcpStream) -> String {
    let mut text = String::new();
    let read = in_time("the answer", client.read_to_string(&mut text)).await;
    read.unwrap();
    text
}

/// A gateway of no Django.
fn alone() -> Setup {
    Gateway::with_django_at("http://127.0.0.1:9")
}

/// What it says that is passed these sockets, and does not start.
fn refusal(setup: &Setup, socket: impl Into<OwnedFd>, names: &str) -> String {
    let (_folder, file) = setup.write();
    let mut command = activated(Path::new(env!("CARGO_BIN_EXE_gatepost")), names);
    command.args(["run", "--config"]).arg(file);
    command.env("GATEPOST_SECRET", SECRET).stdin(socket.into());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    text
}

#[tokio::test]
async fn who_connected_before_the_gateway_was_there_is_served() {
    for (name, at) in [("http", "127.0.0.1:0"), ("gatepost.socket", "")] {
        let (listener, address) = listening();
        let early = ask(address).await;
        let at = if at.is_empty() {
            address.to_string()
        } else {
            at.to_owned()
        };
        let setup = alone().set("server.http", at);
        let gateway = Process::start_activated(setup, copy(&listener), name).await;
        let text = answer(early).await;
        assert!(text.starts_with(REDIRECT), "{name}: {text}");
        assert!(gateway.log().contains("systemd passes the socket"));
    }
}

#[tokio::test]
async fn the_origin_is_served_at_a_socket_that_is_named_https() {
    let django = Django::start().await;
    django.answers("/", Answer::ok("hello"));
    let (listener, address) = listening();
    let setup = Gateway::in_front_of(&django);
    let gateway = Process::start_activated(setup, copy(&listener), "https").await;
    assert_eq!(gateway.https(), address);
    let page = gateway.browser().get("/").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.text(), "hello");
}

#[tokio::test]
async fn an_ipv6_socket_that_takes_ipv4_clients_too_is_both_addresses_of_a_port_alone() {
    let listener = TcpListener::bind("[::]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let setup = alone().set("server.lan", true);
    let setup = setup.set("server.http", port.to_string());
    let early = ask(SocketAddr::from(([127, 0, 0, 1], port))).await;
    let _gateway = Process::start_activated(setup, copy(&listener), "gatepost.socket").await;
    assert!(answer(early).await.starts_with(REDIRECT));
}

#[tokio::test]
async fn a_restart_refuses_nobody() {
    let (listener, address) = listening();
    let setup = || alone().set("server.http", address.to_string());
    let first = Process::start_activated(setup(), copy(&listener), "http").await;
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    let crowd = tokio::spawn(async move {
        let mut answered = 0;
        while !over.load(Ordering::Relaxed) {
            let text = answer(ask(address).await).await;
            assert!(text.starts_with(REDIRECT), "after {answered}: {text}");
            answered += 1;
        }
        answered
    });
    // One of them has an answer.
    assert!(answer(ask(address).await).await.starts_with(REDIRECT));
    first.terminate();
    assert_eq!(first.exit().await.code(), Some(0), "{}", first.log());
    let between = ask(address).await;
    let second = Process::start_activated(setup(), copy(&listener), "http").await;
    assert!(answer(between).await.starts_with(REDIRECT));
    is_over.store(true, Ordering::Relaxed);
    let answered = in_time("the crowd", crowd).await.unwrap();
    assert!(answered > 0, "{}", second.log());
}

#[tokio::test]
async fn the_internal_listener_is_the_unix_socket_that_the_configuration_names_and_its_file_stays()
{
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("internal.sock");
    let listener = UnixListener::bind(&path).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o660)).unwrap();
    let setup = alone().set("server.internal", format!("unix:{}", path.display()));
    let gateway = Process::start_activated(setup, listener.into(), "internal").await;
    assert_eq!(gateway.api().get("/live").await.status(), 200);
    gateway.terminate();
    assert_eq!(gateway.exit().await.code(), Some(0), "{}", gateway.log());
    assert!(path.exists(), "the file is systemd's");
}

#[test]
fn what_fits_nothing_is_an_error_that_says_what_to_write() {
    let fits_nothing = "fits no listener of gateway.toml";
    let (listener, address) = listening();
    let said = refusal(&alone(), listener, "web");
    let unit = "write FileDescriptorName=https, http or internal in the .socket unit";
    for part in [&format!("{address} (`web`)"), fits_nothing, unit] {
        assert!(said.contains(part), "{said}");
    }
    // Plain HTTP is off.
    let said = refusal(&alone(), listening().0, "http");
    assert!(
        said.contains(fits_nothing) && said.contains("server.http"),
        "{said}"
    );
    // Publishing is for this machine.
    let everywhere = TcpListener::bind("0.0.0.0:0").unwrap();
    let said = refusal(&alone(), everywhere, "internal");
    assert!(said.contains(fits_nothing), "{said}");
    assert!(said.contains("write ListenStream=127.0.0.1:"), "{said}");
}

#[test]
fn what_is_passed_twice_is_an_error() {
    let (listener, address) = listening();
    let said = refusal(&alone(), listener, "https:web");
    assert!(said.contains(&format!("passes {address} twice")), "{said}");
    assert!(said.contains("as `web`"), "{said}");
}

#[test]
fn what_is_no_listening_stream_socket_is_an_error() {
    let idle = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    idle.bind(&address.into()).unwrap();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let file = File::open("/dev/zero").unwrap();
    for descriptor in [OwnedFd::from(idle), datagrams.into(), file.into()] {
        let said = refusal(&alone(), descriptor, "https");
        let which = "descriptor 3 that systemd passes (`https`) is no listening stream socket";
        assert!(said.contains(which), "{said}");
        assert!(said.contains("write ListenStream="), "{said}");
    }
}

#[test]
fn a_unix_socket_that_everybody_may_open_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("internal.sock");
    let listener = UnixListener::bind(&path).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
    let setup = alone().set("server.internal", format!("unix:{}", path.display()));
    let said = refusal(&setup, listener, "internal");
    assert!(said.contains("write SocketMode=0660"), "{said}");
}

#[test]
fn djangos_server_inherits_neither_the_sockets_nor_what_names_them() {
    let (listener, _) = listening();
    let own = format!("/proc/self/fd/{}", listener.as_raw_fd());
    let own = fs::read_link(own).unwrap().display().to_string();
    let setup = alone().configure(|table| {
        table["django"].as_table_mut().unwrap().remove("upstream");
    });
    let (_folder, file) = setup.write();
    let mut command = activated(Path::new(env!("CARGO_BIN_EXE_gatepost")), "https");
    command.args(["run", "--config"]).arg(file);
    let script = "env; ls -l /proc/self/fd; exit 3";
    command.args(["--", "sh", "-c", script, "{socket}"]);
    command
        .env("GATEPOST_SECRET", SECRET)
        .stdin(OwnedFd::from(listener));
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("app | PATH=") && said.contains("pipe:["),
        "{said}"
    );
    assert!(!said.contains("LISTEN_") && !said.contains(&own), "{said}");
}

#[tokio::test]
async fn a_reload_cannot_take_away_what_systemd_listens_at() {
    let (listener, address) = listening();
    let setup = alone().set("server.http", address.to_string());
    let gateway = Process::start_activated(setup, copy(&listener), "gatepost.socket").await;
    alone().write_into(gateway.folder());
    let refused = gateway.api().post("/v1/reload", "").await;
    assert_ne!(refused.status(), 200);
    let said = refused.text();
    let part = format!("systemd listens on {address}, which server.http has no more");
    assert!(said.contains(&part) && said.contains("restart"), "{said}");
    assert!(answer(ask(address).await).await.starts_with(REDIRECT));
}

#[tokio::test]
async fn addresses_of_a_key_whose_sockets_systemd_names_do_not_count_which_is_said() {
    let (listener, address) = listening();
    let setup = alone().set("server.http", address.to_string());
    let gateway = Process::start_activated(setup, copy(&listener), "http").await;
    let said = "the addresses of server.http do not count";
    assert!(!gateway.log().contains(said));
    let next = alone().set("server.http", "127.0.0.1:0");
    next.write_into(gateway.folder());
    assert_eq!(gateway.api().post("/v1/reload", "").await.status(), 200);
    assert!(gateway.log().contains(said), "{}", gateway.log());
    assert!(answer(ask(address).await).await.starts_with(REDIRECT));
}
