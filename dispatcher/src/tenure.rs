//! A tenure: one lane's lease in the hands of this process.
//!
//! The owner fences itself: it starts nothing once two thirds of the TTL have passed since it *sent*
//! its last good renewal. The clock goes on while the machine sleeps (CLOCK_BOOTTIME).

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use shared::{placement::Lane, store::Fence};

#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// A point on the clock that leases are measured by, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LeaseTime(u64);

impl LeaseTime {
    pub(crate) fn now() -> Self {
        let now = clock_gettime(CLOCK);
        Self(now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000)
    }

    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// A lease that this process holds.
#[derive(Debug)]
pub(crate) struct Tenure {
    fence: Fence,
    until: AtomicU64,
}

impl Tenure {
    /// A lease that was asked for at `sent`.
    pub(crate) fn new(fence: Fence, sent: LeaseTime, ttl: Duration) -> Self {
        let tenure = Self { fence, until: AtomicU64::new(0) };
        tenure.extend(sent, ttl);
        tenure
    }

    /// A renewal that was sent at `sent` succeeded.
    pub(crate) fn extend(&self, sent: LeaseTime, ttl: Duration) {
        let until = sent.0 + ttl.as_millis() as u64 * 2 / 3;
        self.until.store(until, Ordering::Relaxed);
    }

    /// Whether attempts may be started now.
    pub(crate) fn holds(&self) -> bool {
        LeaseTime::now().0 < self.until.load(Ordering::Relaxed)
    }

    pub(crate) fn fence(&self) -> &Fence {
        &self.fence
    }

    pub(crate) fn lane(&self) -> Lane {
        self.fence.lane
    }
}
