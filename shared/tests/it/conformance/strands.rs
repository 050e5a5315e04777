//! The strands of an endpoint wait apart; all else they share.

use std::time::Duration;

use bytes::Bytes;
use shared::{
    domain::{Delivery, Generation, Queue, Strand},
    store::{
        Due, Entry, Lifetimes, Order, Park, Parked, Place, Published, Resend, Resent, Settle,
        Settled, StateChange, Target, Verdict, Waiting,
    },
};

use crate::bench::{Bench, Tenant, attempt, whole};

crate::engines::on_each_engine! {
    Lifetimes::default();
    each_strand_waits_apart,
    each_strand_keeps_its_own_order,
    the_agenda_names_each_strand,
    tries_are_those_of_one_strand,
    another_strand_at_the_entry_changes_nothing,
    a_retry_stays_in_its_strand,
    a_resend_goes_to_the_strand_that_it_names,
    history_and_state_are_the_endpoints,
}

const STRANDS: [Strand; 4] =
    [Strand::Live, Strand::Replay, Strand::Ordered(0), Strand::Ordered(63)];

fn queue(tenant: &Tenant, strand: Strand) -> Queue {
    Queue { strand, ..tenant.queue(0) }
}

/// Publishes a message once into each strand of the first endpoint; its deliveries, in their order.
async fn publish(bench: &Bench, tenant: &Tenant) -> [Delivery; 4] {
    let mut publication = tenant.publication_to(&[]);
    let endpoint = tenant.endpoints[0];
    let target = |strand| Target { endpoint, strand, not_before: None };
    publication.targets = STRANDS.map(target).to_vec();
    let message = publication.header.id;
    assert_eq!(bench.store.publish(vec![publication]).await.unwrap(), [Published::Accepted]);
    STRANDS.map(|strand| Delivery { strand, ..tenant.delivery(message, 0) })
}

fn parked(due: &Due) -> Vec<Delivery> {
    due.parked.iter().map(|waiting| waiting.delivery).collect()
}

async fn each_strand_waits_apart(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let deliveries = publish(&bench, &tenant).await;
    let flowing: Vec<_> = bench.flowing(tenant.lane()).await.iter().map(|(_, it)| *it).collect();
    assert_eq!(flowing, deliveries);
    bench.park(&fence, &deliveries).await;
    for delivery in deliveries {
        let due = bench.due(&fence, delivery.queue()).await;
        assert_eq!((parked(&due), due.waiting), (vec![delivery], 1));
        assert_eq!(bench.store.waiting(delivery.queue()).await.unwrap(), 1);
    }
    let empty = queue(&tenant, Strand::Ordered(1));
    assert_eq!(bench.due(&fence, empty).await, Due::default());
    assert_eq!(bench.store.waiting(empty).await.unwrap(), 0);
}

async fn each_strand_keeps_its_own_order(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let mut published = Vec::new();
    for _ in 0..10 {
        published.push(publish(&bench, &tenant).await);
    }
    // All strands in one call, and the later ones first.
    let order: Vec<_> = published.iter().rev().flatten().copied().collect();
    bench.park(&fence, &order).await;
    for strand in STRANDS {
        let expected: Vec<_> = order.iter().filter(|it| it.strand == strand).copied().collect();
        let due = bench.due(&fence, queue(&tenant, strand)).await;
        assert_eq!(parked(&due), expected, "{strand:?}");
    }
}

async fn the_agenda_names_each_strand(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let deliveries = publish(&bench, &tenant).await;
    bench.park(&fence, &deliveries).await;
    let mut expected: Vec<_> = deliveries.iter().map(Delivery::queue).collect();
    assert_eq!(bench.agenda(tenant.lane()).await, expected);
    for delivery in deliveries {
        bench.settle(&fence, delivery, Place::Waiting, 1, Verdict::Delivered).await;
        expected.retain(|queue| *queue != delivery.queue());
        assert_eq!(bench.agenda(tenant.lane()).await, expected, "without {:?}", delivery.strand);
    }
}

async fn tries_are_those_of_one_strand(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let deliveries = publish(&bench, &tenant).await;
    bench.park(&fence, &deliveries).await;
    let retry = Verdict::Retry { delay: Duration::ZERO, steps: 1 };
    for delivery in &deliveries[1..] {
        let settled = bench.settle(&fence, *delivery, Place::Waiting, 1, retry.clone()).await;
        assert_eq!(settled, Settled::Done);
    }
    let due = bench.due(&fence, queue(&tenant, Strand::Live)).await;
    assert_eq!(due.parked, [Waiting { delivery: deliveries[0], attempts: 0, steps: 0 }]);
    for delivery in &deliveries[1..] {
        let settled = bench.settle(&fence, *delivery, Place::Waiting, 2, Verdict::Delivered).await;
        assert_eq!(settled, Settled::Done);
    }
}

async fn another_strand_at_the_entry_changes_nothing(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let delivery = tenant.deliver().await;
    let entry = bench.entry_of(delivery).await;
    for strand in &STRANDS[1..] {
        let other = Delivery { strand: *strand, ..delivery };
        let park = Park { entry, delivery: other, delay: None };
        let answer = bench.store.park(&fence, &[park]).await.unwrap();
        assert_eq!(answer, Some(vec![Parked::NotThere]));
        let place = Place::Stream(entry);
        let settled = bench.settle(&fence, other, place, 1, Verdict::Delivered).await;
        assert_eq!(settled, Settled::NotThere);
    }
    assert_eq!(bench.flowing(tenant.lane()).await, [(entry, delivery)]);
    assert_eq!(bench.agenda(tenant.lane()).await, []);
}

async fn a_retry_stays_in_its_strand(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let deliveries = publish(&bench, &tenant).await;
    let retry = Verdict::Retry { delay: Duration::from_secs(3600), steps: 1 };
    for (nth, delivery) in deliveries.into_iter().enumerate() {
        let place = if delivery.strand.is_ordered() {
            bench.park(&fence, &[delivery]).await;
            Place::Waiting
        } else {
            Place::Stream(bench.entry_of(delivery).await)
        };
        let settled = bench.settle(&fence, delivery, place, 1, retry.clone()).await;
        assert_eq!(settled, Settled::Done);
        let expected: Vec<_> = deliveries[..=nth].iter().map(Delivery::queue).collect();
        assert_eq!(bench.agenda(tenant.lane()).await, expected);
        assert_eq!(bench.store.waiting(delivery.queue()).await.unwrap(), 1);
    }
}

async fn a_resend_goes_to_the_strand_that_it_names(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let message = tenant.publish().await;
    let generation = Generation(7);
    let again = Delivery { strand: Strand::Replay, generation, ..tenant.delivery(message, 0) };
    assert_eq!(bench.store.resend(Resend { delivery: again }).await.unwrap(), Resent::Queued);
    let entries = bench.stream(tenant.lane()).await;
    let expected = Entry::Delivery { delivery: again, not_before: None };
    assert_eq!(entries.last().map(|(_, entry)| entry), Some(&expected));
}

async fn history_and_state_are_the_endpoints(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let deliveries = publish(&bench, &tenant).await;
    bench.park(&fence, &deliveries).await;
    let settlements = deliveries.map(|delivery| shared::store::Settlement {
        delivery,
        place: Place::Waiting,
        attempts: 1,
        verdict: Verdict::Dead(shared::domain::DeadReason::Exhausted),
        record: Some(attempt(delivery, 1)),
    });
    let state = Bytes::from_static(b"{\"n\":1}");
    let change = StateChange {
        queue: queue(&tenant, Strand::Ordered(63)),
        state: Some(state.clone()),
        reopens: None,
    };
    let settle = Settle { fence, settlements: settlements.to_vec(), states: vec![change] };
    assert_eq!(bench.store.settle(&[settle]).await.unwrap(), [Some(vec![Settled::Done; 4])]);

    let store = &bench.store;
    let page = whole(Order::OldestFirst);
    for strand in STRANDS {
        let queue = queue(&tenant, strand);
        assert_eq!(store.endpoint_attempts(queue, &page).await.unwrap().entries.len(), 4);
        assert_eq!(store.dead_letters(queue, &page).await.unwrap().entries.len(), 4);
    }
    let message = deliveries[0].message;
    let attempts = store.message_attempts(tenant.app, message, &page).await.unwrap();
    assert_eq!(attempts.entries.len(), 4);
    assert_eq!(store.states(tenant.app, &tenant.endpoints).await.unwrap(), [Some(state)]);
}
