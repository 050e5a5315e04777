//! The object `retry` of an application or an endpoint.

use std::{ops::RangeInclusive, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;
use shared::{
    domain::{Delay, RetryPolicy, longest_course},
    time::parse_duration,
};

use super::openapi::Span;

const MAX_STEPS: usize = 64;
const DELAY: RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(30 * 24 * 60 * 60);

/// What the configuration says of retries, by which policies are measured.
#[derive(Debug, Clone)]
pub(crate) struct RetryBounds {
    /// What holds where a policy names no schedule.
    pub(crate) schedule: Vec<Duration>,
    /// Deadline of one attempt.
    pub(crate) request_timeout: Duration,
    /// How long a message with open deliveries lives.
    pub(crate) message_lifetime: Duration,
}

/// When deliveries that failed are tried again.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RetryIn {
    /// Delays between the attempts, from 10ms to 30d each; after the last one a delivery is given up.
    #[schemars(with = "Option<Vec<Span>>", length(max = MAX_STEPS))]
    schedule: Option<Vec<String>>,
    /// How far each delay is spread either way, as a part of it.
    #[schemars(range(min = 0.0, max = 1.0))]
    jitter: Option<f64>,
    /// No attempt starts later than this after the message was accepted.
    #[schemars(with = "Option<Span>")]
    horizon: Option<String>,
}

impl RetryIn {
    /// The policy, or what is wrong with it.
    pub(super) fn read(&self, bounds: &RetryBounds) -> Result<RetryPolicy, String> {
        let policy = self.parse()?;
        if policy.schedule.as_ref().is_some_and(|schedule| schedule.len() > MAX_STEPS) {
            return Err(format!("retry.schedule has more than {MAX_STEPS} delays"));
        }
        if !(0.0..=1.0).contains(&policy.spread()) {
            return Err("retry.jitter must be from 0 to 1".to_owned());
        }
        let lifetime = bounds.message_lifetime;
        let delays = policy.delays(&bounds.schedule);
        let course = longest_course(&delays, policy.spread(), bounds.request_timeout);
        if course >= lifetime {
            return Err(format!(
                "retry.schedule can take {course:?} with its jitter and attempts, and messages live \
                 {lifetime:?} only (lifetimes.message): shorten it"
            ));
        }
        match policy.horizon {
            Some(Delay(horizon)) if horizon >= lifetime => Err(format!(
                "retry.horizon is {horizon:?}, and messages live {lifetime:?} only \
                 (lifetimes.message): shorten it"
            )),
            _ => Ok(policy),
        }
    }

    fn parse(&self) -> Result<RetryPolicy, String> {
        let delay = |field: &str, text: &String| {
            let delay = parse_duration(text).filter(|delay| DELAY.contains(delay)).map(Delay);
            delay.ok_or_else(|| {
                format!("{field} must be a duration from 10ms to 30d such as 5m, not {text:?}")
            })
        };
        let schedule = self.schedule.as_ref().map(|schedule| {
            let delays = schedule.iter().map(|text| delay("each delay of retry.schedule", text));
            delays.collect()
        });
        Ok(RetryPolicy {
            schedule: schedule.transpose()?,
            jitter: self.jitter,
            horizon: self
                .horizon
                .as_ref()
                .map(|horizon| delay("retry.horizon", horizon))
                .transpose()?,
        })
    }
}
