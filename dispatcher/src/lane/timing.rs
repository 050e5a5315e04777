//! When to look at an endpoint again: one timer each, and one alarm for the earliest of them. And when
//! to look at all of the lane.

use std::time::Duration;

use actix::{AsyncContext, Context, SpawnHandle};
use shared::{domain::Destination, placement::LANES};
use tokio::time::Instant;

use super::LaneActor;

const SECOND: Duration = Duration::from_secs(1);
/// So many beats are left out where there is nothing to do.
const REST: u64 = 9;

/// When the lane is looked at next: each second, but less often where there is nothing to do.
pub(super) struct Beat {
    handle: SpawnHandle,
    /// Not before there is something to do, or a while is over.
    rests: bool,
}

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

    /// Whether anything in this lane may want to be looked at within a second.
    fn has_work(&self) -> bool {
        !(self.seats.is_empty()
            && self.held.is_empty()
            && self.wishes.is_empty()
            && self.nudges.is_empty()
            && self.replaying.is_empty()
            && self.maintenance.is_empty()
            && self.checks.saw_nothing)
            || self.closing
            || self.refused != 0
    }

    /// Sets the next beat, sooner if there is something to do since.
    pub(super) fn set_beat(&mut self, ctx: &mut Context<Self>) {
        if self.beat.as_ref().is_some_and(|beat| !beat.rests) {
            return;
        }
        let rests = !self.has_work();
        match &self.beat {
            Some(_) if rests => return,
            Some(beat) => _ = ctx.cancel_future(beat.handle),
            None => {}
        }
        // Lanes are taken together: each has its own moment of a second, so that they do not all ask the
        // store at once.
        let moment = self.since + SECOND * u32::from(self.tenure.lane().index()) / u32::from(LANES);
        let begun = (Instant::now() + SECOND).saturating_duration_since(moment).as_secs();
        let next = moment + Duration::from_secs(begun + if rests { REST } else { 0 });
        let wait = next.saturating_duration_since(Instant::now());
        self.beat = Some(Beat { handle: ctx.run_later(wait, Self::beat), rests });
    }

    /// What is done at each beat.
    fn beat(&mut self, ctx: &mut Context<Self>) {
        self.beat = None;
        self.tick(ctx);
        self.report(ctx);
        self.finish(ctx);
    }
}
