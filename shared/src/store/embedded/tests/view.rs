//! Views: all of a group or nothing of it.

use super::rig::{LONG, Rig};
use crate::store::embedded::{
    keys::Key,
    tables::Table,
    view::{Lookup, View},
};

#[tokio::test]
async fn a_view_shows_nothing_of_a_group_that_is_not_finished() {
    let rig = Rig::new(LONG).await;
    let core = &rig.store.core;
    let key = || Key::new().bytes(b"?");
    let is_seen = |view: &View<'_>| view.get(Table::System, key()).unwrap().is_some();
    // As far as the files are concerned it is there; the writer has not said so.
    let mut tx = core.db.write_tx();
    tx.insert(core.tables.keyspace(Table::System), key(), "");
    tx.commit().unwrap();
    assert!(!is_seen(&core.view().unwrap()));
    let before = core.view().unwrap();

    rig.publish().await;
    assert!(is_seen(&core.view().unwrap()));
    assert!(!is_seen(&before), "a view stays as it is");
}
