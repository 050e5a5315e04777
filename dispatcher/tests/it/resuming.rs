//! Changed configuration takes effect on what waits.

use rstest::rstest;
use shared::store::Change;

use crate::bench::{Bench, Engine, PATIENCE};

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn what_waits_for_a_disabled_endpoint_arrives_when_it_is_enabled(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let (paused, other) = (bench.endpoint("/ok?paused").await, bench.endpoint("/ok").await);
    bench.publish(paused, 20).await;
    bench.change(paused, |endpoint| endpoint.disabled = true).await;
    let running = bench.dispatch(&[]).await;
    bench.publish(other, 20).await;
    bench.sink.wait_for(20, PATIENCE).await.unwrap();
    let parked = async || bench.store.waiting(paused).await.unwrap() == 20;
    bench.until("waited", parked).await;
    bench.change(paused, |endpoint| endpoint.disabled = false).await;
    bench.sink.wait_for(40, PATIENCE).await.unwrap();
    assert_eq!(bench.sink.ask(|journal| journal.duplicates()), 0);
    running.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn a_changed_url_counts_for_what_waits(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let endpoint = bench.endpoint("/status/500").await;
    let running = bench.dispatch(&[std::time::Duration::from_millis(300); 9]).await;
    let message = bench.publish(endpoint, 1).await[0];
    let tried = async || !bench.sink.ask(|journal| journal.arrivals().is_empty());
    bench.until("was tried", tried).await;
    let url = bench.sink.url("/ok");
    bench.change(endpoint, |endpoint| endpoint.url = url).await;
    bench.sink.wait_for(1, PATIENCE).await.unwrap();
    assert!(bench.sink.ask(|journal| journal.of(&message.to_string()).count()) >= 2);
    running.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn nothing_is_left_of_a_deleted_endpoint(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let endpoint = bench.endpoint("/ok").await;
    bench.change(endpoint, |endpoint| endpoint.disabled = true).await;
    bench.change(endpoint, |endpoint| endpoint.disabled = false).await;
    bench.publish(endpoint, 30).await;
    bench.commit(Change::DeleteEndpoint(endpoint.endpoint)).await;
    let running = bench.dispatch(&[]).await;
    let rest = async || bench.is_at_rest().await;
    bench.until("came to rest", rest).await;
    assert_eq!(bench.sink.ask(|journal| journal.arrivals().len()), 0);
    assert!(bench.dead_letters(endpoint).await.is_empty());
    running.stop().await;
}
