use futures_util::future::poll_immediate;
use tokio::time::Instant;

use super::*;
use crate::net::block::AddressBlock;

const SECOND: Duration = Duration::from_secs(1);

fn known(session: u8) -> Requester {
    Requester::Known([session; 16])
}

fn other(last: u8) -> Requester {
    Requester::Other(AddressBlock::of([192, 0, 2, last].into()))
}

fn queue(places: usize, length: usize) -> RequestQueue {
    let config = QueueConfig {
        concurrency: Some(places),
        length,
        timeout: 10 * SECOND,
    };
    RequestQueue::new(&config, &Metrics::default()).unwrap()
}

fn status(queue: &RequestQueue) -> [usize; 3] {
    let status = queue.status();
    [status.taken, status.known, status.anonymous]
}

#[test]
fn without_a_bound_there_is_no_queue() {
    assert!(RequestQueue::new(&QueueConfig::default(), &Metrics::default()).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_known_session_comes_before_those_that_waited_longer() {
    let queue = queue(1, 10);
    let place = queue.place(other(1)).await.unwrap();
    let mut first = Box::pin(queue.place(other(2)));
    let mut second = Box::pin(queue.place(known(1)));
    assert!(poll_immediate(&mut first).await.is_none());
    assert!(poll_immediate(&mut second).await.is_none());
    assert_eq!(status(&queue), [1, 1, 1]);
    let kept = place.clone();
    drop(place);
    assert!(
        poll_immediate(&mut second).await.is_none(),
        "a clone is left"
    );
    drop(kept);
    let place = poll_immediate(&mut second).await.unwrap().unwrap();
    assert_eq!(status(&queue), [1, 0, 1]);
    drop(place);
    drop(poll_immediate(&mut first).await.unwrap().unwrap());
    assert_eq!(status(&queue), [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_and_the_queue_does() {
    let queue = queue(1, 1);
    let _place = queue.place(other(1)).await.unwrap();
    let began = Instant::now();
    let mut waits = Box::pin(queue.place(other(2)));
    assert!(poll_immediate(&mut waits).await.is_none());
    assert_eq!(queue.place(other(3)).await.unwrap_err(), QueueRefusal::Full);
    let mut comes_first = Box::pin(queue.place(known(1)));
    assert!(poll_immediate(&mut comes_first).await.is_none());
    assert_eq!(waits.await.unwrap_err(), QueueRefusal::Full);
    assert_eq!(began.elapsed(), Duration::ZERO);
    let refusal = comes_first.await.unwrap_err();
    assert_eq!(refusal, QueueRefusal::TimedOut(10 * SECOND));
    assert_eq!(began.elapsed(), 10 * SECOND);
    assert_eq!(status(&queue), [1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_loses_no_place_at_whatever_moment() {
    let queue = queue(2, 100);
    for moment in 0..3 {
        let first = queue.place(known(1)).await.unwrap();
        let second = queue.place(known(2)).await.unwrap();
        let mut waits = Box::pin(queue.place(known(3)));
        assert!(poll_immediate(&mut waits).await.is_none());
        let mut also = Box::pin(queue.place(other(4)));
        assert!(poll_immediate(&mut also).await.is_none());
        match moment {
            // Before it is served, after it was served unheard, and after it heard of it.
            0 => drop(waits),
            1 => {
                drop(first);
                drop(waits);
                assert!(poll_immediate(&mut also).await.is_some());
                continue;
            }
            _ => {
                drop(first);
                drop(poll_immediate(&mut waits).await.unwrap());
                assert!(poll_immediate(&mut also).await.is_some());
                continue;
            }
        }
        assert_eq!(status(&queue), [2, 0, 1]);
        drop((also, second));
    }
    assert_eq!(status(&queue), [0, 0, 0]);
}

#[tokio::test]
async fn a_crowd_that_comes_and_goes_leaves_all_places_free() {
    let queue = queue(3, 1000);
    let crowd = (0..500_u16).map(|number| {
        let queue = queue.clone();
        #[expect(clippy::cast_possible_truncation, reason = "some of them are the same")]
        let requester = if number % 3 == 0 {
            known(number as u8)
        } else {
            other(number as u8)
        };
        async move {
            let limit = Duration::from_micros(u64::from(number) * 37 % 3000);
            let work = async {
                let place = queue.place(requester).await;
                assert!(queue.status().taken <= 3);
                tokio::time::sleep(Duration::from_micros(u64::from(number) % 200)).await;
                drop(place);
            };
            let _ = tokio::time::timeout(limit, work).await;
        }
    });
    futures_util::future::join_all(crowd).await;
    assert_eq!(status(&queue), [0, 0, 0]);
}
