//! Credits for those that wait for one, and the bodies of what was started.

use std::{collections::VecDeque, mem};

use actix::{AsyncContext, Context};
use shared::domain::{Delivery, Destination};
use tokio::time::Instant;

use super::{Event, LaneActor, backlog::Ready};
use crate::{batcher::Enqueue, credits::Permit, fetcher::Wish, mail::tell};

/// A delivery that was started, with the right to hold it.
pub(crate) struct Taken {
    pub(super) ready: Ready,
    pub(super) permit: Permit,
}

impl Taken {
    pub(crate) fn delivery(&self) -> Delivery {
        self.ready.delivery
    }
}

/// Endpoints that want a credit, and whether one was asked for.
#[derive(Default)]
pub(super) struct Line {
    pub(super) hungry: VecDeque<Destination>,
    asked: bool,
}

impl LaneActor {
    /// The endpoints of this kind that wait for credits.
    pub(super) fn line(&mut self, proven: bool) -> &mut Line {
        if proven { &mut self.proven } else { &mut self.unproven }
    }

    /// Waits for a credit on behalf of the first in line.
    pub(super) fn ask_for_credit(&mut self, proven: bool, ctx: &mut Context<Self>) {
        if self.draining || self.line(proven).asked || self.line(proven).hungry.is_empty() {
            return;
        }
        self.line(proven).asked = true;
        let (credits, me) = (self.parts.credits.clone(), ctx.address());
        actix_rt::spawn(async move {
            if let Some(permit) = credits.take(proven).await {
                // A lane that has ended drops the permit, which is what it should do.
                let _ = me.send(Event::Credit { permit, proven }).await;
            }
        });
    }

    /// A credit came: the first in line gets it.
    pub(super) fn feed(&mut self, permit: Permit, proven: bool, ctx: &mut Context<Self>) {
        let line = self.line(proven);
        line.asked = false;
        let Some(destination) = line.hungry.pop_front() else { return };
        if let Some(seat) = self.seats.get_mut(&destination) {
            seat.hungry = false;
        }
        self.pump_with(destination, Some(permit), Instant::now(), ctx);
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
