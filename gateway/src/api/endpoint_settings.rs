//! The object `sluicegate` of an endpoint: settings that the compatible API has no name for.

use std::num::NonZeroU32;

use serde::Deserialize;
use shared::domain::EndpointSettings;

use super::{
    limit::{self, LimitIn},
    ordering::OrderingIn,
    patch::Patch,
    retry_policy::{RetryBounds, RetryIn},
};
use crate::ingest::Faults;

const FIELD: &str = "sluicegate";
const MAX_SHARED_LIMITS: usize = 8;
const MAX_CONCURRENCY: u32 = 10_000;

/// A change of the settings. A name that is not known is a fault: nobody else's client sends any.
#[derive(Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SettingsIn {
    limits: Patch<Vec<LimitIn>>,
    #[serde(rename = "sharedLimits")]
    shared_limits: Patch<Vec<String>>,
    concurrency: Patch<u32>,
    retry: Patch<RetryIn>,
    ordering: Patch<OrderingIn>,
}

impl SettingsIn {
    /// As part of a whole endpoint: what is left out is reset.
    pub(super) fn whole(self) -> Self {
        Self {
            limits: self.limits.whole(),
            shared_limits: self.shared_limits.whole(),
            concurrency: self.concurrency.whole(),
            retry: self.retry.whole(),
            ordering: self.ordering.whole(),
        }
    }

    pub(super) fn check(&self, bounds: &RetryBounds, faults: &mut Faults) {
        limit::check(&self.limits, FIELD, faults);
        if let Some(names) = self.shared_limits.value() {
            faults.names(FIELD, names, MAX_SHARED_LIMITS);
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
        limit::apply(&self.limits, &mut settings.limits);
        self.shared_limits.apply(&mut settings.shared_limits, vec![]);
        match self.concurrency {
            Patch::Absent => {}
            Patch::Null => settings.concurrency = None,
            Patch::Value(concurrency) => settings.concurrency = NonZeroU32::new(concurrency),
        }
        self.retry.read_option(&mut settings.retry, |retry| retry.read(bounds).ok());
        self.ordering.read_option(&mut settings.ordering, |ordering| ordering.read().ok());
    }

    /// The names of limits that it is to share with others.
    pub(super) fn shared_limits(&self) -> &[String] {
        self.shared_limits.value().map_or(&[], Vec::as_slice)
    }
}
