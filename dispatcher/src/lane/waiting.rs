//! When to look into waiting sets, and what to take from them.
//!
//! There is no cursor. A look asks for the first `held + wanted` deliveries that are due, and drops
//! those that are in hand, or were at any time since the look began.

use std::sync::Arc;

use actix::{AsyncContext, Context};
use shared::{
    domain::{Destination, Queue},
    store::{Ask, Due, Place, Waiting},
};
use tokio::time::Instant;

use super::{Event, LaneActor, Stage, backlog::Ready, parking::REFUSED, seat::Configuration};
use crate::persist::{Parted, in_parts};

/// Queues in one call.
const LOOK_BATCH: usize = 64;
/// Calls under way at once.
const LOOKS: usize = 2;

impl LaneActor {
    /// Looks into a queue's waiting set, if something may be due there, now or when it is.
    fn look_later(&mut self, queue: Queue, now: Instant) {
        if let Some(time) = self.rests_until(queue, now) {
            return self.set_timer(queue.destination(), time);
        }
        let Some(backlog) = self.backlog(queue) else { return };
        if backlog.has_waiting_work(now) {
            backlog.begin_look();
            self.to_look.push_back(queue);
        } else if let Some(due) = backlog.next_due {
            self.set_timer(queue.destination(), due);
        }
    }

    /// Looks for more of all queues of an endpoint of which nothing is ready.
    pub(super) fn look_for_more(&mut self, destination: Destination, now: Instant) {
        let Some(seat) = self.seats.get(&destination) else { return };
        let empty = seat.backlogs().filter(|(_, backlog)| backlog.is_worth_a_look());
        let empty: Vec<_> = empty.map(|(strand, _)| destination.queue(strand)).collect();
        for queue in empty {
            self.look_later(queue, now);
        }
    }

    pub(super) fn look(&mut self, ctx: &mut Context<Self>) {
        while self.looks < LOOKS && !self.to_look.is_empty() {
            let batch = self.to_look.len().min(LOOK_BATCH);
            let asks: Vec<_> = self
                .to_look
                .drain(..batch)
                .filter_map(|queue| {
                    let seat = self.seats.get_mut(&queue.destination())?;
                    if queue.strand.is_ordered() && seat.configuration != Configuration::Deleted {
                        return Some(Ask { queue, parked: 1, retries: 1 });
                    }
                    let wanted = seat.brain.appetite();
                    let held = seat.backlog(queue.strand).held_waiting;
                    // Retries get up to half, so that new work never waits for old failures alone.
                    Some(Ask { queue, parked: held + wanted, retries: held + wanted / 2 + 1 })
                })
                .collect();
            if asks.is_empty() {
                continue;
            }
            self.looks += 1;
            let (parts, tenure) = (Arc::clone(&self.parts), Arc::clone(&self.tenure));
            self.run(ctx, async move {
                let what = "look for due deliveries";
                let each = |asks: Vec<Ask>| asks.into_iter().map(|ask| vec![ask]).collect();
                let look = async |asks: &[Ask]| parts.store.due(tenure.fence(), asks).await;
                Event::Looked(in_parts(&parts.metrics, what, asks, each, look).await)
            });
        }
    }

    pub(super) fn looked(&mut self, parted: Parted<Ask, Due>, ctx: &mut Context<Self>) {
        let Some(answered) = parted.answered else { return self.fenced(ctx) };
        self.looks -= 1;
        let now = Instant::now();
        for (ask, due) in answered {
            self.take_due(ask, due, now);
            self.pump(ask.queue.destination(), now, ctx);
        }
        for Ask { queue, .. } in parted.refused {
            // It counts as looked at until then: its neighbours go on.
            ctx.run_later(REFUSED, move |me, ctx| {
                if let Some(backlog) = me.backlog(queue) {
                    backlog.begin_look();
                    me.to_look.push_back(queue);
                }
                me.finish(ctx);
            });
        }
    }

    fn take_due(&mut self, ask: Ask, due: Due, now: Instant) {
        let all_parked_seen = match ask.queue.strand.is_ordered() {
            // Behind what is not due, there may be more.
            true => due.waiting <= due.parked.len() as u64,
            false => due.parked.len() < ask.parked,
        };
        let all_retries_seen = due.retries.len() < ask.retries;
        for waiting in interleave(due.retries, due.parked) {
            let departed = self
                .backlog(ask.queue)
                .is_none_or(|backlog| backlog.departed.contains(&waiting.delivery));
            if departed || self.draining || self.holds(&waiting.delivery) {
                continue;
            }
            self.count_after_takeover(&waiting.delivery, now);
            self.hold(waiting.delivery, Place::Waiting, Stage::Ready);
            if let Some(seat) = self.seats.get_mut(&ask.queue.destination()) {
                seat.push(
                    Ready {
                        delivery: waiting.delivery,
                        place: Place::Waiting,
                        attempts: waiting.attempts,
                        steps: waiting.steps,
                    },
                    now,
                );
            }
        }
        let next = match all_retries_seen {
            true => due.next.map(|delay| now + delay),
            false => Some(now),
        };
        if due.waiting > 0 {
            self.reporting.measure(ask.queue);
        }
        if let Some(backlog) = self.backlog(ask.queue) {
            backlog.end_look(all_parked_seen, next);
            backlog.depth.looked(due.waiting);
        }
    }
}

/// Retries and parked work by turns, as long as there are both.
fn interleave(retries: Vec<Waiting>, parked: Vec<Waiting>) -> impl Iterator<Item = Waiting> {
    let (mut retries, mut parked) = (retries.into_iter(), parked.into_iter());
    let mut turn = false;
    std::iter::from_fn(move || {
        turn = !turn;
        let (first, second) =
            if turn { (&mut retries, &mut parked) } else { (&mut parked, &mut retries) };
        first.next().or_else(|| second.next())
    })
}
