//! An application: a tenant, whose messages go to its own endpoints only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ApplicationSettings, Extra};
use crate::{id::AppId, time::Millis};

/// A tenant of the gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Application {
    /// Its id.
    pub id: AppId,
    /// The producer's own name for it, unique in the installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// A name for people.
    pub name: String,
    /// Attempts per second over all endpoints of the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<u32>,
    /// Our own settings.
    #[serde(default, skip_serializing_if = "ApplicationSettings::is_empty")]
    pub settings: ApplicationSettings,
    /// What the producer wants to remember with it.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// When it was created.
    pub created_at: Millis,
    /// When it was last changed.
    pub updated_at: Millis,
    /// Fields of a newer version.
    #[serde(flatten)]
    pub extra: Extra,
}
