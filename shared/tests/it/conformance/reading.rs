//! `Lanes::page`, `Lanes::fetch` and the blocking `Reader`.

use std::pin::pin;

use bytes::Bytes;
use futures_util::poll;
use shared::{
    domain::Message,
    id::MessageId,
    placement::Lane,
    store::{
        Change, Entry, EntryId, Epoch, Fence, Fetch, Fetched, LaneRead, Lifetimes, NudgeKind,
        Publication, Published,
    },
};

use crate::bench::{Bench, application};

crate::engines::on_each_engine! {
    Lifetimes::default();
    page_gives_entries_behind_a_position,
    page_sees_what_was_just_written,
    read_gives_what_is_there,
    read_leaves_lanes_without_news_out,
    read_gives_at_most_the_limit_per_lane,
    read_takes_nothing,
    read_gives_up_without_news,
    read_is_woken_by_a_publish,
    read_may_be_dropped_at_any_time,
    read_comes_with_the_lease,
    fetch_gives_bodies_in_order,
    fetch_gives_the_versions_of_configurations,
    fetch_by_one_who_lost_the_lane_gives_nothing,
    bodies_are_kept_byte_for_byte,
}

fn from_start(lane: Lane) -> LaneRead {
    LaneRead { lane, after: EntryId::START }
}

fn another_lane(than: Lane) -> Lane {
    Lane::all().find(|lane| *lane != than).unwrap()
}

async fn page_gives_entries_behind_a_position(bench: Bench) {
    let tenant = bench.tenant(1).await;
    for _ in 0..10 {
        tenant.publish().await;
    }
    let whole = bench.stream(tenant.lane()).await;
    let mut paged = Vec::new();
    loop {
        let after = paged.last().map_or(EntryId::START, |(id, _): &(EntryId, Entry)| *id);
        let page = bench.store.page(tenant.lane(), after, 3).await.unwrap();
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, whole);
    assert_eq!(bench.store.page(another_lane(tenant.lane()), EntryId::START, 3).await.unwrap(), []);
}

async fn page_sees_what_was_just_written(bench: Bench) {
    let mut tenant = bench.tenant(1).await;
    for _ in 0..20 {
        let delivery = tenant.deliver().await;
        assert_eq!(bench.flowing(delivery.lane()).await.last().unwrap().1, delivery);
        tenant.commit(&[Change::PutApplication(application(tenant.app))]).await;
        let nudge = Entry::Nudge { queue: tenant.queue(0), kind: NudgeKind::Changed };
        assert_eq!(bench.stream(delivery.lane()).await.last().unwrap().1, nudge);
    }
}

async fn read_gives_what_is_there(bench: Bench) {
    let tenant = bench.tenant(8).await;
    tenant.publish().await;
    let mut reads: Vec<_> = (0..8).map(|nth| from_start(tenant.queue(nth).lane())).collect();
    reads.sort_by_key(|read| read.lane);
    reads.dedup();
    let mut reader = bench.store.reader().await.unwrap();
    let batches = reader.read(&reads, 100).await.unwrap();
    assert_eq!(batches.len(), reads.len());
    for read in &reads {
        let batch = batches.iter().find(|batch| batch.lane == read.lane).unwrap();
        assert_eq!(batch.entries, bench.stream(read.lane).await);
    }

    let last = batches[0].entries.last().unwrap().0;
    let after = LaneRead { lane: batches[0].lane, after: batches[0].entries[0].0 };
    let batches = reader.read(&[after], 100).await.unwrap();
    assert!(batches[0].entries.iter().all(|(id, _)| *id > after.after));
    assert_eq!(batches[0].entries.last().unwrap().0, last);
}

async fn read_leaves_lanes_without_news_out(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let lane = tenant.lane();
    tenant.publish().await;
    let reads: Vec<_> = Lane::all().map(from_start).collect();
    let mut reader = bench.store.reader().await.unwrap();
    let batches = reader.read(&reads, 100).await.unwrap();
    assert_eq!(batches.iter().map(|batch| batch.lane).collect::<Vec<_>>(), [lane]);
}

async fn read_gives_at_most_the_limit_per_lane(bench: Bench) {
    let tenant = bench.tenant(1).await;
    for _ in 0..6 {
        tenant.publish().await;
    }
    let mut reader = bench.store.reader().await.unwrap();
    let batches = reader.read(&[from_start(tenant.lane())], 4).await.unwrap();
    assert_eq!(batches[0].entries, bench.stream(tenant.lane()).await[..4]);
}

async fn read_takes_nothing(bench: Bench) {
    let tenant = bench.tenant(1).await;
    tenant.publish().await;
    let mut reader = bench.store.reader().await.unwrap();
    let first = reader.read(&[from_start(tenant.lane())], 100).await.unwrap();
    let again = reader.read(&[from_start(tenant.lane())], 100).await.unwrap();
    assert_eq!(first, again);
    let mut other = bench.store.reader().await.unwrap();
    assert_eq!(other.read(&[from_start(tenant.lane())], 100).await.unwrap(), first);
}

async fn read_gives_up_without_news(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let last = bench.stream(tenant.lane()).await.last().unwrap().0;
    let mut reader = bench.store.reader().await.unwrap();
    let read = LaneRead { lane: tenant.lane(), after: last };
    assert_eq!(reader.read(&[read], 100).await.unwrap(), []);
}

async fn read_is_woken_by_a_publish(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let mut after = bench.stream(tenant.lane()).await.last().unwrap().0;
    let mut reader = bench.store.reader().await.unwrap();
    for _ in 0..10 {
        let reads = [LaneRead { lane: tenant.lane(), after }];
        let mut read = pin!(reader.read(&reads, 100));
        assert!(poll!(&mut read).is_pending(), "it waits");
        let delivery = tenant.deliver().await;
        let batches = read.await.unwrap();
        let entries = &batches.first().expect("woken, not given up").entries;
        assert_eq!(entries[0].1, Entry::Delivery { delivery, not_before: None });
        after = entries[0].0;
    }
}

async fn read_may_be_dropped_at_any_time(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let other = loop {
        let other = bench.tenant(1).await;
        if other.lane() != tenant.lane() {
            break other;
        }
    };
    let mut after = bench.stream(tenant.lane()).await.last().unwrap().0;
    let mut reader = bench.store.reader().await.unwrap();
    for polls in 0..30 {
        let reads = [LaneRead { lane: tenant.lane(), after }];
        {
            let mut read = pin!(reader.read(&reads, 100));
            for _ in 0..polls % 4 {
                assert!(poll!(&mut read).is_pending(), "there is no news");
                tokio::task::yield_now().await;
            }
        }
        let delivery = tenant.deliver().await;
        // An answer to the dropped read must not pass for the answer to this one.
        let batches = reader.read(&[from_start(other.lane())], 1).await.unwrap();
        assert_eq!(batches[0].lane, other.lane());
        assert_eq!(batches[0].entries, bench.stream(other.lane()).await[..1]);

        let batches = reader.read(&reads, 100).await.unwrap();
        assert_eq!(batches[0].lane, tenant.lane());
        assert_eq!(batches[0].entries[0].1, Entry::Delivery { delivery, not_before: None });
        after = batches[0].entries[0].0;
    }
}

async fn read_comes_with_the_lease(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let lane = tenant.lane();
    let mut reader = bench.store.reader().await.unwrap();
    let lease = async || bench.store.leases(&[lane]).await.unwrap().remove(0);
    assert_eq!(reader.read(&[from_start(lane)], 1).await.unwrap()[0].lease, None);
    let fence = bench.own(lane).await;
    let read = reader.read(&[from_start(lane)], 1).await.unwrap()[0].lease.clone();
    assert_eq!(read, lease().await);
    assert_eq!(read.unwrap().owner, Some(fence.owner.clone()));
    bench.store.renew(std::slice::from_ref(&fence)).await.unwrap();
    let read = reader.read(&[from_start(lane)], 1).await.unwrap()[0].lease.clone();
    assert_eq!(read, lease().await);
    bench.store.release(&fence).await.unwrap();
    let read = reader.read(&[from_start(lane)], 1).await.unwrap()[0].lease.clone();
    assert_eq!(read, lease().await);
    assert_eq!(read.unwrap().owner, None);
}

async fn fetch_gives_bodies_in_order(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let mut publications = Vec::new();
    for n in 0..5u8 {
        let mut publication = tenant.publication();
        let payload = Bytes::from(vec![n; 10]);
        let header = publication.header.clone();
        publication.record = Message { header, payload }.encode().unwrap();
        publications.push(publication);
    }
    bench.store.publish(publications.clone()).await.unwrap();
    let mut deliveries: Vec<_> =
        publications.iter().rev().map(|one| tenant.delivery(one.header.id, 0)).collect();
    deliveries.insert(2, tenant.delivery(MessageId::new(), 0));
    let mut expected: Vec<_> =
        publications.iter().rev().map(|one| Some(one.record.clone())).collect();
    expected.insert(2, None);

    let fetch = Fetch { fence: fence.clone(), deliveries };
    let empty = Fetch { fence, deliveries: vec![] };
    let answers = bench.store.fetch(&[fetch, empty]).await.unwrap();
    let Fetched::Held { records, .. } = &answers[0] else { panic!("{answers:?}") };
    assert_eq!(*records, expected);
    let Fetched::Held { records, .. } = &answers[1] else { panic!("{answers:?}") };
    assert!(records.is_empty());
    assert!(bench.store.fetch(&[]).await.unwrap().is_empty());
}

async fn fetch_gives_the_versions_of_configurations(bench: Bench) {
    let mut tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let delivery = tenant.deliver().await;
    let versions = async || {
        let fetch = Fetch { fence: fence.clone(), deliveries: vec![delivery] };
        match bench.store.fetch(&[fetch]).await.unwrap().remove(0) {
            Fetched::Held { versions, .. } => versions,
            Fetched::Fenced => panic!("the lane is held"),
        }
    };
    assert_eq!(versions().await.get(&tenant.app), Some(&tenant.version));
    tenant.commit(&[Change::PutApplication(application(tenant.app))]).await;
    assert_eq!(versions().await.get(&tenant.app), Some(&tenant.version));
    tenant.commit(&[Change::DeleteApplication]).await;
    assert_eq!(versions().await.get(&tenant.app), None);
}

async fn fetch_by_one_who_lost_the_lane_gives_nothing(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let old = bench.own(tenant.lane()).await;
    let held = bench.own(tenant.lane()).await;
    let delivery = tenant.deliver().await;
    let fetch = |fence: &Fence| Fetch { fence: fence.clone(), deliveries: vec![delivery] };
    let earlier = Fence { epoch: Epoch(held.epoch.0 - 1), ..held.clone() };
    let answers = bench.store.fetch(&[fetch(&old), fetch(&held), fetch(&earlier)]).await.unwrap();
    assert!(matches!(answers[0], Fetched::Fenced));
    assert!(matches!(answers[1], Fetched::Held { .. }));
    assert!(matches!(answers[2], Fetched::Fenced));
    bench.store.release(&held).await.unwrap();
    let answers = bench.store.fetch(&[fetch(&held)]).await.unwrap();
    assert!(matches!(answers[0], Fetched::Fenced));
}

async fn bodies_are_kept_byte_for_byte(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let long: Vec<u8> = (0..1 << 20).map(|n: u32| (n ^ (n >> 8)) as u8).collect();
    for payload in [vec![], vec![0], b"\r\n$-1\r\n".to_vec(), every_byte, long] {
        let mut publication = tenant.publication();
        let message = Message { header: publication.header.clone(), payload: Bytes::from(payload) };
        publication.record = message.encode().unwrap();
        let Publication { header, record, .. } = publication.clone();
        let answers = bench.store.publish(vec![publication]).await.unwrap();
        assert_eq!(answers, [Published::Accepted]);

        let read = bench.store.message(tenant.app, header.id).await.unwrap().unwrap();
        assert!(read == record, "by History::message, {} bytes", record.len());
        assert_eq!(Message::decode(&read).unwrap(), message);
        let deliveries = vec![tenant.delivery(header.id, 0)];
        let fetch = Fetch { fence: fence.clone(), deliveries };
        let answers = bench.store.fetch(&[fetch]).await.unwrap();
        let Fetched::Held { records, .. } = &answers[0] else { panic!("the lane is held") };
        assert!(records[0].as_ref() == Some(&record), "by Lanes::fetch");
    }
}
