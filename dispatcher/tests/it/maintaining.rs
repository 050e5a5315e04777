//! What nobody serves comes to an end too.

use std::time::Duration;

use rstest::rstest;
use shared::{
    domain::DeadReason,
    store::{Change, Lifetimes},
};

use crate::bench::{Bench, Engine};

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn what_waits_for_a_disabled_endpoint_ends_with_its_bodies(#[case] engine: Engine) {
    let lifetimes = Lifetimes { message: Duration::from_millis(500), ..Lifetimes::default() };
    let bench = Bench::with_lifetimes(engine, lifetimes).await;
    let endpoint = bench.endpoint("/ok").await;
    bench.publish(endpoint, 40).await;
    bench.change(endpoint, |endpoint| endpoint.disabled = true).await;
    let running = bench.dispatch(&[]).await;
    let ended = async || bench.dead_letters(endpoint).await.len() == 40;
    bench.until("ended", ended).await;
    let letters = bench.dead_letters(endpoint).await;
    assert!(letters.iter().all(|letter| letter.reason == DeadReason::Expired));
    bench.until("came to rest", async || bench.is_at_rest().await).await;
    assert_eq!(running.metric("deliveries_swept_total"), 40.0);
    assert_eq!(bench.sink.ask(|journal| journal.arrivals().len()), 0);
    running.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn retries_that_are_not_due_end_with_their_endpoint_also_at_the_next_owner(
    #[case] engine: Engine,
) {
    let bench = Bench::new(engine).await;
    let endpoint = bench.endpoint("/status/500").await;
    let first = bench.dispatch(&[Duration::from_secs(3600)]).await;
    bench.publish(endpoint, 8).await;
    let failed = async || {
        let front = bench.store.front(endpoint, 100).await.unwrap();
        front.iter().filter(|one| one.waiting.attempts == 1).count() == 8
    };
    bench.until("failed", failed).await;
    first.stop().await;
    bench.commit(Change::DeleteEndpoint(endpoint.endpoint)).await;
    let second = bench.dispatch(&[Duration::from_secs(3600)]).await;
    bench.until("came to rest", async || bench.is_at_rest().await).await;
    assert!(bench.dead_letters(endpoint).await.is_empty());
    assert_eq!(bench.sink.ask(|journal| journal.arrivals().len()), 8);
    second.stop().await;
}
