//! A server for the gateway to run: this test binary once more, which does as a variable says.

#![allow(
    clippy::exit,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "what runs here is a program of its own"
)]

use std::convert::Infallible;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::exit;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};

/// Says what the server does.
pub const SCRIPT: &str = "SCRIPTED_SERVER";
/// The exit code that it ends with, told to.
pub const CODE: u8 = 7;

/// The words of its command; `program` is this binary, or a link to it.
pub fn words(program: &str) -> Vec<&str> {
    let test = "one_process::scripted::server";
    vec![
        program,
        "--exact",
        test,
        "--nocapture",
        "--skip",
        "{socket}",
    ]
}

fn socket() -> PathBuf {
    std::env::args_os().next_back().unwrap().into()
}

/// No test, but what the gateway runs.
#[tokio::test]
async fn server() {
    let Ok(script) = std::env::var(SCRIPT) else {
        return;
    };
    // A test that fails ends the gateway by SIGKILL, which must leave nothing behind.
    set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
    eprintln!("a server begins");
    match script.as_str() {
        "fails" => exit(3),
        "listens and fails" => {
            let _listener = UnixListener::bind(socket()).unwrap();
            // Long enough for a gateway to connect; the connection is never accepted.
            tokio::time::sleep(Duration::from_millis(300)).await;
            exit(3);
        }
        "deaf" => {
            let _hears_nothing = signal(SignalKind::terminate()).unwrap();
            serve().await;
        }
        "ends by the signal" => serve().await,
        "fails after it was up" => {
            let folder = PathBuf::from(std::env::var_os("FOLDER").unwrap());
            // The first one alone comes up.
            if File::create_new(folder.join("first")).is_err() {
                exit(4);
            }
            serve().await;
        }
        _ => serve_and_heed().await,
    }
}

async fn serve() {
    let listener = UnixListener::bind(socket()).unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let service = service_fn(answer);
            let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            drop(serving.await);
        });
    }
}

async fn serve_and_heed() {
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    let mut hang_up = signal(SignalKind::hangup()).unwrap();
    let mut user = signal(SignalKind::user_defined1()).unwrap();
    let serving = serve();
    tokio::pin!(serving);
    loop {
        tokio::select! {
            () = &mut serving => {}
            _ = terminate.recv() => {
                eprintln!("heard SIGTERM");
                println!("the last line");
                exit(CODE.into());
            }
            _ = hang_up.recv() => eprintln!("heard SIGHUP"),
            _ = user.recv() => eprintln!("heard SIGUSR1"),
        }
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    match request.uri().path() {
        "/crash/" => exit(9),
        "/slow/" => {
            eprintln!("a slow request");
            let folder = PathBuf::from(std::env::var_os("FOLDER").unwrap());
            while !folder.join("go on").exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        _ => {}
    }
    let said = std::process::id().to_string();
    Ok(Response::new(Full::new(said.into())))
}

/// Lets the request at `/slow/` end.
pub fn go_on(folder: &Path) {
    File::create(folder.join("go on")).unwrap();
}
