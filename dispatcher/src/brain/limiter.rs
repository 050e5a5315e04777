//! One rate limit: smooth, as GCRA (governor) gives it, on a clock that is handed in.
//!
//! Asking and taking are two steps, so that several limits can be asked before anything is taken from
//! any: what one grants is then never used up while another refuses. The theoretical arrival time is
//! kept here, because it outlives the limiter: a changed limit and the lane's next owner go on from it.

use std::{cell::Cell, num::NonZeroU32, rc::Rc, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{NotKeyed, StateStore},
};
use shared::domain::Limit;
use tokio::time::Instant;

/// Attempts are paced a little below the limit, so that jitter on the way does not break it at the
/// receiver.
const PACE: f64 = 0.99;

/// An attempt takes four cells, and there is room for one more than the burst needs: so a timer that
/// fires late by up to a quarter of a gap does not lower the rate.
const CELLS: NonZeroU32 = NonZeroU32::MIN.saturating_add(3);

/// The state of one limit.
#[derive(Debug)]
pub(crate) struct Limiter {
    limit: Limit,
    origin: Instant,
    /// Between two cells.
    gap: Duration,
    /// Cells that a full bucket holds.
    room: NonZeroU32,
    slate: Slate,
    cells: RateLimiter<NotKeyed, Slate, Slate, NoOpMiddleware<Nanos>>,
}

/// The clock and the memory of a governor, in nanoseconds since the limiter's origin.
#[derive(Debug, Clone, Default)]
struct Slate(Rc<Times>);

#[derive(Debug, Default)]
struct Times {
    now: Cell<u64>,
    /// The theoretical arrival time.
    arrival: Cell<u64>,
    /// What it becomes if what was granted last is taken.
    granted: Cell<u64>,
}

impl Clock for Slate {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.now.get().into()
    }
}

impl StateStore for Slate {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (answer, next) = decide(Some(self.0.arrival.get().into()))?;
        self.0.granted.set(next.as_u64());
        Ok(answer)
    }
}

impl Limiter {
    /// A limit that holds from now on, and of which nothing is used up.
    pub(crate) fn new(limit: Limit, now: Instant) -> Self {
        let hundredth = NonZeroU32::new(limit.count.get() / 100).unwrap_or(NonZeroU32::MIN);
        let room = CELLS.saturating_mul(limit.burst.unwrap_or(hundredth)).saturating_add(1);
        let per_cell = f64::from(limit.count.get()) * f64::from(CELLS.get()) * PACE;
        let gap = limit.per.div_f64(per_cell).max(Duration::from_nanos(1));
        let quota = Quota::with_period(gap).unwrap_or(Quota::per_second(room)).allow_burst(room);
        let slate = Slate::default();
        let cells = RateLimiter::new(quota, slate.clone(), slate.clone());
        Self { limit, origin: now, gap, room, slate, cells }
    }

    /// The limit that it keeps.
    pub(crate) fn limit(&self) -> Limit {
        self.limit
    }

    /// Whether an attempt may start now, and if not, when.
    pub(crate) fn ask(&self, now: Instant) -> Result<(), Instant> {
        self.slate.0.now.set(self.nanos(now));
        match self.cells.check_n(CELLS) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(denied)) => Err(now + denied.wait_time_from(self.slate.now())),
            // The room is greater than one attempt, always.
            Err(_) => Ok(()),
        }
    }

    /// Takes what the last question granted.
    pub(crate) fn take(&self) {
        self.slate.0.arrival.set(self.slate.0.granted.get());
    }

    /// When all that was granted is made up for.
    pub(crate) fn arrival(&self) -> Instant {
        self.origin + Duration::from_nanos(self.slate.0.arrival.get())
    }

    /// The arrival time of a limiter that has nothing left at `now`: it grants one pause later.
    pub(crate) fn used_up(&self, now: Instant) -> Instant {
        now + self.gap.saturating_mul(self.room.get())
    }

    /// Goes on from this arrival time, but from no later one than if it had been used up to now.
    pub(crate) fn go_on(&self, arrival: Instant, now: Instant) {
        self.slate.0.arrival.set(self.nanos(arrival.min(self.used_up(now))));
    }

    /// Between two attempts.
    pub(crate) fn pause(&self) -> Duration {
        self.gap.saturating_mul(CELLS.get())
    }

    fn nanos(&self, time: Instant) -> u64 {
        u64::try_from(time.saturating_duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX)
    }
}
