//! What becomes of a request at Django whose client leaves.

use http::{HeaderMap, StatusCode};
use tokio::sync::mpsc;

use super::*;
use crate::proxy::intercept::{Outgoing, PassedOn, RequestSummary};
use crate::proxy::queue::{RequestQueue, Requester};

/// As long as the upstream may take, and the longest that one is waited for whose client left.
const LIMIT: Duration = Duration::from_millis(300);
/// More than the sockets in between hold.
const LARGE: usize = 32 << 20;

/// Hears of every answer.
#[derive(Debug)]
struct Hears(mpsc::UnboundedSender<StatusCode>);

impl Intercept for Hears {
    fn queue(&self, _: &HeaderMap, _: &Downstream) -> Option<(&RequestQueue, Requester)> {
        None
    }

    fn outgoing(&self, _: Outgoing<'_>, _: &Downstream) {}

    fn incoming(&self, _: &RequestSummary, status: StatusCode, _: &HeaderMap) -> Option<PassedOn> {
        self.0.send(status).unwrap();
        None
    }
}

/// A gateway in front of an upstream of one script, and what is heard of its answers.
async fn stage(
    script: &[Step],
    limit: Duration,
) -> (Scripted, SocketAddr, mpsc::UnboundedReceiver<StatusCode>) {
    let upstream = Scripted::start(&[script]).await;
    let (heard, answers) = mpsc::unbounded_channel();
    let setup = Setup {
        timeout: limit,
        intercept: Some(Arc::new(Hears(heard))),
        ..before(upstream.address)
    };
    (upstream, setup.serve().await, answers)
}

/// Asks, and leaves when the upstream has the request.
async fn ask_and_leave(upstream: &Scripted, gateway: SocketAddr, method: &str) {
    let mut client = Client::connect(gateway).await;
    client
        .send(&format!(
            "{method} / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        ))
        .await;
    upstream.hears(0, |text| text.contains("\r\n\r\n")).await;
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn get_and_head_are_ended_and_what_the_upstream_says_all_the_same_is_heard() {
    for method in ["GET", "HEAD"] {
        let script = [Step::Read("\r\n\r\n"), Step::ReadToEnd, Step::Send(OK)];
        let (upstream, gateway, mut answers) = stage(&script, LIMIT).await;
        ask_and_leave(&upstream, gateway, method).await;
        upstream.hears(0, |text| text.ends_with("<end>")).await;
        assert_eq!(answers.recv().await.unwrap(), 200);
    }
}

/// An answer that is too long to be lost in the sockets on its way.
fn long(fields: &str) -> &'static str {
    let body = "x".repeat(LARGE);
    format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {LARGE}\r\n\r\n{body}").leak()
}

#[tokio::test]
async fn all_else_goes_on_to_the_end_of_its_answer() {
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let has_left = Arc::new(Notify::new());
        let script = [
            Step::Read("\r\n\r\n"),
            Step::Await(Arc::clone(&has_left)),
            Step::Send(long("")),
            Step::ReadToEnd,
        ];
        let (upstream, gateway, mut answers) = stage(&script, 50 * LIMIT).await;
        ask_and_leave(&upstream, gateway, method).await;
        has_left.notify_one();
        assert_eq!(answers.recv().await.unwrap(), 200);
        upstream.hears(0, |text| text.ends_with("<end>")).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_an_answer_half_way_ends_it_where_it_may() {
    for (method, fields, is_ended) in [
        ("POST", "", false),
        ("GET", "", true),
        ("POST", "Content-Type: text/event-stream\r\n", true),
    ] {
        let script = [
            Step::Read("\r\n\r\n"),
            Step::Send(long(fields)),
            Step::ReadToEnd,
        ];
        let (upstream, gateway, mut answers) = stage(&script, 50 * LIMIT).await;
        ask_and_leave(&upstream, gateway, method).await;
        assert_eq!(answers.recv().await.unwrap(), 200);
        let cut_off = |text: &str| text.ends_with("<cut off>");
        let ended = |text: &str| text.ends_with("<end>");
        let to_its_end = |text: &str| if is_ended { cut_off(text) } else { ended(text) };
        upstream.hears(0, to_its_end).await;
    }
}
