//! Marks: what was removed is not stepped over again.

use std::time::Duration;

use super::rig::{LONG, Rig};
use crate::store::{Ask, Entry, EntryId, LaneRead, Lanes, Place, Verdict};

#[tokio::test]
async fn a_stream_begins_behind_what_was_settled() {
    let rig = Rig::new(LONG).await;
    for _ in 0..20 {
        rig.publish().await;
    }
    let entries = rig.entries().await;
    let (last, rest) = entries.split_last().unwrap();
    for (id, entry) in rest {
        let Entry::Delivery { delivery, .. } = entry else { panic!("{entry:?}") };
        rig.settle(*delivery, Place::Stream(*id), Verdict::Delivered).await;
    }
    assert_eq!(rig.entries().await, std::slice::from_ref(last));
    assert_eq!(rig.store.core.lane_marks.first(rig.fence.lane), last.0.minor);

    // An empty one begins behind everything, and still shows what comes next.
    let Entry::Delivery { delivery, .. } = last.1 else { panic!("{last:?}") };
    rig.settle(delivery, Place::Stream(last.0), Verdict::Delivered).await;
    assert_eq!(rig.entries().await, []);
    assert!(rig.store.core.lane_marks.first(rig.fence.lane) > last.0.minor);
    rig.publish().await;
    assert_eq!(rig.entries().await.len(), 1);
}

#[tokio::test]
async fn a_waiting_set_begins_behind_what_was_settled() {
    let rig = Rig::new(LONG).await;
    let ask = Ask { queue: rig.queue, parked: 100, retries: 100 };
    let mut deliveries = Vec::new();
    for delay in [None, None, None, Some(Duration::ZERO), Some(Duration::ZERO)] {
        let delivery = rig.publish().await;
        rig.park(delivery, delay).await;
        deliveries.push(delivery);
    }
    let due = rig.store.due(&rig.fence, &[ask]).await.unwrap().unwrap().remove(0);
    assert_eq!((due.parked.len(), due.retries.len()), (3, 2));
    let before = rig.store.core.queue_marks.get(rig.queue);
    for delivery in deliveries {
        rig.settle(delivery, Place::Waiting, Verdict::Delivered).await;
    }
    let due = rig.store.due(&rig.fence, &[ask]).await.unwrap().unwrap().remove(0);
    assert_eq!((due.parked.len(), due.retries.len(), due.waiting), (0, 0, 0));
    let after = rig.store.core.queue_marks.get(rig.queue);
    assert!(after.parked > before.parked && after.timed >= before.timed && after.timed > 0);

    let delivery = rig.publish().await;
    rig.park(delivery, Some(Duration::ZERO)).await;
    let due = rig.store.due(&rig.fence, &[ask]).await.unwrap().unwrap().remove(0);
    assert_eq!(due.retries.len(), 1);
}

#[tokio::test]
async fn a_reader_is_woken_by_what_is_appended() {
    let rig = Rig::new(LONG).await;
    let mut reader = rig.store.reader().await.unwrap();
    let lanes = [LaneRead { lane: rig.fence.lane, after: EntryId::START }];
    let (batches, delivery) = tokio::join!(reader.read(&lanes, 10), rig.publish());
    let batch = batches.unwrap().remove(0);
    assert_eq!(batch.entries[0].1, Entry::Delivery { delivery, not_before: None });
    assert_eq!(batch.lease.unwrap().owner, Some(rig.fence.owner));
}
