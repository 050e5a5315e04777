//! What an endpoint's owner remembers of serving it: for the lane's next owner, and for the API.
//!
//! Written by a lane's owner only, as a whole, and never merged. Times are milliseconds since the Unix
//! epoch, so that they mean the same to the next process. For example:
//!
//! ```json
//! {"at": 1795432000500, "gate": 1795432030000, "failing_since": 1795431990000,
//!  "failures": 3, "breaker": {"until": 1795432005000, "openings": 1}, "window": 4,
//!  "limits": [{"count": 100, "per": "10s", "arrival": 1795432000603, "next": 1795432000577}]}
//! ```

use serde::{Deserialize, Serialize};

use super::Limit;
use crate::time::Millis;

/// The record.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ServingState {
    /// When this was true.
    #[serde(default)]
    pub at: Millis,
    /// The receiver asked for nothing before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Millis>,
    /// `None`: the breaker is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<OpenBreaker>,
    /// The first failure after the last success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Millis>,
    /// How many attempts failed since then; not counted beyond a few.
    #[serde(default)]
    pub failures: u32,
    /// How many attempts could be in flight. The next owner goes on from it after a clean hand-over of
    /// a moment ago, and begins with a window of its own otherwise.
    #[serde(default)]
    pub window: usize,
    /// One for each limit of the endpoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitState>,
}

/// A breaker that is open, or half-open once `until` is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenBreaker {
    /// When it lets a probe through.
    pub until: Millis,
    /// How often it opened since the last success: the exponent of its backoff.
    pub openings: u32,
}

/// What one limit has granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitState {
    /// The limit.
    #[serde(flatten)]
    pub limit: Limit,
    /// Its theoretical arrival time: when all that was granted is made up for.
    pub arrival: Millis,
    /// When it grants the next attempt.
    pub next: Millis,
}
