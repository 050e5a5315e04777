//! Endpoints that are disabled by themselves, and what becomes of them.

use std::{sync::Arc, time::Duration};

use rstest::rstest;
use shared::domain::{DeadReason, DisabledReason, Endpoint, Queue};

use crate::bench::{Bench, Engine, PATIENCE};

const SOON: Duration = Duration::from_millis(10);

async fn endpoint(bench: &Bench, queue: Queue) -> Arc<Endpoint> {
    let configuration = bench.store.configuration(bench.app).await.unwrap().unwrap();
    Arc::clone(&configuration.endpoints[&queue.endpoint])
}

async fn until_disabled(bench: &Bench, queue: Queue, reason: DisabledReason) {
    bench.until("was disabled", async || endpoint(bench, queue).await.disabled).await;
    let switched = endpoint(bench, queue).await.switched.unwrap();
    assert_eq!(switched.reason, Some(reason));
}

async fn enable(bench: &Bench, queue: Queue, url: String) {
    let now = shared::time::Millis::now();
    let mend = |endpoint: &mut Endpoint| {
        endpoint.url = url;
        endpoint.enable(now);
    };
    bench.change(queue, mend).await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn an_endpoint_that_is_gone_is_disabled_and_what_comes_then_waits(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let queue = bench.endpoint("/gone").await;
    let running = bench.dispatch(&[]).await;
    bench.publish(queue, 1).await;
    until_disabled(&bench, queue, DisabledReason::Gone).await;
    let counted = async || running.metric("endpoints_disabled_total") == 1.0;
    bench.until("was counted", counted).await;
    // Published by a gateway that has not heard of it.
    bench.publish(queue, 5).await;
    let waits = async || bench.store.waiting(queue).await.unwrap() == 5;
    bench.until("waited", waits).await;
    let letters = bench.dead_letters(queue).await;
    assert_eq!((letters.len(), letters[0].reason), (1, DeadReason::Gone));

    enable(&bench, queue, bench.sink.url("/ok")).await;
    bench.sink.wait_for(5, PATIENCE).await.unwrap();
    assert!(!endpoint(&bench, queue).await.disabled);
    running.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn an_endpoint_that_fails_for_long_is_disabled_and_forgiven_when_enabled(
    #[case] engine: Engine,
) {
    let bench = Bench::new(engine).await;
    let queue = bench.endpoint("/status/500").await;
    bench.publish(queue, 1).await;
    let disable_after = 3 * SOON;
    let dispatch = async || {
        bench.dispatch_with(&[SOON; 9], |config| config.disable_after = disable_after).await
    };
    let running = dispatch().await;
    until_disabled(&bench, queue, DisabledReason::Failing).await;
    let tried = async || bench.store.waiting(queue).await.unwrap() == 1;
    bench.until("waited", tried).await;
    assert!(bench.sink.ask(|journal| journal.arrivals().len()) >= 5);
    running.stop().await;

    // What is remembered of it would disable it at its first failure.
    enable(&bench, queue, bench.sink.url("/fail/2")).await;
    let running = dispatch().await;
    bench.publish(queue, 1).await;
    bench.sink.wait_for(2, PATIENCE).await.unwrap();
    assert_eq!(running.metric("endpoints_disabled_total"), 0.0);
    running.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn who_changed_an_endpoint_meanwhile_may_have_mended_it(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let queue = bench.endpoint("/slow/300").await;
    let outcomes = serde_json::from_str(r#"[{"status": "200", "then": "disable"}]"#).unwrap();
    bench.change(queue, |endpoint| endpoint.settings.outcomes = outcomes).await;
    let running = bench.dispatch(&[]).await;
    bench.publish(queue, 1).await;
    bench.until("was tried", async || bench.sink.in_flight() == 1).await;
    bench.change(queue, |endpoint| endpoint.settings.outcomes = vec![]).await;
    let dead = async || !bench.dead_letters(queue).await.is_empty();
    bench.until("died", dead).await;
    bench.publish(queue, 1).await;
    bench.sink.wait_for(2, PATIENCE).await.unwrap();
    assert!(!endpoint(&bench, queue).await.disabled);
    running.stop().await;
}
