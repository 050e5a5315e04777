//! The fixed set of keyspaces.

use fjall::{
    KeyspaceCreateOptions, KvSeparationOptions, SingleWriterTxDatabase, SingleWriterTxKeyspace,
    Slice, config::PartitioningPolicy,
};

use super::unreadable;
use crate::store::Result;

/// One keyspace; see the module's table of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Table {
    System,
    Documents,
    Streams,
    Waiting,
    Members,
    Agenda,
    Bodies,
    Lives,
    Keys,
    History,
    Expiry,
}

impl Table {
    const ALL: [Self; 11] = [
        Self::System,
        Self::Documents,
        Self::Streams,
        Self::Waiting,
        Self::Members,
        Self::Agenda,
        Self::Bodies,
        Self::Lives,
        Self::Keys,
        Self::History,
        Self::Expiry,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Documents => "documents",
            Self::Streams => "streams",
            Self::Waiting => "waiting",
            Self::Members => "members",
            Self::Agenda => "agenda",
            Self::Bodies => "bodies",
            Self::Lives => "lives",
            Self::Keys => "keys",
            Self::History => "history",
            Self::Expiry => "expiry",
        }
    }

    fn options(self) -> KeyspaceCreateOptions {
        // A filter or an index that is not in parts is read as a whole wherever the cache has lost it, and
        // those of some million keys do not fit into the cache together. Of level 0 they stay in memory.
        let parts = || PartitioningPolicy::new([false, true]);
        let options = KeyspaceCreateOptions::default()
            .filter_block_partitioning_policy(parts())
            .index_block_partitioning_policy(parts());
        match self {
            // Values of 1 KiB and more stand by themselves, so that compaction moves their keys only.
            Self::Bodies => options.with_kv_separation(Some(KvSeparationOptions::default())),
            // Most of what these tables get is removed soon. Small memtables bring insertion and
            // removal to compaction early, where both vanish.
            _ => options.max_memtable_size(16 << 20),
        }
    }
}

/// All keyspaces.
pub(super) struct Tables(Vec<SingleWriterTxKeyspace>);

impl Tables {
    pub(super) fn open(db: &SingleWriterTxDatabase) -> fjall::Result<Self> {
        let open = |table: &Table| db.keyspace(table.name(), || table.options());
        Table::ALL.iter().map(open).collect::<fjall::Result<_>>().map(Self)
    }

    pub(super) fn keyspace(&self, table: Table) -> &SingleWriterTxKeyspace {
        &self.0[table as usize]
    }

    /// A value as it is now, outside of snapshots: for what is loaded at start.
    pub(super) fn get(&self, table: Table, key: impl AsRef<[u8]>) -> Result<Option<Slice>> {
        self.keyspace(table).get(key).map_err(unreadable)
    }
}
