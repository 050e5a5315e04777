//! The settler: writes what lanes want settled, in batches. A permit stays with its settlement until
//! the store has agreed.

use std::{
    collections::{HashMap, hash_map::Entry},
    mem,
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use prometheus::IntGauge;
use shared::{
    domain::Strand,
    placement::Lane,
    store::{Fence, Settle, Settled, Settlement, StateChange},
};

use crate::{
    batcher::{Batcher, Refused, Stage},
    credits::Permit,
    distance::Distance,
    lane::{Event, LaneActor},
    mail::Resident,
    metrics::{Mailbox, Metrics},
    parts::Parts,
    persist::until_refused,
};

/// Settlements in one call.
const BATCH: usize = 64;
/// What a call costs is shared by all that is in it, and nobody waits for most of them: the endpoint's
/// window is free when the attempt has ended. So calls come at this distance…
const DISTANCE: Duration = Duration::from_millis(5);
/// …unless there were few of them lately.
const AT_ONCE: NonZeroU32 = NonZeroU32::new(4).unwrap();

/// The actor: one where a write can span all shards, otherwise one a shard.
pub(crate) type Settler = Batcher<Settling>;

/// What a lane wants settled.
pub(crate) struct Wish {
    pub(crate) fence: Fence,
    pub(crate) lane: Resident<LaneActor>,
    pub(crate) what: What,
}

/// What is to be written.
pub(crate) enum What {
    /// A settlement. The permit is held until the store has agreed; what needs no attempt has none.
    Settlement(Box<Settlement>, Option<Permit>),
    /// What an endpoint's brain knows; only the last one of an endpoint counts.
    State(StateChange),
}

/// The store's answer to one lane.
pub(crate) struct Reply {
    pub(crate) settlements: Vec<Settlement>,
    /// How many states were written.
    pub(crate) states: usize,
    /// `None`: the lane is fenced.
    pub(crate) answers: Option<Vec<Settled>>,
}

/// What waits, by lane.
#[derive(Default)]
pub(crate) struct Settling {
    waiting: HashMap<Lane, LaneBatch>,
    count: usize,
    /// The next of an ordered queue starts only when the one before is settled.
    ordered: bool,
}

/// What one lane wants settled.
pub(crate) struct LaneBatch {
    lane: Resident<LaneActor>,
    settle: Settle,
    permits: Vec<Permit>,
    /// States that were wished for; `settle` has the last one of each endpoint.
    states: usize,
}

impl LaneBatch {
    fn new(lane: Resident<LaneActor>, fence: Fence) -> Self {
        let settle = Settle { fence, settlements: Vec::new(), states: Vec::new() };
        Self { lane, settle, permits: Vec::new(), states: 0 }
    }

    /// Splits off all but the first `count` settlements. Permits have no order among themselves: any
    /// of the lane's stands for any other.
    fn split_off(&mut self, count: usize) -> Self {
        let mut rest = Self::new(self.lane.clone(), self.settle.fence.clone());
        rest.settle.settlements = self.settle.settlements.split_off(count);
        rest.permits = self.permits.split_off(count.min(self.permits.len()));
        rest
    }
}

impl Stage for Settling {
    type Wish = Wish;
    type Part = LaneBatch;
    const CALLS: usize = 1;

    fn distance() -> Option<Distance> {
        Some(Distance::new(DISTANCE, AT_ONCE))
    }

    fn add(&mut self, wish: Wish) {
        let batch = match self.waiting.entry(wish.fence.lane) {
            Entry::Vacant(vacant) => vacant.insert(LaneBatch::new(wish.lane, wish.fence)),
            Entry::Occupied(occupied) => {
                let batch = occupied.into_mut();
                if batch.settle.fence.epoch > wish.fence.epoch {
                    return;
                }
                if batch.settle.fence != wish.fence {
                    // The lane was lost and taken again: what it wanted before would be refused.
                    self.count -= batch.settle.settlements.len();
                    *batch = LaneBatch::new(wish.lane, wish.fence);
                }
                batch
            }
        };
        match wish.what {
            What::Settlement(settlement, permit) => {
                self.ordered |= matches!(settlement.delivery.strand, Strand::Ordered(_));
                batch.settle.settlements.push(*settlement);
                batch.permits.extend(permit);
                self.count += 1;
            }
            What::State(change) => {
                batch.states += 1;
                let states = &mut batch.settle.states;
                match states.iter_mut().find(|before| before.queue == change.queue) {
                    Some(before) => *before = change,
                    None => states.push(change),
                }
            }
        }
    }

    fn is_urgent(&self) -> bool {
        self.ordered || self.count >= BATCH
    }

    fn take(&mut self) -> Option<Vec<LaneBatch>> {
        if self.count <= BATCH {
            (self.count, self.ordered) = (0, false);
            let all = mem::take(&mut self.waiting);
            return (!all.is_empty()).then(|| all.into_values().collect());
        }
        let (mut taken, mut room) = (Vec::new(), BATCH);
        while room > 0 {
            let Some(lane) = self.waiting.keys().next().copied() else { break };
            let Some(mut batch) = self.waiting.remove(&lane) else { break };
            if batch.settle.settlements.len() > room {
                self.waiting.insert(lane, batch.split_off(room));
            }
            room -= batch.settle.settlements.len();
            taken.push(batch);
        }
        self.count -= BATCH - room;
        Some(taken)
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn depth(&self) -> usize {
        self.count
    }

    fn shown(metrics: &Metrics) -> (&IntGauge, Mailbox) {
        (&metrics.to_settle, Mailbox::Settler)
    }

    fn lane(part: &LaneBatch) -> &Resident<LaneActor> {
        &part.lane
    }

    async fn call(batches: Vec<LaneBatch>, parts: Arc<Parts>) -> Result<(), Refused<LaneBatch>> {
        let (mut lanes, mut calls) = (Vec::new(), Vec::new());
        for LaneBatch { lane, settle, permits, states } in batches {
            lanes.push((lane, permits, states));
            calls.push(settle);
        }
        let answers =
            until_refused(&parts.metrics, "settle", async || parts.store.settle(&calls).await)
                .await;
        let lanes = lanes.into_iter().zip(calls);
        let Ok(answers) = answers else {
            let batch =
                |((lane, permits, states), settle)| LaneBatch { lane, settle, permits, states };
            return Err(Refused(lanes.map(batch).collect()));
        };
        for (((lane, permits, states), settle), answers) in lanes.zip(answers) {
            drop(permits);
            if answers.is_none() {
                parts.metrics.settlements_fenced.inc_by(settle.settlements.len() as u64);
            }
            lane.tell(Event::Settled(Reply { settlements: settle.settlements, states, answers }));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fills_a_call_waits_no_more_and_what_is_in_order_not_at_all() {
        assert!(Settling::distance().is_some());
        let waiting = |count, ordered| Settling { count, ordered, ..Settling::default() };
        assert!(!waiting(BATCH - 1, false).is_urgent());
        assert!(waiting(BATCH, false).is_urgent());
        assert!(waiting(1, true).is_urgent());
    }
}
