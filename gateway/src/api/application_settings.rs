//! The object `sluicegate` of an application: settings that the compatible API has no name for.

use serde::Deserialize;
use shared::domain::ApplicationSettings;

use super::{
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
    retry: Patch<RetryIn>,
}

impl ApplicationSettingsIn {
    /// As part of a whole application: what is left out is reset; except that a paused one stays so.
    pub(super) fn whole(self) -> Self {
        Self { retry: self.retry.whole(), ..self }
    }

    pub(super) fn check(&self, bounds: &RetryBounds, faults: &mut Faults) {
        if let Some(Err(fault)) = self.retry.value().map(|retry| retry.read(bounds)) {
            faults.add(FIELD, fault);
        }
    }

    /// Changes the settings; what was checked can be read.
    pub(super) fn apply(&self, bounds: &RetryBounds, settings: &mut ApplicationSettings) {
        self.paused.apply(&mut settings.paused, false);
        self.retry.read_option(&mut settings.retry, |retry| retry.read(bounds).ok());
    }
}
