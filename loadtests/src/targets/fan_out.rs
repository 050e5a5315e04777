//! T6: each message goes to ten endpoints.

use super::{lab::Lab, outcome::Findings};
use crate::{
    report::Bound,
    rounds::{Figures, Side, Store},
};

const ENDPOINTS: usize = 10;

pub(super) async fn measure(lab: &Lab) -> anyhow::Result<Findings> {
    let series = lab.against_floor(Store::RedisEverySecond, ENDPOINTS).await?;
    let rate = |round: &Figures| round.delivered_per_second;
    let cpu = |round: &Figures| round.cpu_micros;
    let ratio = series.ratio(Side::Sluicegate, Side::Floor, rate);
    Findings::new(&series)?
        .bound(Bound::at_least("of the floor's deliveries/s", ratio, 0.8))
        .beside("deliveries/s", series.median(Side::Sluicegate, rate))
        .beside("deliveries/s of the floor", series.median(Side::Floor, rate))
        .beside("µs of CPU for a delivery", series.median(Side::Sluicegate, cpu))
        .beside("µs of the floor", series.median(Side::Floor, cpu))
        .done()
}
