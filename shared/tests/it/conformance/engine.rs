//! `Store` itself.

use shared::store::{Durability, Lifetimes, Swept};

use crate::bench::Bench;

crate::engines::on_each_engine! {
    Lifetimes::default();
    a_store_says_what_it_promises,
    the_incarnation_stays_while_the_store_runs,
    sweep_comes_to_an_end_and_leaves_what_lives,
}

async fn a_store_says_what_it_promises(bench: Bench) {
    assert_eq!(bench.store.durability(), Durability::Process);
    bench.store.ready().await.unwrap();
}

async fn the_incarnation_stays_while_the_store_runs(bench: Bench) {
    let first = bench.store.incarnation().await.unwrap();
    assert!(!first.is_empty());
    bench.tenant(1).await.publish().await;
    assert_eq!(bench.store.incarnation().await.unwrap(), first);
}

async fn sweep_comes_to_an_end_and_leaves_what_lives(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let delivery = tenant.deliver().await;
    while bench.store.sweep().await.unwrap() == Swept::Part {}
    assert!(bench.lives(tenant.app, delivery.message).await);
    assert_eq!(bench.flowing(tenant.lane()).await.len(), 1);
}
