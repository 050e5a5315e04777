//! `Terms` of a publication, and content that is removed.
//!
//! As with lifetimes, no test looks at a clock: a body that lives shorter tells that its time is over.

use std::time::Duration;

use bytes::Bytes;
use shared::{
    domain::{DeadReason, Delivery, Generation, Message},
    id::{AttemptId, MessageId},
    store::{
        Lifetimes, Order, Place, Publication, Published, Resend, Resent, Settled, Terms, Verdict,
    },
};

use crate::bench::{Bench, Tenant, whole};

const HOUR: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_millis(60);
const KEPT: Terms = Terms { delay: Duration::ZERO, retention: Some(HOUR), quota: None };

mod retention {
    use super::*;
    crate::engines::on_each_engine! {
        Lifetimes { message: HOUR, retention: MOMENT, history: HOUR };
        a_message_may_have_a_retention_of_its_own,
        a_retention_of_its_own_holds_after_a_resend_too,
        a_dead_letter_and_a_retention_keep_the_body_both,
        a_message_without_targets_may_have_a_retention_of_its_own,
        what_is_expunged_cannot_be_read_and_lives_no_longer,
        nothing_is_expunged_of_a_message_that_is_gone,
        responses_of_one_attempt_or_of_all_are_expunged,
    }
}

mod delay {
    use super::*;
    crate::engines::on_each_engine! {
        Lifetimes { message: MOMENT, retention: MOMENT, history: HOUR };
        a_delayed_message_lives_longer_by_its_delay,
    }
}

async fn publish(bench: &Bench, publication: Publication) -> MessageId {
    let message = publication.header.id;
    assert_eq!(bench.store.publish(vec![publication]).await.unwrap(), [Published::Accepted]);
    message
}

async fn end(bench: &Bench, delivery: Delivery, verdict: Verdict) {
    let fence = bench.own(delivery.lane()).await;
    let place = Place::Stream(bench.entry_of(delivery).await);
    assert_eq!(bench.settle(&fence, delivery, place, 1, verdict).await, Settled::Done);
}

/// Publishes and ends a message without terms, and waits until it is gone: what ended before, and
/// lives no longer, is gone too.
async fn until_the_usual_time_is_over(bench: &Bench, tenant: &Tenant) {
    let message = publish(bench, tenant.publication()).await;
    for nth in 0..tenant.endpoints.len() {
        end(bench, tenant.delivery(message, nth), Verdict::Delivered).await;
    }
    bench.until_gone(tenant.app, message).await;
}

async fn a_message_may_have_a_retention_of_its_own(bench: Bench) {
    for endpoints in [1, 2] {
        let tenant = bench.tenant(endpoints).await;
        let kept = publish(&bench, Publication { terms: KEPT, ..tenant.publication() }).await;
        for nth in 0..endpoints {
            end(&bench, tenant.delivery(kept, nth), Verdict::Delivered).await;
        }
        until_the_usual_time_is_over(&bench, &tenant).await;
        assert!(bench.lives(tenant.app, kept).await);
    }
}

async fn a_retention_of_its_own_holds_after_a_resend_too(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let kept = publish(&bench, Publication { terms: KEPT, ..tenant.publication() }).await;
    let delivery = tenant.delivery(kept, 0);
    end(&bench, delivery, Verdict::Delivered).await;
    let again = Delivery { generation: Generation(7), ..delivery };
    assert_eq!(bench.store.resend(Resend { delivery: again }).await.unwrap(), Resent::Queued);
    end(&bench, again, Verdict::Delivered).await;
    until_the_usual_time_is_over(&bench, &tenant).await;
    assert!(bench.lives(tenant.app, kept).await);
}

async fn a_dead_letter_and_a_retention_keep_the_body_both(bench: Bench) {
    let tenant = bench.tenant(2).await;
    let kept = publish(&bench, Publication { terms: KEPT, ..tenant.publication() }).await;
    end(&bench, tenant.delivery(kept, 0), Verdict::Dead(DeadReason::Gone)).await;
    end(&bench, tenant.delivery(kept, 1), Verdict::Delivered).await;
    until_the_usual_time_is_over(&bench, &tenant).await;
    assert!(bench.lives(tenant.app, kept).await);
}

async fn a_message_without_targets_may_have_a_retention_of_its_own(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let kept = publish(&bench, Publication { terms: KEPT, ..tenant.publication_to(&[]) }).await;
    until_the_usual_time_is_over(&bench, &tenant).await;
    assert!(bench.lives(tenant.app, kept).await);
}

async fn a_delayed_message_lives_longer_by_its_delay(bench: Bench) {
    let tenant = bench.tenant(2).await;
    let terms = Terms { delay: HOUR, retention: None, quota: None };
    let delayed = publish(&bench, Publication { terms, ..tenant.publication() }).await;
    let usual = publish(&bench, tenant.publication()).await;
    bench.until_gone(tenant.app, usual).await;
    assert!(bench.lives(tenant.app, delayed).await);
    // Its deliveries count as all others: once they have ended, it is over.
    for nth in 0..2 {
        end(&bench, tenant.delivery(delayed, nth), Verdict::Delivered).await;
    }
    bench.until_gone(tenant.app, delayed).await;
}

async fn what_is_expunged_cannot_be_read_and_lives_no_longer(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let message = publish(&bench, tenant.publication()).await;
    let record = bench.store.message(tenant.app, message).await.unwrap().unwrap();
    let bare = Message::decode(&record).unwrap().expunged();
    let expunged = bench.store.expunge(tenant.app, message, bare.encode().unwrap()).await.unwrap();
    assert!(expunged);
    let record = bench.store.message(tenant.app, message).await.unwrap().unwrap();
    assert_eq!(Message::decode(&record).unwrap(), bare);
    assert!(bare.payload.is_empty());
    let delivery = tenant.delivery(message, 0);
    end(&bench, delivery, Verdict::Dead(DeadReason::Expunged)).await;
    let letters = bench.store.dead_letters(delivery.queue(), &whole(Order::OldestFirst)).await;
    assert_eq!(letters.unwrap().entries[0].1.reason, DeadReason::Expunged);
}

async fn nothing_is_expunged_of_a_message_that_is_gone(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let gone = publish(&bench, tenant.publication_to(&[])).await;
    bench.until_gone(tenant.app, gone).await;
    let record = Bytes::from_static(b"anything");
    for message in [gone, MessageId::new()] {
        assert!(!bench.store.expunge(tenant.app, message, record.clone()).await.unwrap());
        assert!(!bench.lives(tenant.app, message).await);
    }
}

async fn responses_of_one_attempt_or_of_all_are_expunged(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let (app, queue) = (tenant.app, tenant.queue(0));
    let message = publish(&bench, tenant.publication()).await;
    let other = publish(&bench, tenant.publication()).await;
    let retry = Verdict::Retry { delay: Duration::ZERO, steps: 1 };
    end(&bench, tenant.delivery(message, 0), retry).await;
    let fence = bench.own(queue.lane()).await;
    for attempts in 2..=3 {
        let retry = Verdict::Retry { delay: Duration::ZERO, steps: attempts };
        let delivery = tenant.delivery(message, 0);
        bench.settle(&fence, delivery, Place::Waiting, attempts, retry).await;
    }
    end(&bench, tenant.delivery(other, 0), Verdict::Delivered).await;
    let page = whole(Order::OldestFirst);
    let responses = async || {
        let of_message = bench.store.message_attempts(app, message, &page).await.unwrap();
        let of_endpoint = bench.store.endpoint_attempts(queue, &page).await.unwrap();
        let mut listed = of_endpoint.entries;
        assert_eq!(listed.len(), 4, "all stay listed");
        assert!(!listed.pop().unwrap().1.response.is_empty(), "another message's stays");
        let shown = |entries: Vec<(_, shared::domain::Attempt)>| {
            entries.into_iter().map(|(_, one)| (one.id, one.response.is_empty())).collect()
        };
        let (one, two): (Vec<_>, Vec<_>) = (shown(of_message.entries), shown(listed));
        assert_eq!(one, two);
        one
    };
    let before: Vec<(AttemptId, bool)> = responses().await;
    assert!(before.iter().all(|(_, empty)| !empty));
    let second = before[1].0;
    assert!(bench.store.expunge_responses(app, message, Some(second)).await.unwrap());
    let empty: Vec<_> = responses().await.into_iter().map(|(_, empty)| empty).collect();
    assert_eq!(empty, [false, true, false]);
    assert!(!bench.store.expunge_responses(app, message, Some(AttemptId::new())).await.unwrap());
    assert!(bench.store.expunge_responses(app, message, None).await.unwrap());
    assert!(responses().await.into_iter().all(|(_, empty)| empty));
    assert!(!bench.store.expunge_responses(app, MessageId::new(), None).await.unwrap());
}
