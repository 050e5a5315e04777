//! How long bodies and keys live.
//!
//! No test looks at a clock: the end of one body whose life is short tells that its time has passed,
//! and then others must still be there.

use std::time::Duration;

use shared::{
    domain::{DeadReason, Delivery, Generation},
    id::MessageId,
    store::{Change, Dedup, Lifetimes, Place, Publication, Published, Resend, Resent, Verdict},
};

use crate::bench::{Bench, Tenant, key};

const HOUR: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_millis(60);

/// Settled bodies go at once, all others stay.
const SHORT_RETENTION: Lifetimes = Lifetimes { message: HOUR, retention: MOMENT, history: HOUR };

crate::engines::on_each_engine! {
    SHORT_RETENTION;
    a_message_without_targets_lives_for_its_retention,
    a_message_with_targets_outlives_its_retention,
    the_last_settled_delivery_ends_the_body,
    a_retry_keeps_the_body,
    every_generation_keeps_the_body,
    a_resend_brings_a_settled_message_back_to_full_life,
    a_dead_letter_keeps_the_body,
    a_dead_letter_keeps_the_body_when_others_are_delivered_later,
    deleted_deliveries_do_not_keep_the_body,
    repeated_settlements_count_once,
    a_key_is_free_again_after_its_life,
}

/// Waits until the retention of all that was settled so far has passed.
async fn until_retention_is_over(bench: &Bench, tenant: &Tenant) {
    let publication = tenant.publication_to(&[]);
    let clock = publication.header.id;
    assert_eq!(bench.store.publish(vec![publication]).await.unwrap(), [Published::Accepted]);
    bench.until_gone(tenant.app, clock).await;
}

/// Settles the nth endpoint's delivery of the message out of the stream.
async fn settle(bench: &Bench, tenant: &Tenant, message: MessageId, nth: usize, verdict: Verdict) {
    settle_delivery(bench, tenant.delivery(message, nth), verdict).await;
}

async fn settle_delivery(bench: &Bench, delivery: Delivery, verdict: Verdict) {
    let fence = bench.own(delivery.lane()).await;
    let place = Place::Stream(bench.entry_of(delivery).await);
    let settled = bench.settle(&fence, delivery, place, 1, verdict).await;
    assert_eq!(settled, shared::store::Settled::Done);
}

async fn a_message_without_targets_lives_for_its_retention(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let publication = tenant.publication_to(&[]);
    let message = publication.header.id;
    bench.store.publish(vec![publication]).await.unwrap();
    bench.until_gone(tenant.app, message).await;
}

async fn a_message_with_targets_outlives_its_retention(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let message = tenant.publish().await;
    until_retention_is_over(&bench, &tenant).await;
    assert!(bench.lives(tenant.app, message).await);
}

async fn the_last_settled_delivery_ends_the_body(bench: Bench) {
    let tenant = bench.tenant(3).await;
    let message = tenant.publish().await;
    for nth in 0..3 {
        until_retention_is_over(&bench, &tenant).await;
        assert!(bench.lives(tenant.app, message).await, "{nth} of 3 are settled");
        settle(&bench, &tenant, message, nth, Verdict::Delivered).await;
    }
    bench.until_gone(tenant.app, message).await;
    let delivery = Delivery { generation: Generation(1), ..tenant.delivery(message, 0) };
    assert_eq!(bench.store.resend(Resend { delivery }).await.unwrap(), Resent::NoMessage);
}

async fn a_retry_keeps_the_body(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let message = tenant.publish().await;
    let retry = Verdict::Retry { delay: HOUR, steps: 1 };
    settle(&bench, &tenant, message, 0, retry).await;
    until_retention_is_over(&bench, &tenant).await;
    assert!(bench.lives(tenant.app, message).await);
    let fence = bench.own(tenant.lane()).await;
    bench.settle(&fence, tenant.delivery(message, 0), Place::Waiting, 2, Verdict::Delivered).await;
    bench.until_gone(tenant.app, message).await;
}

async fn every_generation_keeps_the_body(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let message = tenant.publish().await;
    let first = tenant.delivery(message, 0);
    let second = Delivery { generation: Generation(1), ..first };
    bench.store.resend(Resend { delivery: second }).await.unwrap();
    settle_delivery(&bench, first, Verdict::Delivered).await;
    until_retention_is_over(&bench, &tenant).await;
    assert!(bench.lives(tenant.app, message).await, "the resend is open");
    settle_delivery(&bench, second, Verdict::Delivered).await;
    bench.until_gone(tenant.app, message).await;
}

async fn a_resend_brings_a_settled_message_back_to_full_life(bench: Bench) {
    let tenant = bench.tenant(1).await;
    // The life that is left after the settlement is short: a slow machine may miss it.
    for generation in 1.. {
        let message = tenant.publish().await;
        let first = tenant.delivery(message, 0);
        settle_delivery(&bench, first, Verdict::Delivered).await;
        let delivery = Delivery { generation: Generation(generation), ..first };
        if bench.store.resend(Resend { delivery }).await.unwrap() == Resent::Queued {
            until_retention_is_over(&bench, &tenant).await;
            assert!(bench.lives(tenant.app, message).await);
            break;
        }
    }
}

async fn a_dead_letter_keeps_the_body(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let message = tenant.publish().await;
    settle(&bench, &tenant, message, 0, Verdict::Dead(DeadReason::Gone)).await;
    until_retention_is_over(&bench, &tenant).await;
    assert!(bench.lives(tenant.app, message).await);
}

async fn a_dead_letter_keeps_the_body_when_others_are_delivered_later(bench: Bench) {
    let tenant = bench.tenant(3).await;
    let message = tenant.publish().await;
    settle(&bench, &tenant, message, 0, Verdict::Delivered).await;
    settle(&bench, &tenant, message, 1, Verdict::Dead(DeadReason::Gone)).await;
    settle(&bench, &tenant, message, 2, Verdict::Delivered).await;
    until_retention_is_over(&bench, &tenant).await;
    assert!(bench.lives(tenant.app, message).await);
}

async fn deleted_deliveries_do_not_keep_the_body(bench: Bench) {
    let mut tenant = bench.tenant(2).await;
    let message = tenant.publish().await;
    tenant.commit(&[Change::DeleteEndpoint(tenant.endpoints[0])]).await;
    let retry = Verdict::Retry { delay: HOUR, steps: 1 };
    settle(&bench, &tenant, message, 0, retry).await;
    settle(&bench, &tenant, message, 1, Verdict::Deleted).await;
    bench.until_gone(tenant.app, message).await;
}

async fn repeated_settlements_count_once(bench: Bench) {
    let tenant = bench.tenant(3).await;
    let message = tenant.publish().await;
    let delivery = tenant.delivery(message, 0);
    let fence = bench.own(delivery.lane()).await;
    let place = Place::Stream(bench.entry_of(delivery).await);
    for _ in 0..4 {
        bench.settle(&fence, delivery, place, 1, Verdict::Delivered).await;
    }
    until_retention_is_over(&bench, &tenant).await;
    assert!(bench.lives(tenant.app, message).await, "two are open");
}

async fn a_key_is_free_again_after_its_life(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let short = Dedup { lifetime: MOMENT, ..key("short", 1) };
    let first = Publication { dedup: vec![short, key("long", 1)], ..tenant.publication() };
    let holder = first.header.id;
    bench.store.publish(vec![first]).await.unwrap();
    while bench.store.find_key(tenant.app, "short").await.unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(bench.store.find_key(tenant.app, "long").await.unwrap(), Some(holder));
    let again = Publication { dedup: vec![key("short", 1)], ..tenant.publication() };
    let message = again.header.id;
    assert_eq!(bench.store.publish(vec![again]).await.unwrap(), [Published::Accepted]);
    assert_eq!(bench.store.find_key(tenant.app, "short").await.unwrap(), Some(message));
}
