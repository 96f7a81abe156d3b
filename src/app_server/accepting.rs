//! Whether Django's server accepts connections: more than that its socket is there.
//!
//! A connection is made as soon as a server listens, while its workers may still load the project, and
//! fail. Whether it is accepted is seen without a request: a server closes it when it reads that nothing
//! comes, or the kernel's list of sockets says that it is accepted.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// The kernel's list, on Linux.
const SOCKETS: &str = "/proc/net/unix";
/// The state of an accepted stream there.
const CONNECTED: &str = "03";

/// Completes when a server has accepted a connection at this socket.
pub(super) async fn accepted(socket: &Path) {
    loop {
        if let Ok(stream) = UnixStream::connect(socket).await
            && is_accepted(stream, socket).await
        {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether this connection is accepted before its server ends.
async fn is_accepted(mut stream: UnixStream, socket: &Path) -> bool {
    if stream.shutdown().await.is_err() {
        return false;
    }
    let mut nothing = [0; 1];
    loop {
        tokio::select! {
            // It was closed, or answered; or the server stopped listening.
            read = stream.read(&mut nothing) => return read.is_ok(),
            () = tokio::time::sleep(LOOK) => {}
        }
        let sockets = tokio::fs::read_to_string(SOCKETS).await;
        if sockets.is_ok_and(|sockets| lists_accepted(&sockets, socket)) {
            return true;
        }
    }
}

/// Whether the list has an accepted connection at this socket. Each line is: number, references, protocol,
/// flags, type, state, inode, path.
fn lists_accepted(sockets: &str, socket: &Path) -> bool {
    let socket = socket.to_string_lossy();
    sockets.lines().any(|line| {
        let is_here = line
            .strip_suffix(&*socket)
            .is_some_and(|rest| rest.ends_with(' '));
        is_here && line.split_ascii_whitespace().nth(5) == Some(CONNECTED)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::UnixListener;
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_connection_counts_when_it_is_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("app.sock");
        let path = socket.clone();
        let listener = UnixListener::bind(&socket).unwrap();
        let mut seen = Box::pin(accepted(&path));
        // Several looks later it is still not accepted.
        assert!(timeout(LOOK * 4, &mut seen).await.is_err());
        let (kept, ()) = tokio::join!(listener.accept(), async {
            timeout(SOON, &mut seen).await.unwrap();
        });
        drop(kept);
    }

    #[tokio::test]
    async fn a_server_that_closes_what_brings_no_request_is_seen_too() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("app.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let serve = async { drop(listener.accept().await.unwrap()) };
        let ((), seen) = tokio::join!(serve, timeout(SOON, accepted(&socket)));
        assert!(seen.is_ok());
    }

    #[tokio::test]
    async fn one_that_goes_before_it_accepts_is_not_up() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("app.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let stream = UnixStream::connect(&socket).await.unwrap();
        drop(listener);
        let up = timeout(SOON, is_accepted(stream, &socket)).await;
        assert!(!up.unwrap());
    }

    #[test]
    fn the_list_of_the_kernel_tells_accepted_ones_from_those_that_wait() {
        let list = |state: &str| {
            format!(
                "Num       RefCount Protocol Flags    Type St Inode Path\n\
                 0000000000000000: 00000002 00000000 00010000 0001 01 23512 /tmp/x/app.sock\n\
                 0000000000000000: 00000003 00000000 00000000 0001 {state} 23513 /tmp/x/app.sock\n"
            )
        };
        let is_up = |list: &str| lists_accepted(list, Path::new("/tmp/x/app.sock"));
        assert!(is_up(&list("03")));
        assert!(!is_up(&list("02")));
        assert!(!is_up(&list("03").replace("/tmp/x/", "/tmp/y/")));
    }
}
