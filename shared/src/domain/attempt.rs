//! An attempt: one HTTP request of a delivery, and the dead letter of a delivery that was given up.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Delivery, Extra, Generation};
use crate::{
    id::{AttemptId, EndpointId, MessageId},
    time::Millis,
};

/// The record of one HTTP request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// Where it went.
    #[serde(rename = "ep")]
    pub endpoint: EndpointId,
    /// What was sent.
    #[serde(rename = "msg")]
    pub message: MessageId,
    /// Which sending of it.
    #[serde(default, rename = "gen", skip_serializing_if = "is_default")]
    pub generation: Generation,
    /// 1 for the first attempt of its generation.
    #[serde(rename = "n")]
    pub number: u32,
    /// The URL at that time.
    pub url: String,
    /// How it ended.
    pub status: AttemptStatus,
    /// The closed set of the dispatcher's outcomes, by name: `delivered`, `timeout`, `refused`, …
    #[serde(rename = "out")]
    pub outcome: String,
    /// HTTP status, 0 where there was no response.
    #[serde(default)]
    pub code: u16,
    /// The beginning of the response's body, as text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub response: String,
    /// From the start of the request to the end of the response, in milliseconds.
    #[serde(rename = "ms")]
    pub duration_ms: u64,
    /// When it started.
    pub at: Millis,
    /// Why it was made.
    #[serde(default, skip_serializing_if = "is_default")]
    pub trigger: Trigger,
    /// When the next attempt is due, if there will be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Millis>,
    /// Fields of a newer version.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Whether a record says it by leaving it out: history is most of what a store holds.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttemptStatus {
    /// A 2xx answer.
    Success,
    /// Anything else.
    Fail,
}

/// Why an attempt was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// The message was published, or its retry was due.
    #[default]
    Scheduled,
    /// Somebody asked for it.
    Manual,
}

impl Trigger {
    /// The first generation is sent by itself, all others because somebody asked.
    pub fn of(delivery: &Delivery) -> Self {
        if delivery.generation == Generation(0) { Self::Scheduled } else { Self::Manual }
    }
}

/// A delivery that was given up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Where it should have gone.
    #[serde(rename = "ep")]
    pub endpoint: EndpointId,
    /// What should have been sent.
    #[serde(rename = "msg")]
    pub message: MessageId,
    /// Which sending of it.
    #[serde(default, rename = "gen", skip_serializing_if = "is_default")]
    pub generation: Generation,
    /// Why it was given up.
    pub reason: DeadReason,
    /// How many attempts were made.
    pub attempts: u32,
    /// When it was given up.
    pub at: Millis,
    /// Fields of a newer version.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Why a delivery was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeadReason {
    /// The retry schedule, or the horizon of the retry policy, came to its end.
    Exhausted,
    /// The message's own time is over, or its body is gone: it waited longer than messages live.
    Expired,
    /// The endpoint answered 410 Gone, or what its outcome table puts in the place of it.
    Gone,
    /// The endpoint answered with a status at which its outcome table gives up.
    Rejected,
    /// The request cannot be made, now or later.
    Unsendable,
    /// The message's content was removed on request.
    Expunged,
}

impl DeadReason {
    /// All of them, in this order.
    pub const ALL: [Self; 6] = [
        Self::Exhausted,
        Self::Expired,
        Self::Gone,
        Self::Rejected,
        Self::Unsendable,
        Self::Expunged,
    ];

    /// The name in records, metrics and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Expired => "expired",
            Self::Gone => "gone",
            Self::Rejected => "rejected",
            Self::Unsendable => "unsendable",
            Self::Expunged => "expunged",
        }
    }
}
