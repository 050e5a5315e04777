//! When a delivery that failed is tried again, and for how long.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::text;

/// How far delays are spread where nothing else is said, as a part of them.
pub const JITTER: f64 = 0.2;

/// The object `retry` of an endpoint or an application. It holds as a whole: the endpoint's goes before
/// the application's, and what is not set in it is as the dispatcher's configuration says.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct RetryPolicy {
    /// Delays between the attempts of one delivery; after the last one it is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Vec<Delay>>,
    /// How far each delay is spread either way, as a part of it, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<f64>,
    /// No attempt starts later than this after the message was accepted, or its resend was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub horizon: Option<Delay>,
}

/// A duration; in JSON a text such as `5m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(with = "String")]
pub struct Delay(#[serde(with = "text")] pub Duration);

impl RetryPolicy {
    /// The delays, where `default` is the configured schedule.
    pub fn delays(&self, default: &[Duration]) -> Vec<Duration> {
        match &self.schedule {
            Some(delays) => delays.iter().map(|delay| delay.0).collect(),
            None => default.to_vec(),
        }
    }

    /// How far delays are spread.
    pub fn spread(&self) -> f64 {
        self.jitter.unwrap_or(JITTER)
    }
}

/// From the start of the first attempt to the end of the last, if each delay is as long as its spread
/// allows and each attempt takes its whole deadline.
pub fn longest_course(delays: &[Duration], spread: f64, deadline: Duration) -> Duration {
    let waited = delays.iter().fold(Duration::ZERO, |sum, delay| sum.saturating_add(*delay));
    // A sum too long for a duration is longer than anything that it is compared with.
    let spread = Duration::try_from_secs_f64(waited.as_secs_f64() * (1.0 + spread.max(0.0)));
    let attempts = u32::try_from(delays.len().saturating_add(1)).unwrap_or(u32::MAX);
    spread.unwrap_or(Duration::MAX).saturating_add(deadline.saturating_mul(attempts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_course_has_all_delays_and_all_attempts() {
        let delays = [Duration::from_secs(10), Duration::from_secs(20)];
        let course = longest_course(&delays, 0.5, Duration::from_secs(1));
        assert_eq!(course, Duration::from_secs(45 + 3));
        assert_eq!(longest_course(&[Duration::MAX; 2], 1.0, Duration::ZERO), Duration::MAX);
    }

    #[test]
    fn what_is_not_set_is_as_configured() {
        let default = [Duration::from_secs(7)];
        let policy: RetryPolicy = serde_json::from_str(r#"{"horizon": "3d"}"#).unwrap();
        assert_eq!((policy.delays(&default), policy.spread()), (default.to_vec(), JITTER));
        assert_eq!(policy.horizon, Some(Delay(Duration::from_secs(3 * 86_400))));
        let none: RetryPolicy = serde_json::from_str(r#"{"schedule": []}"#).unwrap();
        assert!(none.delays(&default).is_empty());
    }
}
