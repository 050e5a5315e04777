//! How many messages per second go through from end to end, and at what CPU time, next to the floor
//! in the same run; and the floor alone.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, ensure};
use clap::Args;
use serde::Serialize;

use crate::{
    report::{Bound, Report},
    rounds::{Figures, Pace, Round, Series, Side, Store, Subject, Traffic},
    sink::Sink,
};

/// How a round is loaded.
#[derive(Debug, Args)]
pub struct Shape {
    /// Rounds of each
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of steady load in a round, after 2 s of warming up
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// Size of a payload, in bytes
    #[arg(long, default_value_t = 1024)]
    size: usize,
    /// Requests that the sender has in flight
    #[arg(long, default_value_t = 96)]
    concurrency: usize,
    /// Deliveries that may be acknowledged and not yet made
    #[arg(long, default_value_t = 4096)]
    backlog: usize,
    /// Endpoints that each message goes to
    #[arg(long, default_value_t = 1)]
    fan_out: usize,
    /// fsync before each reply of Redis, and the durability `disk`, instead of every second
    #[arg(long, conflicts_with = "embedded")]
    disk: bool,
    /// The embedded store in one process, fsync before each 202
    #[arg(long)]
    embedded: bool,
    /// The figures as JSON
    #[arg(long)]
    json: bool,
}

/// The comparison.
#[derive(Debug, Args)]
pub struct Throughput {
    /// The command under test
    #[arg(long, default_value = "target/release/sluicegate")]
    sluicegate: PathBuf,
    /// Applications that messages are spread over
    #[arg(long, default_value_t = 8)]
    applications: usize,
    #[command(flatten)]
    shape: Shape,
}

/// The floor alone.
#[derive(Debug, Args)]
pub struct Floor {
    #[command(flatten)]
    shape: Shape,
}

#[derive(Debug, Serialize)]
struct Alone {
    rounds: Vec<Figures>,
}

impl Shape {
    fn store(&self) -> Store {
        match (self.embedded, self.disk) {
            (true, _) => Store::Embedded,
            (false, true) => Store::RedisAlways,
            (false, false) => Store::RedisEverySecond,
        }
    }

    fn round(&self) -> Round {
        let pace = Pace::Saturating { concurrency: self.concurrency, backlog: self.backlog };
        Round { pace, size: self.size, ..Round::saturating(self.seconds) }
    }

    fn check(&self) -> anyhow::Result<()> {
        ensure!(self.rounds > 0, "nothing is measured without a round");
        ensure!(self.fan_out > 0, "nothing is delivered without an endpoint");
        Ok(())
    }

    async fn floor(&self, sink: &Arc<Sink>) -> anyhow::Result<Figures> {
        floor(self.store(), self.fan_out, &self.round(), sink).await
    }
}

/// One round of the floor.
pub async fn floor(
    store: Store,
    fan_out: usize,
    round: &Round,
    sink: &Arc<Sink>,
) -> anyhow::Result<Figures> {
    let subject = Subject::floor(store, &Traffic::targets(sink, fan_out)).await?;
    let figures = round.run(&subject, &Traffic::floor(&subject, fan_out), sink).await;
    let figures = figures.context("floor")?;
    eprintln!("floor       {figures}");
    Ok(figures)
}

impl Floor {
    /// Measures and prints.
    pub async fn run(&self) -> anyhow::Result<()> {
        self.shape.check()?;
        let sink = Arc::new(Sink::start_local()?);
        let mut rounds = Vec::new();
        for _ in 0..self.shape.rounds {
            rounds.push(self.shape.floor(&sink).await?);
        }
        if self.shape.json {
            println!("{}", serde_json::to_string_pretty(&Alone { rounds })?);
        }
        Ok(())
    }
}

impl Throughput {
    /// Measures, prints, and fails if the bound is broken.
    pub async fn run(&self) -> anyhow::Result<()> {
        self.shape.check()?;
        let sink = Arc::new(Sink::start_local()?);
        let sides = [Side::Floor, Side::Sluicegate];
        let series = Series::take(self.shape.rounds, &sides, async |side| match side {
            Side::Floor => self.shape.floor(&sink).await,
            Side::Sluicegate => self.sluicegate(&sink).await,
        })
        .await?;
        let rate = series.ratio(Side::Sluicegate, Side::Floor, |round| round.delivered_per_second);
        let cpu = series.ratio(Side::Sluicegate, Side::Floor, |round| round.cpu_micros);
        eprintln!("medians: deliveries/s {rate:.2} × floor, CPU {cpu:.2} × floor");
        let bounds = vec![Bound::at_least("× the floor's deliveries/s", rate, 0.45)];
        Report { scenario: "throughput".into(), bounds, figures: series }.conclude(self.shape.json)
    }

    async fn sluicegate(&self, sink: &Arc<Sink>) -> anyhow::Result<Figures> {
        let subject = Subject::sluicegate(&self.sluicegate, self.shape.store(), &[]).await?;
        let (applications, fan_out) = (self.applications, self.shape.fan_out);
        let traffic = Traffic::full(subject.api(), sink, applications, fan_out).await?;
        let figures = self.shape.round().run(&subject, &traffic, sink).await;
        let figures = figures.context("sluicegate")?;
        eprintln!("sluicegate  {figures}");
        subject.stop().await?;
        Ok(figures)
    }
}
