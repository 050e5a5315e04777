//! `Publisher::publish`.

use std::collections::BTreeSet;

use shared::{
    domain::{Delivery, Generation, Strand},
    id::{AppId, EndpointId},
    placement::Lane,
    store::{
        Change, Entry, Lifetimes, MAX_FAN_OUT, Order, Publication, Published, Resend, Resent,
        Target, Version,
    },
    time::Millis,
};

use crate::bench::{Bench, Tenant, endpoint, key, whole};

crate::engines::on_each_engine! {
    Lifetimes::default();
    publish_is_judged_one_by_one,
    publish_answers_in_order,
    publish_appends_one_delivery_per_target,
    publish_keeps_the_order_of_the_stream,
    publish_keeps_not_before,
    publish_of_a_stored_message_is_accepted_and_delivers_nothing,
    publish_twice_in_one_batch_delivers_once,
    a_stored_message_is_accepted_before_all_other_checks,
    a_missing_application_comes_before_a_stale_version,
    a_stale_version_comes_before_a_duplicate,
    a_refused_publication_leaves_no_trace,
    every_change_makes_the_version_before_stale,
    a_message_goes_to_512_targets_in_one_write,
    a_message_without_targets_is_stored_and_listed,
    an_empty_batch_is_fine,
    a_batch_may_span_many_applications,
    concurrent_repetitions_deliver_once,
}

async fn publish(bench: &Bench, publication: &Publication) -> Published {
    bench.store.publish(vec![publication.clone()]).await.unwrap().remove(0)
}

/// That nothing of a publication can be seen.
async fn assert_no_trace(bench: &Bench, tenant: &Tenant, publication: &Publication) {
    let app = tenant.app;
    assert!(!bench.lives(app, publication.header.id).await, "a body");
    let log = bench.store.messages(app, &whole(Order::NewestFirst)).await.unwrap();
    assert!(
        log.entries.iter().all(|(_, header)| header.id != publication.header.id),
        "a log entry"
    );
    for dedup in &publication.dedup {
        let holder = bench.store.find_key(app, &dedup.key).await.unwrap();
        assert_ne!(holder, Some(publication.header.id), "a key");
    }
    for nth in 0..tenant.endpoints.len() {
        let flowing = bench.flowing(tenant.queue(nth).lane()).await;
        let appended = flowing.iter().any(|(_, found)| found.message == publication.header.id);
        assert!(!appended, "a delivery");
    }
}

async fn publish_is_judged_one_by_one(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let first = tenant.publication();
    let stale = Publication { version: Version(tenant.version.0 + 7), ..tenant.publication() };
    let nobody = Publication { header: crate::bench::header(AppId::new()), ..tenant.publication() };
    let taken = Publication { dedup: vec![key("k", 1)], ..tenant.publication() };
    let duplicate = Publication { dedup: vec![key("k", 1)], ..tenant.publication() };
    let last = tenant.publication();

    let batch = [&first, &stale, &nobody, &taken, &duplicate, &last].map(Clone::clone);
    let answers = bench.store.publish(batch.to_vec()).await.unwrap();
    assert_eq!(
        answers,
        [
            Published::Accepted,
            Published::Stale,
            Published::NoApplication,
            Published::Accepted,
            Published::Duplicate { key: 0, message: taken.header.id, same: true },
            Published::Accepted,
        ]
    );
    let flowing = bench.flowing(tenant.lane()).await;
    let delivered: Vec<_> = flowing.iter().map(|(_, delivery)| delivery.message).collect();
    assert_eq!(delivered, [first.header.id, taken.header.id, last.header.id]);
    assert_no_trace(&bench, &tenant, &stale).await;
    assert_no_trace(&bench, &tenant, &duplicate).await;
    assert!(!bench.lives(nobody.header.app, nobody.header.id).await);
}

async fn publish_answers_in_order(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let batch: Vec<_> = (0..64)
        .map(|n| match n % 3 {
            0 => tenant.publication(),
            _ => Publication { version: Version(0), ..tenant.publication() },
        })
        .collect();
    let answers = bench.store.publish(batch).await.unwrap();
    assert_eq!(answers.len(), 64);
    for (n, answer) in answers.iter().enumerate() {
        let expected = if n % 3 == 0 { Published::Accepted } else { Published::Stale };
        assert_eq!(*answer, expected, "number {n}");
    }
}

async fn publish_appends_one_delivery_per_target(bench: Bench) {
    let tenant = bench.tenant(12).await;
    let message = tenant.publish().await;
    let mut found = Vec::new();
    for lane in Lane::all() {
        for (_, delivery) in bench.flowing(lane).await {
            assert_eq!(delivery.lane(), lane, "each in its own lane");
            found.push(delivery);
        }
    }
    found.sort();
    let mut expected: Vec<_> = (0..12).map(|nth| tenant.delivery(message, nth)).collect();
    expected.sort();
    assert_eq!(found, expected);
}

async fn publish_keeps_the_order_of_the_stream(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let mut expected = Vec::new();
    for _ in 0..5 {
        let batch: Vec<_> = (0..20).map(|_| tenant.publication()).collect();
        expected.extend(batch.iter().map(|publication| publication.header.id));
        bench.store.publish(batch).await.unwrap();
    }
    let flowing = bench.flowing(tenant.lane()).await;
    assert!(flowing.is_sorted_by(|(a, _), (b, _)| a < b), "ids of entries grow");
    let found: Vec<_> = flowing.iter().map(|(_, delivery)| delivery.message).collect();
    assert_eq!(found, expected);
}

async fn publish_keeps_not_before(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let mut publication = tenant.publication();
    let not_before = Some(Millis(1_900_000_000_123));
    publication.targets =
        vec![Target { endpoint: tenant.endpoints[0], strand: Strand::Live, not_before }];
    publish(&bench, &publication).await;
    let delivery = tenant.delivery(publication.header.id, 0);
    let stream = bench.stream(tenant.lane()).await;
    assert_eq!(stream.last().unwrap().1, Entry::Delivery { delivery, not_before });
}

async fn publish_of_a_stored_message_is_accepted_and_delivers_nothing(bench: Bench) {
    let tenant = bench.tenant(2).await;
    let publication = Publication { dedup: vec![key("k", 1)], ..tenant.publication() };
    for _ in 0..3 {
        assert_eq!(publish(&bench, &publication).await, Published::Accepted);
    }
    for nth in 0..2 {
        let flowing = bench.flowing(tenant.queue(nth).lane()).await;
        let wanted = tenant.delivery(publication.header.id, nth);
        assert_eq!(flowing.iter().filter(|(_, delivery)| *delivery == wanted).count(), 1);
    }
    let log = bench.store.messages(tenant.app, &whole(Order::NewestFirst)).await.unwrap();
    assert_eq!(log.entries.len(), 1, "listed once");
}

async fn publish_twice_in_one_batch_delivers_once(bench: Bench) {
    for dedup in [vec![], vec![key("k", 1)]] {
        let tenant = bench.tenant(1).await;
        let publication = Publication { dedup, ..tenant.publication() };
        let delivery = tenant.delivery(publication.header.id, 0);
        let answers = bench.store.publish(vec![publication.clone(), publication]).await.unwrap();
        assert_eq!(answers, [Published::Accepted, Published::Accepted]);
        let flowing = bench.flowing(tenant.lane()).await;
        assert_eq!(flowing.iter().filter(|(_, found)| *found == delivery).count(), 1);
        let log = bench.store.messages(tenant.app, &whole(Order::NewestFirst)).await.unwrap();
        assert_eq!(log.entries.len(), 1, "listed once");
    }
}

async fn a_stored_message_is_accepted_before_all_other_checks(bench: Bench) {
    let mut tenant = bench.tenant(1).await;
    let publication = Publication { dedup: vec![key("k", 1)], ..tenant.publication() };
    publish(&bench, &publication).await;
    tenant.commit(&[Change::PutEndpoint(endpoint(EndpointId::new()))]).await;
    assert_eq!(publish(&bench, &publication).await, Published::Accepted, "stale by now");
    tenant.commit(&[Change::DeleteApplication]).await;
    assert_eq!(publish(&bench, &publication).await, Published::Accepted, "without application");
}

async fn a_missing_application_comes_before_a_stale_version(bench: Bench) {
    let mut tenant = bench.tenant(1).await;
    let publication = Publication { version: Version(0), ..tenant.publication() };
    assert_eq!(publish(&bench, &publication).await, Published::Stale);
    tenant.commit(&[Change::DeleteApplication]).await;
    assert_eq!(publish(&bench, &publication).await, Published::NoApplication);
}

async fn a_stale_version_comes_before_a_duplicate(bench: Bench) {
    let tenant = bench.tenant(1).await;
    publish(&bench, &Publication { dedup: vec![key("k", 1)], ..tenant.publication() }).await;
    let publication =
        Publication { dedup: vec![key("k", 1)], version: Version(0), ..tenant.publication() };
    assert_eq!(publish(&bench, &publication).await, Published::Stale);
}

async fn a_refused_publication_leaves_no_trace(bench: Bench) {
    let tenant = bench.tenant(3).await;
    publish(&bench, &Publication { dedup: vec![key("taken", 1)], ..tenant.publication() }).await;

    let dedup = vec![key("free", 1), key("taken", 2)];
    let duplicate = Publication { dedup: dedup.clone(), ..tenant.publication() };
    assert!(matches!(publish(&bench, &duplicate).await, Published::Duplicate { key: 1, .. }));
    assert_no_trace(&bench, &tenant, &duplicate).await;

    let stale = Publication {
        dedup: vec![key("free", 1)],
        version: Version(tenant.version.0 + 1),
        ..tenant.publication()
    };
    assert_eq!(publish(&bench, &stale).await, Published::Stale);
    assert_no_trace(&bench, &tenant, &stale).await;

    let nobody = AppId::new();
    let mut homeless = Publication { dedup: vec![key("free", 1)], ..tenant.publication() };
    homeless.header.app = nobody;
    assert_eq!(publish(&bench, &homeless).await, Published::NoApplication);
    assert!(!bench.lives(nobody, homeless.header.id).await);
    assert_eq!(bench.store.find_key(nobody, "free").await.unwrap(), None);
    let log = bench.store.messages(nobody, &whole(Order::NewestFirst)).await.unwrap();
    assert!(log.entries.is_empty());

    let again = Publication { version: tenant.version, ..stale };
    assert_eq!(publish(&bench, &again).await, Published::Accepted, "a refused one can come again");
}

async fn every_change_makes_the_version_before_stale(bench: Bench) {
    let mut tenant = bench.tenant(1).await;
    let added = EndpointId::new();
    let changes = [
        Change::PutApplication(crate::bench::application(tenant.app)),
        Change::PutEndpoint(endpoint(added)),
        Change::DeleteEndpoint(added),
    ];
    for change in changes {
        let before = tenant.publication();
        tenant.commit(std::slice::from_ref(&change)).await;
        assert_eq!(publish(&bench, &before).await, Published::Stale, "{change:?}");
        let after = Publication { version: tenant.version, ..before };
        assert_eq!(publish(&bench, &after).await, Published::Accepted);
    }
}

async fn a_message_goes_to_512_targets_in_one_write(bench: Bench) {
    let tenant = bench.tenant(MAX_FAN_OUT).await;
    let message = tenant.publish().await;
    let lanes: BTreeSet<_> = (0..MAX_FAN_OUT).map(|nth| tenant.queue(nth).lane()).collect();
    let mut reached = BTreeSet::new();
    for lane in lanes {
        let flowing = bench.flowing(lane).await;
        assert!(flowing.iter().all(|(_, delivery)| delivery.message == message));
        let fresh = flowing.iter().all(|(_, delivery)| reached.insert(delivery.endpoint));
        assert!(fresh, "one delivery each");
    }
    assert_eq!(reached, tenant.endpoints.iter().copied().collect());
}

async fn a_message_without_targets_is_stored_and_listed(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let publication = Publication { dedup: vec![key("k", 1)], ..tenant.publication_to(&[]) };
    assert_eq!(publish(&bench, &publication).await, Published::Accepted);
    let message = publication.header.id;
    assert_eq!(
        bench.store.message(tenant.app, message).await.unwrap(),
        Some(publication.record.clone())
    );
    assert_eq!(bench.store.find_key(tenant.app, "k").await.unwrap(), Some(message));
    let log = bench.store.messages(tenant.app, &whole(Order::NewestFirst)).await.unwrap();
    assert_eq!(log.entries[0].1, publication.header);
    assert!(bench.flowing(tenant.lane()).await.is_empty());

    let delivery = Delivery { generation: Generation(1), ..tenant.delivery(message, 0) };
    assert_eq!(bench.store.resend(Resend { delivery }).await.unwrap(), Resent::Queued);
}

async fn an_empty_batch_is_fine(bench: Bench) {
    assert_eq!(bench.store.publish(vec![]).await.unwrap(), []);
}

async fn a_batch_may_span_many_applications(bench: Bench) {
    let mut tenants = Vec::new();
    for _ in 0..40 {
        tenants.push(bench.tenant(1).await);
    }
    let batch: Vec<_> = tenants.iter().map(Tenant::publication).collect();
    let messages: Vec<_> = batch.iter().map(|publication| publication.header.id).collect();
    let answers = bench.store.publish(batch).await.unwrap();
    assert_eq!(answers, vec![Published::Accepted; 40]);
    for (tenant, message) in tenants.iter().zip(messages) {
        let flowing = bench.flowing(tenant.lane()).await;
        assert!(flowing.iter().any(|(_, found)| *found == tenant.delivery(message, 0)));
        assert!(bench.lives(tenant.app, message).await);
    }
}

async fn concurrent_repetitions_deliver_once(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let publication = tenant.publication();
    let calls = (0..24).map(|_| publish(&bench, &publication));
    let answers = futures_util::future::join_all(calls).await;
    assert_eq!(answers, vec![Published::Accepted; 24]);
    assert_eq!(bench.flowing(tenant.lane()).await.len(), 1);
}
