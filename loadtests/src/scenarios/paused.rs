//! A dispatcher that stands still in the middle of attempts, loses its lanes, and wakes up believing
//! that it owns them.
//!
//! What was in flight may be delivered twice: once by it, once by its successor. After it has woken
//! up nothing that was delivered before may come again, because that would be an attempt under a lease
//! that is gone.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use clap::Args;
use serde::Serialize;

use crate::{
    journal::Journal,
    metrics::Metrics,
    report::{Bound, Report},
    scenarios::{
        deployment::{Common, Deployment},
        traffic::{Cover, Traffic},
    },
    sink::Sink,
};

const FENCED: &str = "sluicegate_dispatcher_lanes_fenced_total";
const ERRORS: &str = "sluicegate_dispatcher_store_errors_total";
const UNMATCHED: &str = "sluicegate_dispatcher_settlements_unmatched_total";
const IN_FLIGHT: &str = "sluicegate_dispatcher_attempts_in_flight";

/// What is done.
#[derive(Debug, Args)]
pub struct Paused {
    /// Seconds until a dispatcher that is not heard of loses its lanes
    #[arg(long, default_value_t = 3.0)]
    ttl: f64,
    /// Messages per second, each for at least four endpoints that take a second to answer
    #[arg(long, default_value_t = 24.0)]
    rate: f64,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Serialize)]
struct Figures {
    deliveries: usize,
    lost: usize,
    /// Attempts of the paused dispatcher when it was stopped, by its own metric.
    in_flight: f64,
    /// Requests of both dispatchers that the sink had not answered then.
    open_at_sink: usize,
    repeated: Repeated,
    /// Lanes that the paused dispatcher says it lost while it served them.
    lanes_fenced: f64,
    /// Calls that the store refused it as fenced. None if its own clock told it first: then it asks
    /// the store nothing under the old lease.
    calls_fenced: f64,
    /// Settlements of both that changed nothing.
    unmatched: f64,
}

/// Second arrivals of deliveries that had been accepted.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Repeated {
    /// Those between the stop and the resumption.
    while_paused: usize,
    /// Those later.
    after_resuming: usize,
    /// Those before the stop.
    before: usize,
    /// The most arrivals of one delivery.
    most: u32,
}

impl Repeated {
    fn of(journal: &Journal, stopped: Instant, resumed: Instant) -> Self {
        let mut counts = HashMap::<(&str, &str), u32>::new();
        let mut repeated = Self::default();
        for arrival in journal.arrivals() {
            let count = counts.entry((&arrival.webhook_id, &arrival.path)).or_default();
            *count += 1;
            repeated.most = repeated.most.max(*count);
            if *count > 1 {
                let when = match arrival.received {
                    at if at < stopped => &mut repeated.before,
                    at if at < resumed => &mut repeated.while_paused,
                    _ => &mut repeated.after_resuming,
                };
                *when += 1;
            }
        }
        repeated
    }
}

impl Paused {
    /// Does it, prints, and fails if a bound is broken.
    pub async fn run(&self) -> anyhow::Result<()> {
        let ttl = Duration::from_secs_f64(self.ttl);
        let (lease, renewal) =
            (format!("{}ms", ttl.as_millis()), format!("{}ms", (ttl / 4).as_millis()));
        let settings = [("lease_ttl", lease.as_str()), ("lease_renewal", renewal.as_str())];
        let deployment = Deployment::start(&self.common.sluicegate, &settings, 2).await?;
        let (api, sink) = (deployment.api()?, Sink::start_local()?);
        let cover = Cover::create(&api, &sink, "/slow/1000").await?;
        let busy = async |deployment: &Deployment| {
            Ok(deployment.each(IN_FLIGHT).await?.iter().all(|count| *count >= 10.0))
        };
        let traffic = Traffic::begin(&api, &cover, &sink, self.rate)?;
        deployment.wait_until("both have ten attempts in flight", ttl * 10, busy).await?;

        let sleeper = &deployment.dispatchers[0];
        let before = sleeper.metrics().await?;
        sleeper.process.pause()?;
        let (stopped, open_at_sink) = (Instant::now(), sink.in_flight());
        tokio::time::sleep(ttl * 3).await;
        let resumed = Instant::now();
        sleeper.process.resume()?;
        tokio::time::sleep(ttl * 3).await;
        let passed = traffic.end(&cover, &sink, ttl).await?;
        let metrics = sleeper.metrics().await?;
        let fenced = |metrics: &Metrics| metrics.sum_where(ERRORS, "kind=\"fenced\"");
        let figures = Figures {
            deliveries: passed.journal.delivered(),
            lost: passed.lost,
            in_flight: before.sum(IN_FLIGHT),
            open_at_sink,
            repeated: Repeated::of(&passed.journal, stopped, resumed),
            lanes_fenced: metrics.sum(FENCED) - before.sum(FENCED),
            calls_fenced: fenced(&metrics) - fenced(&before),
            unmatched: deployment.total(UNMATCHED).await?,
        };
        deployment.stop().await?;
        eprintln!("{figures:#?}");
        Report { scenario: "paused".into(), bounds: figures.bounds(), figures }
            .conclude(self.common.json)
    }
}

impl Figures {
    fn bounds(&self) -> Vec<Bound> {
        let Repeated { while_paused, after_resuming, before, most } = self.repeated;
        vec![
            Bound::at_most("lost", self.lost as f64, 0.0),
            Bound::at_most("duplicates before it was stopped", before as f64, 0.0),
            Bound::at_most(
                "duplicates while it stood still (bound: requests open at the sink)",
                while_paused as f64,
                self.open_at_sink as f64,
            ),
            Bound::at_most("duplicates after it went on", after_resuming as f64, 0.0),
            Bound::at_most("arrivals of one delivery", f64::from(most), 2.0),
            Bound::at_least(
                "lanes or calls that it saw fenced",
                self.lanes_fenced + self.calls_fenced,
                1.0,
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::BodyHash;

    #[test]
    fn repetitions_belong_to_the_time_in_which_they_came() {
        let mut journal = Journal::default();
        for id in ["a", "b", "a", "a", "b"] {
            journal.record(id, "/ok", BodyHash::of(b""), |_| 200);
            std::thread::sleep(Duration::from_millis(1));
        }
        let at = |index: usize| journal.arrivals()[index].received;
        let repeated = Repeated::of(&journal, at(3), at(4));
        let expected = Repeated { before: 1, while_paused: 1, after_resuming: 1, most: 3 };
        assert_eq!(repeated, expected);
    }
}
