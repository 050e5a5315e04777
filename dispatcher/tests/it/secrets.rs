//! Secrets at rest: what cannot be read holds up its own endpoint, and nobody else.

use rstest::rstest;
use shared::{
    domain::{Queue, Secret},
    sealing::{KeyRing, SealingKey},
    store::PageRequest,
};

use crate::bench::{Bench, Engine, PATIENCE};

fn ring() -> KeyRing {
    KeyRing::new(vec![SealingKey::parse(&SealingKey::generate()).unwrap()])
}

/// Seals the endpoint's secret and a header with this ring.
async fn seal(bench: &Bench, queue: Queue, ring: &KeyRing) {
    bench
        .change(queue, |endpoint| {
            endpoint.secrets.clear();
            endpoint.seal_secret(queue.app, ring, Secret::generate()).unwrap();
            let headers = [("x-token".to_owned(), "canary".to_owned())].into();
            endpoint.seal_headers(queue.app, ring, headers).unwrap();
        })
        .await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn what_cannot_be_read_waits_until_it_can_and_holds_up_nobody(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let (ours, theirs) = (ring(), ring());
    let fine = bench.endpoint("/ok?fine").await;
    let unknown = bench.neighbour(fine, "/ok?unknown").await;
    let swapped = bench.neighbour(fine, "/ok?swapped").await;
    seal(&bench, fine, &ours).await;
    seal(&bench, unknown, &theirs).await;
    seal(&bench, swapped, &ours).await;
    let configuration = bench.store.configuration(bench.app).await.unwrap().unwrap();
    let foreign = configuration.endpoints[&fine.endpoint].secrets.clone();
    bench.change(swapped, |endpoint| endpoint.secrets = foreign).await;

    let keys = ours.clone();
    let running = bench.dispatch_with(&[], |config| config.keys = keys).await;
    for queue in [unknown, swapped, fine] {
        bench.publish(queue, 5).await;
    }
    bench.sink.wait_for(5, PATIENCE).await.unwrap();
    for queue in [unknown, swapped] {
        let waits = async || bench.store.waiting(queue).await.unwrap() == 5;
        bench.until("waited", waits).await;
        let page = PageRequest { limit: 10, ..PageRequest::default() };
        assert!(bench.store.endpoint_attempts(queue, &page).await.unwrap().entries.is_empty());
        assert!(bench.store.dead_letters(queue, &page).await.unwrap().entries.is_empty());
    }
    assert!(running.metric("secrets_unreadable_total") >= 2.0);
    assert_eq!(bench.sink.ask(|journal| journal.arrivals().len()), 5);

    seal(&bench, swapped, &ours).await;
    bench.sink.wait_for(10, PATIENCE).await.unwrap();
    running.stop().await;
    // The next one has both keys.
    let both = KeyRing::new(ours.keys().iter().chain(theirs.keys()).cloned().collect());
    let running = bench.dispatch_with(&[], |config| config.keys = both).await;
    bench.sink.wait_for(15, PATIENCE).await.unwrap();
    running.stop().await;
}
