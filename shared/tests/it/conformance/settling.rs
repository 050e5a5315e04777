//! `Lanes::settle` and `Lanes::states`.

use std::time::Duration;

use bytes::Bytes;
use shared::{
    domain::{DeadReason, Delivery, Generation},
    id::EndpointId,
    store::{
        Change, Lifetimes, Order, Place, Settle, Settled, Settlement, StateChange, Verdict, Waiting,
    },
};

use crate::bench::{Bench, Tenant, attempt, endpoint, whole};

crate::engines::on_each_engine! {
    Lifetimes::default();
    delivered_removes_it_from_the_stream,
    delivered_removes_it_from_the_waiting_set,
    settle_with_another_number_of_attempts_changes_nothing,
    settle_at_another_place_changes_nothing,
    settle_of_another_delivery_at_the_entry_changes_nothing,
    settle_repeated_changes_nothing,
    settle_without_attempt_needs_the_number_that_is_known,
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
    settlements_are_judged_one_by_one,
    states_are_remembered,
    one_write_settles_many_lanes,
}

const HOUR: Duration = Duration::from_secs(3600);
const NOW: Duration = Duration::ZERO;

fn retry(delay: Duration, steps: u32) -> Verdict {
    Verdict::Retry { delay, steps }
}

/// What can be seen of a queue and its deliveries.
async fn seen(bench: &Bench, tenant: &Tenant) -> String {
    let queue = tenant.queue(0);
    let page = whole(Order::OldestFirst);
    let stream = bench.stream(queue.lane()).await;
    let waiting = bench.store.waiting(queue).await.unwrap();
    let agenda = bench.agenda(queue.lane()).await;
    let attempts = bench.store.endpoint_attempts(queue, &page).await.unwrap().entries;
    let dead = bench.store.dead_letters(queue, &page).await.unwrap().entries;
    format!("{stream:?} {waiting} {agenda:?} {attempts:?} {dead:?}")
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

async fn settle_with_another_number_of_attempts_changes_nothing(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let waits = tenant.deliver().await;
    let flows = tenant.deliver().await;
    let entry = bench.entry_of(waits).await;
    bench.settle(&fence, waits, Place::Stream(entry), 1, retry(NOW, 1)).await;
    bench.settle(&fence, waits, Place::Waiting, 2, retry(NOW, 2)).await;
    let before = seen(&bench, &tenant).await;
    let in_stream = Place::Stream(bench.entry_of(flows).await);
    let verdicts =
        [Verdict::Delivered, retry(NOW, 1), Verdict::Dead(DeadReason::Exhausted), Verdict::Deleted];
    for verdict in verdicts {
        for (delivery, place, attempts) in
            [(flows, in_stream, 0), (flows, in_stream, 2), (waits, Place::Waiting, 0)]
                .into_iter()
                .chain([1, 2, 4].map(|attempts| (waits, Place::Waiting, attempts)))
        {
            let settled = bench.settle(&fence, delivery, place, attempts, verdict.clone()).await;
            assert_eq!(settled, Settled::NotThere, "{attempts} attempts, {verdict:?}");
            assert_eq!(seen(&bench, &tenant).await, before);
        }
    }
}

async fn settle_at_another_place_changes_nothing(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let (waits, flows) = (tenant.deliver().await, tenant.deliver().await);
    let old = Place::Stream(bench.entry_of(waits).await);
    bench.park(&fence, &[waits]).await;
    let before = seen(&bench, &tenant).await;
    for verdict in [Verdict::Delivered, retry(NOW, 1), Verdict::Dead(DeadReason::Gone)] {
        for (delivery, place) in [(waits, old), (flows, Place::Waiting)] {
            let settled = bench.settle(&fence, delivery, place, 1, verdict.clone()).await;
            assert_eq!(settled, Settled::NotThere, "{place:?}, {verdict:?}");
            assert_eq!(seen(&bench, &tenant).await, before);
        }
    }
}

async fn settle_of_another_delivery_at_the_entry_changes_nothing(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let (first, second) = (tenant.deliver().await, tenant.deliver().await);
    let place = Place::Stream(bench.entry_of(first).await);
    let before = seen(&bench, &tenant).await;
    for delivery in [second, Delivery { generation: Generation(3), ..first }] {
        for verdict in [Verdict::Delivered, retry(NOW, 1), Verdict::Deleted] {
            let settled = bench.settle(&fence, delivery, place, 1, verdict).await;
            assert_eq!(settled, Settled::NotThere);
            assert_eq!(seen(&bench, &tenant).await, before);
        }
    }
    let nudge = Place::Stream(bench.stream(tenant.lane()).await[0].0);
    let settled = bench.settle(&fence, first, nudge, 1, Verdict::Delivered).await;
    assert_eq!(settled, Settled::NotThere);
    assert_eq!(seen(&bench, &tenant).await, before);
}

async fn settle_repeated_changes_nothing(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let flows = |entry| (Place::Stream(entry), 1);
    let verdicts = [
        Verdict::Delivered,
        retry(NOW, 1),
        retry(HOUR, 1),
        Verdict::Dead(DeadReason::Gone),
        Verdict::Deleted,
    ];
    for verdict in &verdicts {
        for parked in [false, true] {
            let delivery = tenant.deliver().await;
            let (mut place, attempts) = flows(bench.entry_of(delivery).await);
            if parked {
                bench.park(&fence, &[delivery]).await;
                place = Place::Waiting;
            }
            let settlement = Settlement {
                delivery,
                place,
                attempts,
                verdict: verdict.clone(),
                record: Some(attempt(delivery, attempts)),
            };
            let settled = bench.settle_all(&fence, vec![settlement.clone()]).await;
            assert_eq!(settled, Some(vec![Settled::Done]), "{verdict:?}");
            let before = seen(&bench, &tenant).await;
            for _ in 0..2 {
                let twice = vec![settlement.clone(), settlement.clone()];
                let settled = bench.settle_all(&fence, twice).await;
                assert_eq!(settled, Some(vec![Settled::NotThere; 2]), "{verdict:?}");
                assert_eq!(seen(&bench, &tenant).await, before, "{verdict:?}");
            }
        }
    }
}

async fn settle_without_attempt_needs_the_number_that_is_known(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let delivery = tenant.deliver().await;
    let place = Place::Stream(bench.entry_of(delivery).await);
    bench.settle(&fence, delivery, place, 1, retry(NOW, 1)).await;
    let expire = async |attempts| {
        let verdict = Verdict::Dead(DeadReason::Expired);
        let settlement =
            Settlement { delivery, place: Place::Waiting, attempts, verdict, record: None };
        bench.settle_all(&fence, vec![settlement]).await.unwrap().remove(0)
    };
    for attempts in [0, 2] {
        assert_eq!(expire(attempts).await, Settled::NotThere);
    }
    assert_eq!(expire(1).await, Settled::Done);
    let dead = bench.store.dead_letters(tenant.queue(0), &whole(Order::NewestFirst)).await.unwrap();
    assert_eq!(dead.entries.len(), 1);
    assert_eq!(dead.entries[0].1.attempts, 1);
    let attempts = bench.store.endpoint_attempts(tenant.queue(0), &whole(Order::NewestFirst)).await;
    assert_eq!(attempts.unwrap().entries.len(), 1, "the one before");
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

async fn settlements_are_judged_one_by_one(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let mut settlements = Vec::new();
    let mut expected = Vec::new();
    for nth in 0..12 {
        let delivery = tenant.deliver().await;
        let attempts = 1 + nth % 3;
        settlements.push(Settlement {
            delivery,
            place: Place::Stream(bench.entry_of(delivery).await),
            attempts,
            verdict: Verdict::Delivered,
            record: Some(attempt(delivery, attempts)),
        });
        expected.push(if attempts == 1 { Settled::Done } else { Settled::NotThere });
    }
    assert_eq!(bench.settle_all(&fence, settlements).await, Some(expected));
    assert_eq!(bench.flowing(tenant.lane()).await.len(), 8);
}

async fn states_are_remembered(bench: Bench) {
    let tenant = bench.tenant(8).await;
    let lane = tenant.lane();
    let fence = bench.own(lane).await;
    let states = async || bench.store.states(tenant.app, &tenant.endpoints).await.unwrap();
    assert_eq!(states().await, vec![None; 8]);
    let change = async |state: Option<&'static [u8]>| {
        let state = state.map(Bytes::from_static);
        let states = vec![StateChange { queue: tenant.queue(0), state, reopens: None }];
        let settle = Settle { fence: fence.clone(), settlements: vec![], states };
        assert_eq!(bench.store.settle(&[settle]).await.unwrap(), [Some(vec![])]);
    };
    for (state, expected) in [
        (Some(br#"{"until":1}"#.as_slice()), br#"{"until":1}"#.as_slice()),
        (None, br#"{"until":1}"#),
        (Some(b"{}"), b"{}"),
    ] {
        change(state).await;
        let found = states().await;
        assert_eq!(found[0].as_deref(), Some(expected));
        assert_eq!(found[1..], vec![None; 7]);
    }
    assert_eq!(bench.store.states(tenant.app, &[EndpointId::new()]).await.unwrap(), [None]);
    assert_eq!(bench.agenda(lane).await, [], "a state is no work");
}

async fn one_write_settles_many_lanes(bench: Bench) {
    let tenants = [bench.tenant(1).await, bench.tenant(1).await, bench.tenant(1).await];
    let mut batch = Vec::new();
    for tenant in &tenants {
        let delivery = tenant.deliver().await;
        let settlement = Settlement {
            delivery,
            place: Place::Stream(bench.entry_of(delivery).await),
            attempts: 1,
            verdict: Verdict::Delivered,
            record: Some(attempt(delivery, 1)),
        };
        let fence = bench.own(tenant.lane()).await;
        batch.push(Settle { fence, settlements: vec![settlement], states: vec![] });
    }
    // Two tenants may share a lane: then the fence that was taken last holds for both.
    for n in 0..batch.len() {
        let lane = batch[n].fence.lane;
        let last = batch.iter().rev().find(|settle| settle.fence.lane == lane).unwrap();
        batch[n].fence = last.fence.clone();
    }
    let answers = bench.store.settle(&batch).await.unwrap();
    assert_eq!(answers, vec![Some(vec![Settled::Done]); 3]);
    for tenant in &tenants {
        let flowing = bench.flowing(tenant.lane()).await;
        assert!(flowing.iter().all(|(_, delivery)| delivery.app != tenant.app));
    }
    assert_eq!(bench.store.settle(&[]).await.unwrap(), []);
}
