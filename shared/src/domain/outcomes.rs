//! What follows from an answer's status, where an endpoint wants something else than usual.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// One line of an endpoint's outcome table. Of the lines whose range holds a status the narrowest
/// counts, and of several as narrow the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutcomeRule {
    /// Which statuses: one such as `409`, or a range such as `400-499`.
    #[schemars(with = "String")]
    pub status: Statuses,
    /// What follows from them.
    pub then: Then,
}

impl OutcomeRule {
    /// What a table says of a status.
    pub fn find(table: &[Self], status: u16) -> Option<Then> {
        let fitting = table.iter().filter(|rule| rule.status.holds(status));
        fitting.min_by_key(|rule| rule.status.width()).map(|rule| rule.then)
    }
}

/// What follows from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// The message has arrived.
    Success,
    /// Try again, as the schedule says.
    Retry,
    /// A dead letter at once.
    GiveUp,
    /// A dead letter at once, and the endpoint is disabled.
    Disable,
    /// The endpoint waits as long as the answer's Retry-After says, without using up a step of the
    /// schedule; an answer without one is tried again as the schedule says.
    Hold,
}

/// Statuses from the first to the last; in JSON a text such as `409` or `400-499`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statuses {
    first: u16,
    last: u16,
}

impl Statuses {
    fn holds(self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }

    const fn width(self) -> u16 {
        self.last - self.first
    }
}

/// The text names no statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a status from 200 to 599 such as 409, or a range such as 400-499")]
pub struct NoStatuses;

impl FromStr for Statuses {
    type Err = NoStatuses;

    fn from_str(text: &str) -> Result<Self, NoStatuses> {
        let status = |text: &str| {
            let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
            let status = digits.then(|| text.parse().ok()).flatten();
            status.filter(|status| (200..=599).contains(status)).ok_or(NoStatuses)
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (status(first)?, status(last)?);
        if first <= last { Ok(Self { first, last }) } else { Err(NoStatuses) }
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.width() {
            0 => write!(f, "{}", self.first),
            _ => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl Serialize for Statuses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_narrowest_range_counts() {
        let table: Vec<OutcomeRule> = serde_json::from_value(json!([
            {"status": "400-499", "then": "give_up"},
            {"status": "409", "then": "success"},
            {"status": "409", "then": "retry"},
            {"status": "408-410", "then": "hold"},
        ]))
        .unwrap();
        for (status, then) in [
            (400, Some(Then::GiveUp)),
            (409, Some(Then::Success)),
            (410, Some(Then::Hold)),
            (499, Some(Then::GiveUp)),
            (500, None),
            (0, None),
        ] {
            assert_eq!(OutcomeRule::find(&table, status), then, "{status}");
        }
    }

    #[test]
    fn statuses_are_read_and_written_alike() {
        for text in ["200", "409", "400-499", "200-599"] {
            assert_eq!(text.parse::<Statuses>().unwrap().to_string(), text);
        }
        for text in
            ["", "99", "100", "600", "499-400", "4xx", "+409", "400-", "-400", "400-450-499"]
        {
            assert_eq!(text.parse::<Statuses>(), Err(NoStatuses), "{text}");
        }
    }
}
