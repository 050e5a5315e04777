//! Very many endpoints with one message each, next to one endpoint with as many messages: how fast
//! dispatchers deliver what waits, and what Redis needs to hold it.
//!
//! Everything is published while no dispatcher runs. What is paused moves to the endpoints' waiting
//! sets once one does, and that is what is weighed; then it is resumed and the drain is timed.

use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Args;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;

use crate::{
    intervals::median,
    payload::Stuff,
    report::{Bound, Report},
    scenarios::deployment::{Common, Deployment},
    sender::{Load, Sender},
    sink::Sink,
};

const PARKED: &str = "sluicegate_dispatcher_deliveries_parked_total";
/// Endpoints of one application: as many channels, one for each.
const GROUP: u64 = 100;
const SIZE: usize = 1024;
const DRAIN: Duration = Duration::from_secs(600);

/// What is done.
#[derive(Debug, Args)]
pub struct Endpoints {
    /// How many endpoints, in applications of 100
    #[arg(long, default_value_t = 100_000)]
    endpoints: u64,
    /// How often one endpoint and many are measured in turn
    #[arg(long, default_value_t = 3)]
    pairs: usize,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
enum Form {
    /// One endpoint, with all messages.
    One,
    /// One message for each of many endpoints.
    Many,
    /// The same, and each message carries an idempotency key.
    Keyed,
    /// One message for each of many endpoints, of which the store can pack nothing.
    Noise,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Drained {
    form: Form,
    deliveries_per_second: f64,
    /// Bytes that Redis used for each delivery more than its payload, configuration excluded: in the
    /// lanes' streams…
    flowing_bytes: f64,
    /// …and in the endpoints' waiting sets.
    waiting_bytes: f64,
    duplicates: usize,
}

impl Endpoints {
    /// Does it, prints, and fails if a bound is broken.
    pub async fn run(&self) -> anyhow::Result<()> {
        ensure!(self.pairs > 0, "nothing is compared without a pair");
        ensure!(self.endpoints.is_multiple_of(GROUP), "endpoints come in groups of {GROUP}");
        let mut figures = Vec::new();
        for _ in 0..self.pairs {
            for form in [Form::One, Form::Many] {
                figures.push(self.drain(form).await?);
            }
        }
        figures.push(self.drain(Form::Keyed).await?);
        figures.push(self.drain(Form::Noise).await?);
        Report { scenario: "endpoints".into(), bounds: bounds(&figures), figures }
            .conclude(self.common.json)
    }

    async fn drain(&self, form: Form) -> anyhow::Result<Drained> {
        let mut deployment = Deployment::start(&self.common.sluicegate, &[], 0).await?;
        let (api, sink) = (deployment.api()?, Sink::start_local()?);
        let (groups, channels) = match form {
            Form::One => (1, 1),
            Form::Many | Form::Keyed | Form::Noise => (self.endpoints / GROUP, GROUP),
        };
        let mut applications = Vec::new();
        for group in 0..groups {
            applications.push(api.create_application(&format!("many-{group}")).await?);
        }
        let (client, address) = (&api, &sink);
        let all = (0..groups * channels).map(|number| {
            let application = applications[(number / channels) as usize].as_str();
            async move {
                let url = address.url(&format!("/ok?{number}"));
                client.create_subscriber(application, &url, number % channels).await
            }
        });
        let _: Vec<String> = stream::iter(all).buffer_unordered(32).try_collect().await?;
        for application in &applications {
            api.pause(application).await?;
        }

        // What tells dispatchers of the endpoints is read and removed, so it is not taken for room that
        // deliveries have given back.
        deployment.join().await?;
        let told = async |deployment: &Deployment| Ok(deployment.streaming().await? == 0);
        deployment.wait_until("all told", DRAIN, told).await?;
        deployment.leave().await?;
        let empty = deployment.redis_memory().await?;
        let load = Load {
            size: SIZE,
            stuff: if form == Form::Noise { Stuff::Noise } else { Stuff::Orders },
            rate: None,
            total: Some(self.endpoints),
            channels,
            keyed: form == Form::Keyed,
            timed: false,
            ..Load::steady(1.0)
        };
        let sent = Sender::start(api.clone(), applications.clone(), load, None)?.finish().await?;
        ensure!(sent.acked == self.endpoints, "not all messages were accepted");
        let each = |used: u64| (used as f64 - empty as f64) / self.endpoints as f64 - SIZE as f64;
        let flowing_bytes = each(deployment.redis_memory().await?);

        deployment.join().await?;
        let parked = async |deployment: &Deployment| {
            Ok(deployment.total(PARKED).await? >= self.endpoints as f64)
        };
        deployment.wait_until("all parked", DRAIN, parked).await?;
        let waiting_bytes = each(deployment.redis_memory().await?);

        deployment.leave().await?;
        for application in &applications {
            api.resume(application).await?;
        }
        deployment.join().await?;
        sink.wait_for(1, DRAIN).await?;
        let first = Instant::now();
        sink.wait_for(self.endpoints as usize, DRAIN).await?;
        let took = first.elapsed().as_secs_f64();
        let drained = Drained {
            form,
            deliveries_per_second: self.endpoints as f64 / took,
            flowing_bytes,
            waiting_bytes,
            duplicates: sink.ask(|journal| journal.duplicates()),
        };
        deployment.stop().await?;
        eprintln!(
            "{form:?}: {:.0} deliveries/s; Redis, beside the payload, {flowing_bytes:.0} bytes in \
             streams, {waiting_bytes:.0} in waiting sets",
            drained.deliveries_per_second
        );
        Ok(drained)
    }
}

fn bounds(figures: &[Drained]) -> Vec<Bound> {
    let of = |form: Form, what: fn(&Drained) -> f64| {
        median(figures.iter().filter(|drained| drained.form == form).map(what))
    };
    let rate = |drained: &Drained| drained.deliveries_per_second;
    let one = of(Form::One, rate);
    vec![
        Bound::at_least(
            format!("deliveries/s of many endpoints, next to {one:.0} of one"),
            of(Form::Many, rate),
            0.5 * one,
        ),
        Bound::at_most(
            "bytes of Redis for a waiting delivery, beside its payload",
            of(Form::Many, |drained| drained.waiting_bytes),
            600.0,
        ),
        Bound::at_most(
            "the same with an idempotency key",
            of(Form::Keyed, |drained| drained.waiting_bytes),
            900.0,
        ),
        Bound::at_most(
            "the same of payloads that cannot be packed",
            of(Form::Noise, |drained| drained.waiting_bytes),
            600.0,
        ),
        Bound::at_most(
            "duplicates",
            figures.iter().map(|drained| drained.duplicates as f64).sum(),
            0.0,
        ),
    ]
}
