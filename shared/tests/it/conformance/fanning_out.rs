//! Fan-outs: `Publication::fan_out` and `Lanes::expand`.

use std::time::Duration;

use shared::{
    domain::{Delivery, Strand},
    id::AppId,
    store::{
        Entry, EntryId, Expand, Expanded, FanOut, Lifetimes, MAX_FAN_OUT, Place, Publication,
        Published, Settled, Target, Verdict, Version,
    },
    time::Millis,
};

use crate::bench::{Bench, Tenant};

mod open {
    use super::*;
    crate::engines::on_each_engine! {
        Lifetimes::default();
        a_fan_out_is_accepted_at_any_version_of_an_application_that_exists,
        a_chunk_and_its_cursor_are_written_together,
        a_chunk_may_have_512_deliveries_of_all_lanes,
        a_chunk_keeps_not_before,
        a_chunk_that_happened_changes_nothing_when_it_is_repeated,
        an_owner_that_was_fenced_writes_no_chunk,
        only_expanding_ends_a_fan_out,
    }
}

mod ending {
    use super::*;
    crate::engines::on_each_engine! {
        Lifetimes { retention: Duration::from_millis(1), ..Lifetimes::default() };
        a_body_lives_until_its_fan_out_is_done_and_all_deliveries_ended,
        a_fan_out_that_nobody_wants_ends_its_message,
    }
}

/// A fan-out in its stream.
async fn fan_out(bench: &Bench, tenant: &Tenant) -> (EntryId, FanOut) {
    let (publication, fan_out) = tenant.fan_out();
    let published = bench.store.publish(vec![publication]).await.unwrap();
    assert_eq!(published, [Published::Accepted]);
    (entry_of(bench, fan_out).await.expect("it is in its stream"), fan_out)
}

async fn entry_of(bench: &Bench, wanted: FanOut) -> Option<EntryId> {
    let mut stream = bench.stream(wanted.lane()).await.into_iter();
    stream.find(|(_, entry)| *entry == Entry::FanOut(wanted)).map(|(id, _)| id)
}

/// A step to the nth endpoints; the cursor goes behind the last of them, if it goes on.
fn step(
    tenant: &Tenant,
    (entry, fan_out): (EntryId, FanOut),
    nth: std::ops::Range<usize>,
    more: bool,
) -> Expand {
    let endpoints = &tenant.endpoints[nth];
    let target =
        |endpoint: &_| Target { endpoint: *endpoint, strand: Strand::Live, not_before: None };
    let next = endpoints.last().copied().filter(|_| more);
    Expand { entry, fan_out, targets: endpoints.iter().map(target).collect(), next }
}

/// The deliveries of a fan-out in the streams.
async fn flowing(bench: &Bench, tenant: &Tenant, fan_out: FanOut) -> Vec<Delivery> {
    let mut lanes: Vec<_> = (0..tenant.endpoints.len()).map(|n| tenant.queue(n).lane()).collect();
    lanes.sort();
    lanes.dedup();
    let mut found = Vec::new();
    for lane in lanes {
        let flowing = bench.flowing(lane).await.into_iter().map(|(_, delivery)| delivery);
        found.extend(flowing.filter(|delivery| delivery.message == fan_out.message));
    }
    found
}

async fn a_fan_out_is_accepted_at_any_version_of_an_application_that_exists(bench: Bench) {
    let tenant = bench.tenant(2).await;
    let (publication, fan_out) = tenant.fan_out();
    let old = Publication { version: Version(tenant.version.0 + 9), ..publication };
    let mut homeless = tenant.fan_out().0;
    homeless.header.app = AppId::new();
    let batch = vec![old.clone(), homeless, old];
    let published = bench.store.publish(batch).await.unwrap();
    assert_eq!(published, [Published::Accepted, Published::NoApplication, Published::Accepted]);
    let stream = bench.stream(fan_out.lane()).await.into_iter();
    let entries = stream.filter(|(_, entry)| matches!(entry, Entry::FanOut(_)));
    assert_eq!(entries.map(|(_, entry)| entry).collect::<Vec<_>>(), [Entry::FanOut(fan_out)]);
    assert!(bench.lives(tenant.app, fan_out.message).await);
    assert!(flowing(&bench, &tenant, fan_out).await.is_empty());
}

async fn a_chunk_and_its_cursor_are_written_together(bench: Bench) {
    let tenant = bench.tenant(3).await;
    let (entry, before) = fan_out(&bench, &tenant).await;
    let later = fan_out(&bench, &tenant).await.1;
    let fence = bench.own(before.lane()).await;
    let expand = step(&tenant, (entry, before), 0..2, true);
    assert_eq!(bench.store.expand(&fence, &expand).await.unwrap(), Some(Expanded::Done));
    let after = FanOut { after: Some(tenant.endpoints[1]), ..before };
    assert_eq!(entry_of(&bench, before).await, None);
    let moved = entry_of(&bench, after).await.expect("the rest follows");
    if later.lane() == before.lane() {
        assert!(moved > entry_of(&bench, later).await.unwrap());
    }
    assert_eq!(flowing(&bench, &tenant, before).await.len(), 2);
    let last = step(&tenant, (moved, after), 2..3, false);
    assert_eq!(bench.store.expand(&fence, &last).await.unwrap(), Some(Expanded::Done));
    assert_eq!(entry_of(&bench, after).await, None);
    let mut endpoints: Vec<_> =
        flowing(&bench, &tenant, before).await.iter().map(|delivery| delivery.endpoint).collect();
    endpoints.sort();
    assert_eq!(endpoints, tenant.endpoints);
}

async fn a_chunk_may_have_512_deliveries_of_all_lanes(bench: Bench) {
    let tenant = bench.tenant(MAX_FAN_OUT).await;
    let found = fan_out(&bench, &tenant).await;
    let fence = bench.own(found.1.lane()).await;
    let expand = step(&tenant, found, 0..MAX_FAN_OUT, false);
    assert_eq!(bench.store.expand(&fence, &expand).await.unwrap(), Some(Expanded::Done));
    assert_eq!(flowing(&bench, &tenant, found.1).await.len(), MAX_FAN_OUT);
}

async fn a_chunk_keeps_not_before(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let found = fan_out(&bench, &tenant).await;
    let fence = bench.own(found.1.lane()).await;
    let mut expand = step(&tenant, found, 0..1, false);
    let not_before = Some(Millis(Millis::now().0 + 3_600_000));
    expand.targets[0].not_before = not_before;
    bench.store.expand(&fence, &expand).await.unwrap();
    let delivery = tenant.delivery(found.1.message, 0);
    let expected = Entry::Delivery { delivery, not_before };
    assert!(bench.stream(tenant.lane()).await.iter().any(|(_, entry)| *entry == expected));
}

async fn a_chunk_that_happened_changes_nothing_when_it_is_repeated(bench: Bench) {
    let tenant = bench.tenant(2).await;
    let found = fan_out(&bench, &tenant).await;
    let fence = bench.own(found.1.lane()).await;
    let expand = step(&tenant, found, 0..1, true);
    bench.store.expand(&fence, &expand).await.unwrap();
    let again = bench.store.expand(&fence, &expand).await.unwrap();
    assert_eq!(again, Some(Expanded::NotThere));
    // The same place, but not what it carries.
    let after = FanOut { after: Some(tenant.endpoints[0]), ..found.1 };
    let moved = entry_of(&bench, after).await.unwrap();
    let wrong = Expand { entry: moved, ..expand };
    let answer = bench.store.expand(&fence, &wrong).await.unwrap();
    assert_eq!(answer, Some(Expanded::NotThere));
    assert_eq!(flowing(&bench, &tenant, found.1).await.len(), 1);
    assert_eq!(entry_of(&bench, after).await, Some(moved));
}

async fn an_owner_that_was_fenced_writes_no_chunk(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let found = fan_out(&bench, &tenant).await;
    let before = bench.own(found.1.lane()).await;
    bench.own(found.1.lane()).await;
    let expand = step(&tenant, found, 0..1, false);
    assert_eq!(bench.store.expand(&before, &expand).await.unwrap(), None);
    assert!(flowing(&bench, &tenant, found.1).await.is_empty());
    assert_eq!(entry_of(&bench, found.1).await, Some(found.0));
}

async fn only_expanding_ends_a_fan_out(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let (entry, before) = fan_out(&bench, &tenant).await;
    let fence = bench.own(before.lane()).await;
    bench.store.forget(&fence, &[entry]).await.unwrap();
    let delivery = tenant.delivery(before.message, 0);
    let settled = bench.settle(&fence, delivery, Place::Stream(entry), 1, Verdict::Delivered).await;
    assert_eq!(settled, Settled::NotThere);
    assert_eq!(entry_of(&bench, before).await, Some(entry));
}

async fn a_body_lives_until_its_fan_out_is_done_and_all_deliveries_ended(bench: Bench) {
    let tenant = bench.tenant(2).await;
    let found = fan_out(&bench, &tenant).await;
    let (app, message) = (tenant.app, found.1.message);
    let fence = bench.own(found.1.lane()).await;
    bench.store.expand(&fence, &step(&tenant, found, 0..1, true)).await.unwrap();
    end(&bench, tenant.delivery(message, 0)).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(bench.lives(app, message).await, "it is not done");
    let after = FanOut { after: Some(tenant.endpoints[0]), ..found.1 };
    let moved = entry_of(&bench, after).await.unwrap();
    let fence = bench.own(found.1.lane()).await;
    bench.store.expand(&fence, &step(&tenant, (moved, after), 1..2, false)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(bench.lives(app, message).await, "a delivery is open");
    end(&bench, tenant.delivery(message, 1)).await;
    bench.until_gone(app, message).await;
}

async fn a_fan_out_that_nobody_wants_ends_its_message(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let found = fan_out(&bench, &tenant).await;
    let fence = bench.own(found.1.lane()).await;
    bench.store.expand(&fence, &step(&tenant, found, 0..0, false)).await.unwrap();
    bench.until_gone(tenant.app, found.1.message).await;
}

async fn end(bench: &Bench, delivery: Delivery) {
    let fence = bench.own(delivery.lane()).await;
    let place = Place::Stream(bench.entry_of(delivery).await);
    let settled = bench.settle(&fence, delivery, place, 1, Verdict::Delivered).await;
    assert_eq!(settled, Settled::Done);
}
