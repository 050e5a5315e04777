//! A moment on two clocks: the one that brains count by, and the one that records are written in.

use std::time::Duration;

use shared::time::Millis;
use tokio::time::Instant;

/// The same moment on both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) now: Instant,
    pub(crate) wall: Millis,
}

impl Moment {
    /// This moment.
    pub(crate) fn now() -> Self {
        Self { now: Instant::now(), wall: Millis::now() }
    }

    /// A time for a record: rounded up, so that nothing happens too early.
    pub(super) fn millis(&self, time: Instant) -> Millis {
        match time.checked_duration_since(self.now) {
            Some(ahead) => self.wall.after(ahead.saturating_add(Duration::from_micros(999))),
            None => Millis(self.wall.0.saturating_sub((self.now - time).as_millis() as u64)),
        }
    }

    /// A time from a record. What lies before the beginning of the clock is as good as now.
    pub(super) fn instant(&self, time: Millis) -> Instant {
        let past = self.wall.since(time);
        self.now.checked_sub(past).unwrap_or(self.now) + time.since(self.wall)
    }
}
