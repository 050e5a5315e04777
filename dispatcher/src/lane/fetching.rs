//! Credits for those that wait for one, and the bodies of what was started.

use std::mem;

use actix::{AsyncContext, Context};
use shared::{domain::Delivery, time::Millis};
use tokio::time::Instant;

use super::{Event, LaneActor, seat::Ready};
use crate::{batcher::Enqueue, credits::Permit, fetcher::Wish, mail::tell};

/// A delivery that was started, with the right to hold it.
pub(crate) struct Taken {
    pub(super) ready: Ready,
    pub(super) permit: Permit,
    /// When the message was accepted: known once its body was read.
    pub(super) accepted_at: Option<Millis>,
}

impl Taken {
    pub(crate) fn delivery(&self) -> Delivery {
        self.ready.delivery
    }
}

impl LaneActor {
    /// Waits in line for a credit on behalf of the first hungry queue.
    pub(super) fn ask_for_credit(&mut self, ctx: &mut Context<Self>) {
        if self.credit_asked || self.draining {
            return;
        }
        let Some(queue) = self.hungry.front() else { return };
        let proven = self.seats.get(queue).is_some_and(|seat| seat.brain.is_proven());
        let (credits, me) = (self.parts.credits.clone(), ctx.address());
        self.credit_asked = true;
        actix_rt::spawn(async move {
            if let Some(permit) = credits.take(proven).await {
                // A lane that has ended drops the permit, which is what it should do.
                let _ = me.send(Event::Credit(permit)).await;
            }
        });
    }

    /// A credit came: the first hungry queue gets it.
    pub(super) fn feed(&mut self, permit: Permit, ctx: &mut Context<Self>) {
        self.credit_asked = false;
        let Some(queue) = self.hungry.pop_front() else { return };
        if let Some(seat) = self.seats.get_mut(&queue) {
            seat.hungry = false;
        }
        self.pump_with(queue, Some(permit), Instant::now(), ctx);
    }

    /// Hands on what was started, for its body to be read.
    pub(super) fn fetch(&mut self, ctx: &Context<Self>) {
        if self.to_fetch.is_empty() {
            return;
        }
        let taken = mem::take(&mut self.to_fetch);
        let fence = self.tenure.fence().clone();
        tell(&self.fetcher, Enqueue(Wish { fence, lane: ctx.address(), taken }));
    }
}
