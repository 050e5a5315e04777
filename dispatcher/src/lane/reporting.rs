//! What operators see of the lane's endpoints: each second the worst of them and sums of the rest go to
//! the board, and who wants to see more may ask.
//!
//! How much waits in a queue, and since when, only the store knows: it is asked when a queue is met, and
//! again as the agenda comes round or a look has changed it, some queues at a time. In between the lane
//! counts itself what it moves.

use std::{
    collections::BTreeSet,
    mem,
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

use actix::{AsyncContext, Context, Handler, MessageResult};
use shared::{
    domain::{Delivery, Destination, Queue},
    store::{Depth, Place, Verdict},
    time::Millis,
};
use tokio::time::Instant;

use super::{Event, LaneActor, Seat, seat::Configuration};
use crate::{
    brain::Hindrance,
    destinations::{Desk, Report, Row, Stage, State, Survey, Surveyed, Tier},
    mail::tell,
    metrics::Reason,
};

/// Queues of which the store is asked at a time, once a second.
const MEASURED: usize = 32;
/// Queues that wait for that. More are found again when the agenda comes round.
const MOST_UNMEASURED: usize = 16_384;
/// Over how long rates are smoothed.
const SMOOTHED: f64 = 5.0;
/// What is less is nothing.
const LEAST_RATE: f64 = 0.005;

/// How much of a queue waits in the store.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Gauge {
    waiting: u64,
    /// When the oldest of what is due became so.
    oldest: Option<Millis>,
}

impl Gauge {
    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    fn measured(&mut self, depth: &Depth, now: Millis) {
        let parked = depth.parked.map(|delivery| began(&delivery));
        let overdue = depth.overdue.map(|overdue| Millis(now.0 - overdue.as_millis() as u64));
        self.waiting = depth.waiting;
        self.oldest = parked.into_iter().chain(overdue).min();
    }

    /// A look told how many there are.
    pub(super) fn looked(&mut self, waiting: u64) {
        self.waiting = waiting;
    }

    /// One came.
    pub(super) fn parked(&mut self, delivery: &Delivery, delayed: bool) {
        self.waiting += 1;
        if !delayed {
            self.oldest = self.oldest.or(Some(began(delivery)));
        }
    }

    /// One was settled that had been there, or stays there, or is there from now on.
    pub(super) fn settled(&mut self, place: Place, verdict: &Verdict) {
        match (place, verdict) {
            (Place::Waiting, Verdict::Retry { .. }) => {}
            (Place::Waiting, _) => self.waiting = self.waiting.saturating_sub(1),
            (Place::Stream(_), Verdict::Retry { .. }) => self.waiting += 1,
            (Place::Stream(_), _) => {}
        }
        if self.waiting == 0 {
            self.oldest = None;
        }
    }
}

fn began(delivery: &Delivery) -> Millis {
    delivery.began(Millis(delivery.message.made_at_ms()))
}

/// What there is to report, and to ask before.
pub(super) struct Reporting {
    desk: Desk,
    unmeasured: BTreeSet<Queue>,
    measured_last: Option<Queue>,
    measuring: bool,
    reported: Instant,
}

impl Reporting {
    pub(super) fn new(desk: Desk) -> Self {
        let unmeasured = BTreeSet::new();
        let reported = Instant::now();
        Self { desk, unmeasured, measured_last: None, measuring: false, reported }
    }

    /// How much waits in this queue is not known any more.
    pub(super) fn measure(&mut self, queue: Queue) {
        if self.unmeasured.len() < MOST_UNMEASURED {
            self.unmeasured.insert(queue);
        }
    }

    /// Nothing waits there any more.
    pub(super) fn emptied(&mut self, queue: &Queue) {
        self.unmeasured.remove(queue);
    }

    /// The next queues to be measured, by turns.
    fn next(&mut self) -> Vec<Queue> {
        let behind = self.measured_last.map_or(Unbounded, Excluded);
        let later = self.unmeasured.range((behind, Unbounded));
        let next: Vec<_> = later
            .chain(&self.unmeasured)
            .take(MEASURED.min(self.unmeasured.len()))
            .copied()
            .collect();
        for queue in &next {
            self.unmeasured.remove(queue);
        }
        self.measured_last = next.last().copied();
        next
    }
}

impl Seat {
    /// What is in the way of what cannot be sent now.
    pub(super) fn reason(&self, now: Instant) -> Reason {
        match self.brain.hindrance(now) {
            Some(Hindrance::Closed) => Reason::Closed,
            Some(Hindrance::Gate(_)) => Reason::RetryAfter,
            Some(Hindrance::Breaker(_)) => Reason::Breaker,
            None if self.hungry => Reason::Credits,
            None if self.limits_wait(now).is_some() => Reason::Limits,
            None => Reason::Window,
        }
    }

    /// Takes note of what ended since the last report, so long ago.
    fn smooth_rates(&mut self, seconds: f64) {
        let weight = 1.0 - (-seconds / SMOOTHED).exp();
        for (rate, ended) in self.rates.iter_mut().zip(mem::take(&mut self.ended)) {
            *rate += (f64::from(ended) / seconds - *rate) * weight;
            if *rate < LEAST_RATE {
                *rate = 0.0;
            }
        }
    }

    /// How it is now.
    fn row(&self, destination: Destination, tier: Tier, now: Instant, wall: Millis) -> Row {
        let (mut backlog, mut oldest, mut next_due) = (0, None, None);
        for (strand, queue) in self.backlogs() {
            let in_stream = queue.held - queue.held_waiting;
            backlog += queue.depth.waiting.max(queue.held_waiting as u64) + in_stream as u64;
            let ready = queue.ready.front();
            let is_due = queue.has_waiting_work(now)
                || ready.is_some_and(|ready| ready.place == Place::Waiting);
            let parked = queue.depth.oldest.filter(|_| is_due);
            // What has not been parked is not in the store's count.
            let flowing = ready.filter(|ready| ready.place != Place::Waiting);
            let flowing = flowing.filter(|_| !strand.is_ordered());
            let first = parked.into_iter().chain(flowing.map(|ready| began(&ready.delivery)));
            oldest = oldest.into_iter().chain(first).min();
            next_due = next_due.into_iter().chain(queue.next_due).min();
        }
        let in_flight = self.brain.in_flight();
        backlog = backlog.saturating_sub(in_flight as u64);
        let has_work = backlog > 0;
        let limits_wait = self.limits_wait(now).filter(|_| has_work);
        let hindrance = self.brain.hindrance(now);
        let state = match (self.configuration, hindrance) {
            (Configuration::Deleted, _) => State::Deleted,
            (_, Some(Hindrance::Closed)) => State::Closed,
            (_, Some(Hindrance::Gate(_))) => State::Deferred,
            (_, Some(Hindrance::Breaker(until))) if until > now => State::Open,
            (_, Some(Hindrance::Breaker(_))) => State::HalfOpen,
            (_, None) if limits_wait.is_some() => State::Throttled,
            (_, None) => State::Serving,
        };
        let until = |time: Instant| time.saturating_duration_since(now);
        let next_attempt = match hindrance {
            _ if !has_work || state.waits_on_purpose() => None,
            Some(Hindrance::Gate(time) | Hindrance::Breaker(time)) => Some(until(time)),
            Some(Hindrance::Closed) => None,
            None if oldest.is_some() => Some(limits_wait.unwrap_or_default()),
            None => next_due.map(until),
        };
        Row {
            destination,
            tier,
            state,
            backlog,
            age: oldest.map(|oldest| wall.since(oldest)).filter(|_| has_work),
            in_flight,
            rates: self.rates,
            limiter_wait: limits_wait.unwrap_or_default(),
            next_attempt,
        }
    }
}

impl LaneActor {
    /// Puts a report on the board, and asks for what it lacks for the next.
    pub(super) fn report(&mut self, ctx: &mut Context<Self>) {
        tell(&ctx.address(), Event::Sounded(Instant::now()));
        let now = Instant::now();
        let seconds = now.duration_since(self.reporting.reported).as_secs_f64().max(0.001);
        self.reporting.reported = now;
        let (mut ready, mut hungry) = (0, 0);
        let rows = self.rows(|seat| {
            seat.smooth_rates(seconds);
            ready += seat.backlogs().map(|(_, backlog)| backlog.ready.len()).sum::<usize>();
            hungry += usize::from(seat.hungry);
        });
        let mut report = Report::new(rows, self.parts.config.worst_endpoints);
        for (stage, depth) in [
            (Stage::Held, self.held.len()),
            (Stage::Ready, ready),
            (Stage::Park, self.to_park.len()),
            (Stage::Look, self.to_look.len()),
            (Stage::Credit, hungry),
        ] {
            report.stages[stage as usize] = depth;
        }
        self.reporting.desk.report(report);
        self.ask_for_depths(ctx);
    }

    /// All endpoints that have work here, and those that are pinned; each that has work was visited
    /// before. There may be very many, and most of the time goes into finding them in memory: so that is
    /// done once.
    fn rows(&mut self, mut visit: impl FnMut(&mut Seat)) -> Vec<Row> {
        let (now, wall) = (Instant::now(), Millis::now());
        let pinned = &self.parts.config.pinned_endpoints;
        let seats = self.seats.iter_mut();
        let mut rows: Vec<_> = seats
            .map(|(destination, seat)| {
                visit(seat);
                let is_pinned = pinned.contains(destination);
                let tier = if is_pinned { Tier::Pinned } else { Tier::Standard };
                seat.row(*destination, tier, now, wall)
            })
            .collect();
        let idle = pinned.iter().filter(|destination| {
            let lane = shared::placement::Lane::of(destination.app, destination.endpoint);
            lane == self.tenure.lane() && !self.seats.contains_key(destination)
        });
        rows.extend(idle.map(|destination| Row::idle(*destination, Tier::Pinned)));
        rows
    }

    fn ask_for_depths(&mut self, ctx: &Context<Self>) {
        if self.reporting.measuring || self.draining {
            return;
        }
        let queues = self.reporting.next();
        if queues.is_empty() {
            return;
        }
        self.reporting.measuring = true;
        let parts = Arc::clone(&self.parts);
        self.run(ctx, async move {
            // Not repeated: the agenda comes round again.
            let depths = parts.store.depths(&queues).await.unwrap_or_default();
            Event::Measured(queues.into_iter().zip(depths).collect())
        });
    }

    pub(super) fn measured(&mut self, depths: Vec<(Queue, Depth)>) {
        self.reporting.measuring = false;
        let now = Millis::now();
        for (queue, depth) in depths {
            if let Some(seat) = self.seats.get_mut(&queue.destination())
                && let Some(backlog) = seat.known_backlog(queue.strand)
            {
                backlog.depth.measured(&depth, now);
            }
        }
    }

    /// Counts what may have been under way when the owner before ended.
    pub(super) fn count_after_takeover(&self, delivery: &Delivery, now: Instant) {
        if self.is_careful(now) && began(delivery) < self.taken_at {
            self.parts.metrics.takeover.inc();
        }
    }
}

impl Handler<Survey> for LaneActor {
    type Result = MessageResult<Survey>;

    fn handle(&mut self, survey: Survey, _: &mut Self::Context) -> Self::Result {
        MessageResult(Surveyed::new(self.rows(|_| {}), survey))
    }
}
