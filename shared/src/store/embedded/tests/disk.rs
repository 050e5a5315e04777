//! Opening, refusing, and finding everything again.

use std::{num::NonZeroU32, os::unix::fs::PermissionsExt, time::Duration};

use super::rig::{LONG, Rig, open_at};
use crate::{
    domain::Limit,
    store::{
        Ask, Bucket, Durability, EntryId, ErrorKind, History, Lanes, Leases, Limits, Metered,
        PageRequest, Place, Store, Take, Verdict,
        embedded::{keys, open, tables::Table},
    },
};

#[test]
fn creates_its_directory_for_itself_alone() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a/b");
    drop(open_at(&directory, LONG));
    let mode = directory.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn refuses_what_it_cannot_promise() {
    let directory = tempfile::tempdir().unwrap();
    let error = open(directory.path(), Durability::Replicated, LONG).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
}

#[test]
fn refuses_a_directory_that_is_open() {
    let directory = tempfile::tempdir().unwrap();
    let first = open_at(directory.path(), LONG);
    let error = open(directory.path(), Durability::Disk, LONG).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
    assert!(error.to_string().contains("another process"), "{error}");
    drop(first);
    open_at(directory.path(), LONG);
}

#[test]
fn refuses_another_layout() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_at(directory.path(), LONG);
    let system = store.core.tables.keyspace(Table::System).clone();
    system.insert(keys::LAYOUT, "format 0").unwrap();
    drop((store, system));
    let error = open(directory.path(), Durability::Disk, LONG).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
    assert!(error.to_string().contains("format 0"), "{error}");
}

#[tokio::test]
async fn a_bucket_remembers_what_was_taken_before_it_was_closed() {
    let directory = tempfile::tempdir().unwrap();
    let limit = Limit { count: NonZeroU32::MIN, per: Duration::from_secs(3600), burst: None };
    let bucket = Bucket::Named("key".into());
    let buckets = vec![Metered { bucket, version: 1, limits: vec![limit] }];
    let take = Take { buckets, cells: 1, spread: Duration::ZERO };
    let store = open_at(directory.path(), LONG);
    assert_eq!(store.take(&take).await.unwrap().cells, [Duration::ZERO]);
    drop(store);
    let store = open_at(directory.path(), LONG);
    assert!(store.take(&take).await.unwrap().cells[0] > Duration::from_secs(3000));
}

#[tokio::test]
async fn finds_everything_again() {
    let rig = Rig::new(LONG).await;
    let parked = rig.publish().await;
    rig.park(parked, None).await;
    let delayed = rig.publish().await;
    rig.park(delayed, Some(Duration::from_secs(600))).await;
    let flowing = rig.publish().await;
    let before = rig.entries().await;
    let incarnation = rig.store.incarnation().await.unwrap();

    let rig = rig.reopen(LONG);
    assert_ne!(rig.store.incarnation().await.unwrap(), incarnation);
    assert_eq!(rig.entries().await, before);
    let lease = rig.store.leases(&[rig.fence.lane]).await.unwrap()[0].clone().unwrap();
    assert_eq!((lease.owner, lease.epoch), (Some(rig.fence.owner.clone()), rig.fence.epoch));

    let ask = Ask { queue: rig.queue, parked: 10, retries: 10 };
    let due = rig.store.due(&rig.fence, &[ask]).await.unwrap().unwrap().remove(0);
    assert_eq!(due.parked.iter().map(|waiting| waiting.delivery).collect::<Vec<_>>(), [parked]);
    assert_eq!((due.retries.len(), due.waiting), (0, 2));
    assert!(due.next.unwrap() > Duration::from_secs(500));
    let agenda = rig.store.agenda(rig.fence.lane, None, 10).await.unwrap();
    assert_eq!((agenda.entries[0].queue, agenda.entries[0].opens_in), (rig.queue, Duration::ZERO));

    let body = rig.store.message(flowing.app, flowing.message).await.unwrap();
    assert_eq!(body.unwrap().len(), 1024);
    let page = PageRequest { limit: 10, ..PageRequest::default() };
    let log = rig.store.messages(rig.queue.app, &page).await.unwrap();
    assert_eq!(log.entries.len(), 3);
}

#[tokio::test]
async fn ids_grow_across_reopening() {
    let rig = Rig::new(LONG).await;
    let first = rig.publish().await;
    let id = rig.entries().await[0].0;
    rig.settle(first, Place::Stream(id), Verdict::Delivered).await;
    assert_eq!(rig.entries().await, []);

    let rig = rig.reopen(LONG);
    rig.publish().await;
    let behind = rig.store.page(rig.fence.lane, id, 10).await.unwrap();
    assert_eq!(behind.len(), 1);
    assert!(behind[0].0 > id && id > EntryId::START);
}

#[tokio::test]
async fn stays_down_after_a_failed_write() {
    let rig = Rig::new(LONG).await;
    // A record that cannot be read fails the command that meets it.
    let delivery = rig.publish().await;
    let lives = rig.store.core.tables.keyspace(Table::Lives).clone();
    lives.insert(keys::message(delivery.app, delivery.message), "torn").unwrap();
    let (id, _) = rig.entries().await[0];
    let settle =
        std::panic::AssertUnwindSafe(rig.settle(delivery, Place::Stream(id), Verdict::Delivered));
    assert!(futures_util::FutureExt::catch_unwind(settle).await.is_err());

    let kind = |error: crate::store::StoreError| error.kind();
    assert_eq!(rig.store.ready().await.map_err(kind), Err(ErrorKind::Unavailable));
    let page = rig.store.page(rig.fence.lane, EntryId::START, 10).await;
    assert_eq!(page.map_err(kind).err(), Some(ErrorKind::Unavailable));
    assert_eq!(rig.store.sweep().await.map_err(kind), Err(ErrorKind::Unavailable));
}
