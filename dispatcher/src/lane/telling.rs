//! What the operator is told of: breakers, and deliveries that are given up, failing, or recovered.
//! Of a delivery it is told once the store has agreed to what became of it.

use shared::{
    domain::{Attempt, Destination},
    operational::{FAILING_AFTER, Occurrence, What},
    store::{Settlement, Verdict},
    time::Millis,
};

use super::LaneActor;
use crate::brain::{Moment, breaker::Change};

impl LaneActor {
    pub(super) fn tell_of_breaker(&self, destination: Destination, change: Change) {
        let (moment, metrics) = (Moment::now(), &self.parts.metrics);
        let Destination { app, endpoint } = destination;
        let what = match change {
            Change::Opened => {
                metrics.breakers_opened.inc();
                tracing::info!(%app, %endpoint, "breaker opened");
                What::BreakerOpened
            }
            Change::Closed => {
                metrics.breakers_closed.inc();
                tracing::info!(%app, %endpoint, "breaker closed");
                What::BreakerClosed
            }
        };
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
