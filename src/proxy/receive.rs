//! Takes clients' bodies before an upstream's turn and worker are taken for them.
//!
//! Used by `forward`. A body is read whole first, except where streaming was asked for and its
//! length is known; a worker that waits for a slow client serves no other.

use std::net::IpAddr;

use bytes::Bytes;
use http::request::Parts;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::body_rate::{BodyPace, BodyRate};
use super::buffer::Buffering;
use super::route;
use super::spool::Spool;
use super::streamed::Streamed;
use super::upload::Upload;
use super::upload_fault::UploadFault;
use crate::web::path;
use crate::web::request_body::RequestBody;

/// A body of at most this size is never streamed.
const READ_FIRST: u64 = 64 * 1024;
/// A body of at most this size costs no more than a header section, and needs no room.
const SMALL: u64 = 16 * 1024;

/// What a request's body may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct UploadLimits {
    /// Bytes.
    pub(super) size: u64,
    /// How fast they must come.
    pub(super) pace: BodyPace,
}

/// Which bodies are sent while they come.
#[derive(Clone, Debug)]
pub enum StreamedPaths {
    /// All: the upstream is a developer's own.
    All,
    /// Those of requests with these prefixes.
    Below(Vec<String>),
}

/// Takes bodies.
#[derive(Clone, Debug)]
pub(super) struct Receiver {
    pub(super) limits: UploadLimits,
    pub(super) buffering: Buffering,
    pub(super) streamed: StreamedPaths,
}

impl Receiver {
    /// Takes a client's body: reads it here, or begins to stream it.
    pub(super) async fn receive(
        &self,
        parts: &Parts,
        mut body: RequestBody,
        client: IpAddr,
    ) -> Result<Upload, UploadFault> {
        if body.is_end_stream() {
            return Ok(Upload::Empty);
        }
        let limits = self.limits;
        let received = match body.size_hint().exact() {
            Some(length) if length > limits.size => Err(UploadFault::TooLarge(limits.size)),
            Some(length) if length > READ_FIRST && self.streamed.has(parts) => {
                let streamed = Streamed::new(body, limits.pace);
                return Ok(Upload::Stream(Box::new(streamed)));
            }
            // Boxed: what it needs is not carried along by requests without a body.
            _ => {
                let spool = Spool::new(&self.buffering, self.buffering.room(client));
                Box::pin(read_whole(&mut body, limits, spool)).await
            }
        };
        if received.as_ref().is_err_and(|fault| !fault.is_refusal()) {
            body.leave();
        }
        received
    }
}

impl StreamedPaths {
    /// Whether a request's body is among them.
    fn has(&self, parts: &Parts) -> bool {
        match self {
            Self::All => true,
            Self::Below(prefixes) if prefixes.is_empty() => false,
            Self::Below(prefixes) => path::decode(parts.uri.path())
                .is_ok_and(|path| prefixes.iter().any(|prefix| route::matches(prefix, &path))),
        }
    }
}

async fn read_whole<B>(
    body: &mut B,
    limits: UploadLimits,
    mut spool: Spool,
) -> Result<Upload, UploadFault>
where
    B: Body<Data = Bytes> + Unpin,
{
    let announced = body.size_hint().exact();
    let is_small = announced.is_some_and(|length| length <= SMALL);
    let mut rate = BodyRate::new(limits.pace);
    loop {
        let left = announced
            .unwrap_or(limits.size)
            .saturating_sub(spool.length());
        if !is_small {
            spool.make_room(left).await?;
        }
        let began = Instant::now();
        let frame = match tokio::time::timeout(rate.limit(), body.frame()).await {
            Err(_) => return Err(rate.fault()),
            Ok(None) => break,
            Ok(Some(frame)) => frame.map_err(|_| UploadFault::Broken)?,
        };
        // Trailers are dropped: nothing behind WSGI could see them.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if spool.length() + data.len() as u64 > limits.size {
            return Err(UploadFault::TooLarge(limits.size));
        }
        if is_small && spool.length() == 0 && body.is_end_stream() {
            return Ok(Upload::Ready(data));
        }
        rate.came(data.len(), began.elapsed());
        spool.push(data);
    }
    Ok(Upload::spooled(spool.finish()))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use futures_util::{StreamExt, stream};
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;
    use crate::config::{BufferFolder, BufferingConfig};
    use crate::telemetry::metrics::BufferedBytes;

    const SECOND: Duration = Duration::from_secs(1);
    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn buffering() -> Buffering {
        let config = BufferingConfig {
            disk: 4 << 20,
            folder: BufferFolder::Given(std::env::temp_dir()),
            ..BufferingConfig::default()
        };
        Buffering::open(&config, &BufferedBytes::default()).unwrap()
    }

    /// A body in parts of this size, one each second.
    async fn read(part: usize, parts: usize, buffering: &Buffering) -> Result<Upload, UploadFault> {
        let limits = UploadLimits {
            size: 100 << 20,
            pace: BodyPace {
                stall: 30 * SECOND,
                rate: Some(1024),
            },
        };
        let parts = stream::iter(0..parts).then(async |_| {
            tokio::time::sleep(SECOND).await;
            Ok::<_, Infallible>(Frame::data(vec![0; part].into()))
        });
        let mut body = StreamBody::new(Box::pin(parts));
        let spool = Spool::new(buffering, buffering.room(CLIENT));
        read_whole(&mut body, limits, spool).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_in_single_bytes_is_too_slow_and_leaves_nothing_behind() {
        let buffering = buffering();
        let began = Instant::now();
        let fault = read(1, 1000, &buffering).await.unwrap_err();
        assert!(matches!(fault, UploadFault::TooSlow(1024)), "{fault}");
        assert_eq!(began.elapsed().as_secs(), 10);
        assert_eq!(buffering.used(), (0, 0));
        let upload = read(1024, 100, &buffering).await.unwrap();
        assert_eq!(upload.length(), Some(102_400));
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_without_room_is_not_the_clients() {
        let buffering = buffering();
        let mut others = buffering.room(CLIENT);
        assert!(others.try_disk(1 << 20) && others.try_memory(16 << 20));
        let freed = async {
            tokio::time::sleep(9 * SECOND).await;
            drop(others);
        };
        let (upload, ()) = tokio::join!(read(1024, 30, &buffering), freed);
        assert_eq!(upload.unwrap().length(), Some(30 * 1024));
    }

    #[test]
    fn streamed_are_those_paths_that_are_named_however_they_are_written() {
        let below = StreamedPaths::Below(vec!["/upload/".into(), "/ü/".into()]);
        let has = |path: &str| {
            let request = http::Request::post(path).body(()).unwrap();
            below.has(&request.into_parts().0)
        };
        assert!(has("/upload/1") && has("/upload") && has("/%75pload/?x") && has("/%C3%BC/a"));
        assert!(!has("/") && !has("/uploads/") && !has("/a/upload/"));
    }
}
