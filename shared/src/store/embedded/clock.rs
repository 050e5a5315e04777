//! The store's clock and its one sequence.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::time::Millis;

/// The system's clock, except that it never goes back while the process lives.
#[derive(Default)]
pub(super) struct Clock(AtomicU64);

impl Clock {
    pub(super) fn now(&self) -> Millis {
        let now = Millis::now().0;
        Millis(now.max(self.0.fetch_max(now, Ordering::AcqRel)))
    }
}

/// A place in the store's one sequence: milliseconds in the upper 44 bits, a count in the lower 20.
///
/// It numbers entries, parked work and history. The greatest one given out is written with each group,
/// so it grows across restarts too, whatever the clock does meanwhile: an id is never given out twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Stamp(pub(super) u64);

const COUNT_BITS: u32 = 20;

impl Stamp {
    /// The first one of this time.
    pub(super) const fn at(time: Millis) -> Self {
        Self(time.0 << COUNT_BITS)
    }

    /// The next one at this time.
    pub(super) fn after(last: Option<Self>, now: Millis) -> Self {
        let next = last.map_or(0, |last| last.0 + 1);
        Self(next.max(Self::at(now).0))
    }

    pub(super) const fn time(self) -> Millis {
        Millis(self.0 >> COUNT_BITS)
    }

    pub(super) const fn encode(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(u64::from_be_bytes).map(Self)
    }
}
