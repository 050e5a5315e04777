//! The object `sluicegate` of an endpoint: settings that the compatible API has no name for.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::domain::{
    DisabledReason, Endpoint, EndpointSettings, Filter, FilterFault, OutcomeRule, Then,
};

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
const MAX_OUTCOMES: usize = 64;

/// A change of the settings. A name that is not known is a fault: nobody else's client sends any.
#[derive(Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct SettingsIn {
    paused: Patch<bool>,
    limits: Patch<Vec<LimitIn>>,
    #[serde(rename = "sharedLimits")]
    shared_limits: Patch<Vec<String>>,
    concurrency: Patch<u32>,
    retry: Patch<RetryIn>,
    ordering: Patch<OrderingIn>,
    outcomes: Patch<Vec<OutcomeIn>>,
    filter: Patch<Value>,
    managed_by: Patch<String>,
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
    /// As part of a whole endpoint: what is left out is reset; except whether it is
    /// paused, and what declaration made it.
    pub(super) fn whole(self) -> Self {
        Self {
            limits: self.limits.whole(),
            shared_limits: self.shared_limits.whole(),
            concurrency: self.concurrency.whole(),
            retry: self.retry.whole(),
            ordering: self.ordering.whole(),
            outcomes: self.outcomes.whole(),
            filter: self.filter.whole(),
            ..self
        }
    }

    pub(super) fn check(&self, bounds: &RetryBounds, faults: &mut Faults) {
        faults.managed_by(FIELD, self.managed_by.value());
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
        if let Some(outcomes) = self.outcomes.value() {
            if outcomes.len() > MAX_OUTCOMES {
                faults.add(FIELD, format!("more than {MAX_OUTCOMES} outcomes"));
            }
            if let Some(fault) = outcomes.iter().find_map(|outcome| outcome.read().err()) {
                faults.add(FIELD, format!("outcomes: {fault}"));
            }
        }
        if let Some(Err(found)) = self.filter.value().map(Filter::compile) {
            for FilterFault { path, msg } in found {
                let path = ["filter".to_owned()].into_iter().chain(path);
                faults.within(FIELD, path, msg);
            }
        }
    }

    /// Changes the settings; what was checked can be read.
    pub(super) fn apply(&self, bounds: &RetryBounds, settings: &mut EndpointSettings) {
        self.paused.apply(&mut settings.paused, false);
        self.managed_by.apply_option(&mut settings.managed_by);
        limit::apply(&self.limits, &mut settings.limits);
        self.shared_limits.apply(&mut settings.shared_limits, vec![]);
        match self.concurrency {
            Patch::Absent => {}
            Patch::Null => settings.concurrency = None,
            Patch::Value(concurrency) => settings.concurrency = NonZeroU32::new(concurrency),
        }
        self.retry.read_option(&mut settings.retry, |retry| retry.read(bounds).ok());
        self.ordering.read_option(&mut settings.ordering, |ordering| ordering.read().ok());
        self.filter.read_option(&mut settings.filter, |filter| Filter::compile(filter).ok());
        match &self.outcomes {
            Patch::Absent => {}
            Patch::Null => settings.outcomes.clear(),
            Patch::Value(outcomes) => {
                settings.outcomes =
                    outcomes.iter().filter_map(|outcome| outcome.read().ok()).collect();
            }
        }
    }

    /// The names of limits that it is to share with others.
    pub(super) fn shared_limits(&self) -> &[String] {
        self.shared_limits.value().map_or(&[], Vec::as_slice)
    }
}
