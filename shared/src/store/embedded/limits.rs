//! Limits that lanes share.
//!
//! Buckets are records like all others, written without fsync: so they survive a crash of the process,
//! and nothing has to count as used up after it, which a limit of one an hour would not bear. What a
//! power loss takes away is no more than what was taken since the last fsync.

use std::time::{Duration, SystemTime};

use super::{Embedded, bucket::Bucket, corrupt, draft::Draft, keys, tables::Table, view::Lookup};
use crate::store::{self, Granted, Limits, Metered, Result, Take};

/// The store's time in microseconds. What [`super::clock`] tells is too coarse for a thousand a second.
fn micros_now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

fn find(of: &impl Lookup, bucket: &store::Bucket) -> Result<Option<Bucket>> {
    match of.get(Table::Documents, keys::bucket(bucket))? {
        None => Ok(None),
        Some(record) => serde_json::from_slice(&record).map_err(|_| corrupt("a bucket")),
    }
}

#[async_trait::async_trait]
impl Limits for Embedded {
    async fn take(&self, wish: &Take) -> Result<Granted> {
        let wish = wish.clone();
        self.writer.write(false, move |draft| take(draft, &wish)).await
    }

    async fn next(&self, buckets: &[Metered]) -> Result<Vec<Duration>> {
        let (view, now) = (self.core.view()?, micros_now());
        let next = |metered: &Metered| {
            let bucket = Bucket::open(find(&view, &metered.bucket)?, metered, now);
            Ok(Duration::from_micros(bucket.earliest(now) - now))
        };
        buckets.iter().map(next).collect()
    }
}

fn take(draft: &mut Draft<'_>, wish: &Take) -> Result<Granted> {
    let now = micros_now();
    let open = |metered: &Metered| Ok(Bucket::open(find(draft, &metered.bucket)?, metered, now));
    let mut buckets = wish.buckets.iter().map(open).collect::<Result<Vec<_>>>()?;
    let spread = u64::try_from(wish.spread.as_micros()).unwrap_or(u64::MAX);
    let (mut cells, mut time) = (Vec::new(), now);
    for _ in 0..wish.cells.max(1) {
        // Until all agree: a later time can only move further.
        loop {
            let later = buckets.iter().fold(time, |time, bucket| bucket.earliest(time));
            if later == time {
                break;
            }
            time = later;
        }
        let due = time - now;
        if cells.first().is_some_and(|first| due > first + spread) {
            break;
        }
        buckets.iter_mut().for_each(|bucket| bucket.occupy(time, now));
        cells.push(due);
    }
    for (metered, bucket) in wish.buckets.iter().zip(&buckets) {
        let record = serde_json::to_vec(bucket).map_err(|_| corrupt("a bucket"))?;
        draft.put(Table::Documents, keys::bucket(&metered.bucket), record);
    }
    let cells = cells.into_iter().map(Duration::from_micros).collect();
    Ok(Granted { at: Duration::from_micros(now), cells })
}
