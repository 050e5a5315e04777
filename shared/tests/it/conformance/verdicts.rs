//! What becomes of a settled delivery: the verdicts of `Lanes::settle`.

use std::time::Duration;

use shared::{
    domain::{DeadReason, Generation},
    store::{Change, Lifetimes, Order, Place, Settled, Settlement, Verdict, Waiting},
};

use crate::bench::{Bench, Tenant, attempt, endpoint, whole};

crate::engines::on_each_engine! {
    Lifetimes::default();
    delivered_removes_it_from_the_stream,
    delivered_removes_it_from_the_waiting_set,
    retry_moves_from_the_stream_into_the_waiting_set,
    retry_out_of_the_waiting_set_stays_there,
    retry_without_attempt_uses_up_nothing,
    attempts_and_steps_survive_a_takeover,
    retry_of_a_deleted_endpoint_ends_as_deleted,
    retry_of_a_deleted_application_ends_as_deleted,
    retry_of_a_disabled_endpoint_waits,
    dead_leaves_a_dead_letter,
    deleted_keeps_nothing,
    the_attempt_joins_both_histories,
}

const HOUR: Duration = Duration::from_secs(3600);
const NOW: Duration = Duration::ZERO;

fn retry(delay: Duration, steps: u32) -> Verdict {
    Verdict::Retry { delay, steps }
}

async fn delivered_removes_it_from_the_stream(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let (first, second) = (tenant.deliver().await, tenant.deliver().await);
    let place = Place::Stream(bench.entry_of(first).await);
    let settled = bench.settle(&fence, first, place, 1, Verdict::Delivered).await;
    assert_eq!(settled, Settled::Done);
    let left: Vec<_> = bench.flowing(tenant.lane()).await.iter().map(|(_, found)| *found).collect();
    assert_eq!(left, [second]);
    assert_eq!(bench.store.waiting(tenant.queue(0)).await.unwrap(), 0);
}

async fn delivered_removes_it_from_the_waiting_set(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let (first, second) = (tenant.deliver().await, tenant.deliver().await);
    bench.park(&fence, &[first, second]).await;
    let settled = bench.settle(&fence, first, Place::Waiting, 1, Verdict::Delivered).await;
    assert_eq!(settled, Settled::Done);
    let due = bench.due(&fence, tenant.queue(0)).await;
    assert_eq!(due.parked, [Waiting { delivery: second, attempts: 0, steps: 0 }]);
}

async fn retry_moves_from_the_stream_into_the_waiting_set(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let (soon, late) = (tenant.deliver().await, tenant.deliver().await);
    for (delivery, delay) in [(soon, NOW), (late, HOUR)] {
        let place = Place::Stream(bench.entry_of(delivery).await);
        let settled = bench.settle(&fence, delivery, place, 1, retry(delay, 1)).await;
        assert_eq!(settled, Settled::Done);
    }
    assert_eq!(bench.flowing(tenant.lane()).await, []);
    let due = bench.due(&fence, tenant.queue(0)).await;
    assert_eq!(due.parked, []);
    assert_eq!(due.retries, [Waiting { delivery: soon, attempts: 1, steps: 1 }]);
    assert_eq!(due.waiting, 2);
    assert!(due.next.unwrap() > HOUR / 2);
    assert_eq!(bench.agenda(tenant.lane()).await, [tenant.queue(0)]);
}

async fn retry_out_of_the_waiting_set_stays_there(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let delivery = tenant.deliver().await;
    bench.park(&fence, &[delivery]).await;
    for attempts in 1..=12 {
        let verdict = retry(NOW, attempts / 2);
        let settled = bench.settle(&fence, delivery, Place::Waiting, attempts, verdict).await;
        assert_eq!(settled, Settled::Done);
        let due = bench.due(&fence, tenant.queue(0)).await;
        assert_eq!(due.parked, [], "a retry is due by time");
        assert_eq!(due.retries, [Waiting { delivery, attempts, steps: attempts / 2 }]);
        assert_eq!(due.waiting, 1);
    }
    bench.settle(&fence, delivery, Place::Waiting, 13, retry(HOUR, 6)).await;
    let due = bench.due(&fence, tenant.queue(0)).await;
    assert_eq!((due.parked, due.retries, due.waiting), (vec![], vec![], 1));
}

async fn retry_without_attempt_uses_up_nothing(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let delivery = tenant.deliver().await;
    let mut place = Place::Stream(bench.entry_of(delivery).await);
    for _ in 0..2 {
        let settlement =
            Settlement { delivery, place, attempts: 0, verdict: retry(NOW, 0), record: None };
        let settled = bench.settle_all(&fence, vec![settlement]).await;
        assert_eq!(settled, Some(vec![Settled::Done]));
        let due = bench.due(&fence, tenant.queue(0)).await;
        assert_eq!(due.retries, [Waiting { delivery, attempts: 0, steps: 0 }]);
        place = Place::Waiting;
    }
    let attempts = bench.store.endpoint_attempts(tenant.queue(0), &whole(Order::NewestFirst)).await;
    assert_eq!(attempts.unwrap().entries, []);
}

async fn attempts_and_steps_survive_a_takeover(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let delivery = tenant.deliver().await;
    let place = Place::Stream(bench.entry_of(delivery).await);
    bench.settle(&fence, delivery, place, 1, retry(NOW, 1)).await;
    bench.settle(&fence, delivery, Place::Waiting, 2, retry(NOW, 1)).await;
    let fence = bench.own(tenant.lane()).await;
    let due = bench.due(&fence, tenant.queue(0)).await;
    assert_eq!(due.retries, [Waiting { delivery, attempts: 2, steps: 1 }]);
    let settled = bench.settle(&fence, delivery, Place::Waiting, 3, Verdict::Delivered).await;
    assert_eq!(settled, Settled::Done);
}

/// Retries after the deletion end the delivery, wherever it is, and leave nothing of it.
async fn assert_ends_as_deleted(bench: &Bench, mut tenant: Tenant, deletion: Change) {
    let fence = bench.own(tenant.lane()).await;
    let (flows, waits) = (tenant.deliver().await, tenant.deliver().await);
    bench.park(&fence, &[waits]).await;
    tenant.commit(&[deletion]).await;
    let place = Place::Stream(bench.entry_of(flows).await);
    for (delivery, place) in [(flows, place), (waits, Place::Waiting)] {
        let settled = bench.settle(&fence, delivery, place, 1, retry(NOW, 1)).await;
        assert_eq!(settled, Settled::Done);
    }
    let flowing = bench.flowing(tenant.lane()).await;
    assert!(flowing.iter().all(|(_, delivery)| delivery.endpoint != flows.endpoint));
    assert_eq!(bench.store.waiting(tenant.queue(0)).await.unwrap(), 0);
    assert_eq!(bench.agenda(tenant.lane()).await, []);
    let page = whole(Order::NewestFirst);
    let attempts = bench.store.endpoint_attempts(tenant.queue(0), &page).await.unwrap();
    assert_eq!(attempts.entries, []);
    let dead = bench.store.dead_letters(tenant.queue(0), &page).await.unwrap();
    assert_eq!(dead.entries, []);
}

async fn retry_of_a_deleted_endpoint_ends_as_deleted(bench: Bench) {
    let tenant = bench.tenant(2).await;
    let deletion = Change::DeleteEndpoint(tenant.endpoints[0]);
    assert_ends_as_deleted(&bench, tenant, deletion).await;
}

async fn retry_of_a_deleted_application_ends_as_deleted(bench: Bench) {
    let tenant = bench.tenant(1).await;
    assert_ends_as_deleted(&bench, tenant, Change::DeleteApplication).await;
}

async fn retry_of_a_disabled_endpoint_waits(bench: Bench) {
    let mut tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let delivery = tenant.deliver().await;
    let mut disabled = endpoint(tenant.endpoints[0]);
    disabled.disabled = true;
    tenant.commit(&[Change::PutEndpoint(disabled)]).await;
    let place = Place::Stream(bench.entry_of(delivery).await);
    bench.settle(&fence, delivery, place, 1, retry(NOW, 1)).await;
    assert_eq!(bench.store.waiting(tenant.queue(0)).await.unwrap(), 1);
}

async fn dead_leaves_a_dead_letter(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let reasons =
        [DeadReason::Exhausted, DeadReason::Expired, DeadReason::Gone, DeadReason::Unsendable];
    let mut expected = Vec::new();
    for reason in reasons {
        for parked in [false, true] {
            let delivery = tenant.deliver().await;
            let mut place = Place::Stream(bench.entry_of(delivery).await);
            if parked {
                bench.park(&fence, &[delivery]).await;
                place = Place::Waiting;
            }
            let settled = bench.settle(&fence, delivery, place, 1, Verdict::Dead(reason)).await;
            assert_eq!(settled, Settled::Done);
            assert!(bench.lives(tenant.app, delivery.message).await, "its body is kept");
            expected.push((delivery.endpoint, delivery.message, Generation(0), reason, 1));
        }
    }
    assert_eq!(bench.flowing(tenant.lane()).await, []);
    assert_eq!(bench.store.waiting(tenant.queue(0)).await.unwrap(), 0);
    let dead = bench.store.dead_letters(tenant.queue(0), &whole(Order::OldestFirst)).await.unwrap();
    let found: Vec<_> = dead
        .entries
        .iter()
        .map(|(_, dead)| (dead.endpoint, dead.message, dead.generation, dead.reason, dead.attempts))
        .collect();
    assert_eq!(found, expected);
}

async fn deleted_keeps_nothing(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let (flows, waits) = (tenant.deliver().await, tenant.deliver().await);
    bench.park(&fence, &[waits]).await;
    let place = Place::Stream(bench.entry_of(flows).await);
    for (delivery, place) in [(flows, place), (waits, Place::Waiting)] {
        let settlement =
            Settlement { delivery, place, attempts: 0, verdict: Verdict::Deleted, record: None };
        let settled = bench.settle_all(&fence, vec![settlement]).await;
        assert_eq!(settled, Some(vec![Settled::Done]));
    }
    let page = whole(Order::NewestFirst);
    assert_eq!(bench.flowing(tenant.lane()).await, []);
    assert_eq!(bench.store.waiting(tenant.queue(0)).await.unwrap(), 0);
    assert_eq!(bench.agenda(tenant.lane()).await, []);
    assert_eq!(bench.store.dead_letters(tenant.queue(0), &page).await.unwrap().entries, []);
    assert_eq!(bench.store.endpoint_attempts(tenant.queue(0), &page).await.unwrap().entries, []);
}

async fn the_attempt_joins_both_histories(bench: Bench) {
    let tenant = bench.tenant(2).await;
    let message = tenant.publish().await;
    let mut of_message = Vec::new();
    for nth in 0..2 {
        let delivery = tenant.delivery(message, nth);
        let fence = bench.own(delivery.lane()).await;
        let mut place = Place::Stream(bench.entry_of(delivery).await);
        let mut of_endpoint = Vec::new();
        for (attempts, verdict) in [
            (1, retry(NOW, 1)),
            (2, retry(NOW, 2)),
            (3, if nth == 0 { Verdict::Delivered } else { Verdict::Dead(DeadReason::Gone) }),
        ] {
            let record = attempt(delivery, attempts);
            let settlement =
                Settlement { delivery, place, attempts, verdict, record: Some(record.clone()) };
            bench.settle_all(&fence, vec![settlement]).await;
            of_endpoint.push(record);
            place = Place::Waiting;
        }
        let page = whole(Order::OldestFirst);
        let found = bench.store.endpoint_attempts(delivery.queue(), &page).await.unwrap();
        let found: Vec<_> = found.entries.into_iter().map(|(_, attempt)| attempt).collect();
        assert_eq!(found, of_endpoint);
        of_message.extend(of_endpoint);
    }
    let page = whole(Order::OldestFirst);
    let found = bench.store.message_attempts(tenant.app, message, &page).await.unwrap();
    let found: Vec<_> = found.entries.into_iter().map(|(_, attempt)| attempt).collect();
    assert_eq!(found, of_message);
}
