//! A store that fails: for one lane, for a while, or by becoming another one.

use std::{sync::atomic::Ordering, time::Duration};

use rstest::rstest;
use shared::placement::LANES;

use crate::{
    bench::{Bench, Engine, PATIENCE, TTL},
    scripted::{Call, Poison},
};

#[rstest]
#[actix_rt::test]
async fn a_lane_that_cannot_be_served_holds_up_no_other(
    #[values(Engine::Embedded, Engine::Redis)] engine: Engine,
    #[values(Call::Settle, Call::Fetch)] call: Call,
) {
    let (bench, store) = Bench::scripted(engine).await;
    let poisoned = bench.endpoint("/ok?poisoned").await;
    let neighbour = bench.neighbour(poisoned, "/ok?neighbour").await;
    let healthy = bench.stranger(poisoned, "/ok").await;
    store.poison(call, poisoned.lane());
    let running = bench.dispatch_with(&[], |config| config.max_in_flight = 32).await;
    // More than there are credits, in more than one call.
    for (queue, count) in [(poisoned, 60), (neighbour, 1), (poisoned, 1)] {
        let before = running.metric("store_errors_total");
        bench.publish(queue, count).await;
        let refused = async || running.metric("store_errors_total") > before + 1.0;
        bench.until("was refused", refused).await;
    }
    let settled = async || running.metric("deliveries_settled_total") >= 50.0;
    bench.publish(healthy, 50).await;
    bench.until("served the other lane", settled).await;
    store.heal();
    let rest = async || bench.is_at_rest().await;
    bench.until("came to rest", rest).await;
    assert_eq!(bench.sink.ask(|journal| journal.delivered()), 112);
    assert_eq!(bench.sink.ask(|journal| journal.duplicates()), 0);
    running.stop().await;
}

#[actix_rt::test]
async fn a_lane_that_cannot_park_holds_up_no_reading() {
    let (bench, store) = Bench::scripted(Engine::Embedded).await;
    let poisoned = bench.endpoint("/hang").await;
    let healthy = bench.stranger(poisoned, "/ok").await;
    store.poison(Call::Park, poisoned.lane());
    // More than may wait to be parked.
    for _ in 0..20 {
        bench.publish(poisoned, 256).await;
    }
    let running = bench.dispatch(&[]).await;
    let refused = async || running.metric("store_errors_total") > 2.0;
    bench.until("was refused", refused).await;
    for _ in 0..20 {
        let before = bench.sink.ask(|journal| journal.delivered());
        bench.publish(healthy, 1).await;
        bench.sink.wait_for(before + 1, PATIENCE).await.unwrap();
    }
    store.heal();
    let parked = async || bench.store.waiting(poisoned).await.unwrap() > 5000;
    bench.until("parked all", parked).await;
    running.abandon().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn all_arrives_once_the_store_is_back(#[case] engine: Engine) {
    let (bench, store) = Bench::scripted(engine).await;
    let (steady, failing) = (bench.endpoint("/slow/20").await, bench.endpoint("/fail/1").await);
    let running = bench.dispatch(&[Duration::from_millis(100); 4]).await;
    bench.publish(steady, 100).await;
    bench.publish(failing, 8).await;
    bench.sink.wait_for(20, PATIENCE).await.unwrap();
    store.go_away(true);
    let errors = async || running.metric("store_errors_total") > 10.0;
    bench.until("noticed", errors).await;
    // Long enough for the node to stop by itself.
    tokio::time::sleep(TTL).await;
    store.go_away(false);
    let rest = async || bench.is_at_rest().await;
    bench.until("came to rest", rest).await;
    assert_eq!(bench.sink.ask(|journal| journal.delivered()), 108);
    assert_eq!(bench.sink.ask(|journal| journal.duplicates()), 0);
    assert_eq!(running.metric("attempts_in_flight"), 0.0);
    assert!(running.is_alive());
    running.stop().await;
}

#[actix_rt::test]
async fn another_store_is_read_from_the_beginning_also_after_an_error() {
    let (bench, store) = Bench::scripted(Engine::Embedded).await;
    let held = bench.endpoint("/hang").await;
    bench.publish(held, 1).await;
    let running = bench.dispatch(&[]).await;
    let sent = async || bench.sink.in_flight() == 1;
    bench.until("was sent", sent).await;
    let before = store.rereads.load(Ordering::SeqCst);
    store.deaf.store(1, Ordering::SeqCst);
    store.failovers.store(1, Ordering::SeqCst);
    let reread = async || store.rereads.load(Ordering::SeqCst) > before;
    bench.until("read it again", reread).await;
    assert_eq!(bench.sink.ask(|journal| journal.arrivals().len()), 1);
    running.abandon().await;
}

#[rstest]
#[actix_rt::test]
async fn a_lane_that_cannot_be_read_holds_up_no_reading(
    #[values(Poison::Refused, Poison::Panics)] poison: Poison,
) {
    let (bench, store) = Bench::scripted(Engine::Embedded).await;
    let poisoned = bench.endpoint("/ok?poisoned").await;
    let healthy = bench.stranger(poisoned, "/ok").await;
    let running = bench.dispatch(&[]).await;
    let owned = async || running.metric("lanes_owned") == f64::from(LANES);
    bench.until("owned all", owned).await;
    store.poison_with(poison, Call::Read, poisoned.lane());
    bench.publish(poisoned, 10).await;
    for count in 1..=20 {
        bench.publish(healthy, 1).await;
        bench.sink.wait_for(count, PATIENCE).await.unwrap();
    }
    assert!(running.is_alive());
    store.heal();
    bench.sink.wait_for(30, PATIENCE).await.unwrap();
    running.stop().await;
}

#[rstest]
#[actix_rt::test]
async fn a_queue_that_cannot_be_served_holds_up_no_other_in_its_lane(
    #[values(Call::Park, Call::Due)] call: Call,
) {
    let (bench, store) = Bench::scripted(Engine::Embedded).await;
    let spoiled = bench.endpoint("/ok?spoiled").await;
    let healthy = bench.neighbour(spoiled, "/ok").await;
    store.spoil(call, spoiled.endpoint);
    // More than is held in one go: the rest is parked, and looked for.
    for queue in [spoiled, healthy, spoiled, healthy] {
        bench.publish(queue, 500).await;
    }
    let running = bench.dispatch(&[]).await;
    let refused = async || running.metric("store_errors_total") >= 1.0;
    bench.until("was refused", refused).await;
    let healthy = async || {
        bench.sink.ask(|journal| journal.arrivals().iter().filter(|it| &*it.path == "/ok").count())
            == 1000
    };
    bench.until("served the neighbour", healthy).await;
    assert!(bench.sink.ask(|journal| journal.delivered()) < 2000);
    store.heal();
    // What was not kept in hand is found by the check.
    bench.sink.wait_for(2000, PATIENCE).await.unwrap();
    let rest = async || bench.is_at_rest().await;
    bench.until("came to rest", rest).await;
    assert_eq!(bench.sink.ask(|journal| journal.duplicates()), 0);
    running.stop().await;
}

#[actix_rt::test]
async fn a_lane_that_cannot_park_can_be_left() {
    let (bench, store) = Bench::scripted(Engine::Embedded).await;
    let poisoned = bench.endpoint("/ok").await;
    store.poison(Call::Park, poisoned.lane());
    let running = bench.dispatch(&[]).await;
    bench.publish(poisoned, 500).await;
    let refused = async || running.metric("store_errors_total") > 0.0;
    bench.until("was refused", refused).await;
    running.stop().await;
    let free = async || {
        let leases = bench.store.leases(&[poisoned.lane()]).await.unwrap();
        leases.iter().flatten().all(|lease| lease.owner.is_none())
    };
    assert!(free().await, "it was not released");
}

#[actix_rt::test]
async fn lanes_that_can_be_left_do_not_wait_for_what_cannot_be_settled() {
    let (bench, store) = Bench::scripted(Engine::Redis).await;
    let poisoned = bench.endpoint("/ok?poisoned").await;
    let healthy = bench.stranger(poisoned, "/ok").await;
    let first = bench.dispatch(&[]).await;
    store.poison(Call::Settle, poisoned.lane());
    bench.publish(poisoned, 1).await;
    let refused = async || first.metric("store_errors_total") > 0.0;
    bench.until("was refused", refused).await;
    let second = bench.dispatch(&[]).await;
    first.stop().await;
    let leases = bench.store.leases(&[poisoned.lane()]).await.unwrap();
    assert!(leases[0].as_ref().is_some_and(|lease| lease.owner.is_some()), "it was not clean");
    let all = async || second.metric("lanes_owned") == f64::from(LANES);
    bench.until("got all", all).await;
    bench.publish(healthy, 1).await;
    bench.sink.wait_for(2, PATIENCE).await.unwrap();
    store.heal();
    second.stop().await;
}
