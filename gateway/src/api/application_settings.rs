//! The object `sluicegate` of an application: settings that the compatible API has no name for.

use schemars::JsonSchema;
use serde::Deserialize;
use shared::domain::ApplicationSettings;

use super::{
    limit::{self, LimitIn, MAX_LIMITS},
    patch::Patch,
    retry_policy::{RetryBounds, RetryIn},
};
use crate::ingest::Faults;

const FIELD: &str = "sluicegate";

/// Settings of an application. A name that is not known is a fault.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ApplicationSettingsIn {
    /// Nothing is sent to its endpoints; what is published meanwhile waits.
    paused: Patch<bool>,
    /// Limits over all its endpoints; all of them hold.
    #[schemars(length(max = MAX_LIMITS))]
    limits: Patch<Vec<LimitIn>>,
    /// When deliveries that failed are tried again.
    retry: Patch<RetryIn>,
    /// Most bytes of messages that are not delivered yet; 0: as many as there is room for.
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
