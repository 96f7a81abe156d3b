use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::*;

#[tokio::test]
async fn a_client_is_accepted_without_delay_for_small_writes() {
    let mut listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_address().unwrap();
    let client = TcpStream::connect(address).await.unwrap();
    let (stream, peer) = listener.accept().await.unwrap();
    assert_eq!(peer, Peer::Tcp(client.local_addr().unwrap()));
    let Stream::Tcp(stream) = stream else {
        panic!("a TCP listener accepts TCP")
    };
    assert!(stream.nodelay().unwrap());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_kernel_takes_little_for_a_client_that_does_not_read() {
    let mut listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_address().unwrap();
    let _client = TcpStream::connect(address).await.unwrap();
    let (Stream::Tcp(stream), _) = listener.accept().await.unwrap() else {
        panic!("a TCP listener accepts TCP")
    };
    let unsent = SockRef::from(&stream).tcp_notsent_lowat().unwrap();
    assert!((64 << 10..=128 << 10).contains(&unsent), "{unsent}");
}

#[tokio::test]
async fn an_ipv4_client_of_an_ipv6_listener_has_its_ipv4_address() {
    let mut listener = Listener::bind("[::]:0".parse().unwrap()).unwrap();
    let port = listener.local_address().unwrap().port();
    let _client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (_, peer) = listener.accept().await.unwrap();
    let Peer::Tcp(address) = peer else {
        panic!("a TCP listener accepts TCP")
    };
    assert_eq!(address.ip(), IpAddr::from([127, 0, 0, 1]));
}

#[tokio::test]
async fn both_families_have_listeners_of_their_own_where_both_are_asked_for() {
    let v4 = Listener::bind("0.0.0.0:0".parse().unwrap()).unwrap();
    let address = v4.local_address().unwrap();
    let v6 = SocketAddr::new("::".parse().unwrap(), address.port());
    let mut v6 = Listener::bind_beside(v6, &[address, v6]).unwrap();
    let _client = TcpStream::connect(v6.local_address().unwrap())
        .await
        .unwrap();
    let (_, Peer::Tcp(peer)) = v6.accept().await.unwrap() else {
        panic!("a TCP listener accepts TCP")
    };
    assert!(peer.is_ipv6());
}

#[test]
fn only_ipv6_of_a_machine_without_it_may_be_missing() {
    let error = |address: &str, source: ErrorKind| ListenError::Tcp {
        address: address.parse().unwrap(),
        source: source.into(),
    };
    let missing = ErrorKind::AddrNotAvailable;
    assert!(error("[::1]:1", missing).is_for_want_of_ipv6());
    assert!(error("[::]:1", missing).is_for_want_of_ipv6());
    assert!(!error("[2001:db8::1]:1", missing).is_for_want_of_ipv6());
    assert!(!error("127.0.0.1:1", missing).is_for_want_of_ipv6());
    assert!(!error("[::1]:1", ErrorKind::AddrInUse).is_for_want_of_ipv6());
}

#[tokio::test]
async fn a_busy_port_is_named_with_what_to_do() {
    let first = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = first.local_address().unwrap();
    let error = Listener::bind(address).unwrap_err().to_string();
    let expected = format!(
        "cannot listen on {address}; another program has the port: `ss -ltnp 'sport = :{}'` shows \
         which; stop it, or choose another port",
        address.port()
    );
    assert_eq!(error, expected);
}

#[tokio::test]
async fn an_address_of_another_machine_is_refused() {
    let error = Listener::bind("198.51.100.7:0".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("no such address"), "{error}");
}

#[tokio::test]
async fn a_unix_socket_is_closed_to_others_and_goes_with_its_listener() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gatepost.sock");
    let mut listener = Listener::bind_unix(&path, OpenedBy::Owner).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let shared = folder.path().join("shared.sock");
    let _shared = Listener::bind_unix(&shared, OpenedBy::Group).unwrap();
    let mode = fs::metadata(&shared).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let mut client = UnixStream::connect(&path).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    let (mut stream, peer) = listener.accept().await.unwrap();
    let mut read = [0; 5];
    stream.read_exact(&mut read).await.unwrap();
    assert_eq!((&read, peer), (b"hello", Peer::Unix));
    drop(listener);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gatepost.sock");
    // std leaves the file behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let _live = Listener::bind_unix(&path, OpenedBy::Owner).unwrap();
    let error = Listener::bind_unix(&path, OpenedBy::Owner)
        .unwrap_err()
        .to_string();
    assert!(error.contains("another gateway serves there"), "{error}");
    assert!(path.exists());
}

#[tokio::test]
async fn a_file_in_the_place_of_a_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    fs::write(&path, "dear").unwrap();
    let error = Listener::bind_unix(&path, OpenedBy::Owner)
        .unwrap_err()
        .to_string();
    assert!(error.contains("the file there is no socket"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "dear");
}

#[tokio::test]
async fn one_that_closes_accepts_who_has_connected_and_frees_its_port() {
    let mut listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_address().unwrap();
    let _waits = std::net::TcpStream::connect(address).unwrap();
    listener.handle().close();
    assert!(listener.accept().await.is_some());
    assert!(listener.accept().await.is_none());
    drop(listener);
    Listener::bind(address).unwrap();
}

#[tokio::test]
async fn who_connects_to_one_that_was_let_go_is_another_s_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let mut listener = Listener::bind_unix(&path, OpenedBy::Owner).unwrap();
    let descriptor = listener.handle().duplicate().unwrap().unwrap();
    let address = ListenAddress::Unix(path.clone());
    let name = "internal".to_owned();
    let socket = crate::net::inherited::listener(name, address, descriptor).unwrap();
    let mut other = Listener::inherited(socket).unwrap();
    listener.handle().let_go();
    let _client = UnixStream::connect(&path).await.unwrap();
    assert!(listener.accept().await.is_none());
    let handle = listener.handle();
    drop(listener);
    assert!(handle.duplicate().is_none() && path.exists());
    assert!(other.accept().await.is_some());
    drop(other);
    assert!(!path.exists(), "the file went with the one that was left");
}
