//! Credits: what this process can hold. A permit travels with its delivery, from before its body is
//! read until the store has agreed to its settlement, and gives itself back when dropped.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bodies are weighed in units of this many bytes.
const WEIGHT_UNIT: usize = 1024;

/// The pools of one process.
#[derive(Debug, Clone)]
pub(crate) struct Credits {
    all: Arc<Semaphore>,
    /// Half of all, for endpoints whose last attempt was no success: so they never starve the others.
    unproven: Arc<Semaphore>,
    weight: Arc<Semaphore>,
    most_weight: u32,
}

/// The right to hold one delivery.
#[derive(Debug)]
pub(crate) struct Permit {
    _one: OwnedSemaphorePermit,
    _unproven: Option<OwnedSemaphorePermit>,
    weight: Option<OwnedSemaphorePermit>,
}

impl Credits {
    /// Pools for so many deliveries and so many bytes of bodies.
    pub(crate) fn new(deliveries: usize, bytes: usize) -> Self {
        let units = (bytes / WEIGHT_UNIT).clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Self {
            all: Arc::new(Semaphore::new(deliveries)),
            unproven: Arc::new(Semaphore::new((deliveries / 2).max(1))),
            weight: Arc::new(Semaphore::new(units)),
            most_weight: units as u32,
        }
    }

    /// A permit, if there is one now.
    pub(crate) fn try_take(&self, proven: bool) -> Option<Permit> {
        let unproven = match proven {
            true => None,
            false => Some(Arc::clone(&self.unproven).try_acquire_owned().ok()?),
        };
        let one = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Permit { _one: one, _unproven: unproven, weight: None })
    }

    /// A permit, as soon as there is one; first come, first served. `None` never happens while the
    /// process runs: the pools are never closed.
    pub(crate) async fn take(&self, proven: bool) -> Option<Permit> {
        let unproven = match proven {
            true => None,
            false => Some(Arc::clone(&self.unproven).acquire_owned().await.ok()?),
        };
        let one = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Permit { _one: one, _unproven: unproven, weight: None })
    }

    /// Adds the weight of a body to a permit; `false` if there is no room for it now.
    pub(crate) fn weigh(&self, permit: &mut Permit, bytes: usize) -> bool {
        let units = (bytes.div_ceil(WEIGHT_UNIT) as u32).min(self.most_weight);
        permit.weight = Arc::clone(&self.weight).try_acquire_many_owned(units).ok();
        permit.weight.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_permit_comes_back() {
        let credits = Credits::new(2, 1 << 20);
        let (one, two) = (credits.try_take(true), credits.try_take(true));
        assert!(one.is_some() && two.is_some() && credits.try_take(true).is_none());
        drop(one);
        assert!(credits.try_take(true).is_some());
    }

    #[test]
    fn the_unproven_share_half() {
        let credits = Credits::new(4, 1 << 20);
        let held: Vec<_> = (0..4).filter_map(|_| credits.try_take(false)).collect();
        assert_eq!(held.len(), 2);
        assert!(credits.try_take(true).is_some());
    }

    #[test]
    fn bodies_are_weighed() {
        let credits = Credits::new(4, 10 * 1024);
        let mut permits: Vec<_> = (0..3).filter_map(|_| credits.try_take(true)).collect();
        assert!(credits.weigh(&mut permits[0], 6 * 1024));
        assert!(!credits.weigh(&mut permits[1], 6 * 1024));
        permits.remove(0);
        assert!(credits.weigh(&mut permits[0], 6 * 1024));
    }

    #[test]
    fn one_body_greater_than_the_pool_can_still_pass() {
        let credits = Credits::new(1, 1024);
        let mut permit = credits.try_take(true).unwrap();
        assert!(credits.weigh(&mut permit, 1 << 20));
    }
}
