//! The sweep: what goes, what stays, and that nothing is left behind.

use std::time::Duration;

use super::rig::{LONG, Rig};
use crate::{
    domain::{DeadReason, Generation},
    store::{
        Change, Dedup, Documents, Entry, History, Lanes, Lifetimes, PageRequest, Place, Publisher,
        Resend, Resent, Store, Swept, Verdict, Version,
        embedded::{expiry::Expiring, tables::Table},
    },
};

const NOW: Duration = Duration::ZERO;

fn size(rig: &Rig, table: Table) -> usize {
    rig.store.core.tables.keyspace(table).inner().len().unwrap()
}

/// How many deadlines of bodies there are.
fn deadlines(rig: &Rig) -> usize {
    let expiry = rig.store.core.tables.keyspace(Table::Expiry).inner().iter();
    let tags = expiry.map(|guard| guard.key().unwrap()[8]);
    tags.filter(|tag| *tag == Expiring::Body.tag()).count()
}

/// What the store tells of how far the sweep is behind, in seconds.
async fn lag(rig: &Rig) -> f64 {
    let vitals = rig.store.vitals().await.unwrap().vitals;
    vitals.iter().find(|vital| vital.name == "sluicegate_embedded_sweep_lag_seconds").unwrap().value
}

/// Settles what flows as delivered; answers how many that were.
async fn deliver_all(rig: &Rig) -> usize {
    let entries = rig.entries().await;
    let count = entries.len();
    for (id, entry) in entries {
        let Entry::Delivery { delivery, .. } = entry else { panic!("{entry:?}") };
        rig.settle(delivery, Place::Stream(id), Verdict::Delivered).await;
    }
    count
}

async fn sweep_all(rig: &Rig) {
    while rig.store.sweep().await.unwrap() == Swept::Part {}
}

#[tokio::test]
async fn a_settled_body_goes_after_its_retention() {
    let rig = Rig::new(Lifetimes { retention: NOW, ..LONG }).await;
    let settled = rig.publish().await;
    let open = rig.publish().await;
    let (id, _) = rig.entries().await[0];
    sweep_all(&rig).await;
    assert_eq!(size(&rig, Table::Bodies), 2);

    rig.settle(settled, Place::Stream(id), Verdict::Delivered).await;
    assert_eq!(rig.store.message(settled.app, settled.message).await.unwrap(), None);
    assert_eq!(deadlines(&rig), 2);
    sweep_all(&rig).await;
    assert_eq!((size(&rig, Table::Bodies), size(&rig, Table::Lives)), (1, 1));
    assert!(rig.store.message(open.app, open.message).await.unwrap().is_some());
}

#[tokio::test]
async fn a_dead_letters_body_stays_and_can_be_sent_again_once() {
    let rig = Rig::new(Lifetimes { retention: NOW, ..LONG }).await;
    let delivery = rig.publish().await;
    let (id, _) = rig.entries().await[0];
    rig.settle(delivery, Place::Stream(id), Verdict::Dead(DeadReason::Gone)).await;
    sweep_all(&rig).await;
    assert!(rig.store.message(delivery.app, delivery.message).await.unwrap().is_some());

    let resend =
        Resend { delivery: crate::domain::Delivery { generation: Generation(9), ..delivery } };
    for _ in 0..2 {
        assert_eq!(rig.store.resend(resend).await.unwrap(), Resent::Queued);
    }
    assert_eq!(rig.entries().await.len(), 1);
    let (id, _) = rig.entries().await[0];
    rig.settle(resend.delivery, Place::Stream(id), Verdict::Delivered).await;
    assert_eq!(rig.store.resend(resend).await.unwrap(), Resent::Queued);
    assert_eq!(rig.entries().await, []);
}

#[tokio::test]
async fn nothing_is_left_of_what_outlived_its_time() {
    let short = Lifetimes { message: NOW, retention: NOW, history: NOW };
    let rig = Rig::new(short).await;
    let key = || Dedup { key: "k".into(), fingerprint: [1; 16], lifetime: NOW };
    for _ in 0..3 {
        let delivery = rig.publish_with(vec![key()]).await;
        let (id, _) = rig.entries().await[0];
        rig.settle(delivery, Place::Stream(id), Verdict::Dead(DeadReason::Gone)).await;
    }
    assert_eq!(rig.store.find_key(rig.queue.app, "k").await.unwrap(), None);
    let page = PageRequest { limit: 10, ..PageRequest::default() };
    // Parts of the history end when the clock has left their last millisecond.
    while size(&rig, Table::Expiry) > 0 {
        rig.store.sweep().await.unwrap();
    }
    for table in [Table::Bodies, Table::Lives, Table::Keys, Table::History] {
        assert_eq!(size(&rig, table), 0, "{table:?}");
    }
    assert_eq!(rig.store.messages(rig.queue.app, &page).await.unwrap().entries, []);
}

#[tokio::test]
async fn a_deleted_endpoints_history_goes_in_steps() {
    let rig = Rig::new(LONG).await;
    let count = 600;
    for _ in 0..count {
        rig.publish().await;
    }
    assert_eq!(deliver_all(&rig).await, count);
    // The log, the attempts, and their index by message. How many there were is counted beside them,
    // in one record, or two if an hour began meanwhile.
    let tallies = size(&rig, Table::History) - 3 * count;
    assert!((1..=2).contains(&tallies), "{tallies}");
    let delete = [Change::DeleteEndpoint(rig.queue.endpoint)];
    rig.store.commit(rig.queue.app, Some(Version(1)), &delete).await.unwrap();
    assert_eq!(rig.store.sweep().await.unwrap(), Swept::Part);
    assert_eq!(size(&rig, Table::History), 3 * count + tallies - 2 * 500);
    sweep_all(&rig).await;
    assert_eq!(size(&rig, Table::History), count);
    assert_eq!(rig.store.states(rig.queue.app, &[rig.queue.endpoint]).await.unwrap(), [None]);
}

#[tokio::test]
async fn what_is_left_says_how_far_the_sweep_is_behind() {
    let rig = Rig::new(Lifetimes { retention: NOW, ..LONG }).await;
    for _ in 0..501 {
        rig.publish().await;
    }
    assert_eq!(deliver_all(&rig).await, 501);
    assert_eq!(lag(&rig).await, 0.0);
    let behind = Duration::from_millis(5);
    tokio::time::sleep(behind).await;
    assert_eq!(rig.store.sweep().await.unwrap(), Swept::Part);
    assert_eq!(size(&rig, Table::Bodies), 1);
    assert!(lag(&rig).await >= behind.as_secs_f64());
    assert_eq!(rig.store.sweep().await.unwrap(), Swept::All);
    assert_eq!((size(&rig, Table::Bodies), lag(&rig).await), (0, 0.0));
}
