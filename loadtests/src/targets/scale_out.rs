//! T9: what a delivery costs when two dispatchers share a backlog, next to one with all of it.
//!
//! The backlog is published while no dispatcher runs. Counting begins once all lanes have their owners,
//! and ends before the backlog does: so take-over and idle lanes are no part of it.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Serialize;
use shared::placement::LANES;

use super::{
    lab::{APPLICATIONS, Lab},
    outcome::Findings,
};
use crate::{
    report::Bound,
    rounds::{Series, Traffic},
    scenarios::deployment::Deployment,
    sender::{Load, Sender, Sent},
};

const OWNED: &str = "sluicegate_dispatcher_lanes_owned";
const BACKLOG: u64 = 200_000;
/// Endpoints of each application, so that all lanes have work.
const ENDPOINTS: u64 = 16;
const PATIENCE: Duration = Duration::from_secs(600);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Dispatchers {
    One,
    Two,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Drained {
    deliveries_per_second: f64,
    /// CPU time of the dispatchers for a delivery.
    dispatchers_micros: f64,
    /// The same of Redis.
    redis_micros: f64,
}

impl Drained {
    fn cpu_micros(&self) -> f64 {
        self.dispatchers_micros + self.redis_micros
    }
}

pub(super) async fn measure(lab: &Lab) -> anyhow::Result<Findings> {
    use Dispatchers::{One, Two};
    let series =
        Series::take(lab.pairs, &[One, Two], async |dispatchers| drain(lab, dispatchers).await)
            .await?;
    let rate = |drained: &Drained| drained.deliveries_per_second;
    let ratio = series.ratio(Two, One, Drained::cpu_micros);
    Findings::new(&series)?
        .bound(Bound::at_most(
            "times the CPU time for a delivery, with two dispatchers",
            ratio,
            1.1,
        ))
        .beside("µs with one", series.median(One, Drained::cpu_micros))
        .beside("µs with two", series.median(Two, Drained::cpu_micros))
        .beside("deliveries/s with one", series.median(One, rate))
        .beside("deliveries/s with two", series.median(Two, rate))
        .done()
}

async fn drain(lab: &Lab, dispatchers: Dispatchers) -> anyhow::Result<Drained> {
    let mut deployment = Deployment::start(&lab.program, &[], 0).await?;
    let (api, sink) = (deployment.api()?, &lab.sink);
    sink.take();
    let traffic = Traffic::by_channel(&api, sink, APPLICATIONS, ENDPOINTS).await?;
    let load = Load {
        size: 1024,
        rate: None,
        total: Some(BACKLOG),
        channels: traffic.channels,
        timed: false,
        ..Load::steady(1.0)
    };
    let sent = Sender::start(api, traffic.applications, load, None)?.finish().await?;
    let Sent { acked, refused, ambiguous, .. } = sent;
    ensure!(acked == BACKLOG, "{acked} acked, {refused} refused and {ambiguous} ambiguous");

    let count = match dispatchers {
        Dispatchers::One => 1,
        Dispatchers::Two => 2,
    };
    for _ in 0..count {
        deployment.join().await?;
    }
    let least = 0.75 * f64::from(LANES) / f64::from(count);
    let shared = async |deployment: &Deployment| {
        let owned = deployment.each(OWNED).await?;
        Ok(owned.iter().sum::<f64>() == f64::from(LANES) && owned.iter().all(|own| *own >= least))
    };
    deployment.wait_until("all lanes owned", PATIENCE, shared).await?;

    let delivered = || sink.ask(|journal| journal.delivered());
    let end = BACKLOG as usize / 100 * 95;
    let (began, from, before) = (Instant::now(), delivered(), deployment.cpu()?);
    ensure!(from < end / 2, "{from} of {BACKLOG} were delivered before all lanes had owners");
    sink.wait_for(end, PATIENCE).await?;
    let (took, until, after) = (began.elapsed(), delivered(), deployment.cpu()?);
    sink.wait_for(BACKLOG as usize, PATIENCE).await.context("the end of the backlog")?;
    deployment.stop().await?;

    let deliveries = (until - from) as f64;
    let micros = |after: Duration, before: Duration| {
        after.saturating_sub(before).as_secs_f64() * 1e6 / deliveries
    };
    let drained = Drained {
        deliveries_per_second: deliveries / took.as_secs_f64(),
        redis_micros: micros(after.0, before.0),
        dispatchers_micros: micros(after.1, before.1),
    };
    eprintln!("{dispatchers:?}: {drained:.0?}, of {deliveries} deliveries");
    Ok(drained)
}
