//! Leases.

use shared::{
    placement::Lane,
    store::{Beat, Epoch, Fence, Lease, Leases, Owner, Result},
    time::Millis,
};

use super::Model;

#[async_trait::async_trait]
impl Leases for Model {
    async fn heartbeat(&self, owner: &Owner) -> Result<Vec<Beat>> {
        let mut state = self.state();
        *state.beats.entry(owner.as_str().into()).or_default() += 1;
        let beats = state.beats.iter();
        Ok(beats.map(|(name, &count)| Beat { owner: Owner::new(name), count }).collect())
    }

    async fn forget_node(&self, owner: &Owner) -> Result<()> {
        self.state().beats.remove(owner.as_str());
        Ok(())
    }

    async fn leases(&self, lanes: &[Lane]) -> Result<Vec<Option<Lease>>> {
        let state = self.state();
        Ok(lanes.iter().map(|lane| state.leases.get(lane).cloned()).collect())
    }

    async fn acquire(
        &self,
        lane: Lane,
        owner: &Owner,
        seen: Option<&Lease>,
    ) -> Result<Option<Epoch>> {
        let mut state = self.state();
        let current = state.leases.get(&lane);
        if current != seen {
            // The winner of before, who did not hear that it won.
            let won = current.filter(|lease| lease.owner.as_ref() == Some(owner));
            return Ok(won.map(|lease| lease.epoch));
        }
        let next = current.map_or(0, |lease| lease.epoch.0 + 1);
        let epoch = Epoch(next.max(Millis::now().0));
        state.leases.insert(lane, Lease { owner: Some(owner.clone()), epoch, renewal: 0 });
        Ok(Some(epoch))
    }

    async fn renew(&self, fences: &[Fence]) -> Result<Vec<bool>> {
        let mut state = self.state();
        let mut held = Vec::new();
        for fence in fences {
            held.push(state.holds(fence));
            if state.holds(fence)
                && let Some(lease) = state.leases.get_mut(&fence.lane)
            {
                lease.renewal += 1;
            }
        }
        Ok(held)
    }

    async fn release(&self, fence: &Fence) -> Result<()> {
        let mut state = self.state();
        if state.holds(fence)
            && let Some(lease) = state.leases.get_mut(&fence.lane)
        {
            lease.owner = None;
        }
        Ok(())
    }
}
