//! Limits as they are sent: of an endpoint, of an application, and with a name of their own.

use std::{num::NonZeroU32, ops::RangeInclusive, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;
use shared::{domain::Limit, time::parse_duration};

use super::{openapi::Span, patch::Patch};
use crate::ingest::Faults;

pub(super) const MAX_LIMITS: usize = 8;
const PER: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(7 * 24 * 60 * 60);
pub(super) const MAX_COUNT: u32 = 1_000_000;

/// One limit.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitIn {
    /// How many attempts may start…
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub(super) count: u32,
    /// …within this time, from 100ms to 7d.
    #[schemars(with = "Span")]
    pub(super) per: String,
    /// How many of them may start at the same moment after a pause.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub(super) burst: Option<u32>,
}

impl LimitIn {
    /// The limit, or what is wrong with it.
    pub(super) fn read(&self) -> Result<Limit, String> {
        let parse = || {
            let burst = match self.burst {
                None => None,
                Some(burst) => Some(NonZeroU32::new(burst).filter(|_| burst <= self.count)?),
            };
            Some(Limit {
                count: NonZeroU32::new(self.count).filter(|count| count.get() <= MAX_COUNT)?,
                per: parse_duration(&self.per).filter(|per| PER.contains(per))?,
                burst,
            })
        };
        parse().ok_or_else(|| {
            format!(
                "each limit must have a count from 1 to {MAX_COUNT}, a duration from 100ms to 7d such \
                 as 10s, and if any a burst from 1 to the count"
            )
        })
    }
}

/// Checks the field `limits` of an object.
pub(super) fn check(limits: &Patch<Vec<LimitIn>>, field: &'static str, faults: &mut Faults) {
    let Some(limits) = limits.value() else { return };
    if limits.len() > MAX_LIMITS {
        faults.add(field, format!("more than {MAX_LIMITS} limits"));
    }
    if let Some(fault) = limits.iter().find_map(|limit| limit.read().err()) {
        faults.add(field, fault);
    }
}

/// Changes the limits; what was checked can be read.
pub(super) fn apply(patch: &Patch<Vec<LimitIn>>, limits: &mut Vec<Limit>) {
    match patch {
        Patch::Absent => {}
        Patch::Null => limits.clear(),
        Patch::Value(new) => *limits = new.iter().filter_map(|limit| limit.read().ok()).collect(),
    }
}
