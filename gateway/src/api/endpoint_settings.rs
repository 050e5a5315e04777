//! The object `sluicegate` of an endpoint: settings that the compatible API has no name for.

use std::{num::NonZeroU32, ops::RangeInclusive, time::Duration};

use serde::{Deserialize, Serialize};
use shared::{
    domain::{DisabledReason, Endpoint, EndpointSettings, Limit, OutcomeRule, Then},
    time::parse_duration,
};

use super::{
    ordering::OrderingIn,
    patch::Patch,
    retry_policy::{RetryBounds, RetryIn},
};
use crate::ingest::Faults;

const FIELD: &str = "sluicegate";
const MAX_LIMITS: usize = 8;
const PER: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(7 * 24 * 60 * 60);
const MAX_COUNT: u32 = 1_000_000;
const MAX_CONCURRENCY: u32 = 10_000;
const MAX_OUTCOMES: usize = 64;

/// A change of the settings. A name that is not known is a fault: nobody else's client sends any.
#[derive(Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct SettingsIn {
    paused: Patch<bool>,
    limits: Patch<Vec<LimitIn>>,
    concurrency: Patch<u32>,
    retry: Patch<RetryIn>,
    ordering: Patch<OrderingIn>,
    outcomes: Patch<Vec<OutcomeIn>>,
    // Only shown: who sends back what he was shown need not take them out.
    disabled_reason: Patch<String>,
    disabled_at: Patch<String>,
}

/// The settings as they are shown, and why the endpoint is disabled.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SettingsOut<'a> {
    #[serde(flatten)]
    settings: &'a EndpointSettings,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_at: Option<String>,
}

impl<'a> From<&'a Endpoint> for SettingsOut<'a> {
    fn from(endpoint: &'a Endpoint) -> Self {
        let switched = endpoint.switched.filter(|_| endpoint.disabled);
        Self {
            settings: &endpoint.settings,
            disabled_reason: switched.and_then(|how| how.reason).map(DisabledReason::name),
            disabled_at: switched.map(|how| how.at.rfc3339()),
        }
    }
}

#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitIn {
    count: u32,
    per: String,
    burst: Option<u32>,
}

impl LimitIn {
    fn read(&self) -> Option<Limit> {
        let burst = match self.burst {
            None => None,
            Some(burst) => Some(NonZeroU32::new(burst).filter(|_| burst <= self.count)?),
        };
        Some(Limit {
            count: NonZeroU32::new(self.count).filter(|count| count.get() <= MAX_COUNT)?,
            per: parse_duration(&self.per).filter(|per| PER.contains(per))?,
            burst,
        })
    }
}

#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutcomeIn {
    status: String,
    then: String,
}

impl OutcomeIn {
    fn read(&self) -> Result<OutcomeRule, String> {
        let then = match self.then.as_str() {
            "success" => Then::Success,
            "retry" => Then::Retry,
            "give_up" => Then::GiveUp,
            "disable" => Then::Disable,
            "hold" => Then::Hold,
            _ => return Err("then must be success, retry, give_up, disable or hold".to_owned()),
        };
        match self.status.parse() {
            Ok(status) => Ok(OutcomeRule { status, then }),
            Err(error) => Err(format!("status {:?}: {error}", self.status)),
        }
    }
}

impl SettingsIn {
    /// As part of a whole endpoint: what is left out is reset; except that a paused one stays so.
    pub(super) fn whole(self) -> Self {
        Self {
            limits: self.limits.whole(),
            concurrency: self.concurrency.whole(),
            retry: self.retry.whole(),
            ordering: self.ordering.whole(),
            outcomes: self.outcomes.whole(),
            ..self
        }
    }

    pub(super) fn check(&self, bounds: &RetryBounds, faults: &mut Faults) {
        if let Some(limits) = self.limits.value() {
            if limits.len() > MAX_LIMITS {
                faults.add(FIELD, format!("more than {MAX_LIMITS} limits"));
            }
            if limits.iter().any(|limit| limit.read().is_none()) {
                faults.add(
                    FIELD,
                    format!(
                        "each limit must have a count from 1 to {MAX_COUNT}, a duration from 100ms to \
                         7d such as 10s, and if any a burst from 1 to the count"
                    ),
                );
            }
        }
        if let Some(concurrency) = self.concurrency.value()
            && !(1..=MAX_CONCURRENCY).contains(concurrency)
        {
            faults.add(FIELD, format!("concurrency must be from 1 to {MAX_CONCURRENCY}"));
        }
        if let Some(Err(fault)) = self.retry.value().map(|retry| retry.read(bounds)) {
            faults.add(FIELD, fault);
        }
        if let Some(Err(fault)) = self.ordering.value().map(OrderingIn::read) {
            faults.add(FIELD, fault);
        }
        if let Some(outcomes) = self.outcomes.value() {
            if outcomes.len() > MAX_OUTCOMES {
                faults.add(FIELD, format!("more than {MAX_OUTCOMES} outcomes"));
            }
            if let Some(fault) = outcomes.iter().find_map(|outcome| outcome.read().err()) {
                faults.add(FIELD, format!("outcomes: {fault}"));
            }
        }
    }

    /// Changes the settings; what was checked can be read.
    pub(super) fn apply(&self, bounds: &RetryBounds, settings: &mut EndpointSettings) {
        self.paused.apply(&mut settings.paused, false);
        match &self.limits {
            Patch::Absent => {}
            Patch::Null => settings.limits.clear(),
            Patch::Value(limits) => {
                settings.limits = limits.iter().filter_map(LimitIn::read).collect();
            }
        }
        match self.concurrency {
            Patch::Absent => {}
            Patch::Null => settings.concurrency = None,
            Patch::Value(concurrency) => settings.concurrency = NonZeroU32::new(concurrency),
        }
        self.retry.read_option(&mut settings.retry, |retry| retry.read(bounds).ok());
        self.ordering.read_option(&mut settings.ordering, |ordering| ordering.read().ok());
        match &self.outcomes {
            Patch::Absent => {}
            Patch::Null => settings.outcomes.clear(),
            Patch::Value(outcomes) => {
                settings.outcomes =
                    outcomes.iter().filter_map(|outcome| outcome.read().ok()).collect();
            }
        }
    }
}
