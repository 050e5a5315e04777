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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_follow_each_other_at_once_and_the_next_after_the_distance() {
        let hour = Duration::from_secs(3600);
        let distance = Distance::new(hour, NonZeroU32::new(2).unwrap());
        assert_eq!(distance.check(), Ok(()));
        assert_eq!(distance.check(), Ok(()));
        let pause = distance.check().unwrap_err();
        // What passed since the first one counts.
        assert!(pause <= hour && pause > hour / 2, "{pause:?}");
    }
}
