//! An endpoint: a URL that wants the messages which pass its filters.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{EndpointSettings, Extra, Headers, MessageHeader, Payload, Secret, Strand};
use crate::{id::EndpointId, sealing::AtRest, time::Millis};

/// A destination of deliveries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// The producer's own name for it, unique in its application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Where to POST: normalised, as the `url` crate writes it.
    pub url: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// The producer's own version number of the payloads that it expects.
    pub version: u32,
    /// A disabled endpoint gets nothing new, and what waits for it is not sent.
    #[serde(default)]
    pub disabled: bool,
    /// When it was disabled or enabled last, if it ever was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switched: Option<Switched>,
    /// Event types that it wants; all, if none are named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filter_types: Vec<String>,
    /// Channels that it wants: a message must carry one of them. All messages, if none are named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// Attempts per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<u32>,
    /// Our own settings.
    #[serde(default, skip_serializing_if = "EndpointSettings::is_empty")]
    pub settings: EndpointSettings,
    /// Headers sent with each attempt.
    #[serde(default, skip_serializing_if = "AtRest::is_empty")]
    pub headers: AtRest<Headers>,
    /// The secrets that sign, newest first. There is always one that does not expire.
    pub secrets: Vec<SigningSecret>,
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

/// A signing secret, as it lies in the store or opened, and, once it was rotated out, the end of the
/// overlap in which it still signs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "S: Deserialize<'de>"))]
pub struct SigningSecret<S = AtRest<Secret>> {
    /// The secret.
    pub secret: S,
    /// When it stops signing; the current secret has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Millis>,
}

/// An endpoint was disabled, or enabled again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switched {
    /// When.
    pub at: Millis,
    /// Why it was disabled; `None`: it was enabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<DisabledReason>,
}

/// Why an endpoint was disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DisabledReason {
    /// Somebody wanted it.
    Operator,
    /// It answered 410 Gone, or what its outcome table puts in the place of it.
    Gone,
    /// All attempts failed for too long.
    Failing,
}

impl DisabledReason {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Operator, Self::Gone, Self::Failing];

    /// The name in records, metrics and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }
}

impl Endpoint {
    /// Disables it, unless it is disabled already.
    pub fn disable(&mut self, reason: DisabledReason, at: Millis) {
        if !self.disabled {
            self.disabled = true;
            self.switched = Some(Switched { at, reason: Some(reason) });
            self.updated_at = at;
        }
    }

    /// Enables it, unless it is enabled. What failed before is forgiven.
    pub fn enable(&mut self, at: Millis) {
        if self.disabled {
            self.disabled = false;
            self.switched = Some(Switched { at, reason: None });
            self.updated_at = at;
        }
    }

    /// When it was enabled after it had been disabled: what was remembered of its failures before does
    /// not count.
    pub fn enabled_at(&self) -> Option<Millis> {
        self.switched.filter(|switched| switched.reason.is_none()).map(|switched| switched.at)
    }

    /// Whether a message goes to this endpoint: the one place that decides it.
    pub fn wants(&self, message: &MessageHeader, payload: &Payload<'_>) -> bool {
        let filter = self.settings.filter.as_ref().filter(|_| message.options.only.is_none());
        self.may_want(message) && filter.is_none_or(|filter| filter.matches(payload))
    }

    /// The same, as far as it can be told without the payload.
    pub fn may_want(&self, message: &MessageHeader) -> bool {
        match message.options.only {
            Some(only) => !self.disabled && only == self.id,
            None => self.listens(&message.event_type, &message.channels),
        }
    }

    /// Whether it asks for messages of this type and these channels.
    pub fn listens(&self, event_type: &str, channels: &[String]) -> bool {
        !self.disabled
            && (self.filter_types.is_empty()
                || self.filter_types.iter().any(|wanted| wanted == event_type))
            && (self.channels.is_empty()
                || channels.iter().any(|channel| self.channels.contains(channel)))
    }

    /// With what a message to this endpoint waits.
    pub fn strand(&self, payload: &Payload<'_>) -> Strand {
        self.settings.ordering.as_ref().map_or(Strand::Live, |ordering| ordering.strand(payload))
    }
}

impl<S> SigningSecret<S> {
    /// Whether it signs at this time.
    pub fn signs_at(&self, now: Millis) -> bool {
        self.expires_at.is_none_or(|end| end > now)
    }
}
