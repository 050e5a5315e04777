//! The object `sluicegate` of an application: settings that the compatible API has no name for.

use serde::Deserialize;
use shared::domain::ApplicationSettings;

use super::{
    limit::{self, LimitIn},
    patch::Patch,
    retry_policy::{RetryBounds, RetryIn},
};
use crate::ingest::Faults;

const FIELD: &str = "sluicegate";

/// A change of the settings. A name that is not known is a fault: nobody else's client sends any.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ApplicationSettingsIn {
    paused: Patch<bool>,
    limits: Patch<Vec<LimitIn>>,
    retry: Patch<RetryIn>,
    #[serde(rename = "quotaBytes")]
    quota_bytes: Patch<u64>,
    #[serde(rename = "managedBy")]
    managed_by: Patch<String>,
}

impl ApplicationSettingsIn {
    /// As part of a whole application: what is left out is reset; except whether it is
    /// paused, and what declaration made it.
    pub(super) fn whole(self) -> Self {
        Self {
            limits: self.limits.whole(),
            retry: self.retry.whole(),
            quota_bytes: self.quota_bytes.whole(),
            ..self
        }
    }

    pub(super) fn check(&self, bounds: &RetryBounds, faults: &mut Faults) {
        faults.managed_by(FIELD, self.managed_by.value());
        limit::check(&self.limits, FIELD, faults);
        if let Some(Err(fault)) = self.retry.value().map(|retry| retry.read(bounds)) {
            faults.add(FIELD, fault);
        }
    }

    /// Changes the settings; what was checked can be read.
    pub(super) fn apply(&self, bounds: &RetryBounds, settings: &mut ApplicationSettings) {
        self.paused.apply(&mut settings.paused, false);
        self.managed_by.apply_option(&mut settings.managed_by);
        limit::apply(&self.limits, &mut settings.limits);
        self.retry.read_option(&mut settings.retry, |retry| retry.read(bounds).ok());
        self.quota_bytes.apply_option(&mut settings.quota_bytes);
    }
}
