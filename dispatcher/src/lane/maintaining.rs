//! Maintenance of what waits: deliveries whose body is gone end as dead letters, and all that waits for
//! an endpoint that was deleted ends with it, due or not. Serving comes to both by itself where it
//! serves; this is for queues that nobody serves: of disabled, paused or deleted endpoints.
//!
//! Work is found through the agenda, which the lane's check of itself reads page by page: so the next
//! owner finds it too. One look a second and lane, at the front of a queue, where the oldest stand.

use std::{
    collections::{HashSet, VecDeque},
    mem,
    sync::Arc,
};

use actix::Context;
use shared::{
    domain::{DeadReason, Delivery, Queue},
    store::{ErrorKind, InFront, Place, Verdict},
};

use super::{Event, LaneActor, Stage, backlog::Ready, seat::Configuration, settling::unattempted};

/// How many are looked at where nothing is known to have ended…
const GLANCE: usize = 16;
/// …and where something has: what one call ends at most.
const SWEEP: usize = 500;
/// Queues that wait for a look. More are found again when the agenda comes round.
const MOST_WAITING: usize = 256;

/// Progress of the maintenance.
#[derive(Default)]
pub(super) struct Maintenance {
    under_way: bool,
    waiting: VecDeque<Queue>,
    /// There was more to end than one call takes: this queue is looked at again, and at more of it.
    again: Option<Queue>,
    /// Let go since the look began, which may still show them.
    departed: HashSet<Delivery>,
}

impl Maintenance {
    /// A queue was seen in the agenda.
    pub(super) fn offer(&mut self, queue: Queue) {
        if self.waiting.len() < MOST_WAITING && !self.waiting.contains(&queue) {
            self.waiting.push_back(queue);
        }
    }

    /// Whether no queue waits for a look.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.again.is_none()
    }

    /// A delivery was let go.
    pub(super) fn departed(&mut self, delivery: Delivery) {
        if self.under_way {
            self.departed.insert(delivery);
        }
    }
}

/// What a look at the front of a queue has shown.
pub(crate) struct Looked {
    queue: Queue,
    limit: usize,
    front: Result<Vec<InFront>, ErrorKind>,
}

impl LaneActor {
    /// Looks at the next queue.
    pub(super) fn maintain(&mut self, ctx: &mut Context<Self>) {
        if self.maintenance.under_way || self.draining || self.refused > 0 {
            return;
        }
        let again = self.maintenance.again.take();
        let Some(queue) = again.or_else(|| self.maintenance.waiting.pop_front()) else { return };
        let seat = self.seats.get_mut(&queue.destination());
        let deleted = seat.as_ref().is_some_and(|it| it.configuration == Configuration::Deleted);
        let held = seat.map_or(0, |seat| seat.backlog(queue.strand).held_waiting);
        let limit = held + if again.is_some() || deleted { SWEEP } else { GLANCE };
        self.maintenance.under_way = true;
        let parts = Arc::clone(&self.parts);
        self.run(ctx, async move {
            let front = parts.store.front(queue, limit).await;
            let front = front.map_err(|error| {
                // Not repeated: the agenda comes round again.
                tracing::warn!(?queue, %error, "maintenance cannot look at a queue");
                error.kind()
            });
            Event::Maintained(Looked { queue, limit, front })
        });
    }

    /// Ends what was found to have outlived its body or its endpoint.
    pub(super) fn maintained(&mut self, looked: Looked, ctx: &mut Context<Self>) {
        self.maintenance.under_way = false;
        let departed = mem::take(&mut self.maintenance.departed);
        let Looked { queue, limit, front } = looked;
        let front = match front {
            Ok(front) => front,
            Err(kind) => return self.parts.metrics.store_error(kind),
        };
        if self.draining {
            return;
        }
        let Some(seat) = self.seats.get(&queue.destination()) else { return };
        let verdict = match seat.configuration {
            Configuration::Deleted => Verdict::Deleted,
            Configuration::Known | Configuration::Unknown | Configuration::Asked => {
                Verdict::Dead(DeadReason::Expired)
            }
        };
        let seen = front.len();
        let mut ended = 0;
        for InFront { waiting, lives } in front {
            let delivery = waiting.delivery;
            let over = !lives || verdict == Verdict::Deleted;
            if !over || departed.contains(&delivery) || self.holds(&delivery) {
                continue;
            }
            ended += 1;
            self.hold(delivery, Place::Waiting, Stage::Settling);
            if let Some(backlog) = self.backlog(queue) {
                backlog.hold_waiting();
            }
            let (attempts, steps) = (waiting.attempts, waiting.steps);
            let ready = Ready { delivery, place: Place::Waiting, attempts, steps };
            self.settle(unattempted(ready, verdict.clone()), None, ctx);
        }
        self.parts.metrics.swept(&verdict, ended);
        // Who ended all that it saw, though not all that there is, has more to do here.
        if ended > 0 && seen == limit {
            self.maintenance.again = Some(queue);
        }
    }
}
