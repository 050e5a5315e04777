//! Messages that must arrive in order, at a receiver that fails at random, while the dispatcher is
//! killed: one endpoint ordered by key, and one strictly first in, first out.
//!
//! Each key has a producer of its own, which publishes the next message when the one before was
//! acknowledged. So the order of a key is that of its producer, and no other.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};
use clap::Args;
use futures_util::future::try_join_all;
use serde::Serialize;
use serde_json::json;

use crate::{
    api::{Api, EVENT_TYPE, Event},
    journal::Journal,
    ledger::Outcome,
    report::{Bound, Report},
    scenarios::deployment::{Common, Deployment},
    sink::Sink,
};

/// Between the attempts of one message.
const DELAY: &str = "50ms";
/// Enough that no message is given up, however unlucky it is.
const RETRIES: usize = 30;
const SETTINGS: [(&str, &str); 3] =
    [("lease_ttl", "3s"), ("lease_renewal", "750ms"), ("request_timeout", "2s")];
const DRAIN: Duration = Duration::from_secs(300);
/// Most messages in flight of the endpoint that is ordered by key: its ordered strands.
const STRANDS: usize = 64;

/// What is done.
#[derive(Debug, Args)]
pub struct Fifo {
    /// Messages to the endpoint that is ordered by key
    #[arg(long, default_value_t = 10_000)]
    messages: usize,
    /// Keys that they are spread over
    #[arg(long, default_value_t = 50)]
    keys: usize,
    /// Messages to the endpoint that is strictly first in, first out
    #[arg(long, default_value_t = 1_000)]
    strict: usize,
    /// How many of 100 attempts fail
    #[arg(long, default_value_t = 20)]
    failing: u8,
    /// Leave the dispatcher alone
    #[arg(long)]
    spare: bool,
    #[command(flatten)]
    common: Common,
}

/// The messages of each order, in it.
type Orders = Vec<Vec<String>>;

#[derive(Debug, Serialize)]
struct Figures {
    published: usize,
    orders: usize,
    kills: usize,
    delivered: usize,
    requests: usize,
    /// Messages that arrived before one that stands before them.
    out_of_order: usize,
    duplicates: usize,
    dead_letters: usize,
    published_seconds: f64,
    /// From the first publication to the last arrival.
    took_seconds: f64,
}

impl Fifo {
    /// Does it, prints, and fails if a bound is broken.
    pub async fn run(&self) -> anyhow::Result<()> {
        ensure!(self.keys > 0, "there must be a key");
        let schedule = vec![DELAY; RETRIES].join(",");
        let mut settings = SETTINGS.to_vec();
        settings.push(("retry_schedule", &schedule));
        let mut deployment = Deployment::start(&self.common.sluicegate, &settings, 1).await?;
        let (api, sink) = (deployment.api()?, Arc::new(Sink::start_local()?));
        let url = |name| sink.url(&format!("/random/{}?{name}", self.failing));
        let by_key = json!({"by": "key", "pointer": "/key"});
        let by_key = endpoint(&api, &url("key"), by_key).await?;
        let strict = endpoint(&api, &url("strict"), json!({"by": "endpoint"})).await?;

        let began = Instant::now();
        let per_key = self.messages / self.keys;
        let keys = (0..self.keys).map(|key| produce(&api, &by_key.application, key, per_key));
        let strictly = produce(&api, &strict.application, 0, self.strict);
        let publishing = futures_util::future::try_join(try_join_all(keys), strictly);
        let due = per_key * self.keys + self.strict;
        let killing = async {
            if self.spare {
                return Ok(0);
            }
            sink.wait_for(due / 2, DRAIN).await?;
            deployment.kill()?;
            deployment.join().await?;
            Ok(1)
        };
        let published = async { anyhow::Ok((publishing.await?, began.elapsed())) };
        let (((mut orders, strictly), published_in), kills) =
            futures_util::future::try_join(published, killing).await?;
        orders.push(strictly);
        // What is missing when patience ends is counted.
        let _ = sink.wait_for(due, DRAIN).await;
        let took = began.elapsed();

        let dead_letters = api.dead_letters(&by_key.application, &by_key.endpoint).await?
            + api.dead_letters(&strict.application, &strict.endpoint).await?;
        let figures = sink.ask(|journal| Figures {
            published: orders.iter().map(Vec::len).sum(),
            orders: orders.len(),
            kills,
            delivered: journal.delivered(),
            requests: journal.arrivals().len(),
            out_of_order: out_of_order(&orders, journal),
            duplicates: journal.duplicates(),
            dead_letters,
            published_seconds: published_in.as_secs_f64(),
            took_seconds: took.as_secs_f64(),
        });
        deployment.stop().await?;
        eprintln!("{figures:#?}");
        Report { scenario: "fifo".into(), bounds: figures.bounds(), figures }
            .conclude(self.common.json)
    }
}

struct Target {
    application: String,
    endpoint: String,
}

/// An application with one endpoint that is ordered so.
async fn endpoint(api: &Api, url: &str, ordering: serde_json::Value) -> anyhow::Result<Target> {
    let application = api.create_application("fifo").await?;
    let endpoint = json!({"url": url, "sluicegate": {"ordering": ordering}});
    let endpoint = api.create_endpoint_with(&application, &endpoint).await?;
    Ok(Target { application, endpoint })
}

/// Publishes the messages of one key, one after the other; their ids.
async fn produce(
    api: &Api,
    application: &str,
    key: usize,
    count: usize,
) -> anyhow::Result<Vec<String>> {
    let mut ids = Vec::with_capacity(count);
    for n in 0..count {
        let payload = json!({"key": format!("key-{key}"), "n": n}).to_string();
        let payload = payload.as_bytes();
        let event = Event { event_type: EVENT_TYPE, channel: None, key: None, payload };
        match api.publish(application, event).await {
            Outcome::Acked { message } => ids.push(message),
            other => bail!("a message was not acknowledged: {other:?}"),
        }
    }
    Ok(ids)
}

/// How many messages were accepted first after a message that stands behind them.
fn out_of_order(orders: &Orders, journal: &Journal) -> usize {
    let mut accepted = HashMap::new();
    for (place, arrival) in journal.arrivals().iter().enumerate() {
        if arrival.accepted() {
            accepted.entry(&*arrival.webhook_id).or_insert(place);
        }
    }
    let overtaken = |order: &Vec<String>| {
        let places = order.iter().filter_map(|id| accepted.get(id.as_str()));
        let mut last = 0;
        places
            .filter(|place| {
                let overtaken = **place < last;
                last = last.max(**place);
                overtaken
            })
            .count()
    };
    orders.iter().map(overtaken).sum()
}

impl Figures {
    fn bounds(&self) -> Vec<Bound> {
        let in_flight = (self.kills * (STRANDS + 1)) as f64;
        vec![
            Bound::at_most("messages out of order", self.out_of_order as f64, 0.0),
            Bound::at_least(
                "deliveries that arrived ÷ published",
                self.delivered as f64 / self.published as f64,
                1.0,
            ),
            Bound::at_most(
                "duplicates (one a strand for each kill)",
                self.duplicates as f64,
                in_flight,
            ),
            Bound::at_most("dead letters", self.dead_letters as f64, 0.0),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::BodyHash;

    #[test]
    fn what_overtook_is_found_and_what_only_repeats_is_not() {
        let mut journal = Journal::default();
        let mut arrive = |id: &str, status| {
            journal.record(id, "/ok", BodyHash::of(b""), |_| status);
        };
        for (id, status) in
            [("a", 503), ("x", 200), ("a", 200), ("c", 200), ("b", 503), ("a", 200), ("b", 200)]
        {
            arrive(id, status);
        }
        let order = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        assert_eq!(out_of_order(&vec![order(&["a", "b"]), order(&["x"])], &journal), 0);
        assert_eq!(out_of_order(&vec![order(&["a", "b", "c"])], &journal), 1);
        assert_eq!(out_of_order(&vec![order(&["a", "x"])], &journal), 1);
    }
}
