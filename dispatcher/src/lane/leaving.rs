//! How a lane ends: it is drained for its next owner, or it is another node's already.

use std::mem;

use actix::{ActorContext, Context, Handler, ResponseFuture};
use shared::store::Fence;
use tokio::{sync::oneshot, time::Instant};

use super::{Drain, LaneActor, Lost, Stage, Stuck};
use crate::{mail::tell, node::LaneFenced, reader::Unwatch};

impl Handler<Drain> for LaneActor {
    type Result = ResponseFuture<Result<(), Stuck>>;

    fn handle(&mut self, drain: Drain, ctx: &mut Self::Context) -> Self::Result {
        self.closing = true;
        if drain.at_once && !self.draining {
            self.begin_to_drain(ctx);
        }
        let (sender, drained) = oneshot::channel();
        self.drained.push(sender);
        self.finish(ctx);
        Box::pin(async {
            // A lane that has ended has nothing in hand.
            drained.await.unwrap_or(Ok(()))
        })
    }
}

impl Handler<Lost> for LaneActor {
    type Result = ();

    fn handle(&mut self, _: Lost, ctx: &mut Self::Context) {
        self.end(ctx);
    }
}

impl LaneActor {
    pub(super) fn answer_drained(&mut self, answer: impl Fn() -> Result<(), Stuck>) {
        for drained in mem::take(&mut self.drained) {
            // Who asked may have run out of patience.
            let _ = drained.send(answer());
        }
    }

    /// Whether nothing is in hand but what the store refuses to settle.
    pub(super) fn is_stuck(&self) -> bool {
        self.refused > 0 && self.held.values().all(|held| held.stage == Stage::Settling)
    }

    /// Whether attempts at endpoints that are not proven are under way.
    pub(super) fn waits_for_unproven(&self) -> bool {
        self.seats.values().any(|seat| !seat.brain.is_proven() && seat.brain.in_flight() > 0)
    }

    /// Takes nothing from now on.
    pub(super) fn begin_to_drain(&mut self, ctx: &mut Context<Self>) {
        self.draining = true;
        let Fence { lane, epoch, .. } = *self.tenure.fence();
        tell(&self.reader, Unwatch(vec![(lane, epoch)]));
        self.drop_ready();
        self.drop_aside();
        self.put_back_all_primed();
        self.remember_all(Instant::now(), ctx);
    }

    /// Whether nothing is in hand that somebody else must not touch.
    pub(super) fn is_empty(&self) -> bool {
        let under_way = self.parking || self.forgetting || self.fan_outs.under_way;
        !under_way && self.remembering == 0 && self.held.is_empty()
    }

    /// The store says that the lane is another node's.
    pub(super) fn fenced(&mut self, ctx: &mut Context<Self>) {
        self.parts.metrics.fenced.inc();
        tracing::warn!(lane = %self.tenure.lane(), "lane is fenced");
        let Fence { lane, epoch, .. } = *self.tenure.fence();
        tell(&self.node, LaneFenced { lane, epoch });
        self.end(ctx);
    }

    pub(super) fn end(&mut self, ctx: &mut Context<Self>) {
        self.draining = true;
        self.held.clear();
        self.parking = false;
        self.forgetting = false;
        self.fan_outs.under_way = false;
        self.remembering = 0;
        self.answer_drained(|| Ok(()));
        ctx.stop();
    }
}
