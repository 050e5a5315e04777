//! Whether a healthy endpoint feels its neighbours: the same load alone and beside endpoints that
//! hang, are limited, or are dead.
//!
//! Rounds alone and beside alternate, each on processes of its own, because a machine drifts between
//! minutes. A hundred of the neighbours are in the application of the healthy endpoint, so that they
//! share its lane; the others are in applications of a hundred each. Both kinds of endpoint have a
//! sink of their own, so that a busy receiver is not taken for a slow dispatcher.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::json;

use crate::{
    api::{Api, EVENT_TYPE, Event},
    intervals::median,
    latency::{Quantiles, end_to_end},
    ledger::Outcome,
    redis_server::free_port,
    report::{Bound, Report},
    scenarios::deployment::{Common, Deployment},
    sender::{Load, Sender},
    sink::Sink,
};

/// Neighbours in one application.
const GROUP: usize = 100;
const NEIGHBOUR_TYPE: &str = "load.neighbour";
const WARM_UP: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(60);

/// What the neighbours do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// 100 endpoints that hang until the timeout, again and again
    Hanging,
    /// 100 endpoints with a limit of 1 per second and a backlog
    Limited,
    /// 1,000 endpoints that refuse connections
    Dead,
    /// 2,000 endpoints that hang for the first time, all at once
    FirstHang,
}

impl Kind {
    fn groups(self) -> usize {
        match self {
            Self::Hanging | Self::Limited => 1,
            Self::Dead => 10,
            Self::FirstHang => 20,
        }
    }

    /// Messages that are due at each neighbour.
    fn backlog(self) -> usize {
        match self {
            Self::Hanging => 20,
            Self::Limited => 30,
            Self::Dead => 12,
            Self::FirstHang => 1,
        }
    }
}

/// What is measured.
#[derive(Debug, Args)]
pub struct Neighbours {
    /// What the neighbours do
    #[arg(long, value_enum)]
    kind: Kind,
    /// Rounds alone and beside
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// Seconds that are measured in a round
    #[arg(long, default_value_t = 6.0)]
    seconds: f64,
    /// Messages per second for the healthy endpoint
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
    #[command(flatten)]
    common: Common,
}

/// One round.
#[derive(Debug, Clone, Copy, Serialize)]
struct Round {
    /// From acknowledgement to arrival at the healthy endpoint.
    end_to_end: Quantiles,
    /// Until the acknowledgement, 99th percentile of the whole round.
    ack_p99_ms: f64,
    /// Attempts at neighbours that ended or were under way while it was measured.
    neighbour_attempts: f64,
}

#[derive(Debug, Serialize)]
struct Figures {
    kind: Kind,
    alone: Vec<Round>,
    beside: Vec<Round>,
}

impl Neighbours {
    /// Measures, prints, and fails if the healthy endpoint was held up.
    pub async fn run(&self) -> anyhow::Result<()> {
        ensure!(self.pairs > 0, "nothing is compared without a pair");
        let mut figures = Figures { kind: self.kind, alone: Vec::new(), beside: Vec::new() };
        for number in 1..=self.pairs {
            for beside in [false, true] {
                let round = self.round(beside).await?;
                let name = if beside { "beside" } else { "alone" };
                eprintln!(
                    "{number} {name:<6}  p50 {:>6.2} ms  p99 {:>7.2} ms  max {:>7.2} ms  \
                     (ack p99 {:>6.2} ms)  neighbours' attempts {:>5}",
                    round.end_to_end.p50_ms,
                    round.end_to_end.p99_ms,
                    round.end_to_end.max_ms,
                    round.ack_p99_ms,
                    round.neighbour_attempts,
                );
                if beside { &mut figures.beside } else { &mut figures.alone }.push(round);
            }
        }
        let p99 = |rounds: &[Round]| median(rounds.iter().map(|round| round.end_to_end.p99_ms));
        let p50 = |rounds: &[Round]| median(rounds.iter().map(|round| round.end_to_end.p50_ms));
        let (alone, beside) = (p99(&figures.alone), p99(&figures.beside));
        let most = (1.2 * alone).max(alone + 5.0);
        let bounds = vec![
            Bound::at_most(
                format!(
                    "p99 beside, in ms (alone {alone:.2}; p50 alone {:.2}, beside {:.2}; medians of {})",
                    p50(&figures.alone),
                    p50(&figures.beside),
                    self.pairs
                ),
                beside,
                most,
            ),
            Bound::at_least(
                "neighbours' attempts in a round beside, median",
                median(figures.beside.iter().map(|round| round.neighbour_attempts)),
                1.0,
            ),
        ];
        Report { scenario: "neighbours".into(), figures, bounds }.conclude(self.common.json)
    }

    async fn round(&self, beside: bool) -> anyhow::Result<Round> {
        let settings = [("request_timeout", "5s")];
        let deployment = Deployment::start(&self.common.sluicegate, &settings, 1).await?;
        let api = deployment.api()?;
        let (healthy, bad) = (Sink::start_local()?, Sink::start_local()?);
        let application = api.create_application("healthy").await?;
        let endpoint = json!({ "url": healthy.url("/ok"), "filterTypes": [EVENT_TYPE] });
        api.create_endpoint_with(&application, &endpoint).await?;
        let neighbours = match beside {
            true => self.create(&api, &application, &bad).await?,
            false => Vec::new(),
        };
        if beside && self.kind != Kind::FirstHang {
            self.provoke(&api, &neighbours).await?;
            self.wait_until_it_hurts(&deployment, &bad).await?;
        }

        let load = Load::steady(self.rate);
        let sender = Sender::start(api.clone(), vec![application], load, None)?;
        tokio::time::sleep(WARM_UP).await;
        let seconds = Duration::from_secs_f64(self.seconds);
        let (from, before) = (Instant::now(), attempts(&deployment).await?);
        let healthy_before = healthy.ask(|journal| journal.delivered());
        if beside && self.kind == Kind::FirstHang {
            tokio::time::sleep(seconds / 6).await;
            self.provoke(&api, &neighbours).await?;
        }
        tokio::time::sleep((from + seconds).saturating_duration_since(Instant::now())).await;
        let until = Instant::now();
        let all = attempts(&deployment).await? - before;
        let own = healthy.ask(|journal| journal.delivered()) - healthy_before;

        sender.stop();
        let sent = sender.finish().await?;
        ensure!(sent.refused + sent.ambiguous == 0, "not all messages were accepted");
        healthy.wait_for(sent.acks.len(), PATIENCE).await.context("the healthy endpoint")?;
        let end_to_end = healthy.ask(|journal| end_to_end(&sent.acks, journal, from, until))?;
        let ack_p99_ms = Quantiles::of(&sent.latencies).p99_ms;
        // The two counts are not taken at the same moment.
        let neighbour_attempts = if beside { (all - own as f64).max(0.0) } else { 0.0 };
        Ok(Round { end_to_end, ack_p99_ms, neighbour_attempts })
    }

    /// Creates the neighbours and names their applications.
    async fn create(&self, api: &Api, own: &str, bad: &Sink) -> anyhow::Result<Vec<String>> {
        let closed = free_port()?;
        let mut applications = vec![own.to_owned()];
        for _ in 1..self.kind.groups() {
            applications.push(api.create_application("neighbours").await?);
        }
        let all = (0..applications.len() * GROUP).map(|number| {
            let url = match self.kind {
                Kind::Hanging | Kind::FirstHang => bad.url(&format!("/hang?{number}")),
                Kind::Limited => bad.url(&format!("/ok?{number}")),
                Kind::Dead => format!("http://127.0.0.1:{closed}/{number}"),
            };
            let mut endpoint = json!({ "url": url, "filterTypes": [NEIGHBOUR_TYPE] });
            if self.kind == Kind::Limited {
                endpoint["rateLimit"] = 1.into();
            }
            let application = applications[number / GROUP].as_str();
            async move { api.create_endpoint_with(application, &endpoint).await }
        });
        let _: Vec<String> = stream::iter(all).buffer_unordered(16).try_collect().await?;
        Ok(applications)
    }

    /// Publishes what the neighbours are to choke on.
    async fn provoke(&self, api: &Api, applications: &[String]) -> anyhow::Result<()> {
        let event = Event { event_type: NEIGHBOUR_TYPE, channel: None, key: None, payload: b"{}" };
        let all = (0..self.kind.backlog()).flat_map(|_| applications);
        let all = all.map(|application| async move {
            match api.publish(application, event).await {
                Outcome::Acked { .. } => Ok(()),
                no @ (Outcome::Refused { .. } | Outcome::Ambiguous { .. }) => {
                    bail!("a message for the neighbours was not accepted: {no:?}")
                }
            }
        });
        stream::iter(all).buffer_unordered(16).try_collect().await
    }

    async fn wait_until_it_hurts(&self, deployment: &Deployment, bad: &Sink) -> anyhow::Result<()> {
        let endpoints = self.kind.groups() * GROUP;
        let what = format!("{endpoints} neighbours that are {:?}", self.kind);
        let hurts = async |deployment: &Deployment| {
            Ok(match self.kind {
                Kind::Hanging | Kind::FirstHang => bad.in_flight() >= endpoints,
                Kind::Limited => bad.ask(|journal| journal.delivered()) >= endpoints,
                Kind::Dead => {
                    let opened = "sluicegate_dispatcher_breakers_opened_total";
                    deployment.total(opened).await? as usize >= endpoints
                }
            })
        };
        deployment.wait_until(&what, PATIENCE, hurts).await
    }
}

/// Attempts that have started so far.
async fn attempts(deployment: &Deployment) -> anyhow::Result<f64> {
    let ended = deployment.total("sluicegate_dispatcher_attempts_total").await?;
    Ok(ended + deployment.total("sluicegate_dispatcher_attempts_in_flight").await?)
}
