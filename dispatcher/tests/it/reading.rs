//! All lanes are read with one connection, which is kept.

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
