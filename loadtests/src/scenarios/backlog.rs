//! Deliveries by the hundred thousand that are due at a dead endpoint: what they cost the dispatcher in
//! memory, both servers in CPU, and a healthy endpoint of the same lane in latency; and whether all of
//! them arrive once the endpoint lives.
//!
//! It is dead because nobody listens on its port, and recovers when a sink does.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::{
    api::{Api, EVENT_TYPE},
    intervals::median,
    latency::{Quantiles, end_to_end},
    process::memory,
    redis_server::free_port,
    report::{Bound, Report},
    scenarios::{
        deployment::{Common, Deployment},
        traffic::lane_of,
    },
    sender::{Load, Sender},
    sink::Sink,
};

/// By default the second retry comes after 5 minutes, and what had failed twice would come long after
/// the backlog.
const SCHEDULE: &str = "5s,5s,5s,5s,5s,5s,5s,5s,5s,5s";
const FLOOD_TYPE: &str = "load.flood";
/// Breakers wait for up to 5 minutes before they find out that the endpoint lives.
const PROBE: Duration = Duration::from_secs(400);
const PATIENCE: Duration = Duration::from_secs(60);
const MEBIBYTE: f64 = (1 << 20) as f64;

/// What is done.
#[derive(Debug, Args)]
pub struct Backlog {
    /// Deliveries that are queued in all; 1,000,000 is the long form
    #[arg(long, default_value_t = 200_000)]
    queued: u64,
    /// Messages per second of the flood, at most
    #[arg(long, default_value_t = 5000.0)]
    flood: f64,
    /// Messages per second for the healthy endpoint
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
    /// Times that the healthy endpoint is measured alone and beside the flood
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    #[command(flatten)]
    common: Common,
}

/// The healthy endpoint, for one measurement.
#[derive(Debug, Clone, Copy, Serialize)]
struct Healthy {
    end_to_end: Quantiles,
    redis_cpu_seconds: f64,
    dispatcher_cpu_seconds: f64,
    /// Messages of the flood that were accepted meanwhile.
    flooded: u64,
}

#[derive(Debug, Serialize)]
struct Figures {
    alone: Vec<Healthy>,
    beside: Vec<Healthy>,
    /// CPU time for each message of the flood, the healthy endpoint's subtracted.
    redis_micros: f64,
    dispatcher_micros: f64,
    queued: u64,
    base_mebibytes: f64,
    peak_mebibytes: f64,
    /// From the recovery to the first arrival.
    probed_seconds: f64,
    /// From the first arrival to the last.
    drained_seconds: f64,
    drained: usize,
    duplicates: usize,
}

/// The processes, and who lives in them.
struct Stage {
    deployment: Deployment,
    api: Api,
    application: String,
    healthy: Sink,
    dead: SocketAddr,
    /// The most memory of the dispatcher that was seen.
    peak: u64,
    queued: u64,
}

impl Backlog {
    /// Does it, prints, and fails if a bound is broken.
    pub async fn run(&self) -> anyhow::Result<()> {
        ensure!(self.pairs > 0, "nothing is compared without a pair");
        let mut stage = Stage::set(&self.common).await?;
        // Once, to have everything warm that a working dispatcher has.
        self.measure(&mut stage, None).await?;
        let base = stage.memory()?;
        let (mut alone, mut beside) = (Vec::new(), Vec::new());
        for number in 1..=self.pairs {
            for flood in [None, Some(self.flood)] {
                let measured = self.measure(&mut stage, flood).await?;
                eprintln!(
                    "{number} {:<6}  p50 {:>6.2} ms  p99 {:>7.2} ms  flood {:>6} messages",
                    if flood.is_some() { "beside" } else { "alone" },
                    measured.end_to_end.p50_ms,
                    measured.end_to_end.p99_ms,
                    measured.flooded,
                );
                if flood.is_some() { &mut beside } else { &mut alone }.push(measured);
            }
        }
        let rest = self.queued.saturating_sub(stage.queued);
        stage.fill(rest).await?;
        eprintln!("{} queued, the dispatcher holds {:.0} MiB", stage.queued, stage.mebibytes());
        let (probed, drained, sink) = stage.recover().await?;

        let per_message = |cpu: fn(&Healthy) -> f64| {
            median(alone.iter().zip(&beside).map(|(alone, beside)| {
                (cpu(beside) - cpu(alone)) * 1e6 / beside.flooded.max(1) as f64
            }))
        };
        let figures = Figures {
            redis_micros: per_message(|healthy| healthy.redis_cpu_seconds),
            dispatcher_micros: per_message(|healthy| healthy.dispatcher_cpu_seconds),
            alone,
            beside,
            queued: stage.queued,
            base_mebibytes: base as f64 / MEBIBYTE,
            peak_mebibytes: stage.mebibytes(),
            probed_seconds: probed.as_secs_f64(),
            drained_seconds: drained.as_secs_f64(),
            drained: sink.ask(|journal| journal.delivered()),
            duplicates: sink.ask(|journal| journal.duplicates()),
        };
        stage.deployment.stop().await?;
        figures.print();
        Report { scenario: "backlog".into(), bounds: figures.bounds(), figures }
            .conclude(self.common.json)
    }

    /// The healthy endpoint for some seconds, beside a flood for the dead one if there is to be one.
    async fn measure(&self, stage: &mut Stage, flood: Option<f64>) -> anyhow::Result<Healthy> {
        stage.healthy.take();
        let applications = || vec![stage.application.clone()];
        let flood = flood.map(|rate| {
            let load = Load { event_type: FLOOD_TYPE, timed: false, ..Load::steady(rate) };
            Sender::start(stage.api.clone(), applications(), load, None)
        });
        let flood = flood.transpose()?;
        let cpu = stage.deployment.cpu()?;
        let (from, load) = (Instant::now(), Load::steady(self.rate));
        let sender = Sender::start(stage.api.clone(), applications(), load, None)?;
        while from.elapsed().as_secs_f64() < self.seconds {
            tokio::time::sleep(Duration::from_millis(250)).await;
            stage.peak = stage.peak.max(stage.memory()?);
        }
        sender.stop();
        let sent = sender.finish().await?;
        let mut flooded = 0;
        if let Some(flood) = flood {
            flood.stop();
            let sent = flood.finish().await?;
            ensure!(sent.refused + sent.ambiguous == 0, "the flood was not accepted");
            flooded = sent.acked;
        }
        ensure!(sent.refused + sent.ambiguous == 0, "not all messages were accepted");
        stage.queued += flooded;
        stage.healthy.wait_for(sent.acks.len(), PATIENCE).await.context("the healthy endpoint")?;
        let after = stage.deployment.cpu()?;
        Ok(Healthy {
            end_to_end: stage
                .healthy
                .ask(|journal| end_to_end(&sent.acks, journal, from, Instant::now()))?,
            redis_cpu_seconds: (after.0 - cpu.0).as_secs_f64(),
            dispatcher_cpu_seconds: (after.1 - cpu.1).as_secs_f64(),
            flooded,
        })
    }
}

impl Stage {
    async fn set(common: &Common) -> anyhow::Result<Self> {
        let deployment =
            Deployment::start(&common.sluicegate, &[("retry_schedule", SCHEDULE)], 1).await?;
        let (api, healthy) = (deployment.api()?, Sink::start_local()?);
        let dead = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let application = api.create_application("backlog").await?;
        let url = format!("http://{dead}/ok");
        let endpoint = json!({ "url": url, "filterTypes": [FLOOD_TYPE] });
        let lane =
            lane_of(&application, &api.create_endpoint_with(&application, &endpoint).await?)?;
        // The server gives the ids, and so the lanes: those elsewhere wait for a type that never comes.
        loop {
            let endpoint = json!({ "url": healthy.url("/ok"), "filterTypes": ["load.never"] });
            let id = api.create_endpoint_with(&application, &endpoint).await?;
            if lane_of(&application, &id)? == lane {
                api.change_endpoint(&application, &id, &json!({ "filterTypes": [EVENT_TYPE] }))
                    .await?;
                break;
            }
        }
        Ok(Self { deployment, api, application, healthy, dead, peak: 0, queued: 0 })
    }

    fn memory(&self) -> anyhow::Result<u64> {
        memory(self.deployment.dispatchers[0].process.pid())
    }

    fn mebibytes(&self) -> f64 {
        self.peak as f64 / MEBIBYTE
    }

    /// Queues so many more for the dead endpoint, as fast as they are accepted.
    async fn fill(&mut self, count: u64) -> anyhow::Result<()> {
        let load = Load {
            rate: None,
            total: Some(count),
            event_type: FLOOD_TYPE,
            timed: false,
            ..Load::steady(1.0)
        };
        let applications = vec![self.application.clone()];
        let sender = Sender::start(self.api.clone(), applications, load, None)?;
        let mut filling = tokio::spawn(sender.finish());
        let sent = loop {
            match tokio::time::timeout(Duration::from_millis(250), &mut filling).await {
                Ok(sent) => break sent??,
                Err(_still) => self.peak = self.peak.max(self.memory()?),
            }
        };
        ensure!(sent.refused + sent.ambiguous == 0, "not all of the backlog was accepted");
        self.queued += count;
        Ok(())
    }

    /// Lets the dead endpoint live until all that was queued has come.
    async fn recover(&mut self) -> anyhow::Result<(Duration, Duration, Sink)> {
        let recovered = Instant::now();
        let sink = Sink::start(self.dead)?;
        sink.wait_for(1, PROBE).await?;
        let probed = recovered.elapsed();
        // A thousand a second is slow; slower than that is not drained.
        let patience = PATIENCE + Duration::from_millis(self.queued);
        let deadline = Instant::now() + patience;
        while (sink.ask(|journal| journal.delivered()) as u64) < self.queued {
            if Instant::now() > deadline {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.peak = self.peak.max(self.memory()?);
        }
        Ok((probed, recovered.elapsed() - probed, sink))
    }
}

impl Figures {
    fn p99(measured: &[Healthy]) -> f64 {
        median(measured.iter().map(|healthy| healthy.end_to_end.p99_ms))
    }

    fn print(&self) {
        eprintln!(
            "CPU for a flooded message: redis {:.0} µs, dispatcher {:.0} µs",
            self.redis_micros, self.dispatcher_micros
        );
        eprintln!(
            "{} drained in {:.1} s ({:.0}/s), {:.1} s after it lived again",
            self.drained,
            self.drained_seconds,
            self.drained as f64 / self.drained_seconds,
            self.probed_seconds,
        );
    }

    fn bounds(&self) -> Vec<Bound> {
        let alone = Self::p99(&self.alone);
        vec![
            Bound::at_most(
                format!("p99 of the healthy endpoint beside the flood, in ms (alone {alone:.2})"),
                Self::p99(&self.beside),
                (1.2 * alone).max(alone + 5.0),
            ),
            Bound::at_most(
                format!("dispatcher's memory in MiB ({:.0} before)", self.base_mebibytes),
                self.peak_mebibytes,
                self.base_mebibytes + 64.0,
            ),
            Bound::at_least("deliveries drained", self.drained as f64, self.queued as f64),
            Bound::at_most("duplicates", self.duplicates as f64, 0.0),
        ]
    }
}
