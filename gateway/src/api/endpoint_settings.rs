//! The object `sluicegate` of an endpoint: settings that the compatible API has no name for.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::domain::{
    DisabledReason, Endpoint, EndpointSettings, Filter, FilterFault, OutcomeRule, Then,
};

use super::{
    limit::{self, LimitIn, MAX_LIMITS},
    openapi::{Name, Time},
    ordering::OrderingIn,
    patch::Patch,
    retry_policy::{RetryBounds, RetryIn},
};
use crate::ingest::Faults;

const FIELD: &str = "sluicegate";
const MAX_SHARED_LIMITS: usize = 8;
const MAX_CONCURRENCY: u32 = 10_000;
const MAX_OUTCOMES: usize = 64;

/// Settings of an endpoint. A name that is not known is a fault.
#[derive(Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[schemars(rename = "EndpointSettingsIn")]
pub(super) struct SettingsIn {
    /// Nothing is sent; what is published meanwhile waits.
    paused: Patch<bool>,
    /// Limits besides `throttleRate`; all of them hold.
    #[schemars(length(max = MAX_LIMITS))]
    limits: Patch<Vec<LimitIn>>,
    /// Names of limits that it shares with others.
    #[serde(rename = "sharedLimits")]
    #[schemars(with = "Option<Vec<Name>>", length(max = MAX_SHARED_LIMITS))]
    shared_limits: Patch<Vec<String>>,
    /// Most attempts in flight at once.
    #[schemars(range(min = 1, max = MAX_CONCURRENCY))]
    concurrency: Patch<u32>,
    /// When deliveries that failed are tried again; the application's where there is none.
    retry: Patch<RetryIn>,
    /// Whether messages arrive one after the other, and which.
    ordering: Patch<OrderingIn>,
    /// What follows from an answer's status, where that is not what usually does.
    #[schemars(length(max = MAX_OUTCOMES))]
    outcomes: Patch<Vec<OutcomeIn>>,
    filter: Patch<Value>,
    managed_by: Patch<String>,
    // Only shown: who sends back what he was shown need not take them out.
    #[schemars(extend("readOnly" = true))]
    disabled_reason: Patch<String>,
    #[schemars(extend("readOnly" = true))]
    disabled_at: Patch<String>,
}

/// Settings of an endpoint, and why it is disabled.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EndpointSettingsOut")]
pub(super) struct SettingsOut<'a> {
    #[serde(flatten)]
    settings: &'a EndpointSettings,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
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

/// What follows from certain statuses.
#[derive(Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OutcomeIn {
    /// One status from 200 to 599, or a range. Of the ranges that hold a status the narrowest counts.
    #[schemars(regex(pattern = "^[2-5][0-9]{2}(-[2-5][0-9]{2})?$"))]
    status: String,
    #[schemars(with = "Then")]
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
