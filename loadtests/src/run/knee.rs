//! The knee of a ramp: the highest rate at which a server still keeps up.

use std::time::Duration;

use serde::Serialize;

use crate::description::Ramp;

/// The share of a step's messages that must have been acknowledged. What the sender could not send
/// while the step lasted, because requests stayed unanswered, is missing; a timer that was late at the
/// end may leave out a few too.
const ACCEPTED: f64 = 0.95;

/// What a step of a ramp showed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Step {
    /// Messages per second that were to be sent.
    pub rate: f64,
    /// Messages per second that were sent while it lasted and acknowledged.
    pub accepted: f64,
    /// What was waiting at its end, as the seconds in which it brings as much.
    pub waiting_seconds: f64,
    /// Whether all of it had arrived when the next step was to begin.
    pub complete: bool,
    /// 99th percentile from due to delivered, of what arrived, in milliseconds.
    pub p99_ms: f64,
}

impl Step {
    /// Why the server did not keep up; none if it did.
    pub fn fell_behind(&self, ramp: &Ramp) -> Option<String> {
        let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
        if self.accepted < ACCEPTED * self.rate {
            Some(format!("accepted {:.0}/s of {:.0}/s", self.accepted, self.rate))
        } else if self.waiting_seconds > ramp.backlog.as_secs_f64() {
            Some(format!("{:.0} ms of deliveries were waiting", self.waiting_seconds * 1e3))
        } else if !self.complete {
            Some("not all of it was delivered in the time of another step".into())
        } else if self.p99_ms > millis(ramp.p99) {
            Some(format!("p99 {:.0} ms", self.p99_ms))
        } else {
            None
        }
    }
}

/// The rates of a ramp's steps, in messages per second. The last one is exactly `to`.
pub fn rates(ramp: &Ramp) -> Vec<f64> {
    let rising = std::iter::successors(Some(ramp.from), |rate| Some(rate * ramp.factor));
    rising.take_while(|rate| *rate < ramp.to).chain([ramp.to]).collect()
}

/// The rate of the last step before the first one that fell behind; none if the first one did.
pub fn knee(steps: &[Step], ramp: &Ramp) -> Option<f64> {
    let kept_up = steps.iter().take_while(|step| step.fell_behind(ramp).is_none());
    kept_up.last().map(|step| step.rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp() -> Ramp {
        Ramp {
            from: 100.0,
            to: 450.0,
            factor: 2.0,
            step: Duration::from_secs(1),
            p99: Duration::from_millis(200),
            backlog: Duration::from_millis(500),
        }
    }

    fn step(rate: f64) -> Step {
        Step { rate, accepted: rate, waiting_seconds: 0.1, complete: true, p99_ms: 20.0 }
    }

    #[test]
    fn rates_rise_by_the_factor_and_end_at_the_highest() {
        assert_eq!(rates(&ramp()), [100.0, 200.0, 400.0, 450.0]);
        assert_eq!(rates(&Ramp { to: 400.0, ..ramp() }), [100.0, 200.0, 400.0]);
        assert_eq!(rates(&Ramp { to: 100.0, ..ramp() }), [100.0]);
    }

    #[test]
    fn the_knee_is_the_last_step_before_the_first_that_fell_behind() {
        let slow = Step { p99_ms: 201.0, ..step(400.0) };
        assert_eq!(knee(&[step(100.0), step(200.0), slow, step(450.0)], &ramp()), Some(200.0));
        assert_eq!(knee(&[step(100.0), step(200.0)], &ramp()), Some(200.0));
        assert_eq!(knee(&[slow], &ramp()), None);
        assert_eq!(knee(&[], &ramp()), None);
    }

    #[test]
    fn each_way_to_fall_behind_is_told_apart() {
        let good = step(200.0);
        assert_eq!(good.fell_behind(&ramp()), None);
        assert_eq!(Step { accepted: 190.0, ..good }.fell_behind(&ramp()), None);
        for (bad, why) in [
            (Step { accepted: 189.0, ..good }, "accepted 189/s of 200/s"),
            (Step { waiting_seconds: 0.51, ..good }, "510 ms of deliveries were waiting"),
            (Step { complete: false, ..good }, "not all of it"),
            (Step { p99_ms: 200.5, ..good }, "p99 200 ms"),
        ] {
            let said = bad.fell_behind(&ramp()).unwrap();
            assert!(said.starts_with(why), "{said}");
        }
    }
}
