//! How deliveries to an endpoint went: counts by the hour, which cost the same however many there were.

use std::ops::AddAssign;

/// What counts are rounded to, in milliseconds.
pub const HOUR_MS: u64 = 3_600_000;

/// How deliveries to an endpoint went. One that is sent again counts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Deliveries that arrived, each with one attempt that succeeded.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Deliveries that became dead letters.
    pub given_up: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.failed += other.failed;
        self.given_up += other.given_up;
    }
}
