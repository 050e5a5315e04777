//! What the operator is told of: breakers, and deliveries that are given up, failing, or recovered.
//! Of a delivery it is told once the store has agreed to what became of it.

use shared::{
    domain::{Attempt, Destination},
    operational::{FAILING_AFTER, Occurrence, What},
    store::{Settlement, Verdict},
    time::Millis,
};
use tokio::time::Instant;

use super::LaneActor;
use crate::{
    brain::{Moment, breaker::Change},
    log::Line,
    outcome::Outcome,
};

impl LaneActor {
    /// Counts, logs and tells that a breaker opened or closed after this outcome.
    pub(super) fn tell_of_breaker(
        &mut self,
        destination: Destination,
        change: Change,
        outcome: Outcome,
        now: Instant,
    ) {
        let moment = Moment::now();
        let Destination { app, endpoint } = destination;
        let metrics = &self.parts.metrics;
        let (counter, text, what) = match change {
            Change::Opened => (&metrics.breakers_opened, "breaker opened", What::BreakerOpened),
            Change::Closed => (&metrics.breakers_closed, "breaker closed", What::BreakerClosed),
        };
        counter.inc();
        let may_log = self.seats.get_mut(&destination).is_some_and(|seat| seat.line(now));
        if let Some(left_out) = may_log.then(|| metrics.line(Line::Breaker)).flatten() {
            tracing::info!(%app, %endpoint, outcome = outcome.name(), left_out, "{text}");
        }
        let seat = self.seats.get(&destination);
        let failing_since = seat.and_then(|seat| seat.brain.failing_since(moment));
        let at = moment.wall;
        self.parts.operator.tell(Occurrence { destination, at, failing_since, what });
    }

    pub(super) fn tell_of_delivery(&self, settlement: &Settlement) {
        let Some(attempt) = &settlement.record else { return };
        let Some(what) = news(settlement, attempt) else { return };
        self.parts.operator.tell(Occurrence {
            destination: settlement.delivery.destination(),
            at: Millis::now(),
            failing_since: None,
            what,
        });
    }
}

/// What there is to tell of a delivery after this attempt.
fn news(settlement: &Settlement, attempt: &Attempt) -> Option<What> {
    let delivery = settlement.delivery;
    match settlement.verdict {
        Verdict::Dead(_) => Some(What::Exhausted(delivery, attempt.into())),
        Verdict::Retry { .. } if attempt.number == FAILING_AFTER => {
            Some(What::Failing(delivery, attempt.into()))
        }
        Verdict::Delivered if attempt.number > FAILING_AFTER => {
            Some(What::Recovered(delivery, attempt.into()))
        }
        Verdict::Retry { .. } | Verdict::Delivered | Verdict::Deleted => None,
    }
}
