//! The retry schedule: fixed delays, each spread by a fifth either way, then no more.

use std::time::{Duration, SystemTime};

/// How far a delay is spread, as a part of it.
const SPREAD: f64 = 0.2;
/// The longest Retry-After that is followed; a receiver that names a longer one is asked again then.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// Delays between the attempts of one delivery.
#[derive(Debug, Clone)]
pub(crate) struct Schedule(Vec<Duration>);

impl Schedule {
    /// A schedule of these delays.
    pub(crate) fn new(delays: Vec<Duration>) -> Self {
        Self(delays)
    }

    /// The delay after so many used steps; `None` at the end. `jitter` lies in 0.0..1.0.
    pub(crate) fn delay(&self, steps: u32, jitter: f64) -> Option<Duration> {
        let delay = self.0.get(steps as usize)?;
        Some(delay.mul_f64(1.0 - SPREAD + 2.0 * SPREAD * jitter))
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
