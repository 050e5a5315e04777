//! Two busy applications with many endpoints each, over two dispatchers: both must do their share of
//! each application's work.

use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use serde::Serialize;
use shared::placement::LANES;

use crate::{
    report::{Bound, Report},
    scenarios::deployment::{Common, Deployment},
    sender::{Load, Sender},
    sink::Sink,
};

const OWNED: &str = "sluicegate_dispatcher_lanes_owned";
const DELIVERED: &str = "sluicegate_dispatcher_deliveries_settled_total";
const SETTLE_IN: Duration = Duration::from_secs(60);
const DRAIN: Duration = Duration::from_secs(120);

/// What is done.
#[derive(Debug, Args)]
pub struct Hot {
    /// Endpoints of each application, one message for each of which comes in turn
    #[arg(long, default_value_t = 200)]
    endpoints: u64,
    /// Messages in all
    #[arg(long, default_value_t = 40_000)]
    messages: u64,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Serialize)]
struct Figures {
    /// Deliveries by each dispatcher, by application that was busy.
    delivered: Vec<Vec<f64>>,
    duplicates: usize,
}

impl Hot {
    /// Does it, prints, and fails if a bound is broken.
    pub async fn run(&self) -> anyhow::Result<()> {
        let deployment = Deployment::start(&self.common.sluicegate, &[], 2).await?;
        let owned = async |deployment: &Deployment| {
            Ok(deployment.total(OWNED).await? == f64::from(LANES)
                && deployment.each(OWNED).await?.iter().all(|owned| *owned > 0.0))
        };
        deployment.wait_until("lanes on both dispatchers", SETTLE_IN, owned).await?;
        let (api, sink) = (deployment.api()?, Sink::start_local()?);
        let mut figures = Figures { delivered: Vec::new(), duplicates: 0 };
        let each = self.messages / 2;
        // One after the other, so that it shows who did whose work.
        for number in 0..2 {
            let application = api.create_application(&format!("hot-{number}")).await?;
            for channel in 0..self.endpoints {
                let url = sink.url(&format!("/ok?{number}.{channel}"));
                api.create_subscriber(&application, &url, channel).await?;
            }
            sink.take();
            let before = deployment.each(DELIVERED).await?;
            let load = Load {
                rate: None,
                total: Some(each),
                channels: self.endpoints,
                timed: false,
                ..Load::steady(1.0)
            };
            let sent = Sender::start(api.clone(), vec![application], load, None)?.finish().await?;
            ensure!(sent.acked == each, "not all messages were accepted");
            sink.wait_for(each as usize, DRAIN).await?;
            let settled = async |deployment: &Deployment| {
                let settled: f64 = deployment.each(DELIVERED).await?.iter().sum();
                Ok(settled >= before.iter().sum::<f64>() + each as f64)
            };
            deployment.wait_until("all settled", DRAIN, settled).await?;
            let after = deployment.each(DELIVERED).await?;
            let delivered: Vec<_> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
            eprintln!("application {number}: {delivered:?} deliveries");
            figures.delivered.push(delivered);
            figures.duplicates += sink.ask(|journal| journal.duplicates());
        }
        deployment.stop().await?;
        Report { scenario: "hot".into(), bounds: figures.bounds(each), figures }
            .conclude(self.common.json)
    }
}

impl Figures {
    fn bounds(&self, each: u64) -> Vec<Bound> {
        let shares = self.delivered.iter().enumerate().flat_map(|(application, delivered)| {
            let least = delivered.iter().copied().fold(f64::INFINITY, f64::min) / each as f64;
            [Bound::at_least(format!("application {application}: the lesser share"), least, 0.4)]
        });
        shares.chain([Bound::at_most("duplicates", self.duplicates as f64, 0.0)]).collect()
    }
}
