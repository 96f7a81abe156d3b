//! hyper's settings for HTTP/1.1 and HTTP/2, made once for each kind of listener.
//!
//! Made with a [`Service`](super::service::Service), used by `connection`.

use std::future::Future;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioTimer;

use super::opened_stream::{self, StreamTask};
use crate::net::drain::DrainWatch;

/// Requests under way at once on a connection of HTTP/2.
const REQUESTS: u32 = 100;
/// WebSockets beside them, each of which keeps a stream for as long as its page is open.
const WEBSOCKETS: u32 = 100;

/// What clients may ask for, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct HttpLimits {
    /// Bytes of a header section.
    pub(super) header_size: usize,
    /// Fields in one.
    pub(super) fields: usize,
    /// Whether a stream of HTTP/2 may become a WebSocket.
    pub(super) websocket_over_http2: bool,
}

/// How HTTP is spoken, set up once.
#[derive(Clone, Debug)]
pub(super) struct HttpConfig {
    pub(super) http1: http1::Builder,
    pub(super) http2: http2::Builder<Tasks>,
}

/// Spawns what hyper wants spawned: one task an HTTP/2 stream, another for one that becomes a WebSocket.
#[derive(Clone, Debug)]
pub(super) struct Tasks(DrainWatch);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        match opened_stream::end_of_spawned() {
            None => self.0.spawn(StreamTask::new(task)),
            Some(ended) => self.0.spawn(async move {
                ended.run_until_cancelled_owned(task).await;
            }),
        }
    }
}

impl HttpConfig {
    pub(super) fn new(limits: HttpLimits, drain: &DrainWatch) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            // What ends only its half is held back by `Http1Stream`.
            .half_close(false)
            // As HTTP/1.1 is written everywhere, for devices that compare byte for byte.
            .title_case_headers(true)
            .max_header_size(limits.header_size)
            .max_buf_size((limits.header_size + 1024).max(64 * 1024));
        if limits.fields != 100 {
            // Costs an allocation a request, which hyper's own 100 does not.
            http1.max_headers(limits.fields);
        }
        let header_list = u32::try_from(limits.header_size).unwrap_or(u32::MAX);
        let mut http2 = http2::Builder::new(Tasks(drain.clone()));
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(REQUESTS)
            .max_header_list_size(header_list)
            .initial_stream_window_size(256 * 1024)
            // Not lower: one stalled upload would starve all other streams.
            .initial_connection_window_size(1024 * 1024)
            .max_send_buf_size(64 * 1024)
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(128)
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10));
        if limits.websocket_over_http2 {
            http2
                .enable_connect_protocol()
                .max_concurrent_streams(REQUESTS + WEBSOCKETS);
        }
        Self { http1, http2 }
    }
}
