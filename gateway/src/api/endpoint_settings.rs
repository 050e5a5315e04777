//! The object `sluicegate` of an endpoint: settings that the compatible API has no name for.

use std::{num::NonZeroU32, ops::RangeInclusive, time::Duration};

use serde::Deserialize;
use shared::{
    domain::{EndpointSettings, Limit},
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

/// A change of the settings. A name that is not known is a fault: nobody else's client sends any.
#[derive(Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SettingsIn {
    limits: Patch<Vec<LimitIn>>,
    concurrency: Patch<u32>,
    retry: Patch<RetryIn>,
    ordering: Patch<OrderingIn>,
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

impl SettingsIn {
    /// As part of a whole endpoint: what is left out is reset.
    pub(super) fn whole(self) -> Self {
        Self {
            limits: self.limits.whole(),
            concurrency: self.concurrency.whole(),
            retry: self.retry.whole(),
            ordering: self.ordering.whole(),
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
    }

    /// Changes the settings; what was checked can be read.
    pub(super) fn apply(&self, bounds: &RetryBounds, settings: &mut EndpointSettings) {
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
    }
}
