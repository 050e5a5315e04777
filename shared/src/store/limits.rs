//! Limits that endpoints of several lanes share: an application's, and those with a name.
//!
//! What an endpoint's owner alone counts is exact without the store. What several owners share is
//! counted here: a *bucket* keeps the theoretical arrival time of each of its limits (GCRA), and gives
//! out *cells*. A cell is the right to start one attempt at its time, which may lie ahead: whoever asks
//! next gets a later one. So owners get turns, nobody asks in vain, and nobody asks again before its
//! cell is due.
//!
//! A cell that is taken and not used is lost: the limit is then used by one less. That is why owners
//! take few of them, and late.

use std::time::Duration;

use super::Result;
use crate::{domain::Limit, id::AppId};

/// Starts are paced a little below the limit, so that those that are a little late do not break it.
const PACE: f64 = 0.99;
/// How late a cell may be used, as a part of the limit's duration: what [`PACE`] leaves.
const LATE: u32 = 100;

/// What counts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Bucket {
    /// All attempts of an application.
    Application(AppId),
    /// All attempts of the endpoints that name this limit, whosever they are.
    Named(String),
}

/// A bucket, and the limits that it is to keep.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Metered {
    /// Which.
    pub bucket: Bucket,
    /// Grows whenever the limits change. A bucket keeps the limits of the greatest version that it was
    /// shown, so that a caller who has not heard of the change does not undo it.
    pub version: u64,
    /// At least one: a cell respects all of them.
    pub limits: Vec<Limit>,
}

impl Metered {
    /// How long after its time a cell may still be used: a hundredth of the limit's duration, which
    /// pacing leaves free, and half of the gap to the next cell.
    pub fn good_for(&self) -> Duration {
        let late = |limit: &Limit| limit.per / LATE + pace(limit).gap / 2;
        self.limits.iter().map(late).min().unwrap_or_default()
    }
}

/// A limit as buckets count it, in whole microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// Between two cells; at least one microsecond.
    pub gap: Duration,
    /// How far a bucket may run ahead of the gaps: a burst of n is (n − 1) gaps.
    pub tolerance: Duration,
}

/// The pace of a limit. A burst that is not given is one: what [`Metered::good_for`] lets start late
/// leaves no room for more.
pub fn pace(limit: &Limit) -> Pace {
    let gap = limit.per.div_f64(f64::from(limit.count.get()) * PACE);
    let gap = Duration::from_micros(gap.as_nanos().div_ceil(1000).max(1) as u64);
    let burst = limit.burst.map_or(1, |burst| burst.get());
    Pace { gap, tolerance: gap.saturating_mul(burst - 1) }
}

/// A wish for cells.
#[derive(Clone, Debug)]
pub struct Take {
    /// Each cell is one of all these buckets together; no bucket twice.
    pub buckets: Vec<Metered>,
    /// How many; 0 counts as one.
    pub cells: usize,
    /// Cells that are due later than this after the first are not given: they would be taken from
    /// others too early.
    pub spread: Duration,
}

/// Cells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Granted {
    /// The time on the store's clock, since the Unix epoch. Together with the times at which the caller
    /// asked and heard it tells how far the two clocks are apart.
    pub at: Duration,
    /// For each cell how long after `at` it is due; ascending.
    pub cells: Vec<Duration>,
}

/// Shared limits.
#[async_trait::async_trait]
pub trait Limits: Send + Sync {
    /// Takes cells.
    ///
    /// - At least one cell MUST be given, however far ahead, and no more than asked for; all but the
    ///   first within the spread.
    /// - For each limit of each bucket, no interval of length *t* MUST hold more cells than its burst
    ///   and *t* ÷ gap, whoever took them, and in whatever combination of buckets.
    /// - While somebody asks, nothing is wasted: what lies free in one bucket because another one of
    ///   the same wish comes later MUST be given to who asks next.
    /// - A bucket that was never asked, or not for long, is full. One whose limits have changed goes on
    ///   from what was taken before, but MUST NOT wait longer than one that was just used up, and
    ///   gives no new burst.
    /// - Limits of an older version than the bucket knows MUST be ignored.
    /// - It MUST survive a crash of the process, and a full store MUST still grant.
    ///
    /// Repeating a call takes more cells: that is safe, and wastes those of the first.
    async fn take(&self, take: &Take) -> Result<Granted>;

    /// For each bucket, how long until it has a cell; takes nothing.
    async fn next(&self, buckets: &[Metered]) -> Result<Vec<Duration>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(count: u32, ms: u64, burst: Option<u32>) -> Limit {
        let count = count.try_into().unwrap_or(std::num::NonZeroU32::MIN);
        let burst = burst.and_then(|burst| burst.try_into().ok());
        Limit { count, per: Duration::from_millis(ms), burst }
    }

    #[test]
    fn a_pace_is_a_hundredth_below_the_limit() {
        let pace_of = |count, ms, burst| pace(&limit(count, ms, burst));
        assert_eq!(pace_of(1000, 1000, None).gap, Duration::from_micros(1011));
        assert_eq!(pace_of(10, 1000, Some(5)).tolerance, 4 * pace_of(10, 1000, None).gap);
        assert_eq!(pace_of(1_000_000, 100, None).gap, Duration::from_micros(1));
    }

    #[test]
    fn cells_that_are_used_late_do_not_break_the_limit() {
        for count in [1, 2, 9, 10, 99, 100, 1000, 50_000] {
            let limit = limit(count, 1000, None);
            let metered = |limit| Metered {
                bucket: Bucket::Named("key".into()),
                version: 1,
                limits: vec![limit],
            };
            let within = limit.per + metered(limit).good_for();
            let most = within.as_micros().div_ceil(pace(&limit).gap.as_micros());
            assert!(most <= u128::from(count) + 1, "{most} of {count}");
        }
    }
}
