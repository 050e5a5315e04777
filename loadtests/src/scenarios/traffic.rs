//! Applications whose endpoints lie in every lane, and load on them that is accounted for.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, Instant},
};

use anyhow::Context;
use shared::{
    id::{AppId, EndpointId},
    placement::{Lane, Shard},
};

use crate::{
    api::Api,
    journal::Journal,
    sender::{Ack, Load, Sender},
    sink::Sink,
};

const DRAIN: Duration = Duration::from_secs(60);

/// The lane of an endpoint, by the ids that the API gave.
pub(super) fn lane_of(application: &str, endpoint: &str) -> anyhow::Result<Lane> {
    let application: AppId = application.parse().ok().context("not an application's id")?;
    let endpoint: EndpointId = endpoint.parse().ok().context("not an endpoint's id")?;
    Ok(Lane::of(application, endpoint))
}

/// One application in each shard, with at least one endpoint in each lane.
#[derive(Debug)]
pub(super) struct Cover {
    pub(super) applications: Vec<String>,
    /// By application, in the same order: the path of each endpoint at the sink, and its lane.
    endpoints: Vec<BTreeMap<String, Lane>>,
}

impl Cover {
    /// Creates all of it. Endpoints behave as `behaviour` says, which is a path of the sink's.
    ///
    /// Ids are given by the server, so there are applications that stay without endpoints.
    pub(super) async fn create(api: &Api, sink: &Sink, behaviour: &str) -> anyhow::Result<Self> {
        let mut cover = Self { applications: Vec::new(), endpoints: Vec::new() };
        let mut shards: HashSet<Shard> = Shard::all().collect();
        while !shards.is_empty() {
            let application = api.create_application("cover").await?;
            let id: AppId = application.parse().ok().context("not an application's id")?;
            if !shards.remove(&Shard::of(id)) {
                continue;
            }
            let mut endpoints = BTreeMap::new();
            let mut lanes = HashSet::new();
            while lanes.len() < 4 {
                let path = format!("{behaviour}?{}.{}", cover.applications.len(), endpoints.len());
                let endpoint = api.create_endpoint(&application, &sink.url(&path)).await?;
                let lane = lane_of(&application, &endpoint)?;
                lanes.insert(lane);
                endpoints.insert(path, lane);
            }
            cover.applications.push(application);
            cover.endpoints.push(endpoints);
        }
        Ok(cover)
    }

    fn is_due(&self, acks: &[Ack]) -> usize {
        acks.iter().map(|ack| self.endpoints[ack.application].len()).sum()
    }

    /// For each lane the time from `event` to the first arrival of what was acknowledged after it;
    /// the longest of all lanes. `None` if a lane got nothing.
    pub(super) fn served_again(&self, passed: &Passed, event: Instant) -> Option<Duration> {
        let applications: HashMap<&str, usize> = passed
            .acks
            .iter()
            .filter(|ack| ack.at > event)
            .map(|ack| (ack.message.as_str(), ack.application))
            .collect();
        let mut first = HashMap::<Lane, Instant>::new();
        for arrival in passed.journal.arrivals() {
            if let Some(application) = applications.get(&*arrival.webhook_id) {
                let lane = self.endpoints[*application][&*arrival.path];
                first.entry(lane).or_insert(arrival.received);
            }
        }
        let longest = first.values().max().map(|last| *last - event);
        longest.filter(|_| first.len() == Lane::all().count())
    }
}

/// Load under way.
#[derive(Debug)]
pub(super) struct Traffic {
    sender: Sender,
}

/// What became of it.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) acks: Vec<Ack>,
    pub(super) journal: Journal,
    /// Requests that were not answered 2xx.
    pub(super) not_accepted: u64,
    /// Deliveries of acknowledged messages that did not come.
    pub(super) lost: usize,
}

impl Traffic {
    /// Begins to publish `rate` messages per second to the applications in turn, and forgets what
    /// had arrived before.
    pub(super) fn begin(api: &Api, cover: &Cover, sink: &Sink, rate: f64) -> anyhow::Result<Self> {
        sink.take();
        let applications = cover.applications.clone();
        let sender = Sender::start(api.clone(), applications, Load::steady(rate), None)?;
        Ok(Self { sender })
    }

    /// Stops publishing, waits until all has come and then for `quiet`, in which nothing more
    /// should.
    pub(super) async fn end(
        self,
        cover: &Cover,
        sink: &Sink,
        quiet: Duration,
    ) -> anyhow::Result<Passed> {
        self.sender.stop();
        let sent = self.sender.finish().await?;
        let due = cover.is_due(&sent.acks);
        // What is missing when patience ends is counted as lost.
        let _ = sink.wait_for(due, DRAIN).await;
        tokio::time::sleep(quiet).await;
        let journal = sink.take();
        Ok(Passed {
            lost: due.saturating_sub(journal.delivered()),
            not_accepted: sent.refused + sent.ambiguous,
            acks: sent.acks,
            journal,
        })
    }
}
