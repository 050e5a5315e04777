//! A receiver that dies under load with thousands of deliveries due, and comes back.
//!
//! While it is dead it answers 500, which is how the sink can count what it is asked.

use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use anyhow::ensure;
use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::{
    intervals::most_within,
    report::{Bound, Report},
    scenarios::deployment::{Common, Deployment},
    sender::{Load, Sender},
    sink::Sink,
};

/// Failures in a row that open a breaker.
const OPENS_AFTER: usize = 10;
/// The first backoff, at its shortest; each that follows is twice as long.
const SHORTEST_BACKOFF: f64 = 4.0;
/// An attempt used up each second would be the end of a delivery within the outage.
const SCHEDULE: &str = "1s,1s,1s,1s,1s,1s,1s,1s";
/// What the endpoint's settings allow to be in flight at once, and to start in a second: at this rate
/// attempts of [`STEP`] each are mostly some fifteen at once, when it dies and when the breaker opens.
const CONCURRENCY: usize = 20;
const PER_SECOND: u32 = 300;
/// How long the sink takes for an answer, with which a window of one doubles.
const STEP: Duration = Duration::from_millis(50);
const STEPS: usize = 20;
/// Deliveries before it dies.
const HEALTHY: u64 = 1000;
const DRAIN: Duration = Duration::from_secs(120);

/// What is done.
#[derive(Debug, Args)]
pub struct Breaker {
    /// Messages that wait when the receiver dies
    #[arg(long, default_value_t = 10_000)]
    queued: u64,
    /// Seconds for which it is dead
    #[arg(long, default_value_t = 25.0)]
    outage: f64,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Serialize)]
struct Figures {
    /// Requests open at the sink when it died.
    in_flight: usize,
    /// Requests that came while it was dead.
    asked_while_dead: usize,
    /// Backoffs that can have ended in that time, at their shortest.
    backoffs: usize,
    /// From the recovery to the first request.
    probed_after_seconds: f64,
    /// Requests in each 50 ms after that one, for a second.
    ramp: Vec<usize>,
    /// Most attempts that started within any second.
    most_starts: usize,
    drained_seconds: f64,
    published: u64,
    delivered: usize,
    duplicates: usize,
    /// Most requests for one delivery.
    most_attempts: u32,
    dead_letters: f64,
}

impl Breaker {
    /// Does it, prints, and fails if a bound is broken.
    pub async fn run(&self) -> anyhow::Result<()> {
        let settings = [("retry_schedule", SCHEDULE)];
        let deployment = Deployment::start(&self.common.sluicegate, &settings, 1).await?;
        let (api, sink) = (deployment.api()?, Sink::start_local()?);
        let application = api.create_application("breaker").await?;
        let endpoint = json!({
            "url": sink.url(&format!("/slow/{}", STEP.as_millis())),
            "rateLimit": PER_SECOND,
            "sluicegate": { "concurrency": CONCURRENCY },
        });
        let endpoint = api.create_endpoint_with(&application, &endpoint).await?;

        api.pause(&application).await?;
        let published = HEALTHY + self.queued;
        let load = Load { rate: None, total: Some(published), ..Load::steady(1.0) };
        let sent = Sender::start(api.clone(), vec![application.clone()], load, None)?;
        let sent = sent.finish().await?;
        ensure!(sent.acked == published, "not all messages were accepted");
        api.resume(&application).await?;
        sink.wait_for(HEALTHY as usize, DRAIN).await?;
        sink.set_outage(Some(StatusCode::INTERNAL_SERVER_ERROR));
        let (died, in_flight) = (Instant::now(), sink.in_flight());
        let before = sink.ask(|journal| journal.arrivals().len());
        let outage = Duration::from_secs_f64(self.outage);
        tokio::time::sleep(outage.saturating_sub(died.elapsed())).await;

        let asked = sink.ask(|journal| journal.arrivals().len());
        let (recovered, dead_for) = (Instant::now(), died.elapsed());
        sink.set_outage(None);
        sink.wait_until(DRAIN, |journal| journal.arrivals().len() > asked).await?;
        sink.wait_for(published as usize, DRAIN).await?;
        let drained = recovered.elapsed();
        tokio::time::sleep(Duration::from_secs(2)).await;

        let starts = api.attempt_starts(&application, &endpoint).await?;
        let dispatcher = deployment.dispatchers[0].metrics().await?;
        let settled = "sluicegate_dispatcher_deliveries_settled_total";
        let good = ["delivered", "retry"]
            .map(|verdict| dispatcher.sum_where(settled, &format!("verdict=\"{verdict}\"")));
        let figures = sink.ask(|journal| {
            let arrivals = &journal.arrivals()[asked..];
            let begin = arrivals[0].received;
            let mut ramp = vec![0; STEPS];
            for arrival in arrivals {
                let step = (arrival.received - begin).as_millis() / STEP.as_millis();
                if let Some(count) = ramp.get_mut(step as usize) {
                    *count += 1;
                }
            }
            let attempts = journal.arrivals().iter().map(|arrival| arrival.attempt);
            Figures {
                in_flight,
                asked_while_dead: asked - before,
                backoffs: backoffs_within(dead_for.as_secs_f64()),
                probed_after_seconds: (begin - recovered).as_secs_f64(),
                ramp,
                most_starts: most_within(&starts, Duration::from_secs(1)),
                drained_seconds: drained.as_secs_f64(),
                published,
                delivered: journal.delivered(),
                duplicates: journal.duplicates(),
                most_attempts: attempts.max().unwrap_or_default(),
                dead_letters: dispatcher.sum(settled) - good[0] - good[1],
            }
        });
        deployment.stop().await?;
        eprintln!("{figures:#?}");
        Report { scenario: "breaker".into(), bounds: figures.bounds(), figures }
            .conclude(self.common.json)
    }
}

impl Figures {
    fn bounds(&self) -> Vec<Bound> {
        let most = OPENS_AFTER + self.in_flight + self.backoffs;
        let first = self.ramp[0] as f64;
        let peak = self.ramp.iter().copied().max().unwrap_or_default() as f64;
        vec![
            Bound::at_most(
                format!(
                    "requests while it was dead ({OPENS_AFTER} + {} in flight + {} backoffs)",
                    self.in_flight, self.backoffs
                ),
                self.asked_while_dead as f64,
                most as f64,
            ),
            Bound::at_most("first 50 ms after recovery ÷ best 50 ms", first / peak, 0.25),
            Bound::at_most(
                "most started in 1 s",
                self.most_starts as f64,
                f64::from(PER_SECOND + 1),
            ),
            Bound::at_least(
                "deliveries that arrived ÷ published",
                self.delivered as f64 / self.published as f64,
                1.0,
            ),
            Bound::at_most("duplicates", self.duplicates as f64, 0.0),
            Bound::at_most("dead letters", self.dead_letters, 0.0),
            // Two failures before it opened and each probe, if all fell on one delivery.
            Bound::at_most(
                "requests for one delivery",
                f64::from(self.most_attempts),
                (3 + self.backoffs) as f64,
            ),
        ]
    }
}

/// How many backoffs, each at its shortest, end within so many seconds.
fn backoffs_within(seconds: f64) -> usize {
    let ends = (0..16).scan(0.0, |end, opening| {
        *end += SHORTEST_BACKOFF * f64::from(1 << opening);
        Some(*end)
    });
    ends.take_while(|end| *end <= seconds).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoffs_double() {
        assert_eq!([3.9, 4.0, 11.9, 12.0, 28.0].map(backoffs_within), [0, 1, 1, 2, 3]);
    }
}
