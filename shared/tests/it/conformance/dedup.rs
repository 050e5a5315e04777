//! The keys of `Publisher::publish`.

use shared::store::{Lifetimes, Publication, Published, Version};

use crate::bench::{Bench, key};

crate::engines::on_each_engine! {
    Lifetimes::default();
    the_first_taken_key_is_named,
    a_key_is_taken_once_among_the_publications_of_a_batch,
    a_key_is_not_taken_by_one_that_is_refused_in_the_same_batch,
    a_key_tells_a_repetition_from_another_request,
    a_key_belongs_to_its_application,
    keys_of_any_visible_ascii_are_kept_apart,
    concurrent_publishers_share_a_key_once,
}

async fn publish(bench: &Bench, publication: &Publication) -> Published {
    bench.store.publish(vec![publication.clone()]).await.unwrap().remove(0)
}

async fn the_first_taken_key_is_named(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let holder = |name| Publication { dedup: vec![key(name, 1)], ..tenant.publication() };
    let (b, c) = (holder("b"), holder("c"));
    bench.store.publish(vec![b.clone(), c.clone()]).await.unwrap();
    let ask = async |keys: &[&str]| {
        let dedup = keys.iter().map(|name| key(name, 1)).collect();
        publish(&bench, &Publication { dedup, ..tenant.publication() }).await
    };
    let duplicate = |key, message| Published::Duplicate { key, message, same: true };
    assert_eq!(ask(&["a", "b", "c"]).await, duplicate(1, b.header.id));
    assert_eq!(ask(&["c", "b"]).await, duplicate(0, c.header.id));
    assert_eq!(ask(&["a"]).await, Published::Accepted, "no refused one took it");
}

async fn a_key_is_taken_once_among_the_publications_of_a_batch(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let with = |dedup| Publication { dedup, ..tenant.publication() };
    let batch = vec![
        with(vec![key("a", 1), key("b", 1)]),
        with(vec![key("b", 1)]),
        with(vec![key("c", 1), key("a", 2)]),
        with(vec![key("c", 3)]),
    ];
    let first = batch[0].header.id;
    let last = batch[3].header.id;
    let answers = bench.store.publish(batch).await.unwrap();
    assert_eq!(
        answers,
        [
            Published::Accepted,
            Published::Duplicate { key: 0, message: first, same: true },
            Published::Duplicate { key: 1, message: first, same: false },
            Published::Accepted,
        ]
    );
    assert_eq!(bench.store.find_key(tenant.app, "c").await.unwrap(), Some(last));
    assert_eq!(bench.flowing(tenant.lane()).await.len(), 2);
}

async fn a_key_is_not_taken_by_one_that_is_refused_in_the_same_batch(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let stale =
        Publication { version: Version(0), dedup: vec![key("k", 1)], ..tenant.publication() };
    let good = Publication { version: tenant.version, ..stale.clone() };
    let answers = bench.store.publish(vec![stale, good.clone()]).await.unwrap();
    assert_eq!(answers, [Published::Stale, Published::Accepted]);
    let holder = bench.store.find_key(tenant.app, "k").await.unwrap();
    assert_eq!(holder, Some(good.header.id));
}

async fn a_key_tells_a_repetition_from_another_request(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let holder = Publication { dedup: vec![key("k", 1)], ..tenant.publication() };
    publish(&bench, &holder).await;
    for (fingerprint, same) in [(1, true), (2, false)] {
        let other = Publication { dedup: vec![key("k", fingerprint)], ..tenant.publication() };
        let expected = Published::Duplicate { key: 0, message: holder.header.id, same };
        assert_eq!(publish(&bench, &other).await, expected);
    }
}

async fn a_key_belongs_to_its_application(bench: Bench) {
    for _ in 0..20 {
        let tenant = bench.tenant(1).await;
        let publication = Publication { dedup: vec![key("k", 1)], ..tenant.publication() };
        assert_eq!(publish(&bench, &publication).await, Published::Accepted);
        let holder = bench.store.find_key(tenant.app, "k").await.unwrap();
        assert_eq!(holder, Some(publication.header.id));
    }
}

async fn keys_of_any_visible_ascii_are_kept_apart(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let visible: String = (0x21u8..0x7f).map(char::from).collect();
    let names = ["a", "a:", "a:b", "A", "{a}", "a*", &visible, &visible[1..], &"x".repeat(256)];
    for name in names {
        let publication = Publication { dedup: vec![key(name, 1)], ..tenant.publication() };
        assert_eq!(publish(&bench, &publication).await, Published::Accepted, "{name}");
        let holder = bench.store.find_key(tenant.app, name).await.unwrap();
        assert_eq!(holder, Some(publication.header.id), "{name}");
    }
}

async fn concurrent_publishers_share_a_key_once(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let publications: Vec<_> =
        (0..24).map(|_| Publication { dedup: vec![key("k", 1)], ..tenant.publication() }).collect();
    let calls = publications.iter().map(|publication| publish(&bench, publication));
    let answers = futures_util::future::join_all(calls).await;
    let accepted = answers.iter().filter(|answer| **answer == Published::Accepted).count();
    assert_eq!(accepted, 1, "{answers:?}");
    assert_eq!(bench.flowing(tenant.lane()).await.len(), 1);
}
