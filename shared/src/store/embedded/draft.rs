//! The group that is being written: one transaction that reads its own writes.

use std::collections::HashMap;

use fjall::{PersistMode, Readable, SingleWriterWriteTx, Slice};

use super::{
    Core, Published,
    clock::Stamp,
    keys::{self, Key},
    tables::Table,
    unreadable,
    view::Lookup,
};
use crate::{
    placement::Lane,
    store::{EntryId, Result},
    time::Millis,
};

/// What the writer remembers from one group to the next.
pub(super) struct Memory {
    /// The greatest stamp given out.
    pub(super) stamp: Stamp,
    /// Lists that have an entry in the expiry table for this part of time, so that not each record
    /// writes one.
    pub(super) spans: HashMap<Key, Stamp>,
    /// Nothing in the expiry table has an earlier deadline.
    pub(super) expired: Millis,
}

/// A group of commands on its way to disk.
///
/// A command looks first and writes last: one that refuses has written nothing. An error of the files
/// in between is the end of the engine, so there is no need to take single commands back.
pub(super) struct Draft<'a> {
    pub(super) core: &'a Core,
    pub(super) memory: &'a mut Memory,
    /// The time at which all of it happens.
    pub(super) now: Millis,
    tx: SingleWriterWriteTx<'a>,
    /// The last entry appended to each lane.
    appended: HashMap<Lane, Stamp>,
}

impl Lookup for Draft<'_> {
    fn get(&self, table: Table, key: impl AsRef<[u8]>) -> Result<Option<Slice>> {
        self.tx.get(self.core.tables.keyspace(table), key).map_err(unreadable)
    }
}

impl<'a> Draft<'a> {
    /// `durable`: whether one of the commands makes a promise.
    pub(super) fn new(core: &'a Core, memory: &'a mut Memory, durable: bool) -> Self {
        // Without fsync the journal is still handed to the operating system, so that it survives us.
        let sync = if durable { PersistMode::SyncData } else { PersistMode::Buffer };
        let tx = core.db.write_tx().durability(Some(sync));
        Self { core, memory, now: core.clock.now(), tx, appended: HashMap::new() }
    }

    pub(super) fn put(&mut self, table: Table, key: Key, value: impl Into<Slice>) {
        self.tx.insert(self.core.tables.keyspace(table), key, value);
    }

    pub(super) fn remove(&mut self, table: Table, key: Key) {
        self.tx.remove(self.core.tables.keyspace(table), key);
    }

    /// The first keys and values from `from` on, up to but not with `to`.
    pub(super) fn first(
        &self,
        table: Table,
        from: Key,
        to: Key,
        limit: usize,
    ) -> Result<Vec<(Slice, Slice)>> {
        let range = self.tx.range(self.core.tables.keyspace(table), from..to);
        range.take(limit).map(|guard| guard.into_inner().map_err(unreadable)).collect()
    }

    /// The next place in the store's sequence.
    pub(super) fn stamp(&mut self) -> Stamp {
        self.memory.stamp = Stamp::after(Some(self.memory.stamp), self.now);
        self.memory.stamp
    }

    /// Appends an entry to a lane's stream.
    pub(super) fn append(&mut self, lane: Lane, entry: Key) {
        let stamp = self.stamp();
        self.put(Table::Streams, keys::entry(lane, EntryId { major: 0, minor: stamp.0 }), entry);
        self.appended.insert(lane, stamp);
    }

    /// Makes all of it happen, and visible.
    pub(super) fn commit(mut self) -> fjall::Result<()> {
        let stamp = self.memory.stamp;
        if stamp != self.core.published.read().stamp {
            self.put(Table::System, Key::new().bytes(keys::CLOCK), stamp.encode());
        }
        self.tx.commit()?;
        let snapshot = self.core.db.read_tx();
        *self.core.published.write() = Published { snapshot, stamp, at: self.now.0 };
        for (lane, stamp) in &self.appended {
            self.core.lane_marks.raise_newest(*lane, stamp.0);
        }
        if !self.appended.is_empty() {
            self.core.appended.notify_waiters();
        }
        Ok(())
    }
}
