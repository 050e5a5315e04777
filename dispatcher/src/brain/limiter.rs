//! The rate limit of an endpoint: smooth, as GCRA (governor) gives it, on a clock that is handed in.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};
use tokio::time::Instant;

/// Attempts are paced a little below the limit, so that jitter on the way does not break it at the
/// receiver.
const PACE: f64 = 0.99;

/// A limit of so many attempts per second.
#[derive(Debug)]
pub(crate) struct Limiter {
    per_second: NonZeroU32,
    clock: Driven,
    cells: RateLimiter<NotKeyed, InMemoryState, Driven, NoOpMiddleware<Nanos>>,
}

/// A clock that stands where it was put.
#[derive(Debug, Clone)]
struct Driven {
    origin: Instant,
    nanos: Arc<AtomicU64>,
}

impl Driven {
    fn put(&self, now: Instant) {
        let nanos = now.duration_since(self.origin).as_nanos() as u64;
        self.nanos.store(nanos, Ordering::Relaxed);
    }
}

impl Clock for Driven {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.nanos.load(Ordering::Relaxed).into()
    }
}

impl Limiter {
    /// A limit that holds from now on. Bursts are at most a hundredth of the rate.
    pub(crate) fn new(per_second: NonZeroU32, now: Instant) -> Self {
        let clock = Driven { origin: now, nanos: Arc::new(AtomicU64::new(0)) };
        let gap = Duration::from_secs_f64(1.0 / (f64::from(per_second.get()) * PACE));
        let burst = NonZeroU32::new(per_second.get() / 100).unwrap_or(NonZeroU32::MIN);
        // A rate of u32::MAX still leaves a gap of a fifth of a nanosecond, which rounds to zero.
        let quota = Quota::with_period(gap).unwrap_or(Quota::per_second(per_second));
        let cells = RateLimiter::direct_with_clock(quota.allow_burst(burst), clock.clone());
        Self { per_second, clock, cells }
    }

    /// The rate it was made with.
    pub(crate) fn per_second(&self) -> NonZeroU32 {
        self.per_second
    }

    /// Takes one cell, or says when there will be one.
    pub(crate) fn take(&self, now: Instant) -> Result<(), Instant> {
        self.clock.put(now);
        self.cells.check().map_err(|denied| now + denied.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Start times of attempts that are always wanted, over so many seconds.
    fn starts(per_second: u32, seconds: u64) -> Vec<Duration> {
        let origin = Instant::now();
        let limiter = Limiter::new(NonZeroU32::new(per_second).unwrap(), origin);
        let (mut now, mut starts) = (origin, Vec::new());
        while now < origin + Duration::from_secs(seconds) {
            match limiter.take(now) {
                Ok(()) => starts.push(now - origin),
                Err(later) => now = later.max(now + Duration::from_nanos(1)),
            }
        }
        starts
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn no_second_holds_more_than_the_limit_and_its_burst(per_second in 1u32..2000) {
            let starts = starts(per_second, 3);
            let most = per_second + (per_second / 100).max(1);
            for (first, after) in starts.iter().zip(starts.iter().skip(most as usize)) {
                prop_assert!(*after - *first >= Duration::from_secs(1));
            }
        }
    }

    #[test]
    fn the_mean_is_close_to_the_limit() {
        for per_second in [1, 10, 100, 1000] {
            let count = starts(per_second, 20).len() as f64;
            assert!(count >= 19.6 * f64::from(per_second), "{per_second}/s gave {count}");
        }
    }
}
