//! Several dispatchers, one after the other and side by side.

use std::sync::atomic::Ordering;

use rstest::rstest;
use shared::{domain::Queue, placement::LANES};

use crate::bench::{Bench, Engine, PATIENCE, TTL};

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn what_waits_is_found_by_the_next_owner(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let (retried, fresh) = (bench.endpoint("/fail/1").await, bench.endpoint("/ok").await);
    let first = bench.dispatch(&[std::time::Duration::from_secs(1); 2]).await;
    bench.publish(retried, 10).await;
    let waiting = async || bench.store.waiting(retried).await.unwrap() == 10;
    bench.until("waited", waiting).await;
    first.stop().await;
    bench.publish(fresh, 10).await;
    let second = bench.dispatch(&[]).await;
    bench.sink.wait_for(20, PATIENCE).await.unwrap();
    assert_eq!(bench.sink.ask(|journal| journal.duplicates()), 0);
    second.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn a_node_that_joins_gets_its_lanes_and_one_that_leaves_gives_them_back(
    #[case] engine: Engine,
) {
    let bench = Bench::new(engine).await;
    let first = bench.dispatch(&[]).await;
    let all = f64::from(LANES);
    let alone = async || first.metric("lanes_owned") == all;
    bench.until("owned all", alone).await;
    let second = bench.dispatch(&[]).await;
    let shared = async || {
        let (a, b) = (first.metric("lanes_owned"), second.metric("lanes_owned"));
        a + b == all && a.min(b) > 16.0
    };
    bench.until("shared the lanes", shared).await;
    for _ in 0..20 {
        let endpoint = bench.endpoint("/ok").await;
        bench.publish(endpoint, 5).await;
    }
    bench.sink.wait_for(100, PATIENCE).await.unwrap();
    second.stop().await;
    bench.until("owned all again", alone).await;
    assert_eq!(bench.sink.ask(|journal| journal.duplicates()), 0);
    first.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn a_resend_is_one_more_delivery(#[case] engine: Engine) {
    use shared::{
        domain::Generation,
        store::{Resend, Resent},
    };
    let bench = Bench::new(engine).await;
    let endpoint = bench.endpoint("/ok").await;
    let running = bench.dispatch(&[]).await;
    let message = bench.publish(endpoint, 1).await[0];
    bench.sink.wait_for(1, PATIENCE).await.unwrap();
    let again = bench.delivery(endpoint, message);
    let again = shared::domain::Delivery { generation: Generation(7), ..again };
    assert_eq!(bench.store.resend(Resend { delivery: again }).await.unwrap(), Resent::Queued);
    let twice = async || bench.sink.ask(|journal| journal.of(&message.to_string()).count()) == 2;
    bench.until("arrived twice", twice).await;
    running.stop().await;
}

#[actix_rt::test]
async fn what_is_in_flight_while_a_node_leaves_is_sent_by_nobody_else() {
    let bench = Bench::new(Engine::Redis).await;
    // Longer than a lease lives without its owner.
    let endpoint = bench.endpoint(&format!("/slow/{}", 2 * TTL.as_millis())).await;
    let first = bench.dispatch(&[]).await;
    bench.publish(endpoint, 1).await;
    let sent = async || bench.sink.in_flight() == 1;
    bench.until("was sent", sent).await;
    let second = bench.dispatch(&[]).await;
    first.stop().await;
    let rest = async || bench.is_at_rest().await;
    bench.until("came to rest", rest).await;
    assert_eq!(bench.sink.ask(|journal| journal.arrivals().len()), 1);
    second.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn a_node_that_cannot_renew_its_leases_sends_nothing(#[case] engine: Engine) {
    let (bench, store) = Bench::scripted(engine).await;
    let endpoint = bench.endpoint("/ok").await;
    let running = bench.dispatch(&[]).await;
    bench.publish(endpoint, 1).await;
    bench.sink.wait_for(1, PATIENCE).await.unwrap();
    store.deaf.store(usize::MAX, Ordering::SeqCst);
    // Four renewals to a TTL: after so many it no longer trusts its leases, although nobody took them.
    let unsure = async || running.metric("store_errors_total") >= 5.0;
    bench.until("failed to renew", unsure).await;
    bench.publish(endpoint, 1).await;
    let put_back = async || bench.store.waiting(endpoint).await.unwrap() == 1;
    bench.until("was put back", put_back).await;
    assert_eq!(bench.sink.ask(|journal| journal.arrivals().len()), 1);
    store.deaf.store(0, Ordering::SeqCst);
    bench.sink.wait_for(2, PATIENCE).await.unwrap();
    running.stop().await;
}

#[actix_rt::test]
async fn nobody_waits_for_a_receiver_that_hangs_while_lanes_are_handed_over() {
    let bench = Bench::new(Engine::Redis).await;
    // In each lane of the application one that hangs and one that does not; some lanes will move.
    let mut healthy = Vec::new();
    let first = bench.dispatch(&[]).await;
    while healthy.len() < 4 {
        let endpoint = bench.endpoint("/ok").await;
        if healthy.iter().any(|other: &Queue| other.lane() == endpoint.lane()) {
            continue;
        }
        let hanging = bench.neighbour(endpoint, "/hang").await;
        bench.publish(hanging, 1).await;
        healthy.push(endpoint);
    }
    let hang = async || bench.sink.in_flight() == 4;
    bench.until("hang", hang).await;
    for endpoint in &healthy {
        bench.publish(*endpoint, 1).await;
    }
    bench.sink.wait_for(4, PATIENCE).await.unwrap();
    let second = bench.dispatch(&[]).await;
    // All lanes of other applications have moved; these are kept for what hangs.
    let moved = async || second.metric("lanes_owned") > 16.0;
    bench.until("moved", moved).await;
    for count in 2..=5 {
        for endpoint in &healthy {
            bench.publish(*endpoint, 1).await;
        }
        bench.sink.wait_for(4 * count, PATIENCE).await.unwrap();
    }
    assert_eq!(bench.sink.ask(|journal| journal.duplicates()), 0);
    first.abandon().await;
    second.abandon().await;
}
