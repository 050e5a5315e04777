//! Reading: a snapshot beside the writer.

use fjall::{Readable, Slice, Snapshot};

use super::{Core, clock::Stamp, keys::Key, tables::Table, unreadable};
use crate::{store::Result, time::Millis};

/// Whatever single values can be read from: a snapshot, or a group that is being written.
pub(super) trait Lookup {
    fn get(&self, table: Table, key: impl AsRef<[u8]>) -> Result<Option<Slice>>;
}

/// The store as a group left it: all of that group, and nothing of a later one.
pub(super) struct View<'a> {
    pub(super) core: &'a Core,
    pub(super) snapshot: Snapshot,
    /// The store's time when it was taken.
    pub(super) now: Millis,
    /// All records with stamps up to this one are in it.
    pub(super) published: Stamp,
    /// Writes that are not in it happen at this time or later.
    pub(super) published_at: u64,
}

impl Lookup for View<'_> {
    fn get(&self, table: Table, key: impl AsRef<[u8]>) -> Result<Option<Slice>> {
        self.snapshot.get(self.core.tables.keyspace(table), key).map_err(unreadable)
    }
}

impl View<'_> {
    /// Keys and values from `from` on, up to but not with `to`, in either direction.
    pub(super) fn range(
        &self,
        table: Table,
        from: Key,
        to: Key,
    ) -> impl DoubleEndedIterator<Item = Result<(Slice, Slice)>> + use<> {
        let range = self.snapshot.range(self.core.tables.keyspace(table), from..to);
        range.map(|guard| guard.into_inner().map_err(unreadable))
    }

    /// Keys and values under a prefix.
    pub(super) fn prefix(
        &self,
        table: Table,
        prefix: Key,
    ) -> impl DoubleEndedIterator<Item = Result<(Slice, Slice)>> + use<> {
        let end = prefix.clone().end();
        self.range(table, prefix, end)
    }
}
