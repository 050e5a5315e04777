//! Outcomes: how an attempt can end, as one closed set, and what each tells of the receiver.

use std::time::Duration;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// 2xx, or what the endpoint's outcome table calls a success.
    Delivered,
    /// 3xx: redirects are never followed.
    Redirected,
    /// 410, or what the table says of another status: the receiver wants nothing more.
    Gone,
    /// 429 or 503, or what the table says of another status, with Retry-After: the whole endpoint waits that long.
    Deferred(Duration),
    /// 429 without Retry-After.
    Throttled,
    /// 502, 503, 504 without Retry-After.
    Overloaded,
    /// Any other 4xx; or a status which the endpoint's outcome table calls no success.
    Rejected,
    /// Any other 5xx, or a status that HTTP does not know.
    ServerError,
    /// No status before the deadline.
    Timeout,
    /// No connection, name or TLS session.
    ConnectFailed,
    /// The connection broke after the request may have been sent.
    Broken,
    /// The address is one that deliveries must not go to.
    Forbidden,
    /// The request cannot be built from the endpoint's configuration.
    Unsendable,
    /// Our own code failed.
    Panicked,
}

/// What an outcome tells of the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It took the message.
    Good,
    /// It is up, and said no.
    Refusal,
    /// It is up, and cannot keep up.
    Busy,
    /// It is up, and wants nothing for so long.
    BusyUntil(Duration),
    /// It is down.
    Down,
    /// Nothing.
    Unknown,
}

impl Outcome {
    /// All names, for metrics that start at zero.
    pub(crate) const ALL: [Self; 14] = [
        Self::Delivered,
        Self::Redirected,
        Self::Gone,
        Self::Deferred(Duration::ZERO),
        Self::Throttled,
        Self::Overloaded,
        Self::Rejected,
        Self::ServerError,
        Self::Timeout,
        Self::ConnectFailed,
        Self::Broken,
        Self::Forbidden,
        Self::Unsendable,
        Self::Panicked,
    ];

    /// The outcome of an answer with this status. `wait` is its Retry-After.
    pub(crate) fn of_status(status: u16, wait: Option<Duration>) -> Self {
        match (status, wait) {
            (200..=299, _) => Self::Delivered,
            (300..=399, _) => Self::Redirected,
            (410, _) => Self::Gone,
            (429 | 503, Some(wait)) => Self::Deferred(wait),
            (429, None) => Self::Throttled,
            (502..=504, _) => Self::Overloaded,
            (400..=499, _) => Self::Rejected,
            _ => Self::ServerError,
        }
    }

    /// Its place in [`Outcome::ALL`].
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Delivered => 0,
            Self::Redirected => 1,
            Self::Gone => 2,
            Self::Deferred(_) => 3,
            Self::Throttled => 4,
            Self::Overloaded => 5,
            Self::Rejected => 6,
            Self::ServerError => 7,
            Self::Timeout => 8,
            Self::ConnectFailed => 9,
            Self::Broken => 10,
            Self::Forbidden => 11,
            Self::Unsendable => 12,
            Self::Panicked => 13,
        }
    }

    /// The name in records and metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Redirected => "redirected",
            Self::Gone => "gone",
            Self::Deferred(_) => "deferred",
            Self::Throttled => "throttled",
            Self::Overloaded => "overloaded",
            Self::Rejected => "rejected",
            Self::ServerError => "server_error",
            Self::Timeout => "timeout",
            Self::ConnectFailed => "connect_failed",
            Self::Broken => "broken",
            Self::Forbidden => "forbidden",
            Self::Unsendable => "unsendable",
            Self::Panicked => "panicked",
        }
    }

    /// What it tells of the receiver.
    pub(crate) const fn sign(self) -> Sign {
        match self {
            Self::Delivered => Sign::Good,
            Self::Redirected | Self::Gone | Self::Rejected => Sign::Refusal,
            Self::Deferred(wait) => Sign::BusyUntil(wait),
            Self::Throttled => Sign::Busy,
            Self::Overloaded
            | Self::ServerError
            | Self::Timeout
            | Self::ConnectFailed
            | Self::Broken => Sign::Down,
            Self::Forbidden | Self::Unsendable | Self::Panicked => Sign::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_outcome() {
        let wait = Some(Duration::from_secs(3));
        let table = [
            (200, None, Outcome::Delivered),
            (204, wait, Outcome::Delivered),
            (301, None, Outcome::Redirected),
            (304, None, Outcome::Redirected),
            (400, None, Outcome::Rejected),
            (404, wait, Outcome::Rejected),
            (410, None, Outcome::Gone),
            (429, None, Outcome::Throttled),
            (429, wait, Outcome::Deferred(Duration::from_secs(3))),
            (500, wait, Outcome::ServerError),
            (501, None, Outcome::ServerError),
            (502, wait, Outcome::Overloaded),
            (503, None, Outcome::Overloaded),
            (503, wait, Outcome::Deferred(Duration::from_secs(3))),
            (504, None, Outcome::Overloaded),
            (599, None, Outcome::ServerError),
            (600, None, Outcome::ServerError),
            (101, None, Outcome::ServerError),
        ];
        for (status, wait, outcome) in table {
            assert_eq!(Outcome::of_status(status, wait), outcome, "{status} {wait:?}");
        }
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = Outcome::ALL.map(Outcome::name).into();
        assert_eq!(names.len(), Outcome::ALL.len());
        let places = Outcome::ALL.map(Outcome::index);
        assert!(places.into_iter().eq(0..Outcome::ALL.len()));
    }
}
