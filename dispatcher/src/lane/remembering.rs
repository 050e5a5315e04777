//! What is written down of serving an endpoint, so that the lane's next owner goes on from it: gate
//! and breaker at once when they change; what the limits granted now and then, and at the end.
//!
//! It goes with the settlements, so it costs no call of its own where there is work.

use std::time::Duration;

use actix::Context;
use shared::{
    domain::{Destination, Queue, ServingState, Strand},
    store::StateChange,
};
use tokio::time::Instant;

use super::{LaneActor, Seat};
use crate::{
    brain::{Moment, News},
    settler::What,
};

/// Between two writes of what the limits granted. After a clean end nothing is missing; after any
/// other the limits count as used up.
const PAUSE: Duration = Duration::from_millis(200);
/// A lane's owner is careful with the endpoints that it meets for so long after an unclean takeover:
/// what the owner before may have started is older than this afterwards.
const CAREFUL_FOR: Duration = Duration::from_secs(60);

impl LaneActor {
    /// Writes down what is new of an endpoint, if it is time.
    pub(super) fn remember(&mut self, destination: Destination, now: Instant, ctx: &Context<Self>) {
        let Some(seat) = self.seats.get_mut(&destination) else { return };
        let is_time = match seat.brain.news() {
            News::None => self.draining && seat.brain.is_known_well(),
            News::Used => {
                self.draining
                    || seat.remembered.is_none_or(|last| now.duration_since(last) >= PAUSE)
            }
            News::Changed => true,
        };
        if !is_time {
            return;
        }
        seat.remembered = Some(now);
        let state = match serde_json::to_vec(&seat.brain.remember(Moment::now())) {
            Ok(state) => Some(state.into()),
            Err(error) => return tracing::error!(?destination, %error, "state cannot be written"),
        };
        self.remembering += 1;
        let queue = destination.queue(Strand::Live);
        self.write_down(What::State(StateChange { queue, state, reopens: None }), ctx);
    }

    /// The same for all endpoints.
    pub(super) fn remember_all(&mut self, now: Instant, ctx: &Context<Self>) {
        let has_news = |seat: &Seat| self.draining || seat.brain.news() != News::None;
        let seats = self.seats.iter().filter(|(_, seat)| has_news(seat));
        let destinations: Vec<_> = seats.map(|(destination, _)| *destination).collect();
        for destination in destinations {
            self.remember(destination, now, ctx);
        }
    }

    /// Whether an owner before may have served this lane's endpoints a moment ago, and did not say.
    pub(super) fn is_careful(&self, now: Instant) -> bool {
        self.unclean && now.duration_since(self.since) < CAREFUL_FOR
    }

    /// Until when an ordered queue is left alone: what the owner before may have sent can still arrive
    /// for so long, and nothing is to overtake it.
    pub(super) fn rests_until(&self, queue: Queue, now: Instant) -> Option<Instant> {
        let until = self.since + self.parts.config.request_timeout;
        (self.unclean && queue.strand.is_ordered() && now < until).then_some(until)
    }

    /// An endpoint's brain goes on from what was written down.
    pub(super) fn restore(&mut self, destination: Destination, state: &ServingState) {
        let moment = Moment::now();
        let careful = self.is_careful(moment.now);
        if let Some(seat) = self.seats.get_mut(&destination) {
            seat.restore(state, careful, moment);
        }
    }
}
