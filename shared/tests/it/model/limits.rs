//! Limits that lanes share: a list of all cells that were ever given, replayed for each question.

use std::time::{Duration, SystemTime};

use shared::store::{Bucket, Granted, Limits, Metered, Pace, Result, Take, pace};

use super::{Model, State};

/// What was taken from a bucket.
#[derive(Clone, Default)]
pub(super) struct Cells {
    version: u64,
    paces: Vec<Pace>,
    /// The theoretical arrival time of each limit before the first cell.
    begin: Vec<Duration>,
    cells: Vec<Duration>,
}

impl Cells {
    /// The arrival times of one limit before each of the cells and after the last; nothing if they
    /// break it.
    fn replay(&self, nth: usize) -> Option<Vec<Duration>> {
        let Pace { gap, tolerance } = self.paces[nth];
        let mut arrivals = vec![self.begin[nth]];
        for cell in &self.cells {
            let arrival = *arrivals.last().unwrap();
            if *cell + tolerance < arrival {
                return None;
            }
            arrivals.push(arrival.max(*cell) + gap);
        }
        Some(arrivals)
    }

    fn with(&self, cell: Duration) -> Self {
        let mut with = self.clone();
        with.cells.push(cell);
        with.cells.sort();
        with
    }

    fn earliest(&self, from: Duration) -> Duration {
        let limits = 0..self.paces.len();
        let ready = |nth: usize| {
            let arrivals = self.replay(nth).expect("what was given keeps the limits");
            arrivals.into_iter().map(move |it| it.saturating_sub(self.paces[nth].tolerance))
        };
        let mut times: Vec<_> = limits.clone().flat_map(ready).chain([from]).collect();
        times.retain(|time| *time >= from);
        times.sort();
        let fits =
            |time: &Duration| limits.clone().all(|nth| self.with(*time).replay(nth).is_some());
        times.into_iter().find(fits).expect("behind all others there is room")
    }
}

fn now() -> Duration {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Duration::from_micros(since.as_micros() as u64)
}

impl State {
    fn bucket(&self, metered: &Metered, now: Duration) -> Cells {
        let before = self.buckets.get(&metered.bucket).cloned().unwrap_or_default();
        if before.version > metered.version {
            return before;
        }
        let paces: Vec<_> = metered.limits.iter().map(pace).collect();
        if before.paces == paces {
            return Cells { version: metered.version, ..before };
        }
        let ends = (0..before.paces.len()).map(|nth| *before.replay(nth).unwrap().last().unwrap());
        let latest = ends.max().unwrap_or_default();
        let begin = paces.iter().map(|it| latest.min(now + it.tolerance + it.gap)).collect();
        Cells { version: metered.version, paces, begin, cells: vec![] }
    }
}

#[async_trait::async_trait]
impl Limits for Model {
    async fn take(&self, take: &Take) -> Result<Granted> {
        let (mut state, at) = (self.state(), now());
        let named: Vec<Bucket> = take.buckets.iter().map(|it| it.bucket.clone()).collect();
        let mut buckets: Vec<_> = take.buckets.iter().map(|it| state.bucket(it, at)).collect();
        let (mut time, mut given) = (at, Vec::new());
        while given.len() < take.cells.max(1) {
            while let Some(later) =
                buckets.iter().map(|it| it.earliest(time)).find(|later| *later > time)
            {
                time = later;
            }
            if given.first().is_some_and(|first| time - at > *first + take.spread) {
                break;
            }
            buckets.iter_mut().for_each(|it| *it = it.with(time));
            given.push(time - at);
        }
        state.buckets.extend(named.into_iter().zip(buckets));
        Ok(Granted { at, cells: given })
    }

    async fn next(&self, buckets: &[Metered]) -> Result<Vec<Duration>> {
        let (state, now) = (self.state(), now());
        Ok(buckets.iter().map(|it| state.bucket(it, now).earliest(now) - now).collect())
    }
}
