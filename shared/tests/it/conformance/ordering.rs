//! Ordered queues: what they hold leaves them in the order in which it came.

use std::time::Duration;

use shared::{
    domain::{DeadReason, Delivery, Queue, Strand},
    store::{
        Ask, Change, Due, Fence, Head, Lifetimes, Park, Parked, Place, Published, Settled,
        Settlement, Target, Verdict, Waiting,
    },
};

use crate::bench::{Bench, Tenant};

crate::engines::on_each_engine! {
    Lifetimes::default();
    a_retry_keeps_its_place,
    nothing_is_shown_behind_one_that_is_not_due,
    a_delay_keeps_the_order,
    a_delivery_that_waits_is_not_delayed_once_more,
    a_retry_out_of_the_stream_is_not_there,
    every_end_of_the_first_lets_the_next_come,
    a_retry_of_a_deleted_endpoint_ends_as_deleted,
    the_agenda_opens_when_the_first_is_due,
    the_order_survives_takeovers,
    heads_are_the_first_of_each_ordered_queue,
}

const HOUR: Duration = Duration::from_secs(3600);
const STRAND: Strand = Strand::Ordered(63);

/// A tenant, its lane, and so many deliveries in the stream of an ordered queue.
async fn flowing(bench: &Bench, count: usize) -> (Tenant, Fence, Vec<Delivery>) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let mut deliveries = Vec::new();
    for _ in 0..count {
        deliveries.push(publish(bench, &tenant).await);
    }
    (tenant, fence, deliveries)
}

async fn publish(bench: &Bench, tenant: &Tenant) -> Delivery {
    let mut publication = tenant.publication_to(&[]);
    let endpoint = tenant.endpoints[0];
    publication.targets = vec![Target { endpoint, strand: STRAND, not_before: None }];
    let message = publication.header.id;
    assert_eq!(bench.store.publish(vec![publication]).await.unwrap(), [Published::Accepted]);
    Delivery { strand: STRAND, ..tenant.delivery(message, 0) }
}

fn queue(tenant: &Tenant) -> Queue {
    Queue { strand: STRAND, ..tenant.queue(0) }
}

async fn shown(bench: &Bench, fence: &Fence, tenant: &Tenant) -> Vec<Delivery> {
    let due = bench.due(fence, queue(tenant)).await;
    assert_eq!(due.retries, []);
    due.parked.iter().map(|waiting| waiting.delivery).collect()
}

async fn retry(bench: &Bench, fence: &Fence, delivery: Delivery, attempts: u32, delay: Duration) {
    let verdict = Verdict::Retry { delay, steps: attempts };
    let settled = bench.settle(fence, delivery, Place::Waiting, attempts, verdict).await;
    assert_eq!(settled, Settled::Done);
}

async fn opens_in(bench: &Bench, tenant: &Tenant) -> Duration {
    let page = bench.store.agenda(tenant.lane(), None, 100).await.unwrap();
    let entry = page.entries.iter().find(|entry| entry.queue == queue(tenant));
    entry.expect("the queue is in the agenda").opens_in
}

async fn a_retry_keeps_its_place(bench: Bench) {
    let (tenant, fence, deliveries) = flowing(&bench, 4).await;
    bench.park(&fence, &deliveries).await;
    for attempts in 1..4 {
        retry(&bench, &fence, deliveries[0], attempts, Duration::ZERO).await;
        assert_eq!(shown(&bench, &fence, &tenant).await, deliveries);
        let due = bench.due(&fence, queue(&tenant)).await;
        let first = Waiting { delivery: deliveries[0], attempts, steps: attempts };
        assert_eq!((due.parked[0], due.waiting, due.next), (first, 4, None));
    }
    bench.settle(&fence, deliveries[0], Place::Waiting, 4, Verdict::Delivered).await;
    assert_eq!(shown(&bench, &fence, &tenant).await, deliveries[1..]);
}

async fn nothing_is_shown_behind_one_that_is_not_due(bench: Bench) {
    let (tenant, fence, deliveries) = flowing(&bench, 4).await;
    bench.park(&fence, &deliveries).await;
    retry(&bench, &fence, deliveries[2], 1, HOUR).await;
    assert_eq!(shown(&bench, &fence, &tenant).await, deliveries[..2]);
    let ask = Ask { queue: queue(&tenant), parked: 2, retries: 2 };
    let due = bench.store.due(&fence, &[ask]).await.unwrap().unwrap().remove(0);
    assert_eq!((due.parked.len(), due.next), (2, None), "so far it was not asked for");
    retry(&bench, &fence, deliveries[0], 1, 2 * HOUR).await;
    let due = bench.due(&fence, queue(&tenant)).await;
    let next = due.next.unwrap();
    assert!(next > HOUR && next <= 2 * HOUR, "that of the first: {next:?}");
    assert_eq!(due, Due { next: Some(next), waiting: 4, ..Due::default() });
}

async fn a_delay_keeps_the_order(bench: Bench) {
    let (tenant, fence, deliveries) = flowing(&bench, 3).await;
    let mut parks = Vec::new();
    for (delivery, delay) in deliveries.iter().zip([None, Some(HOUR), None]) {
        let entry = bench.entry_of(*delivery).await;
        parks.push(Park { entry, delivery: *delivery, delay });
    }
    let answer = bench.store.park(&fence, &parks).await.unwrap();
    assert_eq!(answer, Some(vec![Parked::Moved; 3]));
    assert_eq!(shown(&bench, &fence, &tenant).await, deliveries[..1]);
    assert_eq!(opens_in(&bench, &tenant).await, Duration::ZERO);
    bench.settle(&fence, deliveries[0], Place::Waiting, 1, Verdict::Delivered).await;
    let due = bench.due(&fence, queue(&tenant)).await;
    assert!(due.parked.is_empty() && due.next.unwrap() > HOUR / 2);
    bench.settle(&fence, deliveries[1], Place::Waiting, 1, Verdict::Delivered).await;
    assert_eq!(shown(&bench, &fence, &tenant).await, deliveries[2..]);
}

async fn a_delivery_that_waits_is_not_delayed_once_more(bench: Bench) {
    let (tenant, fence, deliveries) = flowing(&bench, 1).await;
    let resend = shared::store::Resend { delivery: deliveries[0] };
    bench.store.resend(resend).await.unwrap();
    for (entry, delivery) in bench.flowing(tenant.lane()).await {
        let delay = bench.store.waiting(queue(&tenant)).await.unwrap() > 0;
        let park = Park { entry, delivery, delay: delay.then_some(HOUR) };
        bench.store.park(&fence, &[park]).await.unwrap();
    }
    assert_eq!(shown(&bench, &fence, &tenant).await, deliveries);
}

async fn a_retry_out_of_the_stream_is_not_there(bench: Bench) {
    let (tenant, fence, deliveries) = flowing(&bench, 1).await;
    let before = bench.stream(tenant.lane()).await;
    let place = Place::Stream(bench.entry_of(deliveries[0]).await);
    let verdict = Verdict::Retry { delay: Duration::ZERO, steps: 1 };
    let settled = bench.settle(&fence, deliveries[0], place, 1, verdict).await;
    assert_eq!(settled, Settled::NotThere);
    assert_eq!(bench.stream(tenant.lane()).await, before);
    assert_eq!(bench.agenda(tenant.lane()).await, []);
    let settled = bench.settle(&fence, deliveries[0], place, 1, Verdict::Delivered).await;
    assert_eq!(settled, Settled::Done);
}

async fn every_end_of_the_first_lets_the_next_come(bench: Bench) {
    let (tenant, fence, deliveries) = flowing(&bench, 4).await;
    bench.park(&fence, &deliveries).await;
    let ends = [Verdict::Delivered, Verdict::Dead(DeadReason::Exhausted), Verdict::Deleted];
    for (nth, end) in ends.into_iter().enumerate() {
        retry(&bench, &fence, deliveries[nth], 1, HOUR).await;
        assert_eq!(shown(&bench, &fence, &tenant).await, []);
        let settlement = Settlement {
            delivery: deliveries[nth],
            place: Place::Waiting,
            attempts: 1,
            verdict: end,
            record: None,
        };
        bench.settle_all(&fence, vec![settlement]).await.unwrap();
        assert_eq!(shown(&bench, &fence, &tenant).await, deliveries[nth + 1..]);
        assert_eq!(opens_in(&bench, &tenant).await, Duration::ZERO);
    }
}

async fn a_retry_of_a_deleted_endpoint_ends_as_deleted(bench: Bench) {
    let (mut tenant, fence, deliveries) = flowing(&bench, 2).await;
    bench.park(&fence, &deliveries).await;
    tenant.commit(&[Change::DeleteEndpoint(tenant.endpoints[0])]).await;
    retry(&bench, &fence, deliveries[0], 1, HOUR).await;
    assert_eq!(shown(&bench, &fence, &tenant).await, deliveries[1..]);
}

async fn the_agenda_opens_when_the_first_is_due(bench: Bench) {
    let (tenant, fence, deliveries) = flowing(&bench, 3).await;
    bench.park(&fence, &deliveries[..2]).await;
    assert_eq!(opens_in(&bench, &tenant).await, Duration::ZERO);
    retry(&bench, &fence, deliveries[0], 1, HOUR).await;
    assert!(opens_in(&bench, &tenant).await > HOUR / 2, "a retry of the first raises it");
    bench.park(&fence, &deliveries[2..]).await;
    assert!(opens_in(&bench, &tenant).await > HOUR / 2, "what comes behind changes nothing");
    bench.settle(&fence, deliveries[0], Place::Waiting, 2, Verdict::Delivered).await;
    assert_eq!(opens_in(&bench, &tenant).await, Duration::ZERO);
}

async fn the_order_survives_takeovers(bench: Bench) {
    let (tenant, mut fence, deliveries) = flowing(&bench, 20).await;
    // From the last to the first, so that no order of ids, entries or times can stand in for it.
    let order: Vec<_> = deliveries.into_iter().rev().collect();
    for chunk in order.chunks(4) {
        bench.park(&fence, chunk).await;
        fence = bench.own(tenant.lane()).await;
        retry(&bench, &fence, chunk[0], 1, Duration::ZERO).await;
        fence = bench.own(tenant.lane()).await;
    }
    assert_eq!(shown(&bench, &fence, &tenant).await, order);
}

async fn heads_are_the_first_of_each_ordered_queue(bench: Bench) {
    let (tenant, fence, deliveries) = flowing(&bench, 3).await;
    let destination = queue(&tenant).destination();
    assert_eq!(bench.store.heads(destination).await.unwrap(), []);
    let live = tenant.deliver().await;
    bench.park(&fence, &[live, deliveries[2], deliveries[0], deliveries[1]]).await;
    let heads = bench.store.heads(destination).await.unwrap();
    let first = Waiting { delivery: deliveries[2], attempts: 0, steps: 0 };
    assert_eq!(heads, [Head { first, opens_in: Duration::ZERO, waiting: 3 }]);
    retry(&bench, &fence, deliveries[2], 1, HOUR).await;
    let heads = bench.store.heads(destination).await.unwrap();
    assert_eq!((heads.len(), heads[0].first.attempts, heads[0].waiting), (1, 1, 3));
    assert!(heads[0].opens_in > HOUR / 2 && heads[0].opens_in <= HOUR);
}
