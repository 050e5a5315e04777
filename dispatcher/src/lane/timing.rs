//! When to look at an endpoint again: one timer each, and one alarm for the earliest of them.

use actix::{AsyncContext, Context};
use shared::domain::Destination;
use tokio::time::Instant;

use super::LaneActor;

impl LaneActor {
    /// Calls [`LaneActor::pump`] for this endpoint at that time.
    pub(super) fn set_timer(&mut self, destination: Destination, at: Instant) {
        let Some(seat) = self.seats.get_mut(&destination) else { return };
        if let Some(before) = seat.timer {
            if before <= at {
                return;
            }
            self.timers.remove(&(before, destination));
        }
        seat.timer = Some(at);
        self.timers.insert((at, destination));
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        self.alarm = None;
        let now = Instant::now();
        while let Some((at, destination)) = self.timers.first().copied()
            && at <= now
        {
            self.timers.pop_first();
            if let Some(seat) = self.seats.get_mut(&destination) {
                seat.timer = None;
            }
            self.pump(destination, now, ctx);
        }
        self.finish(ctx);
    }

    /// Sets the alarm for the earliest timer.
    pub(super) fn set_alarm(&mut self, ctx: &mut Context<Self>) {
        if let Some((at, _)) = self.timers.first().copied()
            && self.alarm.is_none_or(|(set, _)| at < set)
        {
            if let Some((_, handle)) = self.alarm.take() {
                ctx.cancel_future(handle);
            }
            let wait = at.saturating_duration_since(Instant::now());
            self.alarm = Some((at, ctx.run_later(wait, Self::ring)));
        }
    }
}
