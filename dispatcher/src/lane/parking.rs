//! Moves what cannot be sent now from the stream into its queue's waiting set.
//!
//! A queue whose deliveries the store refuses to park keeps a few of them aside and tries again now
//! and then. What comes besides stays in the stream, which is read once more when that succeeds.

use std::{collections::BTreeMap, mem, sync::Arc, time::Duration};

use actix::{AsyncContext, Context};
use shared::{
    domain::{Delivery, Queue},
    store::{EntryId, Park, Parked},
};
use tokio::time::Instant;

use super::{Event, LaneActor, Stage, backlog::Backlog};
use crate::persist::{Parted, in_parts};

/// Parks in one call, and what a queue keeps aside.
const PARK_BATCH: usize = 256;
/// Before what the store refused is tried again.
pub(super) const REFUSED: Duration = Duration::from_secs(5);

impl LaneActor {
    /// Moves a delivery in hand into its queue's waiting set.
    pub(super) fn park(&mut self, entry: EntryId, delivery: Delivery, delay: Option<Duration>) {
        self.set_stage(&delivery, Stage::Parking);
        let park = Park { entry, delivery, delay };
        let queue = delivery.queue();
        // Behind those that were refused, as in the stream.
        match self.aside.get_mut(&queue) {
            Some(aside) if aside.len() < PARK_BATCH => aside.push(park),
            Some(_) => {
                self.left_behind.insert(queue);
                self.let_go(&delivery);
                return;
            }
            None if self.left_behind.contains(&queue) => {
                self.let_go(&delivery);
                return;
            }
            None => self.to_park.push(park),
        }
        if let Some(backlog) = self.backlog(queue) {
            backlog.parking += 1;
        }
    }

    /// One call at a time, so that the order of the parks is the order of the stream.
    pub(super) fn park_waiting(&mut self, ctx: &mut Context<Self>) {
        if self.parking || self.to_park.is_empty() {
            return;
        }
        self.parking = true;
        let rest = self.to_park.split_off(self.to_park.len().min(PARK_BATCH));
        let parks = mem::replace(&mut self.to_park, rest);
        let (parts, tenure) = (Arc::clone(&self.parts), Arc::clone(&self.tenure));
        self.run(ctx, async move {
            let park = async |parks: &[Park]| parts.store.park(tenure.fence(), parks).await;
            Event::Parked(in_parts(&parts.metrics, "park", parks, by_queue, park).await)
        });
    }

    pub(super) fn parked(&mut self, parted: Parted<Park, Parked>, ctx: &mut Context<Self>) {
        let Some(answered) = parted.answered else { return self.fenced(ctx) };
        self.parking = false;
        let now = Instant::now();
        let (mut touched, mut found_again) = (Vec::new(), false);
        for (park, answer) in answered {
            let queue = park.delivery.queue();
            found_again |= !self.left_behind.is_empty() && self.left_behind.remove(&queue);
            self.let_go(&park.delivery);
            let Some(backlog) = self.unpark(queue) else { continue };
            match (answer, park.delay) {
                // Also the answer to the second of two calls, of which the first moved it.
                (Parked::NotThere, _) => backlog.look_again(),
                (Parked::Moved, Some(delay)) if !queue.strand.is_ordered() => {
                    backlog.will_be_due(now + delay);
                }
                (Parked::Moved, Some(_) | None) => backlog.was_parked(),
            }
            if answer == Parked::Moved {
                backlog.depth.parked(&park.delivery, park.delay.is_some());
            }
            match answer {
                Parked::NotThere => self.parts.metrics.unmatched.inc(),
                Parked::Moved => self.parts.metrics.parked.inc(),
            }
            touched.push(queue.destination());
        }
        for parks in by_queue(parted.refused) {
            self.put_aside(parks, ctx);
        }
        if found_again && !self.draining {
            self.read_once_more(ctx);
        }
        touched.dedup();
        for destination in touched {
            self.pump(destination, now, ctx);
        }
    }

    /// A park of this queue is under way no more.
    fn unpark(&mut self, queue: Queue) -> Option<&mut Backlog> {
        let backlog = self.backlog(queue)?;
        backlog.parking = backlog.parking.saturating_sub(1);
        Some(backlog)
    }

    /// Keeps what the store refused to park, of one queue, until it is tried again.
    fn put_aside(&mut self, mut parks: Vec<Park>, ctx: &mut Context<Self>) {
        let Some(queue) = parks.first().map(|park| park.delivery.queue()) else { return };
        // What came since stands behind it.
        let (mine, rest): (Vec<_>, Vec<_>) =
            mem::take(&mut self.to_park).into_iter().partition(|p| p.delivery.queue() == queue);
        self.to_park = rest;
        parks.extend(mine);
        let surplus = parks.split_off(PARK_BATCH.min(parks.len()));
        if !surplus.is_empty() {
            self.left_behind.insert(queue);
        }
        self.leave_in_the_stream(surplus);
        if self.draining {
            return self.leave_in_the_stream(parks);
        }
        self.aside.insert(queue, parks);
        ctx.run_later(REFUSED, move |me, ctx| {
            me.to_park.extend(me.aside.remove(&queue).unwrap_or_default());
            me.finish(ctx);
        });
    }

    fn leave_in_the_stream(&mut self, parks: Vec<Park>) {
        for Park { delivery, .. } in parks {
            self.unpark(delivery.queue());
            self.let_go(&delivery);
        }
    }

    /// Lets go of what the store refused to park: it stays in the stream, for the next owner.
    pub(super) fn drop_aside(&mut self) {
        for parks in mem::take(&mut self.aside).into_values() {
            self.leave_in_the_stream(parks);
        }
    }
}

/// The parks of each queue, in their order.
fn by_queue(parks: Vec<Park>) -> Vec<Vec<Park>> {
    let mut queues = BTreeMap::<Queue, Vec<Park>>::new();
    for park in parks {
        queues.entry(park.delivery.queue()).or_default().push(park);
    }
    queues.into_values().collect()
}
