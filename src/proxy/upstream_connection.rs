//! One connection of HTTP/1.1 to an upstream.
//!
//! Begun by `upstream`, kept between requests by `pool`.

use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;

use super::read_after_end::{OurHalf, ReadAfterEnd};
use super::upload::Upload;
use crate::net::drain::DrainWatch;
use crate::net::stream::Stream;

/// hyper's buffer for an answer; a longer head than this is refused.
const BUFFER: usize = 128 * 1024;
/// Fields of an answer's head; hyper's own 100 are fewer than an application may have that sets many
/// cookies at once.
const FIELDS: usize = 256;

/// A connection that takes one request at a time.
#[derive(Debug)]
pub(super) struct UpstreamConnection {
    /// Takes requests.
    pub(super) sender: SendRequest<Upload>,
    /// Ends the gateway's half of it.
    pub(super) our_half: OurHalf,
}

impl UpstreamConnection {
    /// Speaks HTTP over a stream, in a task of its own that ends with `drain`.
    pub(super) async fn begin(stream: Stream, drain: &DrainWatch) -> hyper::Result<Self> {
        let our_half = OurHalf::default();
        let stream = ReadAfterEnd::new(stream, our_half.clone());
        let (sender, connection) = Builder::new()
            .max_buf_size(BUFFER)
            .max_headers(FIELDS)
            .handshake(TokioIo::new(stream))
            .await?;
        drain.spawn(async move {
            // The request that waits for the answer gets the error, and logs it.
            let _ = connection.await;
        });
        Ok(Self { sender, our_half })
    }
}
