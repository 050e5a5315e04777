//! What a message asks for beyond the ordinary. Most messages ask for nothing, and their record has
//! nothing of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Extra;
use crate::{id::EndpointId, time::Millis};

/// The wishes of one message.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageOptions {
    /// No attempt starts before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver_at: Option<Millis>,
    /// No attempt starts from this time on: what is open then becomes a dead letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Millis>,
    /// Headers of each attempt. They go before the endpoint's, and behind what every attempt needs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// It goes to this endpoint and no other, whatever that one asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<EndpointId>,
    /// Its payload and headers were removed on request: there is nothing left to send.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expunged: bool,
    /// Fields of a newer version.
    #[serde(flatten)]
    pub extra: Extra,
}

impl MessageOptions {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
