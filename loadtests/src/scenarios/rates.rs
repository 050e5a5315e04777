//! Whether a limit of R per second is kept and used: 1, 10, 100 and 1,000 per second, each with a
//! backlog, at the same time.
//!
//! With `--shared` each is a limit with a name that four endpoints of two applications share, served by two
//! dispatchers.
//!
//! Seen from two sides: when requests reached the sink, and when attempts started by their records.

use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::json;

use crate::{
    api::Api,
    intervals::{even_gaps, longest_gap, mean_rate, most_within},
    journal::Journal,
    report::{Bound, Report},
    scenarios::deployment::{Common, Deployment},
    sender::{Load, Sender},
    sink::Sink,
};

const RATES: [u32; 4] = [1, 10, 100, 1000];
/// With shared limits: applications, and endpoints of each, for one limit.
const APPLICATIONS: usize = 2;
const ENDPOINTS: usize = 2;
const SECOND: Duration = Duration::from_secs(1);

/// What happens halfway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disturbance {
    /// Nothing
    None,
    /// The only dispatcher is killed, and another one started
    Kill,
    /// A second dispatcher joins, and the first one leaves a while later
    Join,
}

/// What is measured.
#[derive(Debug, Args)]
pub struct Rates {
    /// What happens halfway
    #[arg(long, value_enum, default_value_t = Disturbance::None)]
    disturb: Disturbance,
    /// Limits that endpoints share, over two dispatchers
    #[arg(long)]
    shared: bool,
    /// Seconds that are measured
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Serialize)]
struct Figures {
    shared: bool,
    disturbance: Disturbance,
    rates: Vec<Figure>,
}

/// One limit.
#[derive(Debug, Serialize)]
struct Figure {
    per_second: u32,
    /// Requests that reached the sink.
    arrivals: usize,
    /// The most of them within any second.
    most_arrivals: usize,
    /// The most attempts that started within any second.
    most_starts: usize,
    /// Arrivals per second ÷ R, while there was a backlog.
    mean: f64,
    /// Share of the gaps that lie within a quarter of 1 / R.
    even_gaps: f64,
    /// The longest time without an arrival.
    longest_gap_seconds: f64,
}

/// Endpoints under one limit.
struct Limited {
    per_second: u32,
    /// By application.
    endpoints: Vec<(String, Vec<String>)>,
    path: String,
}

impl Rates {
    /// Measures, prints, and fails if a limit was not kept or not used.
    pub async fn run(&self) -> anyhow::Result<()> {
        let settings = [("lease_ttl", "3s"), ("lease_renewal", "750ms")];
        let mut deployment =
            Deployment::start(&self.common.sluicegate, &settings, 1 + usize::from(self.shared))
                .await?;
        let (api, sink) = (deployment.api()?, Sink::start_local()?);
        let mut all = Vec::new();
        for per_second in RATES {
            all.push(self.limited(&api, &sink, per_second).await?);
        }
        for limited in &all {
            // More than can be delivered until the end, also while the others are published.
            let deliveries = f64::from(limited.per_second) * (self.seconds + 10.0);
            let endpoints: usize = limited.endpoints.iter().map(|(_, all)| all.len()).sum();
            let each = (deliveries / endpoints as f64).ceil() as u64;
            let total = each * limited.endpoints.len() as u64;
            let load = Load { rate: None, total: Some(total), ..Load::steady(1.0) };
            let applications = limited.endpoints.iter().map(|(app, _)| app.clone()).collect();
            let sent = Sender::start(api.clone(), applications, load, None)?.finish().await?;
            ensure!(sent.refused + sent.ambiguous == 0, "not all messages were accepted");
        }
        let from = Instant::now();
        let half = Duration::from_secs_f64(self.seconds / 2.0);
        tokio::time::sleep(half).await;
        match self.disturb {
            Disturbance::None => {}
            Disturbance::Kill => {
                deployment.kill()?;
                deployment.join().await?;
            }
            Disturbance::Join => {
                deployment.join().await?;
                tokio::time::sleep(half / 2).await;
                deployment.leave().await?;
            }
        }
        tokio::time::sleep((from + 2 * half).saturating_duration_since(Instant::now())).await;
        let journal = sink.take();
        let until = Instant::now();
        let mut rates = Vec::new();
        for limited in &all {
            let starts = limited.starts(&api).await?;
            let figure = limited.figure(&journal, &starts, from, until);
            eprintln!(
                "R {:>4}  {:>6} arrivals, most in 1 s {:>5}, most started in 1 s {:>5}, \
                 mean {:.3} R, gaps within 25 % {:.3}, longest {:.2} s",
                figure.per_second,
                figure.arrivals,
                figure.most_arrivals,
                figure.most_starts,
                figure.mean,
                figure.even_gaps,
                figure.longest_gap_seconds,
            );
            rates.push(figure);
        }
        let figures = Figures { shared: self.shared, disturbance: self.disturb, rates };
        Report { scenario: "rates".into(), bounds: figures.bounds(), figures }
            .conclude(self.common.json)
    }
}

impl Rates {
    async fn limited(&self, api: &Api, sink: &Sink, per_second: u32) -> anyhow::Result<Limited> {
        let path = format!("/ok?{per_second}");
        let (mut endpoint, mut counts) = (json!({ "url": sink.url(&path) }), (1, 1));
        if self.shared {
            let name = format!("rate-{per_second}");
            api.define_limit(&name, &json!({ "count": per_second, "per": "1s" })).await?;
            endpoint["sluicegate"] = json!({ "sharedLimits": [name] });
            counts = (APPLICATIONS, ENDPOINTS);
        } else {
            endpoint["rateLimit"] = per_second.into();
        }
        let mut endpoints = Vec::new();
        for _ in 0..counts.0 {
            let application = api.create_application("rates").await?;
            let mut ids = Vec::new();
            for _ in 0..counts.1 {
                ids.push(api.create_endpoint_with(&application, &endpoint).await?);
            }
            endpoints.push((application, ids));
        }
        Ok(Limited { per_second, endpoints, path })
    }
}

impl Limited {
    /// When attempts at any of the endpoints started.
    async fn starts(&self, api: &Api) -> anyhow::Result<Vec<Duration>> {
        let mut starts = Vec::new();
        for (application, endpoints) in &self.endpoints {
            for endpoint in endpoints {
                starts.extend(api.attempt_starts(application, endpoint).await?);
            }
        }
        starts.sort_unstable();
        Ok(starts)
    }

    fn figure(
        &self,
        journal: &Journal,
        starts: &[Duration],
        from: Instant,
        until: Instant,
    ) -> Figure {
        let arrivals = journal.arrivals().iter().filter(|arrival| *arrival.path == *self.path);
        let received: Vec<_> = arrivals.map(|arrival| arrival.received).collect();
        let origin = received.first().copied().unwrap_or(from);
        let all: Vec<_> = received.iter().map(|at| *at - origin).collect();
        let steady = received.iter().filter(|at| (from..until).contains(*at));
        let steady: Vec<_> = steady.map(|at| *at - origin).collect();
        let rate = f64::from(self.per_second);
        Figure {
            per_second: self.per_second,
            arrivals: all.len(),
            most_arrivals: most_within(&all, SECOND),
            most_starts: most_within(starts, SECOND),
            mean: mean_rate(&steady) / rate,
            even_gaps: even_gaps(&steady, Duration::from_secs_f64(1.0 / rate), 0.25),
            longest_gap_seconds: longest_gap(&steady).as_secs_f64(),
        }
    }
}

impl Figures {
    /// With a disturbance there is a time without deliveries: then only the upper bounds count.
    fn bounds(&self) -> Vec<Bound> {
        let mut bounds = Vec::new();
        for figure in &self.rates {
            let rate = f64::from(figure.per_second);
            let name = format!("R {}", figure.per_second);
            bounds.push(Bound::at_most(
                format!("{name}: most started in 1 s"),
                figure.most_starts as f64,
                rate + 1.0,
            ));
            bounds.push(Bound::at_most(
                format!("{name}: most received in 1 s"),
                figure.most_arrivals as f64,
                (rate * 1.05).max(rate + 1.0),
            ));
            if self.disturbance == Disturbance::None {
                let least = if self.shared { 0.95 } else { 0.98 };
                bounds.push(Bound::at_least(format!("{name}: mean ÷ R"), figure.mean, least));
                if figure.per_second <= 100 && !self.shared {
                    let even = figure.even_gaps;
                    bounds.push(Bound::at_least(format!("{name}: even gaps"), even, 0.95));
                }
            }
        }
        bounds
    }
}
