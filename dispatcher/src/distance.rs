//! The distance that calls keep whose cost is shared by all that they carry: what comes meanwhile shares the
//! next one. After a rest a few may follow each other at once.

use std::{num::NonZeroU32, time::Duration};

use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};

/// When the next call may be made.
pub(crate) struct Distance(DefaultDirectRateLimiter);

impl Distance {
    pub(crate) fn new(distance: Duration, at_once: NonZeroU32) -> Self {
        // Only a distance of zero gives no quota.
        let quota = Quota::with_period(distance).unwrap_or(Quota::per_second(at_once));
        Self(RateLimiter::direct(quota.allow_burst(at_once)))
    }

    /// Counts a call that is made now; or says how long it has to wait.
    pub(crate) fn check(&self) -> Result<(), Duration> {
        self.0.check().map_err(|early| early.wait_time_from(DefaultClock::default().now()))
    }
}
