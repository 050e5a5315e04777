//! The settler: one per shard. Gathers what its lanes want settled and writes it in batches, by
//! taking what is waiting: no timers. A permit stays with its settlement until the store has agreed.

use std::{collections::HashMap, mem, sync::Arc};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};
use shared::{
    placement::Lane,
    store::{Fence, Settle, Settled, Settlement},
};

use crate::{
    credits::Permit,
    lane::{Event, LaneActor},
    parts::Parts,
    persist::until_answered,
};

/// Settlements in one call.
const BATCH: usize = 64;
/// Calls under way at once.
const CALLS: usize = 2;

/// A wish of a lane.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Enqueue {
    pub(crate) fence: Fence,
    pub(crate) lane: Addr<LaneActor>,
    pub(crate) settlement: Settlement,
    /// Held until the store has agreed; what needs no attempt has none.
    pub(crate) permit: Option<Permit>,
}

/// The store's answer to one lane.
pub(crate) struct Reply {
    pub(crate) settlements: Vec<Settlement>,
    /// `None`: the lane is fenced.
    pub(crate) answers: Option<Vec<Settled>>,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Flush;

#[derive(Message)]
#[rtype(result = "()")]
struct CallEnded;

/// What one lane wants settled.
struct Batch {
    lane: Addr<LaneActor>,
    settle: Settle,
    permits: Vec<Permit>,
}

/// The actor.
pub(crate) struct Settler {
    parts: Arc<Parts>,
    waiting: HashMap<Lane, Batch>,
    count: usize,
    calls: usize,
    flush_is_due: bool,
}

impl Settler {
    pub(crate) fn new(parts: Arc<Parts>) -> Self {
        Self { parts, waiting: HashMap::new(), count: 0, calls: 0, flush_is_due: false }
    }

    /// All that waits, or as many lanes of it as fit into a batch.
    fn take(&mut self) -> Vec<Batch> {
        if self.count <= BATCH {
            self.count = 0;
            return mem::take(&mut self.waiting).into_values().collect();
        }
        let (mut taken, mut room) = (Vec::new(), BATCH);
        while room > 0 {
            let Some(lane) = self.waiting.keys().next().copied() else { break };
            let Some(mut batch) = self.waiting.remove(&lane) else { break };
            let settlements = &mut batch.settle.settlements;
            if settlements.len() > room {
                // Permits have no order among themselves: any of the lane's stands for any other.
                let rest = Batch {
                    lane: batch.lane.clone(),
                    settle: Settle {
                        fence: batch.settle.fence.clone(),
                        settlements: settlements.split_off(room),
                        states: Vec::new(),
                    },
                    permits: batch.permits.split_off(room.min(batch.permits.len())),
                };
                self.waiting.insert(lane, rest);
            }
            room -= batch.settle.settlements.len();
            self.count -= batch.settle.settlements.len();
            taken.push(batch);
        }
        taken
    }
}

impl Actor for Settler {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // Each waiting settlement holds a permit, so the mailbox never needs more than there are.
        ctx.set_mailbox_capacity(self.parts.config.max_in_flight);
    }
}

impl Handler<Enqueue> for Settler {
    type Result = ();

    fn handle(&mut self, wish: Enqueue, ctx: &mut Self::Context) {
        let batch = self.waiting.entry(wish.fence.lane).or_insert_with(|| Batch {
            lane: wish.lane.clone(),
            settle: Settle { fence: wish.fence.clone(), settlements: vec![], states: vec![] },
            permits: vec![],
        });
        if batch.settle.fence != wish.fence {
            // The lane was lost and taken again: what it wanted before would be refused.
            self.count -= batch.settle.settlements.len();
            batch.settle = Settle { fence: wish.fence, settlements: vec![], states: vec![] };
            batch.permits.clear();
            batch.lane = wish.lane;
        }
        batch.settle.settlements.push(wish.settlement);
        batch.permits.extend(wish.permit);
        self.count += 1;
        if !self.flush_is_due && self.calls < CALLS {
            self.flush_is_due = true;
            ctx.notify(Flush);
        }
    }
}

impl Handler<Flush> for Settler {
    type Result = ();

    fn handle(&mut self, _: Flush, ctx: &mut Self::Context) {
        self.flush_is_due = false;
        while self.calls < CALLS && self.count > 0 {
            self.calls += 1;
            let (batches, parts, me) = (self.take(), Arc::clone(&self.parts), ctx.address());
            actix_rt::spawn(async move {
                settle(batches, &parts).await;
                // The mailbox is closed only when the process ends.
                let _ = me.send(CallEnded).await;
            });
        }
    }
}

impl Handler<CallEnded> for Settler {
    type Result = ();

    fn handle(&mut self, _: CallEnded, ctx: &mut Self::Context) {
        self.calls -= 1;
        if !self.flush_is_due && self.count > 0 {
            self.flush_is_due = true;
            ctx.notify(Flush);
        }
    }
}

async fn settle(batches: Vec<Batch>, parts: &Parts) {
    let (mut lanes, mut calls) = (Vec::new(), Vec::new());
    for Batch { lane, settle, permits } in batches {
        lanes.push((lane, permits));
        calls.push(settle);
    }
    let answers =
        until_answered(&parts.metrics, "settle", async || parts.store.settle(&calls).await).await;
    for (((lane, permits), settle), answers) in lanes.into_iter().zip(calls).zip(answers) {
        drop(permits);
        // A lane that has ended does not want to know.
        let reply = Reply { settlements: settle.settlements, answers };
        let _ = lane.send(Event::Settled(reply)).await;
    }
}
