//! Answers a request early without cutting its sender off.
//!
//! A connection that is closed while its client still sends is reset, and most clients then report a
//! broken pipe instead of the answer. So what is left of the request's body is thrown away, bounded in
//! size and time. `publish` has [`answer`] do it where it refuses a
//! request; `server` calls [`throw_away`] for every body that was not read to its end. The answer
//! leaves at once, but [`answer`]'s last chunk only when the body is gone.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, future, stream};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody};

use super::body::{BodyError, ResponseBody};

/// How much is thrown away before the answer: the connection can be kept.
const SMALL: u64 = 64 * 1024;
const SHORTLY: Duration = Duration::from_secs(1);

/// How much is thrown away after the answer; a client that sends more is cut off.
const MOST: u64 = 64 * 1024 * 1024;
const LONGEST: Duration = Duration::from_secs(10);

/// The answer `response`, of ready bytes, to a request with these headers and this unread rest of a body.
pub async fn answer<B>(
    response: Response<Bytes>,
    request: &HeaderMap,
    mut body: B,
) -> Response<ResponseBody>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    let announced = request
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    if announced.is_some_and(|length| length.parse().is_ok_and(|length: u64| length <= SMALL)) {
        throw_away_within(&mut body, SHORTLY).await;
    }
    if body.is_end_stream() {
        return response.map(ResponseBody::full);
    }
    response.map(|text| {
        let rest = async move { throw_away_within(&mut body, LONGEST).await };
        let end = stream::once(rest).filter_map(|()| future::ready(None));
        let text = future::ready(Ok::<_, BodyError>(Frame::data(text)));
        ResponseBody::stream(StreamBody::new(stream::once(text).chain(end)))
    })
}

async fn throw_away_within<B: Body<Data = Bytes> + Unpin>(body: &mut B, time: Duration) {
    // A body that takes longer is left where it is; the connection then ends with the answer.
    let _ = tokio::time::timeout(time, throw_away(body, MOST, time)).await;
}

/// Throws a body away, as long as no more than `most` bytes of it come and no pause is longer than `pause`.
pub async fn throw_away<B: Body<Data = Bytes> + Unpin>(body: &mut B, most: u64, pause: Duration) {
    let mut left = most;
    while let Ok(Some(Ok(frame))) = tokio::time::timeout(pause, body.frame()).await {
        let size = frame.data_ref().map_or(0, Bytes::len) as u64;
        match left.checked_sub(size) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::Full;
    use tokio::sync::mpsc;

    use super::*;

    const REFUSED: Bytes = Bytes::from_static(b"refused");

    type Piece = Result<Frame<Bytes>, Infallible>;

    fn sent() -> (
        mpsc::UnboundedSender<Piece>,
        impl Body<Data = Bytes> + Unpin,
    ) {
        let (client, mut pieces) = mpsc::unbounded_channel();
        let pieces = stream::poll_fn(move |context| pieces.poll_recv(context));
        (client, StreamBody::new(pieces))
    }

    fn piece(size: usize) -> Frame<Bytes> {
        Frame::data(vec![0; size].into())
    }

    #[tokio::test]
    async fn the_answer_leaves_before_the_body_has_arrived() {
        let (client, body) = sent();
        let answer = answer(Response::new(REFUSED), &HeaderMap::new(), body).await;
        let mut answer = answer.into_body();
        let first = answer.frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), REFUSED);
        assert!(future::poll_immediate(answer.frame()).await.is_none());
        client.send(Ok(piece(1 << 20))).unwrap();
        drop(client);
        assert!(answer.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_small_body_is_thrown_away_first_and_the_answer_has_a_length() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, 5.into());
        let body = Full::new(Bytes::from_static(b"hello"));
        let answer = answer(Response::new(REFUSED), &headers, body).await;
        assert_eq!(answer.body().size_hint().exact(), Some(7));
    }

    #[tokio::test]
    async fn an_endless_body_is_cut_off() {
        let pieces = stream::repeat_with(|| Ok::<_, Infallible>(piece(1 << 20)));
        let body = StreamBody::new(pieces);
        let answer = answer(Response::new(REFUSED), &HeaderMap::new(), body).await;
        assert_eq!(
            answer.into_body().collect().await.unwrap().to_bytes(),
            REFUSED
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_is_cut_off() {
        let (_client, body) = sent();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, 5.into());
        let answer = answer(Response::new(REFUSED), &headers, body).await;
        assert_eq!(
            answer.into_body().collect().await.unwrap().to_bytes(),
            REFUSED
        );
    }
}
