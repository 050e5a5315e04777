//! Rulings: what follows from an attempt, by its outcome and the endpoint's outcome table.
//!
//! The table changes what becomes of the delivery. What an answer tells of the receiver, for breaker
//! and window, stays with its status; except that what the table calls a success counts as one, and
//! what it calls none does not.

use std::time::Duration;

use shared::{
    domain::{DeadReason, OutcomeRule, Then},
    store::Verdict,
};

use crate::{
    outcome::Outcome,
    retry::{Course, Schedule},
};

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ruling {
    pub(crate) outcome: Outcome,
    pub(crate) then: Then,
}

impl From<Outcome> for Ruling {
    /// What follows where no table says otherwise.
    fn from(outcome: Outcome) -> Self {
        let then = match outcome {
            Outcome::Delivered => Then::Success,
            Outcome::Gone => Then::Disable,
            Outcome::Unsendable => Then::GiveUp,
            Outcome::Deferred(_) => Then::Hold,
            Outcome::Redirected
            | Outcome::Throttled
            | Outcome::Overloaded
            | Outcome::Rejected
            | Outcome::ServerError
            | Outcome::Timeout
            | Outcome::ConnectFailed
            | Outcome::Broken
            | Outcome::Forbidden
            | Outcome::Panicked => Then::Retry,
        };
        Self { outcome, then }
    }
}

impl Ruling {
    /// Whether the receiver took the message.
    pub(crate) fn is_success(self) -> bool {
        self.then == Then::Success
    }

    /// The ruling on an answer with this status. `wait` is its Retry-After.
    pub(crate) fn of_status(status: u16, wait: Option<Duration>, table: &[OutcomeRule]) -> Self {
        let Some(then) = OutcomeRule::find(table, status) else {
            return Outcome::of_status(status, wait).into();
        };
        let outcome = match (then, wait) {
            (Then::Success, _) => Outcome::Delivered,
            (Then::Disable, _) => Outcome::Gone,
            (Then::Hold, Some(wait)) => Outcome::Deferred(wait),
            (Then::Hold, None) | (Then::Retry | Then::GiveUp, _) => {
                match Outcome::of_status(status, None) {
                    Outcome::Delivered | Outcome::Gone => Outcome::Rejected,
                    other => other,
                }
            }
        };
        Self { outcome, then }
    }

    /// What becomes of the delivery, that had come so far when the attempt ended. `jitter` lies in
    /// 0.0..1.0.
    pub(crate) fn verdict(self, course: Course, schedule: &Schedule, jitter: f64) -> Verdict {
        let Course { steps, age } = course;
        let put_off = match (self.then, self.outcome) {
            (Then::Success, _) => return Verdict::Delivered,
            (Then::Disable, _) => return Verdict::Dead(DeadReason::Gone),
            (Then::GiveUp, Outcome::Unsendable) => return Verdict::Dead(DeadReason::Unsendable),
            (Then::GiveUp, _) => return Verdict::Dead(DeadReason::Rejected),
            // "Not now" is not "failed": it uses up no step.
            (Then::Hold, Outcome::Deferred(wait)) => Some((wait, steps)),
            (Then::Hold | Then::Retry, _) => {
                schedule.delay(steps, jitter).map(|delay| (delay, steps + 1))
            }
        };
        match put_off {
            Some((delay, steps)) if schedule.reaches(age.saturating_add(delay)) => {
                Verdict::Retry { delay, steps }
            }
            Some(_) | None => Verdict::Dead(DeadReason::Exhausted),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::outcome::Sign;

    const WAIT: Duration = Duration::from_secs(30);

    fn course(steps: u32) -> Course {
        Course { steps, age: Duration::from_secs(100) }
    }

    fn verdict(outcome: Outcome, steps: u32, schedule: &Schedule) -> Verdict {
        Ruling::from(outcome).verdict(course(steps), schedule, 0.5)
    }

    #[test]
    fn a_table_changes_what_follows_and_no_sign_of_being_down() {
        let table = |then: &str| -> Vec<OutcomeRule> {
            serde_json::from_value(json!([{"status": "200-599", "then": then}])).unwrap()
        };
        let dead = Verdict::Dead(DeadReason::Rejected);
        let gone = Verdict::Dead(DeadReason::Gone);
        let retry = Verdict::Retry { delay: Duration::from_secs(5), steps: 1 };
        let held = Verdict::Retry { delay: WAIT, steps: 0 };
        let schedule = Schedule::new(vec![Duration::from_secs(5)]);
        for (then, status, wait, verdict, sign) in [
            ("success", 409, None, Verdict::Delivered, Sign::Good),
            ("success", 500, None, Verdict::Delivered, Sign::Good),
            ("retry", 200, None, retry.clone(), Sign::Refusal),
            ("retry", 410, None, retry.clone(), Sign::Refusal),
            ("retry", 503, Some(WAIT), retry.clone(), Sign::Down),
            ("retry", 429, Some(WAIT), retry.clone(), Sign::Busy),
            ("give_up", 400, None, dead.clone(), Sign::Refusal),
            ("give_up", 500, None, dead.clone(), Sign::Down),
            ("give_up", 204, None, dead, Sign::Refusal),
            ("disable", 404, None, gone.clone(), Sign::Refusal),
            ("disable", 200, Some(WAIT), gone, Sign::Refusal),
            ("hold", 500, Some(WAIT), held.clone(), Sign::BusyUntil(WAIT)),
            ("hold", 200, Some(WAIT), held, Sign::BusyUntil(WAIT)),
            ("hold", 500, None, retry, Sign::Down),
        ] {
            let ruling = Ruling::of_status(status, wait, &table(then));
            assert_eq!(ruling.verdict(course(0), &schedule, 0.5), verdict, "{then} {status}");
            assert_eq!(ruling.outcome.sign(), sign, "{then} {status}");
        }
        let usual = Ruling::of_status(410, None, &[]);
        assert_eq!(usual, Ruling { outcome: Outcome::Gone, then: Then::Disable });
    }

    #[test]
    fn nothing_is_put_off_beyond_the_horizon() {
        let schedule = Schedule::new(vec![Duration::from_secs(5); 2]);
        let schedule = |horizon: &str| {
            let policy = json!({"horizon": horizon, "jitter": 0});
            schedule.with(&serde_json::from_value(policy).unwrap())
        };
        for (outcome, horizon, lives) in [
            (Outcome::Timeout, "104s", false),
            (Outcome::Timeout, "105s", true),
            (Outcome::Deferred(WAIT), "129s", false),
            (Outcome::Deferred(WAIT), "130s", true),
        ] {
            let verdict = verdict(outcome, 0, &schedule(horizon));
            let is_retry = matches!(verdict, Verdict::Retry { .. });
            assert_eq!(is_retry, lives, "{outcome:?} {horizon}: {verdict:?}");
        }
    }

    #[test]
    fn a_deferred_delivery_uses_up_no_step() {
        let schedule = Schedule::new(vec![Duration::from_secs(5)]);
        let held = verdict(Outcome::Deferred(WAIT), 1, &schedule);
        assert_eq!(held, Verdict::Retry { delay: WAIT, steps: 1 });
    }

    #[test]
    fn a_failed_delivery_dies_at_the_end_of_the_schedule() {
        let schedule = Schedule::new(vec![Duration::from_secs(5)]);
        let retry = Verdict::Retry { delay: Duration::from_secs(5), steps: 1 };
        assert_eq!(verdict(Outcome::Timeout, 0, &schedule), retry);
        let exhausted = Verdict::Dead(DeadReason::Exhausted);
        assert_eq!(verdict(Outcome::Timeout, 1, &schedule), exhausted);
    }
}
