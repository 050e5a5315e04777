//! Settings of applications and endpoints that are our own. All of them stand in one object, in the API
//! as in the record, so that no name of the compatible API is ever taken.

use std::{num::NonZeroU32, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Extra, Filter, Ordering, OutcomeRule, RetryPolicy};
use crate::time::text;

/// The object `sluicegate` of an application: what holds for all its endpoints, as far as they do not
/// say otherwise.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationSettings {
    /// Limits over all endpoints of the application, besides [`super::Application::rate_limit`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Limit>,
    /// Nothing is sent to its endpoints until it is resumed; what is published meanwhile waits.
    #[serde(default, skip_serializing_if = "is_false")]
    pub paused: bool,
    /// When deliveries that failed are tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// Most bytes of messages with open deliveries; 0: as many as there is room for.
    #[serde(default, rename = "quotaBytes", skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
    /// The declaration that made it, if one did: `sluicegate apply --prune` removes it with that.
    #[serde(default, rename = "managedBy", skip_serializing_if = "Option::is_none")]
    pub managed_by: Option<String>,
    /// Fields of a newer version.
    #[serde(flatten)]
    pub extra: Extra,
}

impl ApplicationSettings {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The object `sluicegate` of an endpoint.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct EndpointSettings {
    /// Nothing is sent until it is resumed; what is published meanwhile waits.
    #[serde(default, skip_serializing_if = "is_false")]
    pub paused: bool,
    /// Limits besides [`super::Endpoint::rate_limit`]: an attempt starts once all of them grant it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Limit>,
    /// Names of limits that it shares with all endpoints which name them, too.
    #[serde(default, rename = "sharedLimits", skip_serializing_if = "Vec::is_empty")]
    pub shared_limits: Vec<String>,
    /// Most attempts in flight at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<NonZeroU32>,
    /// When deliveries that failed are tried again; the application's where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// Whether messages arrive one after the other, and which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordering: Option<Ordering>,
    /// What a payload must be like; every one is right, if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub filter: Option<Filter>,
    /// What follows from an answer's status, where that is not what usually does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<OutcomeRule>,
    /// The declaration that made it, if one did: `sluicegate apply --prune` removes it with that.
    #[serde(default, rename = "managedBy", skip_serializing_if = "Option::is_none")]
    pub managed_by: Option<String>,
    /// Fields of a newer version.
    #[serde(flatten)]
    pub extra: Extra,
}

impl EndpointSettings {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// So many attempts per duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Limit {
    /// How many attempts may start…
    pub count: NonZeroU32,
    /// …within this time. In JSON a text such as `10s`.
    #[serde(with = "text")]
    #[schemars(with = "String")]
    pub per: Duration,
    /// How many of them may start at the same moment after a pause; if it is not given, a hundredth of
    /// `count`, at least one, and one where endpoints share the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
}

impl Limit {
    /// So many attempts per second.
    pub fn per_second(count: NonZeroU32) -> Self {
        Self { count, per: Duration::from_secs(1), burst: None }
    }
}

/// Whether a flag need not be written down.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn durations_are_texts_and_unknown_fields_are_kept() {
        let record = json!({"limits": [{"count": 100, "per": "10s"}], "colour": "red"});
        let settings: EndpointSettings = serde_json::from_value(record.clone()).unwrap();
        assert_eq!(settings.limits[0].per, Duration::from_secs(10));
        assert_eq!(serde_json::to_value(&settings).unwrap(), record);
    }

    #[test]
    fn nothing_set_is_an_empty_object() {
        let settings: EndpointSettings = serde_json::from_value(json!({})).unwrap();
        assert!(settings.is_empty());
        assert_eq!(serde_json::to_value(&settings).unwrap(), json!({}));
    }
}
