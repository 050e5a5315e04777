//! `Lanes::settle` and `Lanes::states`.

use std::time::Duration;

use bytes::Bytes;
use shared::{
    domain::{DeadReason, Delivery, Generation},
    id::EndpointId,
    store::{Lifetimes, Order, Place, Settle, Settled, Settlement, StateChange, Verdict},
};

use crate::bench::{Bench, Tenant, attempt, whole};

crate::engines::on_each_engine! {
    Lifetimes::default();
    settle_with_another_number_of_attempts_changes_nothing,
    settle_at_another_place_changes_nothing,
    settle_of_another_delivery_at_the_entry_changes_nothing,
    settle_repeated_changes_nothing,
    settle_without_attempt_needs_the_number_that_is_known,
    settlements_are_judged_one_by_one,
    states_are_remembered,
    one_write_settles_many_lanes,
    a_retry_behind_the_last_that_waited_waits,
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

/// Of one lane, in two parts of a batch: what the first part empties, the second fills again.
async fn a_retry_behind_the_last_that_waited_waits(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let (waits, flows) = (tenant.deliver().await, tenant.deliver().await);
    let entry = bench.entry_of(waits).await;
    bench.settle(&fence, waits, Place::Stream(entry), 1, retry(NOW, 1)).await;
    let entry = bench.entry_of(flows).await;
    let parts = [
        (waits, Place::Waiting, 2, Verdict::Delivered),
        (flows, Place::Stream(entry), 1, retry(HOUR, 1)),
    ];
    let parts = parts.map(|(delivery, place, attempts, verdict)| {
        let record = Some(attempt(delivery, attempts));
        let settlements = vec![Settlement { delivery, place, attempts, verdict, record }];
        Settle { fence: fence.clone(), settlements, states: vec![] }
    });
    let done = Some(vec![Settled::Done]);
    assert_eq!(bench.store.settle(&parts).await.unwrap(), [done.clone(), done]);
    assert_eq!(bench.store.waiting(tenant.queue(0)).await.unwrap(), 1);
    assert_eq!(bench.agenda(tenant.lane()).await.len(), 1);
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
