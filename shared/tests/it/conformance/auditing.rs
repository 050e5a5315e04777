//! The audit log, over what the traits promise of messages.

use futures_util::future::join_all;
use shared::{
    audit::{self, Entry},
    id::AppId,
    store::{Lifetimes, Order, PageRequest},
};

use crate::bench::Bench;

crate::engines::on_each_engine! {
    Lifetimes::default();
    entries_of_many_writers_are_listed_in_pages,
}

fn entry(number: usize) -> Entry {
    Entry {
        actor: "root".into(),
        action: format!("endpoint.{number}"),
        object: None,
        app: (number > 0).then(|| AppId::from_bits(number as u128)),
        request_id: number.to_string(),
    }
}

async fn entries_of_many_writers_are_listed_in_pages(bench: Bench) {
    let page = PageRequest { after: None, order: Order::OldestFirst, limit: 4 };
    assert_eq!(audit::list(&bench.store, &page).await.unwrap().entries, []);
    // The first ones meet while the log comes to be.
    let entries: Vec<_> = (0..6).map(entry).collect();
    for written in join_all(entries.iter().map(|entry| audit::write(&bench.store, entry))).await {
        written.unwrap();
    }
    let first = audit::list(&bench.store, &page).await.unwrap();
    assert_eq!((first.entries.len(), first.done), (4, false));
    let after = Some(first.entries[3].0.clone());
    let rest = audit::list(&bench.store, &PageRequest { after, ..page }).await.unwrap();
    assert_eq!((rest.entries.len(), rest.done), (2, true));
    let listed = first.entries.into_iter().chain(rest.entries);
    let mut found: Vec<_> = listed.map(|(_, written)| written.entry.unwrap()).collect();
    found.sort_by(|one, other| one.request_id.cmp(&other.request_id));
    assert_eq!(found, entries);
    let pages = bench.store.applications(&PageRequest { limit: 9, ..PageRequest::default() }).await;
    assert_eq!(pages.unwrap().entries, [], "it is in no list of applications");
}
