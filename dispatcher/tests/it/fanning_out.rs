//! Messages for more endpoints than one write takes.

use std::time::Duration;

use rstest::rstest;
use shared::{
    domain::Endpoint,
    id::EndpointId,
    store::{Change, Published},
};

use crate::bench::{Bench, Engine, PATIENCE};

const MANY: usize = 1_300;

/// Creates so many endpoints like this one; answers their ids.
async fn crowd(bench: &Bench, path: &str) -> Vec<EndpointId> {
    let one = bench.endpoint(path).await;
    let configuration = bench.store.configuration(bench.app).await.unwrap().unwrap();
    let endpoint = configuration.endpoints[&one.endpoint].clone();
    let mut ids = vec![one.endpoint];
    let changes: Vec<_> = (1..MANY)
        .map(|_| {
            let id = EndpointId::new();
            ids.push(id);
            Change::PutEndpoint(Endpoint { id, ..Endpoint::clone(&endpoint) })
        })
        .collect();
    bench.store.commit(bench.app, Some(configuration.version), &changes).await.unwrap();
    ids
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn a_message_for_1300_endpoints_arrives_once_at_each_also_across_a_takeover(
    #[case] engine: Engine,
) {
    let bench = Bench::new(engine).await;
    crowd(&bench, "/ok").await;
    let publication = bench.fan_out().await;
    let message = publication.header.id.to_string();
    // Created afterwards: not meant.
    let late = bench.endpoint("/ok?late").await;
    bench
        .change(late, |endpoint| endpoint.created_at = publication.header.created_at.after(LATER))
        .await;
    assert_eq!(bench.store.publish(vec![publication]).await.unwrap(), [Published::Accepted]);
    let first = bench.dispatch(&[]).await;
    let begun = async || first.metric("deliveries_fanned_out_total") >= 1.0;
    bench.until("began to fan out", begun).await;
    first.stop().await;
    let second = bench.dispatch(&[]).await;
    let rest = async || bench.is_at_rest().await;
    bench.until("came to rest", rest).await;
    let arrived = bench.sink.ask(|journal| journal.of(&message).count());
    assert_eq!(arrived, MANY);
    assert_eq!(bench.store.waiting(late).await.unwrap(), 0);
    second.stop().await;
}

const LATER: Duration = Duration::from_millis(1);

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn a_fan_out_goes_on_when_the_store_is_back(#[case] engine: Engine) {
    let (bench, store) = Bench::scripted(engine).await;
    let endpoint = bench.endpoint("/ok").await;
    let running = bench.dispatch(&[]).await;
    bench.publish(endpoint, 1).await;
    bench.sink.wait_for(1, PATIENCE).await.unwrap();
    let publication = bench.fan_out().await;
    bench.store.publish(vec![publication]).await.unwrap();
    store.go_away(true);
    let failed = async || running.metric("store_errors_total") >= 1.0;
    bench.until("failed", failed).await;
    store.go_away(false);
    bench.sink.wait_for(2, PATIENCE).await.unwrap();
    running.stop().await;
}
