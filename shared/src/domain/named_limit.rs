//! A limit with a name: endpoints of any application may share it.

use serde::{Deserialize, Serialize};

use super::{Extra, Limit};
use crate::time::Millis;

/// For example what one key of a receiver's API allows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamedLimit {
    /// Its name: the key.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// How many attempts may start, over all endpoints that name it.
    #[serde(flatten)]
    pub limit: Limit,
    /// Grows with each change, also when it was deleted in between.
    pub version: u64,
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
