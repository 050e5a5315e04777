//! An event type: what kinds of messages there are, for the whole installation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Extra;
use crate::time::Millis;

/// A kind of message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventType {
    /// Its name, for example `invoice.paid`: the key.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Hidden from lists, but still accepted.
    #[serde(default)]
    pub archived: bool,
    /// Still there, but not for new endpoints.
    #[serde(default)]
    pub deprecated: bool,
    /// JSON Schemas of the payload, by version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schemas: Option<serde_json::Value>,
    /// Shown only to those who have this flag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature_flag: Option<String>,
    /// A heading to list it under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_name: Option<String>,
    /// Our own settings.
    #[serde(default, skip_serializing_if = "EventTypeSettings::is_empty")]
    pub settings: EventTypeSettings,
    /// The declaration that made it, if one did: `sluicegate apply --prune` removes it with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_by: Option<String>,
    /// When it was created.
    pub created_at: Millis,
    /// When it was last changed.
    pub updated_at: Millis,
    /// Fields of a newer version.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The object `sluicegate` of an event type.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct EventTypeSettings {
    /// Messages whose payloads do not fit the latest schema are refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub validate: bool,
    /// Fields of a newer version.
    #[serde(flatten)]
    pub extra: Extra,
}

impl EventTypeSettings {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
