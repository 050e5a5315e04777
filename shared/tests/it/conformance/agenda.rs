//! The agenda names exactly the queues that have a waiting set.

use std::{collections::BTreeSet, time::Duration};

use shared::{
    domain::{DeadReason, Delivery},
    placement::Lane,
    store::{Fence, Lifetimes, Park, Place, Settle, StateChange, Verdict},
};

use crate::bench::{Bench, Tenant};

crate::engines::on_each_engine! {
    Lifetimes::default();
    a_queue_is_in_the_agenda_exactly_while_deliveries_wait,
    every_end_of_the_last_delivery_takes_the_queue_out,
    park_lowers_the_time_and_never_raises_it,
    reopens_sets_the_time,
    reopens_adds_no_queue_without_waiting_deliveries,
    pages_of_the_agenda_name_all_queues,
    queues_that_stay_come_while_others_leave,
}

const HOUR: Duration = Duration::from_secs(3600);

async fn opens_in(bench: &Bench, tenant: &Tenant) -> Duration {
    let page = bench.store.agenda(tenant.lane(), None, 100).await.unwrap();
    let entry = page.entries.iter().find(|entry| entry.queue == tenant.queue(0));
    entry.expect("the queue is in the agenda").opens_in
}

async fn reopen(bench: &Bench, fence: &Fence, tenant: &Tenant, delay: Duration) {
    let change = StateChange { queue: tenant.queue(0), state: None, reopens: Some(delay) };
    let settle = Settle { fence: fence.clone(), settlements: vec![], states: vec![change] };
    assert_eq!(bench.store.settle(&[settle]).await.unwrap(), [Some(vec![])]);
}

async fn park(bench: &Bench, fence: &Fence, delivery: Delivery, delay: Option<Duration>) {
    let entry = bench.entry_of(delivery).await;
    bench.store.park(fence, &[Park { entry, delivery, delay }]).await.unwrap().unwrap();
}

fn about(hours: u32, found: Duration) -> bool {
    found <= hours * HOUR && found + HOUR / 2 > hours * HOUR
}

async fn a_queue_is_in_the_agenda_exactly_while_deliveries_wait(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let lane = tenant.lane();
    let fence = bench.own(lane).await;
    assert_eq!(bench.agenda(lane).await, []);
    let (first, second) = (tenant.deliver().await, tenant.deliver().await);
    assert_eq!(bench.agenda(lane).await, [], "they flow");
    bench.park(&fence, &[first]).await;
    assert_eq!(bench.agenda(lane).await, [tenant.queue(0)]);
    let place = Place::Stream(bench.entry_of(second).await);
    let retry = Verdict::Retry { delay: HOUR, steps: 1 };
    bench.settle(&fence, second, place, 1, retry).await;
    bench.settle(&fence, first, Place::Waiting, 1, Verdict::Delivered).await;
    assert_eq!(bench.agenda(lane).await, [tenant.queue(0)], "the second still waits");
    bench.settle(&fence, second, Place::Waiting, 2, Verdict::Delivered).await;
    assert_eq!(bench.agenda(lane).await, []);
}

async fn every_end_of_the_last_delivery_takes_the_queue_out(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    for verdict in [Verdict::Delivered, Verdict::Dead(DeadReason::Gone), Verdict::Deleted] {
        let delivery = tenant.deliver().await;
        bench.park(&fence, &[delivery]).await;
        assert_eq!(bench.agenda(tenant.lane()).await, [tenant.queue(0)]);
        bench.settle(&fence, delivery, Place::Waiting, 1, verdict.clone()).await;
        assert_eq!(bench.agenda(tenant.lane()).await, [], "{verdict:?}");
    }
}

async fn park_lowers_the_time_and_never_raises_it(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    for (hours, expected) in [(9, 9), (5, 5), (7, 5), (2, 2)] {
        park(&bench, &fence, tenant.deliver().await, Some(hours * HOUR)).await;
        let found = opens_in(&bench, &tenant).await;
        assert!(about(expected, found), "{found:?} after {hours} hours");
    }
    park(&bench, &fence, tenant.deliver().await, None).await;
    assert_eq!(opens_in(&bench, &tenant).await, Duration::ZERO);
    park(&bench, &fence, tenant.deliver().await, Some(HOUR)).await;
    assert_eq!(opens_in(&bench, &tenant).await, Duration::ZERO);
}

async fn reopens_sets_the_time(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    park(&bench, &fence, tenant.deliver().await, None).await;
    for hours in [3, 8, 1] {
        reopen(&bench, &fence, &tenant, hours * HOUR).await;
        let found = opens_in(&bench, &tenant).await;
        assert!(about(hours, found), "{found:?}");
    }
    reopen(&bench, &fence, &tenant, Duration::ZERO).await;
    assert_eq!(opens_in(&bench, &tenant).await, Duration::ZERO);
}

async fn reopens_adds_no_queue_without_waiting_deliveries(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    reopen(&bench, &fence, &tenant, HOUR).await;
    assert_eq!(bench.agenda(tenant.lane()).await, []);

    let delivery = tenant.deliver().await;
    bench.park(&fence, &[delivery]).await;
    let settlement = shared::store::Settlement {
        delivery,
        place: Place::Waiting,
        attempts: 0,
        verdict: Verdict::Deleted,
        record: None,
    };
    let change = StateChange { queue: tenant.queue(0), state: None, reopens: Some(HOUR) };
    let settle =
        Settle { fence: fence.clone(), settlements: vec![settlement], states: vec![change] };
    bench.store.settle(&[settle]).await.unwrap();
    assert_eq!(bench.agenda(tenant.lane()).await, [], "it was the last");
}

/// Parks one message to each of many endpoints; the deliveries of the fullest lane.
async fn full_lane(bench: &Bench) -> (Fence, Vec<Delivery>) {
    let tenant = bench.tenant(60).await;
    let message = tenant.publish().await;
    let lane_of = |nth| tenant.queue(nth).lane();
    let count = |lane: Lane| (0..60).filter(|nth| lane_of(*nth) == lane).count();
    let lane = Lane::all().max_by_key(|lane| count(*lane)).unwrap();
    let fence = bench.own(lane).await;
    let wanted = (0..60).filter(|nth| lane_of(*nth) == lane);
    let deliveries: Vec<_> = wanted.map(|nth| tenant.delivery(message, nth)).collect();
    for (nth, &delivery) in deliveries.iter().enumerate() {
        park(bench, &fence, delivery, (nth % 3 == 0).then_some(HOUR)).await;
    }
    (fence, deliveries)
}

async fn pages_of_the_agenda_name_all_queues(bench: Bench) {
    let (fence, deliveries) = full_lane(&bench).await;
    let expected: BTreeSet<_> = deliveries.iter().map(Delivery::queue).collect();
    for limit in [1, 3, 7, 100] {
        let mut found = BTreeSet::new();
        let mut from = None;
        loop {
            let page = bench.store.agenda(fence.lane, from.as_deref(), limit).await.unwrap();
            found.extend(page.entries.iter().map(|entry| entry.queue));
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "pages of {limit}");
    }
}

async fn queues_that_stay_come_while_others_leave(bench: Bench) {
    let (fence, deliveries) = full_lane(&bench).await;
    let (leave, stay) = deliveries.split_at(deliveries.len() / 2);
    let mut found = BTreeSet::new();
    let mut from = None;
    let mut leave = leave.iter();
    loop {
        let page = bench.store.agenda(fence.lane, from.as_deref(), 2).await.unwrap();
        found.extend(page.entries.iter().map(|entry| entry.queue));
        if let Some(&delivery) = leave.next() {
            bench.settle(&fence, delivery, Place::Waiting, 1, Verdict::Delivered).await;
        }
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert!(stay.iter().all(|delivery| found.contains(&delivery.queue())));
}
