//! Credits for those that wait for one, room for bodies, and the bodies of what was started.

use std::mem;

use actix::{AsyncContext, Context};
use shared::domain::{Delivery, Destination};
use tokio::time::Instant;

use super::{Event, LaneActor, backlog::Ready};
use crate::{batcher::Enqueue, credits::Permit, fetcher::Wish, mail::Resident};

/// A delivery that was started, with the right to hold it.
pub(crate) struct Taken {
    pub(super) ready: Ready,
    pub(super) permit: Permit,
    /// When its endpoint took it.
    pub(super) since: Instant,
}

impl Taken {
    pub(crate) fn delivery(&self) -> Delivery {
        self.ready.delivery
    }
}

impl LaneActor {
    /// Waits for a credit on behalf of an endpoint.
    pub(super) fn want_credit(&mut self, destination: Destination, ctx: &Context<Self>) {
        let Some(seat) = self.seats.get_mut(&destination) else { return };
        if mem::replace(&mut seat.hungry, true) {
            return;
        }
        let (me, proven) = (Resident::here(ctx.address()), seat.brain.is_proven());
        // A lane that has ended drops the permit, which is what it should do.
        let give = move |permit| me.tell(Event::Credit { destination, permit });
        self.parts.credits.want(destination.app, proven, give);
    }

    /// A credit came for this endpoint.
    pub(super) fn feed(
        &mut self,
        destination: Destination,
        permit: Permit,
        ctx: &mut Context<Self>,
    ) {
        if let Some(seat) = self.seats.get_mut(&destination) {
            seat.hungry = false;
        }
        self.pump_with(destination, Some(permit), Instant::now(), ctx);
    }

    /// Waits until there is room for a body that was read and does not fit. It is read again then:
    /// what waits for room does not take any.
    pub(super) fn wait_for_room(&mut self, mut taken: Taken, bytes: usize, ctx: &Context<Self>) {
        let credits = self.parts.credits.clone();
        self.run(ctx, async move {
            credits.make_room(&mut taken.permit, bytes).await;
            Event::Room(taken)
        });
    }

    /// There is room for a body.
    pub(super) fn room(&mut self, taken: Taken) {
        if self.draining {
            self.give_back(taken);
        } else {
            self.to_fetch.push(taken);
        }
    }

    /// Hands on what was started, for its body to be read.
    pub(super) fn fetch(&mut self, ctx: &Context<Self>) {
        if self.to_fetch.is_empty() {
            return;
        }
        let is_proven = |taken: &Taken| {
            let seat = self.seats.get(&taken.delivery().destination());
            seat.is_some_and(|seat| seat.brain.is_proven())
        };
        let (proven, unproven): (Vec<_>, Vec<_>) =
            mem::take(&mut self.to_fetch).into_iter().partition(is_proven);
        for (proven, taken) in [(true, proven), (false, unproven)] {
            if !taken.is_empty() {
                let (fence, lane) = (self.tenure.fence().clone(), Resident::here(ctx.address()));
                self.fetcher.tell(Enqueue(Wish { fence, lane, proven, taken }));
            }
        }
    }
}
