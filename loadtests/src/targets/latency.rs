//! T5: latency at half the rate that saturates, in an open loop, next to the floor at the same rate.

use super::{lab::Lab, outcome::Findings};
use crate::{
    report::Bound,
    rounds::{Figures, Pace, Round, Series, Side, Store},
};

pub(super) async fn measure(lab: &Lab) -> anyhow::Result<Findings> {
    let rate = lab.saturation().await? / 2.0;
    let round = Round { pace: Pace::Rate(rate), ..lab.saturating() };
    let store = Store::RedisEverySecond;
    let series =
        Series::take(lab.pairs, &[Side::Floor, Side::Sluicegate], async |side| match side {
            Side::Floor => lab.floor(store, 1, &round).await,
            Side::Sluicegate => lab.full(store, 1, &round).await,
        })
        .await?;
    let p50 = |round: &Figures| round.end_to_end.unwrap_or_default().p50_ms;
    let p99 = |round: &Figures| round.end_to_end.unwrap_or_default().p99_ms;
    let ingest_p99 = |round: &Figures| round.acknowledged.p99_ms;
    let ours = |figure: &dyn Fn(&Figures) -> f64| series.median(Side::Sluicegate, figure);
    let floor = |figure: &dyn Fn(&Figures) -> f64| series.median(Side::Floor, figure);
    Findings::new(&series)?
        .bound(Bound::at_most("ms from end to end, p50", ours(&p50), 3.0))
        .bound(Bound::at_most("ms from end to end, p99", ours(&p99), 15.0))
        .bound(Bound::at_most("ms to the 202, p99", ours(&ingest_p99), 8.0))
        .beside("messages/s offered", rate)
        .beside("ms from end to end, p50, floor", floor(&p50))
        .beside("ms from end to end, p99, floor", floor(&p99))
        .beside("ms to the 202, p99, floor", floor(&ingest_p99))
        .done()
}
