//! T1, T2 and T3: what goes through at saturation, and its CPU time, next to the floor.

use super::{lab::Lab, outcome::Findings};
use crate::{
    report::Bound,
    rounds::{Figures, Series, Side, Store},
};

const RATE: f64 = 0.8;
const CPU: f64 = 1.35;

/// T1
pub(super) async fn every_second(lab: &Lab) -> anyhow::Result<Findings> {
    rate(lab.every_second().await?)
}

/// T2
pub(super) async fn always(lab: &Lab) -> anyhow::Result<Findings> {
    rate(&lab.against_floor(Store::RedisAlways, 1).await?)
}

fn rate(series: &Series<Side, Figures>) -> anyhow::Result<Findings> {
    let rate = |round: &Figures| round.delivered_per_second;
    let (floor, ours) = (series.median(Side::Floor, rate), series.median(Side::Sluicegate, rate));
    let ratio = series.ratio(Side::Sluicegate, Side::Floor, rate);
    let what = "of the floor's deliveries/s";
    Findings::new(series)?
        .bound(Bound::at_least(what, ratio, RATE))
        .beside("deliveries/s", ours)
        .beside("deliveries/s of the floor", floor)
        .done()
}

/// T3, of the rounds of T1.
pub(super) async fn cpu(lab: &Lab) -> anyhow::Result<Findings> {
    let series = lab.every_second().await?;
    let cpu = |round: &Figures| round.cpu_micros;
    let ratio = series.ratio(Side::Sluicegate, Side::Floor, cpu);
    let mut findings = Findings::new(series)?
        .bound(Bound::at_most("times the floor's CPU time for a delivery", ratio, CPU))
        .beside("µs of CPU for a delivery", series.median(Side::Sluicegate, cpu))
        .beside("µs of the floor", series.median(Side::Floor, cpu));
    for name in ["gateway", "redis", "dispatcher"] {
        for (side, of) in [(Side::Sluicegate, ""), (Side::Floor, ", floor")] {
            let micros = series.median(side, |round| round.cpu_micros_of[name]);
            findings = findings.beside(&format!("µs of {name}{of}"), micros);
        }
    }
    findings.done()
}
