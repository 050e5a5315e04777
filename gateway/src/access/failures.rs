//! How many wrong keys one address may try: a few at once, then one every few seconds. Only refusals
//! are limited, so that others behind the same address are not locked out.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    state::keyed::DashMapStateStore,
};

const AT_ONCE: NonZeroU32 = NonZeroU32::new(20).unwrap();
const ONE_EACH: Duration = Duration::from_secs(3);
/// Above so many addresses those that have been quiet are forgotten.
const MANY: usize = 10_000;

/// Counts refusals by address.
pub(crate) struct Failures(RateLimiter<IpAddr, DashMapStateStore<IpAddr>, DefaultClock>);

impl Failures {
    pub(super) fn new() -> Self {
        let quota = Quota::with_period(ONE_EACH).map(|quota| quota.allow_burst(AT_ONCE));
        // Only a period of zero gives no quota.
        let quota = quota.unwrap_or(Quota::per_second(AT_ONCE));
        Self(RateLimiter::dashmap(quota))
    }

    /// Counts one; an error says how long this address should wait.
    pub(super) fn count(&self, address: IpAddr) -> Result<(), Duration> {
        if self.0.len() > MANY {
            self.0.retain_recent();
        }
        self.0
            .check_key(&address)
            .map_err(|early| early.wait_time_from(DefaultClock::default().now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_stopped_and_others_are_not() {
        let failures = Failures::new();
        let (one, other) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        assert!((0..AT_ONCE.get()).all(|_| failures.count(one).is_ok()));
        let wait = failures.count(one).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= ONE_EACH);
        assert!(failures.count(other).is_ok());
    }
}
