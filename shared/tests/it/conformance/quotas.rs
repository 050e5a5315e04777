//! `Terms::quota`.

use std::time::Duration;

use shared::{
    domain::{Delivery, Message},
    id::MessageId,
    store::{
        Expand, Expanded, Lifetimes, Order, Place, Publication, Published, Settled, Terms, Verdict,
    },
};

use crate::bench::{Bench, Tenant, whole};

mod count {
    use super::*;
    crate::engines::on_each_engine! {
        Lifetimes::default();
        what_is_beyond_a_quota_leaves_no_trace_and_concerns_one_application,
        a_message_counts_until_its_last_delivery_ends,
        messages_of_one_batch_count,
        what_has_no_target_or_no_quota_does_not_count,
        a_fan_out_counts_until_it_is_done_and_its_deliveries_ended,
        what_is_expunged_counts_for_what_is_left,
        a_stored_message_is_accepted_whatever_the_quota_says,
    }
}

mod heal {
    use super::*;
    crate::engines::on_each_engine! {
        Lifetimes { message: Duration::from_millis(64), ..Lifetimes::default() };
        what_nobody_settles_stops_counting,
    }
}

/// A publication with room for so many like it.
fn limited(publication: Publication, room: u64) -> Publication {
    let quota = Some(publication.record.len() as u64 * room);
    Publication { terms: Terms { quota, ..Terms::default() }, ..publication }
}

async fn publish(bench: &Bench, publication: &Publication) -> Published {
    bench.store.publish(vec![publication.clone()]).await.unwrap().remove(0)
}

async fn end(bench: &Bench, delivery: Delivery) {
    let fence = bench.own(delivery.lane()).await;
    let place = Place::Stream(bench.entry_of(delivery).await);
    let settled = bench.settle(&fence, delivery, place, 1, Verdict::Delivered).await;
    assert_eq!(settled, Settled::Done);
}

async fn accepts(bench: &Bench, tenant: &Tenant, room: u64) -> Option<MessageId> {
    let publication = limited(tenant.publication(), room);
    match publish(bench, &publication).await {
        Published::Accepted => Some(publication.header.id),
        Published::OverQuota => None,
        other => panic!("{other:?}"),
    }
}

async fn what_is_beyond_a_quota_leaves_no_trace_and_concerns_one_application(bench: Bench) {
    let (tenant, other) = (bench.tenant(1).await, bench.tenant(1).await);
    let first = accepts(&bench, &tenant, 1).await.expect("there is room for one");
    let second = limited(tenant.publication(), 1);
    assert_eq!(publish(&bench, &second).await, Published::OverQuota);
    assert!(!bench.lives(tenant.app, second.header.id).await);
    assert_eq!(bench.flowing(tenant.lane()).await.len(), 1 + usize::from(false));
    let log = bench.store.messages(tenant.app, &whole(Order::OldestFirst)).await.unwrap();
    assert_eq!(log.entries.len(), 1);
    assert!(accepts(&bench, &other, 1).await.is_some());
    assert!(bench.lives(tenant.app, first).await);
}

async fn a_message_counts_until_its_last_delivery_ends(bench: Bench) {
    let tenant = bench.tenant(2).await;
    for _ in 0..3 {
        let message = accepts(&bench, &tenant, 1).await.expect("there is room again");
        end(&bench, tenant.delivery(message, 0)).await;
        assert_eq!(accepts(&bench, &tenant, 1).await, None, "one delivery is open");
        end(&bench, tenant.delivery(message, 1)).await;
    }
}

async fn messages_of_one_batch_count(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let batch: Vec<_> = (0..4).map(|_| limited(tenant.publication(), 2)).collect();
    let answers = bench.store.publish(batch).await.unwrap();
    let (yes, no) = (Published::Accepted, Published::OverQuota);
    assert_eq!(answers, [yes.clone(), yes, no.clone(), no]);
}

async fn what_has_no_target_or_no_quota_does_not_count(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let nobody = limited(tenant.publication_to(&[]), 0);
    assert_eq!(publish(&bench, &nobody).await, Published::Accepted);
    assert_eq!(publish(&bench, &tenant.publication()).await, Published::Accepted);
    assert!(accepts(&bench, &tenant, 1).await.is_some());
}

async fn a_fan_out_counts_until_it_is_done_and_its_deliveries_ended(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let (publication, fan_out) = tenant.fan_out();
    assert_eq!(publish(&bench, &limited(publication, 1)).await, Published::Accepted);
    assert_eq!(accepts(&bench, &tenant, 1).await, None);
    let fence = bench.own(fan_out.lane()).await;
    let stream = bench.stream(fan_out.lane()).await.into_iter();
    let wanted = shared::store::Entry::FanOut(fan_out);
    let entry = stream.filter(|(_, entry)| *entry == wanted).map(|(id, _)| id).next().unwrap();
    let targets = tenant.publication().targets;
    let expand = Expand { entry, fan_out, targets, next: None };
    assert_eq!(bench.store.expand(&fence, &expand).await.unwrap(), Some(Expanded::Done));
    assert_eq!(accepts(&bench, &tenant, 1).await, None);
    end(&bench, tenant.delivery(fan_out.message, 0)).await;
    // And one that nobody wants.
    let (publication, fan_out) = tenant.fan_out();
    assert_eq!(publish(&bench, &limited(publication, 1)).await, Published::Accepted);
    let stream = bench.stream(fan_out.lane()).await.into_iter();
    let wanted = shared::store::Entry::FanOut(fan_out);
    let entry = stream.filter(|(_, entry)| *entry == wanted).map(|(id, _)| id).next().unwrap();
    let fence = bench.own(fan_out.lane()).await;
    let expand = Expand { entry, fan_out, targets: vec![], next: None };
    bench.store.expand(&fence, &expand).await.unwrap();
    assert!(accepts(&bench, &tenant, 1).await.is_some());
}

async fn what_is_expunged_counts_for_what_is_left(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let mut publication = tenant.publication();
    // Noise, which cannot be packed.
    let payload: Vec<u8> = (0..5_000).map(|_| rand::random()).collect();
    let message = Message { header: publication.header.clone(), payload: payload.into() };
    publication.record = message.encode().unwrap();
    let quota = limited(publication.clone(), 1).terms;
    publication.terms = quota;
    assert_eq!(publish(&bench, &publication).await, Published::Accepted);
    let small = Publication { terms: quota, ..tenant.publication() };
    assert_eq!(publish(&bench, &small).await, Published::OverQuota);
    let (app, id) = (tenant.app, message.header.id);
    assert!(bench.store.expunge(app, id, message.expunged().encode().unwrap()).await.unwrap());
    assert_eq!(publish(&bench, &small).await, Published::Accepted);
    end(&bench, tenant.delivery(id, 0)).await;
    end(&bench, tenant.delivery(small.header.id, 0)).await;
    let whole = Publication { header: tenant.publication().header, ..publication };
    assert_eq!(publish(&bench, &whole).await, Published::Accepted);
}

async fn a_stored_message_is_accepted_whatever_the_quota_says(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let publication = limited(tenant.publication(), 1);
    assert_eq!(publish(&bench, &publication).await, Published::Accepted);
    assert_eq!(publish(&bench, &publication).await, Published::Accepted);
    end(&bench, tenant.delivery(publication.header.id, 0)).await;
    assert!(accepts(&bench, &tenant, 1).await.is_some(), "it was counted once");
}

async fn what_nobody_settles_stops_counting(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let message = accepts(&bench, &tenant, 1).await.unwrap();
    bench.until_gone(tenant.app, message).await;
    // There is no event for it: the store's clock decides.
    while accepts(&bench, &tenant, 1).await.is_none() {
        bench.store.sweep().await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
