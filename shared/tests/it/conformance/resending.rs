//! `Publisher::resend`.

use shared::{
    domain::{Delivery, Generation},
    id::{EndpointId, MessageId},
    store::{Change, Lifetimes, Place, Resend, Resent, Settled, Verdict},
};

use crate::bench::Bench;

crate::engines::on_each_engine! {
    Lifetimes::default();
    resend_appends_a_new_generation,
    resend_of_a_settled_message_is_queued,
    resend_repeated_delivers_at_most_once_more,
    resend_repeated_after_its_end_starts_over_if_at_all,
    resend_without_body_is_refused,
    resend_to_a_missing_endpoint_is_refused,
    generations_count_their_own_attempts,
}

fn again(delivery: Delivery, generation: u64) -> Resend {
    Resend { delivery: Delivery { generation: Generation(generation), ..delivery } }
}

async fn resend_appends_a_new_generation(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let first = tenant.deliver().await;
    let resend = again(first, 1_790_000_000_000);
    assert_eq!(bench.store.resend(resend).await.unwrap(), Resent::Queued);
    let flowing = bench.flowing(first.lane()).await;
    let found: Vec<_> = flowing.iter().map(|(_, delivery)| *delivery).collect();
    assert_eq!(found, [first, resend.delivery]);
}

async fn resend_of_a_settled_message_is_queued(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let first = tenant.deliver().await;
    let place = Place::Stream(bench.entry_of(first).await);
    bench.settle(&fence, first, place, 1, Verdict::Delivered).await;

    let resend = again(first, 1);
    assert_eq!(bench.store.resend(resend).await.unwrap(), Resent::Queued);
    let place = Place::Stream(bench.entry_of(resend.delivery).await);
    let settled = bench.settle(&fence, resend.delivery, place, 1, Verdict::Delivered).await;
    assert_eq!(settled, Settled::Done);
}

async fn resend_repeated_delivers_at_most_once_more(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let first = tenant.deliver().await;
    let resend = again(first, 1);
    for _ in 0..2 {
        assert_eq!(bench.store.resend(resend).await.unwrap(), Resent::Queued);
    }
    let flowing = bench.flowing(first.lane()).await;
    let appended = flowing.iter().filter(|(_, delivery)| *delivery == resend.delivery).count();
    assert!((1..=2).contains(&appended), "{appended} entries");
}

async fn resend_repeated_after_its_end_starts_over_if_at_all(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let resend = again(tenant.deliver().await, 1);
    let delivery = resend.delivery;
    bench.store.resend(resend).await.unwrap();
    let place = Place::Stream(bench.entry_of(delivery).await);
    let retry = Verdict::Retry { delay: std::time::Duration::ZERO, steps: 1 };
    bench.settle(&fence, delivery, place, 1, retry).await;
    bench.settle(&fence, delivery, Place::Waiting, 2, Verdict::Delivered).await;

    assert_eq!(bench.store.resend(resend).await.unwrap(), Resent::Queued);
    let flowing: Vec<_> =
        bench.flowing(tenant.lane()).await.into_iter().map(|(_, found)| found).collect();
    bench.park(&fence, &flowing).await;
    for waiting in bench.due(&fence, tenant.queue(0)).await.parked {
        assert_eq!(
            (waiting.attempts, waiting.steps),
            (0, 0),
            "those of a life before do not count"
        );
    }
}

async fn resend_without_body_is_refused(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let resend = again(tenant.delivery(MessageId::new(), 0), 1);
    assert_eq!(bench.store.resend(resend).await.unwrap(), Resent::NoMessage);
    assert!(bench.flowing(tenant.lane()).await.is_empty());
}

async fn resend_to_a_missing_endpoint_is_refused(bench: Bench) {
    let mut tenant = bench.tenant(2).await;
    let message = tenant.publish().await;
    let unknown = Delivery { endpoint: EndpointId::new(), ..tenant.delivery(message, 0) };
    assert_eq!(bench.store.resend(again(unknown, 1)).await.unwrap(), Resent::NoEndpoint);
    assert!(bench.flowing(unknown.lane()).await.iter().all(|(_, found)| *found != unknown));

    tenant.commit(&[Change::DeleteEndpoint(tenant.endpoints[0])]).await;
    let deleted = again(tenant.delivery(message, 0), 1);
    assert_eq!(bench.store.resend(deleted).await.unwrap(), Resent::NoEndpoint);
    tenant.commit(&[Change::DeleteApplication]).await;
    let homeless = again(tenant.delivery(message, 1), 1);
    assert_eq!(bench.store.resend(homeless).await.unwrap(), Resent::NoEndpoint);
}

async fn generations_count_their_own_attempts(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let first = tenant.deliver().await;
    let second = again(first, 7).delivery;
    bench.store.resend(Resend { delivery: second }).await.unwrap();
    let retry = Verdict::Retry { delay: std::time::Duration::ZERO, steps: 1 };
    for delivery in [first, second] {
        let place = Place::Stream(bench.entry_of(delivery).await);
        assert_eq!(bench.settle(&fence, delivery, place, 1, retry.clone()).await, Settled::Done);
    }
    assert_eq!(bench.settle(&fence, first, Place::Waiting, 2, retry.clone()).await, Settled::Done);
    let due = bench.due(&fence, tenant.queue(0)).await;
    let mut attempts: Vec<_> = due
        .retries
        .iter()
        .map(|waiting| (waiting.delivery.generation.0, waiting.attempts))
        .collect();
    attempts.sort();
    assert_eq!(attempts, [(0, 2), (7, 1)]);
}
