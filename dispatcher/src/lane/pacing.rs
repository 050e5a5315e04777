//! Attempts that are prepared, body and credit in hand, and start when the endpoint's limits allow it.
//!
//! Taking from the limits here, and not before the body is read, makes the starts as even as the
//! limits are: a slow read does not bunch them. The brain keeps what waits here small and short.

use std::{mem, sync::Arc};

use actix::Context;
use shared::{
    domain::{DeadReason, Destination, Message},
    store::Verdict,
    time::Millis,
};
use tokio::time::Instant;

use super::{LaneActor, backlog::take_first, fetching::Taken, serving::NOT_AT_ONCE, turns::Turn};
use crate::{
    brain::{LEAD, Wants},
    routes::Route,
};

/// A delivery with all that its attempt needs.
pub(super) struct Primed {
    pub(super) taken: Taken,
    pub(super) message: Message,
    pub(super) route: Arc<Route>,
}

impl LaneActor {
    /// Starts what is prepared, as far as the limits allow it now; gives it back where the endpoint
    /// has closed meanwhile.
    pub(super) fn start_primed(
        &mut self,
        destination: Destination,
        now: Instant,
        ctx: &mut Context<Self>,
    ) {
        let Some(seat) = self.seats.get_mut(&destination) else { return };
        if seat.primed.is_empty() {
            return;
        }
        match seat.brain.wants(now) {
            Wants::Now(_) | Wants::AfterAttempt => {}
            Wants::Until(_) | Wants::AfterChange => return self.put_back_primed(destination),
        }
        if !self.tenure.holds() {
            self.put_back_primed(destination);
            return self.set_timer(destination, now + NOT_AT_ONCE);
        }
        while let Some(seat) = self.seats.get_mut(&destination)
            && !seat.primed.is_empty()
        {
            // It may have waited for the limits until its time was over.
            let is_expired = |primed: &Primed| primed.message.header.is_expired(Millis::now());
            if seat.primed.front().is_some_and(is_expired) {
                let Some(Primed { taken, .. }) = take_first(&mut seat.primed) else { return };
                self.end_without_attempt(taken, Verdict::Dead(DeadReason::Expired), ctx);
                continue;
            }
            match self.turn(destination, now) {
                Turn::Now => {}
                Turn::At(time) if time > now + LEAD => {
                    // What is prepared holds a credit.
                    self.put_back_primed(destination);
                    return self.set_timer(destination, time - LEAD);
                }
                Turn::At(time) => return self.set_timer(destination, time),
                Turn::None => return,
            }
            let Some(seat) = self.seats.get_mut(&destination) else { return };
            if let Err(time) = seat.brain.start(now) {
                return self.set_timer(destination, time);
            }
            let Some(primed) = take_first(&mut seat.primed) else { return };
            self.use_turn(destination);
            self.attempt(primed, ctx);
        }
    }

    /// Gives back what is prepared for an endpoint and has not started. While the lane is drained it
    /// stays where it is, for the next owner.
    pub(super) fn put_back_primed(&mut self, destination: Destination) {
        let Some(seat) = self.seats.get_mut(&destination) else { return };
        for Primed { taken, .. } in mem::take(&mut seat.primed) {
            self.give_back(taken);
        }
    }

    /// The same for all endpoints.
    pub(super) fn put_back_all_primed(&mut self) {
        let seats = self.seats.iter().filter(|(_, seat)| !seat.primed.is_empty());
        let destinations: Vec<_> = seats.map(|(destination, _)| *destination).collect();
        for destination in destinations {
            self.put_back_primed(destination);
        }
    }
}
