//! What is written down: settlements on their way to the store, and what it answers.

use actix::{AsyncContext, Context};
use shared::{
    domain::{Destination, Strand},
    store::{Place, Settled, Settlement, Verdict},
};
use tokio::time::Instant;

use super::{LaneActor, Stage, backlog::Ready, fetching::Taken};
use crate::{
    batcher::Enqueue,
    credits::Permit,
    mail::Resident,
    metrics,
    settler::{What, Wish},
};

impl LaneActor {
    pub(super) fn end_without_attempt(
        &mut self,
        taken: Taken,
        verdict: Verdict,
        ctx: &mut Context<Self>,
    ) {
        if let Some(seat) = self.seats.get_mut(&taken.ready.delivery.destination()) {
            seat.brain.give_back();
        }
        self.settle(unattempted(taken.ready, verdict), Some(taken.permit), ctx);
    }

    /// Settles what is in hand for an endpoint that was deleted, and looks for more.
    pub(super) fn settle_deleted(
        &mut self,
        destination: Destination,
        now: Instant,
        ctx: &mut Context<Self>,
    ) {
        self.put_back_primed(destination);
        let Some(seat) = self.seats.get_mut(&destination) else { return };
        for ready in seat.take_all() {
            self.settle(unattempted(ready, Verdict::Deleted), None, ctx);
        }
        self.look_for_more(destination, now);
    }

    pub(super) fn settle(
        &mut self,
        settlement: Settlement,
        permit: Option<Permit>,
        ctx: &Context<Self>,
    ) {
        self.set_stage(&settlement.delivery, Stage::Settling);
        self.write_down(What::Settlement(Box::new(settlement), permit), ctx);
    }

    /// Hands on what the store is to know.
    pub(super) fn write_down(&self, what: What, ctx: &Context<Self>) {
        let (fence, lane) = (self.tenure.fence().clone(), Resident::here(ctx.address()));
        self.settler.tell(Enqueue(Wish { fence, lane, what }));
    }

    pub(super) fn settled(
        &mut self,
        settlements: Vec<Settlement>,
        answers: Vec<Settled>,
        ctx: &mut Context<Self>,
    ) {
        let now = Instant::now();
        let mut touched = Vec::new();
        for (settlement, answer) in settlements.into_iter().zip(answers) {
            let queue = settlement.delivery.queue();
            self.end_settle_span(&settlement, answer);
            let ended = self.let_go(&settlement.delivery);
            if let (Some(ended), Some(_)) = (ended, &settlement.record) {
                let took = now.duration_since(ended).as_secs_f64();
                self.parts.metrics.settle_seconds.observe(took);
            }
            if let (Verdict::Retry { delay, .. }, Some(backlog)) =
                (&settlement.verdict, self.backlog(queue))
            {
                backlog.will_be_due(now + *delay);
            }
            if queue.strand == Strand::Replay && settlement.attempts <= 1 {
                self.replay_settled(queue.destination());
            }
            match answer {
                Settled::Done => {
                    self.parts.metrics.settled(&settlement.verdict);
                    if let Some(backlog) = self.backlog(queue) {
                        backlog.depth.settled(settlement.place, &settlement.verdict);
                        if settlement.place == Place::Waiting && backlog.depth.is_empty() {
                            self.reporting.emptied(&queue);
                        }
                    }
                    self.tell_of_delivery(&settlement);
                }
                Settled::NotThere => {
                    self.parts.metrics.unmatched.inc();
                    // Where it is, if it still is, the store knows better.
                    if let Some(backlog) = self.backlog(queue) {
                        backlog.look_again();
                    }
                }
            }
            touched.push(queue.destination());
        }
        touched.dedup();
        for destination in touched {
            self.pump(destination, now, ctx);
        }
    }

    /// Most settlements have no span, and then this costs nothing.
    fn end_settle_span(&mut self, settlement: &Settlement, answer: Settled) {
        if self.settle_spans.is_empty() {
            return;
        }
        if let Some(span) = self.settle_spans.remove(&settlement.delivery) {
            let verdict = metrics::name(&settlement.verdict);
            span.end(&self.parts.config.tracer, &settlement.delivery, verdict, answer);
        }
    }
}

/// The end of a delivery of which no attempt was made.
pub(super) fn unattempted(ready: Ready, verdict: Verdict) -> Settlement {
    Settlement {
        delivery: ready.delivery,
        place: ready.place,
        attempts: ready.attempts,
        verdict,
        record: None,
    }
}
