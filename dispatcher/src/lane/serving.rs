//! What is sent now, and what came of it: brain → credit → body → limits → attempt.

use std::{sync::Arc, time::Duration};

use actix::{AsyncContext, Context};
use shared::{
    domain::{DeadReason, Delivery, Destination},
    store::{Place, Settlement, Verdict},
};
use tokio::time::Instant;

use super::{
    Event, LaneActor, Stage, backlog::Ready, fetching::Taken, pacing::Primed, seat::Configuration,
};
use crate::{
    attempt::{self, Ended, Job},
    brain::{Pace, Wants},
    connector::Connector,
    credits::Permit,
    destinations::Class,
    fetcher::{Found, Prepared},
    mail::Resident,
    outcome::Outcome,
    retry::Course,
    traced::Traced,
};

/// Before what was given back is tried again: what was in the way should have time to go…
pub(super) const NOT_AT_ONCE: Duration = Duration::from_millis(50);
/// …and somebody should have time to mend it.
const LATER: Duration = Duration::from_secs(5);

impl LaneActor {
    /// Starts what an endpoint wants and can have; parks or leaves the rest.
    pub(super) fn pump(&mut self, destination: Destination, now: Instant, ctx: &mut Context<Self>) {
        self.pump_with(destination, None, now, ctx);
    }

    /// As [`LaneActor::pump`]; the first delivery uses the permit at hand.
    pub(super) fn pump_with(
        &mut self,
        destination: Destination,
        mut permit: Option<Permit>,
        now: Instant,
        ctx: &mut Context<Self>,
    ) {
        if self.draining || self.refused > 0 {
            return;
        }
        self.start_primed(destination, now, ctx);
        loop {
            let Some(seat) = self.seats.get_mut(&destination) else { return };
            if self.closing && !seat.brain.is_proven() {
                return;
            }
            match seat.configuration {
                Configuration::Known => {}
                Configuration::Unknown => return self.wish(destination),
                Configuration::Asked => return,
                Configuration::Deleted => return self.settle_deleted(destination, now, ctx),
            }
            match seat.brain.wants(now) {
                Wants::Now(_) => {}
                Wants::AfterAttempt => return self.park_surplus(destination),
                Wants::AfterChange => {
                    self.give_back_turns(destination, now);
                    return self.put_back_ready(destination);
                }
                Wants::Until(time) => {
                    self.give_back_turns(destination, now);
                    self.put_back_ready(destination);
                    return self.set_timer(destination, time);
                }
            }
            self.look_for_more(destination, now);
            let Some(seat) = self.seats.get_mut(&destination) else { return };
            let Some(strand) = seat.choose(now) else { return };
            match seat.brain.pace(now) {
                Pace::Now => {}
                Pace::AfterStart => return,
                Pace::Until(time) => return self.set_timer(destination, time),
            }
            if seat.share.is_some() && !self.may_prepare(destination, now) {
                return;
            }
            let Some(seat) = self.seats.get_mut(&destination) else { return };
            let proven = seat.brain.is_proven();
            let credit = permit.take();
            let credit = credit.or_else(|| self.parts.credits.try_take(destination.app, proven));
            let Some(credit) = credit else {
                self.want_credit(destination, ctx);
                return self.park_surplus(destination);
            };
            let Some(ready) = seat.take(strand) else { return };
            seat.brain.prepare();
            seat.touched = now;
            self.set_stage(&ready.delivery, Stage::Working);
            self.to_fetch.push(Taken { ready, permit: credit, since: now });
        }
    }

    /// Parks what the endpoint will not want soon.
    fn park_surplus(&mut self, destination: Destination) {
        let Some(seat) = self.seats.get_mut(&destination) else { return };
        let keep = seat.brain.appetite();
        let surplus: Vec<_> = seat
            .backlogs_mut()
            .flat_map(|backlog| backlog.ready.split_off(keep.min(backlog.ready.len())))
            .collect();
        self.put_back_from(destination, surplus);
    }

    /// Puts everything back where it waits.
    pub(super) fn put_back_ready(&mut self, destination: Destination) {
        let Some(seat) = self.seats.get_mut(&destination) else { return };
        let ready = seat.take_all();
        self.put_back_from(destination, ready);
    }

    fn put_back_from(&mut self, destination: Destination, deliveries: Vec<Ready>) {
        if let Some(seat) = self.seats.get(&destination)
            && !deliveries.is_empty()
        {
            self.parts.metrics.deferred(seat.reason(Instant::now()), deliveries.len());
            self.put_back(deliveries);
        }
    }

    fn put_back(&mut self, deliveries: impl IntoIterator<Item = Ready>) {
        for ready in deliveries {
            match ready.place {
                Place::Stream(entry) => self.park(entry, ready.delivery, None),
                Place::Waiting => {
                    self.let_go(&ready.delivery);
                    if let Some(backlog) = self.backlog(ready.delivery.queue()) {
                        backlog.look_again();
                    }
                }
            }
        }
    }

    /// Lets go of all that was not started; it stays where it is, for the lane's next owner.
    pub(super) fn drop_ready(&mut self) {
        let ready: Vec<_> = self.seats.values_mut().flat_map(|seat| seat.take_all()).collect();
        for ready in ready {
            self.let_go(&ready.delivery);
        }
    }

    pub(super) fn prepared(&mut self, prepared: Vec<Prepared>, ctx: &mut Context<Self>) {
        let (mut touched, arrived) = (Vec::new(), Instant::now());
        for Prepared { mut taken, found } in prepared {
            let took = arrived.duration_since(taken.since);
            self.parts.metrics.fetch_seconds.observe(took.as_secs_f64());
            match found {
                Found::Sendable(message, route) => {
                    let bytes = message.payload.len();
                    if !self.parts.credits.weigh(&mut taken.permit, bytes) {
                        self.wait_for_room(taken, bytes, ctx);
                        continue;
                    }
                    let destination = taken.delivery().destination();
                    match self.seats.get_mut(&destination) {
                        Some(seat) => {
                            seat.primed.push_back(Primed { taken, message, route });
                            touched.push(destination);
                        }
                        None => self.give_back(taken),
                    }
                }
                Found::Closed(route) => {
                    // Before the nudge has come: nothing more is asked for until it does.
                    if let Some(seat) = self.seats.get_mut(&taken.delivery().destination()) {
                        seat.close(&route, Instant::now());
                    }
                    self.give_back_for(taken, NOT_AT_ONCE);
                }
                Found::NoRoute => self.give_back_for(taken, LATER),
                Found::Deleted => self.end_without_attempt(taken, Verdict::Deleted, ctx),
                Found::Expired => {
                    self.end_without_attempt(taken, Verdict::Dead(DeadReason::Expired), ctx)
                }
                Found::Expunged => {
                    self.end_without_attempt(taken, Verdict::Dead(DeadReason::Expunged), ctx)
                }
                Found::TooLate => {
                    self.end_without_attempt(taken, Verdict::Dead(DeadReason::Exhausted), ctx)
                }
                Found::Corrupt => {
                    self.end_without_attempt(taken, Verdict::Dead(DeadReason::Unsendable), ctx)
                }
            }
        }
        touched.dedup();
        let now = Instant::now();
        for destination in touched {
            self.start_primed(destination, now, ctx);
            self.pump(destination, now, ctx);
        }
        if self.draining {
            self.put_back_all_primed();
        }
    }

    /// What was prepared will not be sent now, nor anything of its endpoint for so long.
    fn give_back_for(&mut self, taken: Taken, pause: Duration) {
        let destination = taken.delivery().destination();
        self.give_back(taken);
        self.set_timer(destination, Instant::now() + pause);
    }

    /// What was prepared will not be sent now.
    pub(super) fn give_back(&mut self, taken: Taken) {
        let destination = taken.delivery().destination();
        if let Some(seat) = self.seats.get_mut(&destination) {
            seat.brain.give_back();
        }
        if self.draining {
            self.let_go(&taken.ready.delivery);
        } else {
            self.put_back([taken.ready]);
        }
    }

    pub(super) fn attempt(&mut self, primed: Primed, ctx: &mut Context<Self>) {
        let Primed { taken, message, route } = primed;
        let tracer = &self.parts.config.tracer;
        let trace = Traced::begin(tracer, &message, &taken.ready.delivery, taken.since);
        let job = Job {
            delivery: taken.ready.delivery,
            number: taken.ready.attempts + 1,
            message,
            route,
            trace,
        };
        let seat = self.seats.get(&job.delivery.destination());
        // A limit counts starts, and on another thread they would come in other gaps.
        let here = seat.is_some_and(|seat| {
            seat.brain.is_proven() || seat.brain.is_limited() || seat.share.is_some()
        });
        let (parts, me) = (Arc::clone(&self.parts), Resident::here(ctx.address()));
        let attempt = |connector: Arc<Connector>| async move {
            // Counted by the task: it goes on when the lane is lost.
            parts.metrics.in_flight.inc();
            let ended = attempt::make(job, &connector, &parts.config.tracer).await;
            parts.metrics.in_flight.dec();
            me.tell(Event::Attempted(taken, Box::new(ended)));
        };
        match here {
            true => drop(actix_rt::spawn(attempt(Arc::clone(&self.connector)))),
            false => self.parts.siding.run(attempt),
        }
    }

    pub(super) fn attempted(&mut self, taken: Taken, mut ended: Ended, ctx: &mut Context<Self>) {
        let (ruling, record) = (ended.ruling, &mut ended.record);
        let accepted_at = ended.message.header.due_at();
        let outcome = ruling.outcome;
        let (now, metrics) = (Instant::now(), &self.parts.metrics);
        metrics.attempted(outcome);
        metrics.attempt_seconds.observe(record.duration_ms as f64 / 1000.0);
        let ended_at = record.at.after(Duration::from_millis(record.duration_ms));
        if outcome == Outcome::Delivered {
            metrics.delivery_seconds.observe(ended_at.since(accepted_at).as_secs_f64());
        }
        let delivery = taken.delivery();
        let (destination, began) = (delivery.destination(), delivery.began(accepted_at));
        if record.number == 1 {
            metrics.queueing_seconds.observe(record.at.since(began).as_secs_f64());
        }
        let change = self.seats.get_mut(&destination).and_then(|seat| {
            seat.ended[Class::of(outcome.sign()) as usize] += 1;
            seat.brain.ended(outcome.sign(), now, rand::random())
        });
        if let Some(change) = change {
            self.tell_of_breaker(destination, change, outcome, now);
        }
        self.disable_with_reason(destination, &ended.route, ruling.then, now, ctx);
        let course = Course { steps: taken.ready.steps, age: ended_at.since(began) };
        let schedule = ended.route.schedule_of(taken.delivery().strand);
        let verdict = ruling.verdict(course, schedule, rand::random());
        if let Verdict::Retry { delay, .. } = &verdict {
            ended.record.next = Some(ended_at.after(*delay));
        }
        self.log_attempt(&ended, &verdict, now);
        if let Some(span) = ended.trace.and_then(|traced| traced.settle()) {
            self.settle_spans.insert(taken.delivery(), span);
        }
        let settlement = Settlement {
            delivery: taken.ready.delivery,
            place: taken.ready.place,
            attempts: ended.record.number,
            verdict,
            record: Some(ended.record),
        };
        self.settle(settlement, Some(taken.permit), ctx);
        self.remember(destination, now, ctx);
        self.pump(destination, now, ctx);
    }

    /// Whether a delivery is in hand.
    pub(super) fn holds(&self, delivery: &Delivery) -> bool {
        self.held.contains_key(delivery)
    }
}
