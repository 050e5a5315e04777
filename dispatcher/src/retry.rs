//! The retry schedule: fixed delays, each spread either way, then no more.

use std::time::{Duration, SystemTime};

use shared::domain::{JITTER, Poison, RetryPolicy};

/// The longest Retry-After that is followed; a receiver that names a longer one is asked again then.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// Between the attempts of a delivery that blocks others, under a schedule without delays.
const ONLY_DELAY: Duration = Duration::from_secs(60);

/// Delays between the attempts of one delivery, and how late one may start.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Schedule {
    delays: Vec<Duration>,
    /// Whether the last delay is repeated for ever.
    endless: bool,
    /// How far a delay is spread, as a part of it.
    spread: f64,
    /// Since the delivery began.
    horizon: Option<Duration>,
}

/// How far a delivery has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Course {
    /// Steps of the schedule used so far.
    pub(crate) steps: u32,
    /// Since it began.
    pub(crate) age: Duration,
}

impl Schedule {
    /// A schedule of these delays, without horizon.
    pub(crate) fn new(delays: Vec<Duration>) -> Self {
        Self { delays, endless: false, spread: JITTER, horizon: None }
    }

    /// What a policy says; the rest is as in this one.
    pub(crate) fn with(&self, policy: &RetryPolicy) -> Self {
        Self {
            delays: policy.delays(&self.delays),
            endless: self.endless,
            spread: policy.spread(),
            horizon: policy.horizon.map(|horizon| horizon.0),
        }
    }

    /// The same for what others wait for in their order. Where there is no delay to repeat, it is
    /// [`ONLY_DELAY`].
    pub(crate) fn with_poison(&self, poison: Poison) -> Self {
        let mut schedule = self.clone();
        let last = self.delays.last().copied().unwrap_or(ONLY_DELAY);
        match poison {
            Poison::Block if schedule.delays.is_empty() => schedule.delays.push(last),
            Poison::Block => {}
            Poison::DeadLetterAfter(attempts) => {
                schedule.delays.resize(attempts.get() as usize - 1, last);
            }
        }
        schedule.endless = poison == Poison::Block;
        schedule
    }

    /// The delay after so many used steps; `None` at the end. `jitter` lies in 0.0..1.0.
    pub(crate) fn delay(&self, steps: u32, jitter: f64) -> Option<Duration> {
        let rest = self.delays.last().filter(|_| self.endless);
        let delay = self.delays.get(steps as usize).or(rest)?;
        Some(delay.mul_f64(1.0 - self.spread + 2.0 * self.spread * jitter))
    }

    /// Whether an attempt may start at this age of the delivery.
    pub(crate) fn reaches(&self, age: Duration) -> bool {
        self.horizon.is_none_or(|horizon| age <= horizon)
    }

    /// Whether the age of deliveries matters.
    pub(crate) fn has_horizon(&self) -> bool {
        self.horizon.is_some()
    }
}

/// Reads a Retry-After header (RFC 9110, 10.2.3): seconds, or a date.
pub(crate) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = httpdate::parse_http_date(value).ok()?;
            date.duration_since(now).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_blocks_is_tried_so_often_or_for_ever() {
        let seconds =
            |schedule: &Schedule, steps| schedule.delay(steps, 0.5).map(|it| it.as_secs());
        let schedule = Schedule::new([5, 9].map(Duration::from_secs).to_vec());
        let after = |n| Poison::DeadLetterAfter(std::num::NonZeroU32::new(n).unwrap());
        for (attempts, expected) in [
            (1, [None; 4]),
            (2, [Some(5), None, None, None]),
            (4, [Some(5), Some(9), Some(9), None]),
        ] {
            let schedule = schedule.with_poison(after(attempts));
            assert_eq!([0, 1, 2, 3].map(|steps| seconds(&schedule, steps)), expected);
        }
        let blocks = schedule.with_poison(Poison::Block);
        assert_eq!([0, 1, 2, 99].map(|steps| seconds(&blocks, steps)), [5, 9, 9, 9].map(Some));
        let single = Schedule::new(vec![]).with_poison(Poison::Block);
        assert_eq!([0, 7].map(|steps| seconds(&single, steps)), [60, 60].map(Some));
    }

    #[test]
    fn a_policy_holds_as_a_whole() {
        let configured = Schedule::new(vec![Duration::from_secs(10)]);
        let policy = |json| serde_json::from_str::<RetryPolicy>(json).unwrap();
        let own = configured.with(&policy(r#"{"schedule": ["1s", "2s"], "jitter": 0}"#));
        assert_eq!(own.delay(1, 0.9), Some(Duration::from_secs(2)));
        assert!(own.reaches(Duration::MAX));
        let short = configured.with(&policy(r#"{"horizon": "1m"}"#));
        assert_eq!(short.delay(0, 0.0), Some(Duration::from_secs(8)));
        let minute = Duration::from_secs(60);
        assert!(short.reaches(minute) && !short.reaches(minute + Duration::from_millis(1)));
    }

    #[test]
    fn delays_are_spread_by_a_fifth() {
        let schedule = Schedule::new(vec![Duration::from_secs(10), Duration::from_secs(20)]);
        assert_eq!(schedule.delay(0, 0.0), Some(Duration::from_secs(8)));
        assert_eq!(schedule.delay(0, 1.0), Some(Duration::from_secs(12)));
        assert_eq!(schedule.delay(1, 0.5), Some(Duration::from_secs(20)));
        assert_eq!(schedule.delay(2, 0.5), None);
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let wait = |value| retry_after(value, now);
        assert_eq!(wait("3"), Some(Duration::from_secs(3)));
        assert_eq!(wait(" 3 "), Some(Duration::from_secs(3)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:37 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("99999999999"), Some(LONGEST_WAIT));
        assert_eq!(wait("-3"), None);
        assert_eq!(wait("soon"), None);
    }
}
