//! An API key: who may call the API, and for what. The key itself is shown once and never stored.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Extra;
use crate::{id::AppId, time::Millis};

/// What a key is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Everything.
    Admin,
    /// Publishing messages, and nothing else.
    Publish,
    /// Reading everything but secrets.
    Read,
}

impl Scope {
    /// Its name, as in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Publish => "publish",
            Self::Read => "read",
        }
    }
}

/// The record of a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its public part, by which it is found.
    pub id: String,
    /// A name for people.
    pub name: String,
    /// SHA-256 of the whole key, in base64.
    pub hash: String,
    /// What it is good for.
    pub scope: Scope,
    /// The only application that it is good for; all, if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppId>,
    /// The declaration that made it, if one did: `sluicegate apply --prune` removes it with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_by: Option<String>,
    /// When it was made.
    pub created_at: Millis,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Millis>,
    /// When it was last used, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Millis>,
    /// Fields of a newer version.
    #[serde(flatten)]
    pub extra: Extra,
}

impl ApiKey {
    /// Whether it is good at this time.
    pub fn is_current(&self, now: Millis) -> bool {
        self.expires_at.is_none_or(|end| end > now)
    }
}
