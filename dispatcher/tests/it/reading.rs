//! All lanes are read with one connection, which is kept. Nothing is read more often than it must be.

use std::sync::atomic::Ordering;

use rstest::rstest;
use shared::placement::LANES;

use crate::{
    bench::{Bench, Engine, PATIENCE},
    scripted::{Call, Poison},
};

const ROUNDS: usize = 100;
const IN_A_ROUND: usize = 10;
/// The last lanes gained may still interrupt a read.
const FEW: usize = 10;

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn a_lane_slow_to_take_costs_the_reader_no_connections(#[case] engine: Engine) {
    let (bench, store) = Bench::scripted(engine).await;
    // What comes for a paused endpoint is parked, on the thread of its lane.
    let slow = bench.endpoint("/ok?slow").await;
    bench.change(slow, |endpoint| endpoint.settings.paused = true).await;
    store.poison_with(Poison::Dawdles, Call::Park, slow.lane());
    let mut others = Vec::new();
    for number in 0..3 {
        others.push(bench.stranger(slow, &format!("/ok?{number}")).await);
    }
    let running = bench.dispatch(&[]).await;
    let owned = async || running.metric("lanes_owned") == f64::from(LANES);
    bench.until("owned all lanes", owned).await;
    let before = store.readers.load(Ordering::SeqCst);

    for _ in 0..ROUNDS {
        bench.publish(slow, IN_A_ROUND).await;
        for other in &others {
            bench.publish(*other, IN_A_ROUND).await;
        }
    }
    let count = others.len() * ROUNDS * IN_A_ROUND;
    bench.sink.wait_for(count, PATIENCE).await.unwrap();
    let parked = async || bench.store.waiting(slow).await.unwrap() == (ROUNDS * IN_A_ROUND) as u64;
    bench.until("parked all", parked).await;
    let readers = store.readers.load(Ordering::SeqCst) - before;
    assert!(readers <= FEW, "{readers} connections");
    running.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn lanes_without_work_are_looked_at_less_often(#[case] engine: Engine) {
    let (bench, store) = Bench::scripted(engine).await;
    // What waits makes a lane one that has work.
    let busy = bench.endpoint("/ok").await;
    bench.change(busy, |endpoint| endpoint.settings.paused = true).await;
    bench.publish(busy, 1).await;
    let running = bench.dispatch(&[]).await;
    let all_seen = async || {
        let pages = store.pages();
        pages.len() == usize::from(LANES) && pages.values().all(|count| *count >= 2)
    };
    bench.until("looked at all lanes twice", all_seen).await;

    let before = store.pages();
    let beats = async || store.pages()[&busy.lane()] >= before[&busy.lane()] + 6;
    bench.until("looked at the busy lane", beats).await;
    let after = store.pages();
    for (lane, count) in after.iter().filter(|(lane, _)| **lane != busy.lane()) {
        let looks = count - before[lane];
        assert!(looks <= 2, "{lane:?} was looked at {looks} times");
    }
    running.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn a_change_that_concerns_many_lanes_is_read_once(#[case] engine: Engine) {
    let (bench, store) = Bench::scripted(engine).await;
    let mut queues = Vec::new();
    for number in 0..30 {
        queues.push(bench.endpoint(&format!("/ok?{number}")).await);
    }
    let running = bench.dispatch(&[]).await;
    for queue in &queues {
        bench.publish(*queue, 1).await;
    }
    bench.sink.wait_for(queues.len(), PATIENCE).await.unwrap();
    let rest = async || bench.is_at_rest().await;
    bench.until("came to rest", rest).await;

    // All its endpoints are nudged.
    let before = store.configurations.load(Ordering::SeqCst);
    bench.change_application(|application| application.settings.paused = true).await;
    bench.until("took the nudges up", rest).await;
    // Twice by who changed it.
    let read = store.configurations.load(Ordering::SeqCst) - before;
    assert_eq!(read, 2 + 1);
    running.stop().await;
}
