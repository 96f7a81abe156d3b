use std::future::poll_fn;
use std::pin::pin;

use futures_util::future::poll_immediate;

use super::super::spool::Spool;
use super::state::CutOff;
use super::*;
use crate::config::{BufferFolder, BufferingConfig};
use crate::ids::{NodeId, RequestId};
use crate::telemetry::metrics::BufferedBytes;

fn buffering(memory: u64, disk: u64) -> Buffering {
    let config = BufferingConfig {
        response: 100_000,
        memory,
        disk,
        folder: BufferFolder::Given(std::env::temp_dir()),
        ..BufferingConfig::default()
    };
    Buffering::open(&config, &BufferedBytes::default()).unwrap()
}

fn store(buffering: &Buffering) -> Store {
    store_of(1, buffering, &Pressure::default())
}

fn store_of(client: u8, buffering: &Buffering, pressure: &Pressure) -> Store {
    let label = AnswerLabel {
        upstream: None,
        request_id: RequestId::new(NodeId::random(), 1),
    };
    let room = buffering.room([192, 0, 2, client].into());
    Store::new(buffering, room, label, pressure.clone())
}

/// A store with so many parts.
async fn filled(client: u8, parts: usize, buffering: &Buffering) -> Store {
    let store = store_of(client, buffering, &Pressure::default());
    for number in 0..parts {
        store.put(part(number)).await;
    }
    store
}

fn part(number: usize) -> Bytes {
    vec![b'a' + u8::try_from(number % 26).unwrap(); 40_000].into()
}

async fn next(store: &Store) -> Option<Result<Bytes, BodyError>> {
    poll_fn(|context| store.poll_next(context)).await
}

async fn rest(store: &Store) -> Vec<u8> {
    let mut rest = Vec::new();
    while let Some(part) = next(store).await {
        rest.extend_from_slice(&part.unwrap());
    }
    rest
}

fn parts(range: std::ops::Range<usize>) -> Vec<u8> {
    range.flat_map(part).collect()
}

#[tokio::test]
async fn what_is_not_taken_is_kept_in_memory_and_then_in_a_file() {
    let buffering = buffering(4 << 20, 4 << 20);
    let store = store(&buffering);
    for number in 0..20 {
        store.put(part(number)).await;
    }
    assert_eq!(buffering.used(), (80_000, 18 * 40_000));
    assert_eq!(next(&store).await.unwrap().unwrap(), part(0));
    store.put(part(20)).await;
    store.end(Ok(()));
    assert!(rest(&store).await == parts(1..21));
    assert!(next(&store).await.is_none());
    drop(store);
    assert_eq!(buffering.used(), (0, 0));
}

#[tokio::test]
async fn memory_comes_first_again_when_the_file_was_taken() {
    let buffering = buffering(4 << 20, 4 << 20);
    let store = store(&buffering);
    for round in 0..3 {
        for number in 0..5 {
            store.put(part(number)).await;
        }
        assert_eq!(buffering.used(), (80_000, 120_000), "round {round}");
        let mut taken = Vec::new();
        while taken.len() < 200_000 {
            taken.extend_from_slice(&next(&store).await.unwrap().unwrap());
        }
        assert!(taken == parts(0..5));
    }
}

#[tokio::test]
async fn without_room_one_part_at_a_time_passes() {
    let buffering = buffering(4, 4);
    let store = store(&buffering);
    store.put(part(0)).await;
    let mut put = Box::pin(store.put(part(1)));
    assert!(poll_immediate(&mut put).await.is_none());
    assert_eq!(next(&store).await.unwrap().unwrap(), part(0));
    put.await;
    assert_eq!(next(&store).await.unwrap().unwrap(), part(1));
    assert_eq!(buffering.used(), (0, 0));
}

#[tokio::test]
async fn what_broke_off_is_seen_to_break_off_behind_what_was_kept() {
    let buffering = buffering(4 << 20, 4 << 20);
    let store = store(&buffering);
    for number in 0..5 {
        store.put(part(number)).await;
    }
    store.end(Err("broken".into()));
    store.end(Ok(()));
    for _ in 0..2 {
        assert!(next(&store).await.unwrap().is_ok());
    }
    let mut last = next(&store).await;
    while last.as_ref().is_some_and(Result::is_ok) {
        last = next(&store).await;
    }
    assert_eq!(last.unwrap().unwrap_err().to_string(), "broken");
}

/// Two parts are in memory, and one address has room for 26 on disk.
const FULL: usize = 28;

#[tokio::test(start_paused = true)]
async fn while_nobody_waits_for_the_upstream_nobody_gives_way() {
    let buffering = buffering(4 << 20, 4 << 20);
    let kept = filled(1, FULL - 1, &buffering).await;
    let seeker = filled(1, 3, &buffering).await;
    let put = tokio::time::timeout(Duration::from_mins(10), seeker.put(part(3)));
    assert!(put.await.is_err());
    kept.end(Ok(()));
    assert!(rest(&kept).await == parts(0..FULL - 1));
}

#[tokio::test(start_paused = true)]
async fn where_others_wait_the_slowest_of_the_address_gives_way() {
    let buffering = buffering(16 << 20, 4 << 20);
    let others = filled(2, 10, &buffering).await;
    let faster = filled(1, 10, &buffering).await;
    let slow = filled(1, 20, &buffering).await;
    let pressure = Pressure::default();
    let seeker = store_of(1, &buffering, &pressure);
    for number in 0..2 {
        seeker.put(part(number)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    next(&faster).await.unwrap().unwrap();
    pressure.press();
    seeker.put(part(2)).await;
    let cut = next(&slow).await.unwrap().map(|part| part.len());
    let cut = cut.unwrap_err();
    assert!(cut.is::<CutOff>(), "{cut}");
    poll_immediate(pin!(slow.gone())).await.unwrap();
    for (store, parts) in [
        (others, parts(0..10)),
        (faster, parts(1..10)),
        (seeker, parts(0..3)),
    ] {
        store.end(Ok(()));
        assert!(rest(&store).await == parts);
    }
    assert_eq!(buffering.used(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn who_takes_an_answer_at_a_decent_pace_keeps_it() {
    let buffering = buffering(16 << 20, 4 << 20);
    let pressure = Pressure::default();
    let store = store_of(1, &buffering, &pressure);
    for number in 0..FULL {
        store.put(part(number)).await;
    }
    for number in FULL..FULL + 12 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        pressure.press();
        assert!(
            poll_immediate(pin!(store.put(part(number))))
                .await
                .is_none()
        );
        assert!(next(&store).await.unwrap().is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn where_all_is_used_who_has_the_most_gives_way() {
    let buffering = buffering(64 << 20, 4 << 20);
    let mut kept = Vec::new();
    for client in 1..5 {
        kept.push(filled(client, FULL, &buffering).await);
    }
    let pressure = Pressure::default();
    let seeker = store_of(5, &buffering, &pressure);
    for number in 0..FULL {
        tokio::time::sleep(Duration::from_secs(1)).await;
        pressure.press();
        seeker.put(part(number)).await;
    }
    let mut cut = 0;
    for store in kept {
        store.end(Ok(()));
        cut += usize::from(next(&store).await.unwrap().is_err());
    }
    assert_eq!(cut, 1);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_all_others_leave_no_room_has_a_slow_answer_cut_off() {
    let buffering = buffering(4, 4 << 20);
    let mut kept = Vec::new();
    for client in 1..5 {
        kept.push(filled(client, FULL - 1, &buffering).await);
    }
    let mut upload = Spool::new(&buffering, buffering.room([192, 0, 2, 5].into()));
    for number in 0..10 {
        upload.make_room(40_000).await.unwrap();
        upload.push(part(number));
    }
    let mut cut = 0;
    for store in kept {
        store.end(Ok(()));
        cut += usize::from(next(&store).await.unwrap().is_err());
    }
    assert_eq!(cut, 1);
}
