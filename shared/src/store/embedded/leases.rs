//! Leases and signs of life.
//!
//! Both are read from memory. Owners and epochs are written too, so that an epoch never comes back;
//! renewals and heartbeats are not: they are signs of life of this process and die with it.

use std::collections::BTreeMap;

use super::{
    Embedded, corrupt,
    draft::Draft,
    keys,
    records::{decode_lease, encode_lease},
    tables::{Table, Tables},
};
use crate::{
    placement::Lane,
    store::{Beat, Epoch, Fence, Lease, Leases, Owner, Result},
};

/// Who owns which lane, and who lives.
pub(super) struct LeaseBook {
    leases: Vec<Option<Lease>>,
    beats: BTreeMap<Owner, u64>,
}

impl LeaseBook {
    pub(super) fn load(tables: &Tables) -> Result<Self> {
        let load = |lane| match tables.get(Table::System, keys::lease(lane))? {
            None => Ok(None),
            Some(record) => decode_lease(&record).map(Some).ok_or_else(|| corrupt("a lease")),
        };
        let leases = Lane::all().map(load).collect::<Result<Vec<_>>>()?;
        Ok(Self { leases, beats: BTreeMap::new() })
    }

    pub(super) fn get(&self, lane: Lane) -> Option<Lease> {
        self.leases[usize::from(lane.index())].clone()
    }

    /// Whether the lease names exactly this owner and epoch.
    pub(super) fn holds(&self, fence: &Fence) -> bool {
        self.leases[usize::from(fence.lane.index())].as_ref().is_some_and(|lease| {
            lease.owner.as_ref() == Some(&fence.owner) && lease.epoch == fence.epoch
        })
    }

    fn set(&mut self, lane: Lane, lease: Lease) {
        self.leases[usize::from(lane.index())] = Some(lease);
    }

    fn renew(&mut self, fence: &Fence) -> bool {
        let held = self.holds(fence);
        if held && let Some(lease) = &mut self.leases[usize::from(fence.lane.index())] {
            lease.renewal += 1;
        }
        held
    }
}

#[async_trait::async_trait]
impl Leases for Embedded {
    async fn heartbeat(&self, owner: &Owner) -> Result<Vec<Beat>> {
        self.core.usable()?;
        let mut book = self.core.leases.lock();
        *book.beats.entry(owner.clone()).or_default() += 1;
        let beat = |(owner, count): (&Owner, &u64)| Beat { owner: owner.clone(), count: *count };
        Ok(book.beats.iter().map(beat).collect())
    }

    async fn forget_node(&self, owner: &Owner) -> Result<()> {
        self.core.usable()?;
        self.core.leases.lock().beats.remove(owner);
        Ok(())
    }

    async fn leases(&self, lanes: &[Lane]) -> Result<Vec<Option<Lease>>> {
        self.core.usable()?;
        let book = self.core.leases.lock();
        Ok(lanes.iter().map(|lane| book.get(*lane)).collect())
    }

    async fn acquire(
        &self,
        lane: Lane,
        owner: &Owner,
        seen: Option<&Lease>,
    ) -> Result<Option<Epoch>> {
        let (owner, seen) = (owner.clone(), seen.cloned());
        self.writer.write(true, move |draft| Ok(acquire(draft, lane, owner, seen))).await
    }

    async fn renew(&self, fences: &[Fence]) -> Result<Vec<bool>> {
        self.core.usable()?;
        let mut book = self.core.leases.lock();
        Ok(fences.iter().map(|fence| book.renew(fence)).collect())
    }

    async fn release(&self, fence: &Fence) -> Result<()> {
        let fence = fence.clone();
        self.writer
            .write(false, move |draft| {
                release(draft, &fence);
                Ok(())
            })
            .await
    }
}

fn acquire(draft: &mut Draft<'_>, lane: Lane, owner: Owner, seen: Option<Lease>) -> Option<Epoch> {
    let current = draft.core.leases.lock().get(lane);
    if current != seen {
        // Perhaps the caller won, and the answer was lost.
        let newer = current.filter(|lease| {
            lease.owner.as_ref() == Some(&owner) && seen.is_none_or(|seen| seen.epoch < lease.epoch)
        });
        return newer.map(|lease| lease.epoch);
    }
    let last = current.map_or(0, |lease| lease.epoch.0 + 1);
    let epoch = Epoch(last.max(draft.now.0));
    let lease = Lease { owner: Some(owner), epoch, renewal: 0 };
    draft.put(Table::System, keys::lease(lane), encode_lease(&lease));
    draft.core.leases.lock().set(lane, lease);
    Some(epoch)
}

fn release(draft: &mut Draft<'_>, fence: &Fence) {
    let mut book = draft.core.leases.lock();
    if !book.holds(fence) {
        return;
    }
    let lease = Lease { owner: None, epoch: fence.epoch, renewal: 0 };
    let record = encode_lease(&lease);
    book.set(fence.lane, lease);
    drop(book);
    draft.put(Table::System, keys::lease(fence.lane), record);
}
