//! What comes out of a body that comes in pieces.

use std::fmt::Write as _;
use std::io::Read as _;

use http_body_util::StreamBody;
use tokio::sync::mpsc;

use super::super::encoder::Encoders;
use super::*;
use crate::web::encoding::Encoding;

type Sent = Result<Frame<Bytes>, BodyError>;

/// What an upstream sends, one piece after the other.
struct Upstream(mpsc::UnboundedSender<Sent>);

fn compressed(
    encoding: Encoding,
    length: Option<u64>,
) -> (
    Upstream,
    CompressedBody<impl Body<Data = Bytes, Error = BodyError> + Unpin>,
) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let stream = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
    let ticket = Encoders::default()
        .ticket(encoding, length, [192, 0, 2, 1].into())
        .unwrap();
    let body = CompressedBody::new(StreamBody::new(stream), ticket);
    (Upstream(sender), body)
}

impl Upstream {
    fn sends(&self, text: &str) {
        let _ = self.0.send(Ok(Frame::data(text.to_owned().into())));
    }
}

impl<B: Body<Data = Bytes, Error = BodyError> + Unpin> CompressedBody<B> {
    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        let frame = std::future::poll_fn(|context| self.poll_frame(context)).await;
        frame.map(|frame| frame.map(|frame| frame.into_data().unwrap()))
    }

    async fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await {
            all.extend_from_slice(&piece.unwrap());
        }
        all
    }
}

/// As much as can be read of what has come.
fn read(encoding: Encoding, bytes: &[u8]) -> String {
    let mut reader: Box<dyn std::io::Read> = match encoding {
        Encoding::Zstd => Box::new(zstd::stream::read::Decoder::new(bytes).unwrap()),
        Encoding::Brotli => Box::new(brotli::Decompressor::new(bytes, 4096)),
        Encoding::Gzip => Box::new(flate2::read::GzDecoder::new(bytes)),
        Encoding::Identity => Box::new(bytes),
    };
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count) = reader.read(&mut buffer)
        && count > 0
    {
        text.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(text).unwrap()
}

fn page(lines: usize) -> String {
    let mut text = String::new();
    for line in 0..lines {
        let _ = writeln!(text, "<li>{line} {}</li>", line * 7919 % 1009);
    }
    text
}

#[tokio::test]
async fn what_goes_in_comes_out_and_is_shorter() {
    for encoding in Encoding::COMPRESSED {
        for length in [None, Some(0), Some(1), Some(200_000)] {
            let text =
                page(20_000)[..usize::try_from(length.unwrap_or(300_000)).unwrap()].to_owned();
            let (upstream, mut body) = compressed(encoding, length);
            for piece in text.as_bytes().chunks(70_000) {
                upstream.sends(std::str::from_utf8(piece).unwrap());
            }
            drop(upstream);
            let all = body.rest().await;
            assert!(read(encoding, &all) == text, "{encoding:?} {length:?}");
            assert!(
                text.len() < 100 || all.len() < text.len() / 2,
                "{}",
                all.len()
            );
            assert!(body.has_ended());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_s_pieces_are_readable_at_once() {
    for encoding in Encoding::COMPRESSED {
        let (upstream, mut body) = compressed(encoding, None);
        let mut come = Vec::new();
        for expected in ["<p>one", "<p>one<p>two", "<p>one<p>two<p>three"] {
            upstream.sends(&expected[expected.rfind('<').unwrap()..]);
            let before = tokio::time::Instant::now();
            come.extend_from_slice(&body.next().await.unwrap().unwrap());
            assert_eq!(read(encoding, &come), expected, "{encoding:?}");
            assert_eq!(before.elapsed(), Duration::ZERO);
            assert!(!body.has_ended());
        }
        drop(upstream);
        come.extend_from_slice(&body.rest().await);
        assert_eq!(read(encoding, &come), "<p>one<p>two<p>three");
    }
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_known_length_is_waited_for_a_moment() {
    let (upstream, mut body) = compressed(Encoding::Zstd, Some(9));
    upstream.sends("one");
    assert!(futures_util::poll!(Box::pin(body.next())).is_pending());
    upstream.sends("two");
    let before = tokio::time::Instant::now();
    let come = body.next().await.unwrap().unwrap();
    assert_eq!(read(Encoding::Zstd, &come), "onetwo");
    assert_eq!(before.elapsed(), MOMENT);
}

#[tokio::test]
async fn others_have_their_turn_while_much_is_compressed() {
    let (upstream, body) = compressed(Encoding::Gzip, None);
    let mut body = Box::pin(body);
    upstream.sends(&page(100_000));
    drop(upstream);
    let mut turns = 0;
    std::future::poll_fn(|context| {
        loop {
            match body.poll_frame(context) {
                Poll::Pending => {
                    turns += 1;
                    return Poll::Pending;
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Ready(Some(piece)) => {
                    assert!(piece.unwrap().into_data().unwrap().len() <= 2 * PORTION);
                }
            }
        }
    })
    .await;
    assert!(turns >= page(100_000).len() / PORTION, "{turns}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_end_well() {
    for encoding in Encoding::COMPRESSED {
        let (upstream, mut body) = compressed(encoding, None);
        upstream.sends("half of it");
        let _ = upstream.0.send(Err("reset".into()));
        let mut last = None;
        while let Some(piece) = body.next().await {
            last = Some(piece);
        }
        assert_eq!(last.unwrap().unwrap_err().to_string(), "reset");
    }
}
