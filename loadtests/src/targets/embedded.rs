//! T4: the embedded store with an fsync before each 202, next to its floor, to Redis that promises the
//! same, and to what an fsync takes on that disk.

use std::{fs::File, io::Write, path::Path, time::Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{lab::Lab, outcome::Findings};
use crate::{
    intervals::median,
    latency::Quantiles,
    report::Bound,
    rounds::{Figures, Series, Store},
};

/// Appends to measure an fsync with.
const APPENDS: usize = 300;
const SIZE: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    Floor,
    Embedded,
    /// With `appendfsync always`.
    Redis,
}

#[derive(Debug, Serialize)]
struct Rounds<'a> {
    rounds: &'a Series<Form, Figures>,
    /// Before each pair: 1 KiB appended to a file, and `fdatasync`.
    fdatasync: &'a [Quantiles],
}

pub(super) async fn measure(lab: &Lab) -> anyhow::Result<Findings> {
    use Form::{Embedded, Floor, Redis};
    let (round, mut fdatasync) = (lab.saturating(), Vec::new());
    let series = Series::take(lab.pairs, &[Floor, Embedded, Redis], async |form| match form {
        Floor => {
            fdatasync.push(tokio::task::spawn_blocking(sync_latency).await??);
            lab.floor(Store::Embedded, 1, &round).await
        }
        Embedded => lab.full(Store::Embedded, 1, &round).await,
        Redis => lab.full(Store::RedisAlways, 1, &round).await,
    })
    .await?;
    let rate = |round: &Figures| round.delivered_per_second;
    let cpu = |round: &Figures| round.cpu_micros;
    let of = |figure: fn(&Quantiles) -> f64| median(fdatasync.iter().map(figure));
    let redis = series.ratio(Embedded, Redis, rate);
    Findings::new(&Rounds { rounds: &series, fdatasync: &fdatasync })?
        .bound(Bound::at_least(
            "of the floor's deliveries/s",
            series.ratio(Embedded, Floor, rate),
            0.75,
        ))
        .bound(Bound::at_least("of the deliveries/s over Redis that fsyncs as often", redis, 1.0))
        .beside("deliveries/s", series.median(Embedded, rate))
        .beside("deliveries/s of the floor", series.median(Floor, rate))
        .beside("deliveries/s over Redis", series.median(Redis, rate))
        .beside("µs of CPU for a delivery", series.median(Embedded, cpu))
        .beside("µs of the floor", series.median(Floor, cpu))
        .beside("ms of fdatasync, p50", of(|took| took.p50_ms))
        .beside("ms of fdatasync, p99", of(|took| took.p99_ms))
        .done()
}

/// What the disk takes for what the store does before each group of answers.
fn sync_latency() -> anyhow::Result<Quantiles> {
    let directory = tempfile::Builder::new().prefix("sluicegate-fsync").tempdir()?;
    Ok(Quantiles::of(&sync_appends(&directory.path().join("appended"), APPENDS)?))
}

/// In microseconds.
fn sync_appends(path: &Path, appends: usize) -> anyhow::Result<Histogram<u64>> {
    let mut micros = Histogram::new_with_bounds(1, 60_000_000, 3)?;
    let mut file = File::create_new(path)?;
    for _ in 0..appends {
        file.write_all(&[0x5a; SIZE])?;
        let began = Instant::now();
        file.sync_data()?;
        micros.saturating_record(began.elapsed().as_micros() as u64);
    }
    Ok(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_append_is_on_disk_and_measured() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("appended");
        assert_eq!(sync_appends(&path, 3).unwrap().len(), 3);
        assert_eq!(std::fs::metadata(path).unwrap().len(), 3 * SIZE as u64);
    }
}
