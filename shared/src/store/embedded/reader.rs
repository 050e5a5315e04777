//! Streams: reading and waiting for news.

use std::{sync::Arc, time::Duration};

use super::{
    Core, corrupt, keys,
    records::{self, Fields},
    tables::Table,
    view::View,
};
use crate::{
    placement::Lane,
    store::{Entry, EntryId, LONGEST_READ, LaneBatch, LaneRead, Reader, Result},
};

impl View<'_> {
    /// Entries of a lane behind `after`, in order.
    pub(super) fn entries(
        &self,
        lane: Lane,
        after: EntryId,
        limit: usize,
    ) -> Result<Vec<(EntryId, Entry)>> {
        if after.major > 0 {
            return Ok(Vec::new());
        }
        let first = self.core.lane_marks.first(lane);
        let behind = after.minor.saturating_add(1);
        let from = keys::entry(lane, EntryId { major: 0, minor: behind.max(first) });
        let mut entries = Vec::new();
        for item in self.range(Table::Streams, from, keys::lane(lane).end()).take(limit) {
            let (key, value) = item?;
            let id = read_id(&key).ok_or_else(|| corrupt("an entry's id"))?;
            entries.push((id, records::decode_entry(&value)));
        }
        // Only a read that began at the mark tells where the lane begins now.
        if behind <= first && limit > 0 {
            let now_first = entries.first().map_or(self.published.0 + 1, |(id, _)| id.minor);
            self.core.lane_marks.raise_first(lane, now_first);
        }
        Ok(entries)
    }
}

fn read_id(key: &[u8]) -> Option<EntryId> {
    let mut fields = Fields(key.get(2..)?);
    Some(EntryId { major: fields.u64()?, minor: fields.u64()? })
}

/// Reads many lanes at once.
pub(super) struct LaneReader(pub(super) Arc<Core>);

impl LaneReader {
    fn look(&self, lanes: &[LaneRead], limit: usize) -> Result<Vec<LaneBatch>> {
        let core = &self.0;
        let view = core.view()?;
        let mut batches = Vec::new();
        for &LaneRead { lane, after } in lanes {
            // Most lanes have no news: that is told without looking into the files.
            if core.lane_marks.newest(lane) <= after.minor {
                continue;
            }
            let entries = view.entries(lane, after, limit)?;
            if !entries.is_empty() {
                let lease = core.leases.lock().get(lane);
                batches.push(LaneBatch { lane, entries, lease });
            }
        }
        Ok(batches)
    }
}

#[async_trait::async_trait]
impl Reader for LaneReader {
    async fn read_within(
        &mut self,
        lanes: &[LaneRead],
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<LaneBatch>> {
        let deadline = tokio::time::Instant::now() + wait.min(LONGEST_READ);
        loop {
            // Listens before it looks: what is appended in between is not missed.
            let news = self.0.appended.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            let batches = self.look(lanes, limit)?;
            if !batches.is_empty() || tokio::time::timeout_at(deadline, news).await.is_err() {
                return Ok(batches);
            }
        }
    }
}
