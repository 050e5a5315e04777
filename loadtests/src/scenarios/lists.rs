//! Lists over a long history: what a page costs must not depend on how much there is.
//!
//! The history is written by the store's own writers, as gateways and owners of lanes would: messages are
//! published, their deliveries settled with an attempt each, every hundredth as a dead letter. Then a
//! gateway is asked for pages, with a tenth of the history and with all of it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::Value;
use shared::{
    domain::{
        Attempt, AttemptStatus, DeadReason, Delivery, Generation, Message, MessageHeader, Strand,
        Trigger,
    },
    id::{AppId, AttemptId, EndpointId, MessageId},
    placement::Lane,
    store::{
        Durability, Entry, EntryId, Fence, Lifetimes, Order, Owner, PageRequest, Place,
        Publication, Published, Settle, Settlement, SharedStore, Target, Verdict, Version, redis,
    },
    time::Millis,
};

use super::deployment::{Common, Deployment};
use crate::{
    api::Api,
    report::{Bound, Report},
};

const MOST_MS: f64 = 20.0;
/// What a page may cost more with ten times the history: noise, and one more level of a tree.
const MOST_GROWTH: f64 = 2.0;
/// Below this many milliseconds growth is noise.
const NOISE_MS: f64 = 1.0;
const PAYLOAD: usize = 64;
const PUBLISHED_AT_ONCE: usize = 500;
const SETTLED_AT_ONCE: usize = 500;
const LANES_AT_ONCE: usize = 8;
/// Every so many messages carry the rare tag, and end as dead letters.
const RARE: u64 = 100;

/// What is done.
#[derive(Debug, Args)]
pub struct Lists {
    /// Messages in all
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Endpoints that get them in turn
    #[arg(long, default_value_t = 50)]
    endpoints: usize,
    /// How often each page is asked for
    #[arg(long, default_value_t = 40)]
    rounds: usize,
    #[command(flatten)]
    common: Common,
}

/// How long a page took, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
struct Cost {
    median: f64,
    worst: f64,
}

#[derive(Debug, Serialize)]
struct Figures {
    /// Pages by name, with a tenth of the history and with all of it.
    tenth: BTreeMap<String, Cost>,
    whole: BTreeMap<String, Cost>,
    /// What Redis needs for all of it, in MiB.
    redis_mib: u64,
    filled_per_second: f64,
}

impl Lists {
    /// Does it, prints, and fails if a bound is broken.
    pub async fn run(&self) -> anyhow::Result<()> {
        let deployment = Deployment::start(&self.common.sluicegate, &[], 0).await?;
        let api = deployment.api()?;
        let redis = deployment.redis_url();
        let store = redis::open(&redis, Durability::Process, Lifetimes::default()).await?;
        let mut history = History::new(store, &api, self.endpoints).await?;
        let began = Instant::now();
        history.grow_to(self.messages / 10).await?;
        let filling = began.elapsed();
        let tenth = history.measure(&api, self.rounds).await?;
        let began = Instant::now();
        history.grow_to(self.messages).await?;
        let filling = filling + began.elapsed();
        let whole = history.measure(&api, self.rounds).await?;
        let redis_mib = deployment.redis_memory().await? >> 20;
        let filled_per_second = self.messages as f64 / filling.as_secs_f64();
        deployment.stop().await?;

        let mut bounds = Vec::new();
        for (page, cost) in &whole {
            bounds.push(Bound::at_most(format!("{page}: median, ms"), cost.median, MOST_MS));
            let before = tenth.get(page).context("a page was not measured before")?;
            let growth = cost.median.max(NOISE_MS) / before.median.max(NOISE_MS);
            let what = format!("{page}: with ten times the history (worst {:.1} ms)", cost.worst);
            bounds.push(Bound::at_most(what, growth, MOST_GROWTH));
        }
        let figures = Figures { tenth, whole, redis_mib, filled_per_second };
        if !self.common.json {
            println!(
                "{} messages, {redis_mib} MiB in Redis, filled at {filled_per_second:.0}/s",
                self.messages
            );
        }
        Report { scenario: "lists".into(), figures, bounds }.conclude(self.common.json)
    }
}

/// An application's history.
struct History {
    store: SharedStore,
    app: AppId,
    version: Version,
    endpoints: Vec<EndpointId>,
    fences: BTreeMap<Lane, Fence>,
    written: u64,
    /// A message that was sent to all endpoints, again and again.
    popular: Option<MessageId>,
}

impl History {
    async fn new(store: SharedStore, api: &Api, endpoints: usize) -> anyhow::Result<Self> {
        let application = api.create_application("lists").await?;
        for _ in 0..endpoints {
            api.create_endpoint(&application, "https://example.com/hook").await?;
        }
        let app: AppId = application.parse()?;
        let configuration = store.configuration(app).await?.context("no application")?;
        let endpoints: Vec<_> = configuration.endpoints.keys().copied().collect();
        let owner = Owner::new("loadtests");
        let mut history = Self {
            store,
            app,
            version: configuration.version,
            endpoints,
            fences: BTreeMap::new(),
            written: 0,
            popular: None,
        };
        for &endpoint in &history.endpoints {
            let lane = Lane::of(app, endpoint);
            if !history.fences.contains_key(&lane) {
                let epoch = history.store.acquire(lane, &owner, None).await?;
                let epoch = epoch.context("somebody else has the lane")?;
                history.fences.insert(lane, Fence { lane, owner: owner.clone(), epoch });
            }
        }
        let all = history.endpoints.clone();
        let popular = history.publication(0, &all)?;
        history.popular = Some(popular.header.id);
        history.publish(vec![popular]).await?;
        Ok(history)
    }

    fn publication(&self, number: u64, to: &[EndpointId]) -> anyhow::Result<Publication> {
        let is_rare = number.is_multiple_of(RARE);
        let header = MessageHeader {
            id: MessageId::new(),
            app: self.app,
            event_type: format!("type.{}", number % 10),
            channels: vec![],
            tags: is_rare.then(|| "rare".to_owned()).into_iter().collect(),
            event_id: None,
            created_at: Millis::now(),
            options: Default::default(),
            trace: None,
            extra: Default::default(),
        };
        let payload = Bytes::from(format!("\"{}\"", "x".repeat(PAYLOAD - 2)));
        let targets =
            to.iter().map(|&endpoint| Target { endpoint, strand: Strand::Live, not_before: None });
        Ok(Publication {
            record: Message { header: header.clone(), payload }.encode()?,
            version: self.version,
            targets: targets.collect(),
            header,
            fan_out: None,
            terms: Default::default(),
            dedup: vec![],
        })
    }

    async fn publish(&self, batch: Vec<Publication>) -> anyhow::Result<()> {
        let published = self.store.publish(batch).await?;
        ensure!(published.iter().all(|one| *one == Published::Accepted), "not accepted");
        Ok(())
    }

    /// Writes until there are so many messages, all of them settled.
    async fn grow_to(&mut self, messages: u64) -> anyhow::Result<()> {
        while self.written < messages {
            let count = PUBLISHED_AT_ONCE.min((messages - self.written) as usize);
            let mut batch = Vec::with_capacity(count);
            for _ in 0..count {
                let endpoint = self.endpoints[self.written as usize % self.endpoints.len()];
                batch.push(self.publication(self.written, &[endpoint])?);
                self.written += 1;
            }
            self.publish(batch).await?;
            if self.written % 20_000 < PUBLISHED_AT_ONCE as u64 || self.written == messages {
                self.settle_all().await?;
            }
        }
        Ok(())
    }

    /// Ends all that flows.
    async fn settle_all(&self) -> anyhow::Result<()> {
        let lanes = self.fences.values().map(|fence| self.settle(fence));
        stream::iter(lanes).buffer_unordered(LANES_AT_ONCE).try_collect::<Vec<()>>().await?;
        Ok(())
    }

    async fn settle(&self, fence: &Fence) -> anyhow::Result<()> {
        loop {
            let page = self.store.page(fence.lane, EntryId::START, SETTLED_AT_ONCE).await?;
            let mut nudges = Vec::new();
            let mut settlements = Vec::new();
            for (id, entry) in page {
                match entry {
                    Entry::Delivery { delivery, .. } => settlements.push(ended(id, delivery)),
                    Entry::Nudge { .. } | Entry::FanOut(_) | Entry::Unknown => nudges.push(id),
                }
            }
            if settlements.is_empty() && nudges.is_empty() {
                return Ok(());
            }
            self.store.forget(fence, &nudges).await?.context("the lane was lost")?;
            let settle = Settle { fence: fence.clone(), settlements, states: vec![] };
            let answers = self.store.settle(&[settle]).await?;
            ensure!(answers.iter().all(Option::is_some), "the lane was lost");
        }
    }

    /// The pages that are asked for, by name.
    async fn pages(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let app = self.app;
        let endpoint = self.endpoints[0];
        let popular = self.popular.context("no message")?;
        let latest = PageRequest { after: None, order: Order::NewestFirst, limit: 1 };
        let oldest = PageRequest { order: Order::OldestFirst, ..latest.clone() };
        let at = async |request| -> anyhow::Result<Millis> {
            let page = self.store.messages(app, &request).await?;
            Ok(page.entries.first().context("no messages")?.1.created_at)
        };
        let (first, last) = (at(oldest).await?, at(latest).await?);
        let middle = Millis(first.0.midpoint(last.0));
        // Where a reader is who has paged through half of the list.
        let iterator = format!("iterator=n_{}", self.store.since(middle).0);
        let request = PageRequest { after: None, order: Order::NewestFirst, limit: 1 };
        let attempts = self.store.message_attempts(app, popular, &request).await?;
        ensure!(!attempts.entries.is_empty(), "the popular message has no attempts");
        let (msg, attempt) = (format!("app/{app}/msg"), format!("app/{app}/attempt"));
        let dead = format!("app/{app}/endpoint/{endpoint}/dead-letter");
        let before = format!("before={}", middle.rfc3339());
        let pages = [
            ("applications", "app".to_owned()),
            ("endpoints", format!("app/{app}/endpoint")),
            ("messages, newest", msg.clone()),
            ("messages, 250", format!("{msg}?limit=250")),
            ("messages, middle", format!("{msg}?{iterator}")),
            ("messages, before middle", format!("{msg}?{before}")),
            ("messages, rare tag", format!("{msg}?tag=rare")),
            ("messages, no such tag", format!("{msg}?tag=none")),
            (
                "messages, one type, no content",
                format!("{msg}?event_types=type.3&with_content=false"),
            ),
            ("attempts of an endpoint, newest", format!("{attempt}/endpoint/{endpoint}")),
            ("attempts of an endpoint, 250", format!("{attempt}/endpoint/{endpoint}?limit=250")),
            (
                "attempts of an endpoint, before middle",
                format!("{attempt}/endpoint/{endpoint}?{before}"),
            ),
            ("attempts of an endpoint, failed", format!("{attempt}/endpoint/{endpoint}?status=2")),
            (
                "attempts of an endpoint, one type",
                format!("{attempt}/endpoint/{endpoint}?event_types=type.0"),
            ),
            (
                "attempts of an endpoint, no such tag",
                format!("{attempt}/endpoint/{endpoint}?tag=none"),
            ),
            (
                "attempts of an endpoint, with messages",
                format!("{attempt}/endpoint/{endpoint}?with_msg=true"),
            ),
            ("attempts of a message", format!("{attempt}/msg/{popular}")),
            ("attempts of a message, failed", format!("{attempt}/msg/{popular}?status=2")),
            ("dead letters, newest", dead.clone()),
            ("dead letters, oldest", format!("{dead}?order=ascending")),
            ("dead letters, no such tag", format!("{dead}?tag=none")),
            ("event types", "event-type".to_owned()),
            ("API keys", "sluicegate/api-key".to_owned()),
            ("limits", "sluicegate/limit".to_owned()),
            ("background tasks", "background-task".to_owned()),
        ];
        Ok(pages.into_iter().map(|(name, path)| (name.to_owned(), path)).collect())
    }

    /// What each page costs now. They are asked for in turns, so that a bad moment of the machine hits
    /// all of them alike; the first round is not counted.
    async fn measure(&self, api: &Api, rounds: usize) -> anyhow::Result<BTreeMap<String, Cost>> {
        let pages = self.pages().await?;
        let mut times: BTreeMap<&String, Vec<Duration>> = BTreeMap::new();
        for round in 0..=rounds {
            for (name, path) in &pages {
                let began = Instant::now();
                let page: Value = api.get_json(path).await.with_context(|| name.clone())?;
                let took = began.elapsed();
                ensure!(page["data"].is_array(), "{name}: no list");
                if round > 0 {
                    times.entry(name).or_default().push(took);
                }
            }
        }
        let cost = |mut times: Vec<Duration>| {
            times.sort_unstable();
            let ms = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1e3);
            Cost { median: ms(times.get(times.len() / 2)), worst: ms(times.last()) }
        };
        Ok(times.into_iter().map(|(name, times)| (name.clone(), cost(times))).collect())
    }
}

/// The end of a delivery after one attempt; one of a hundred failed for good.
fn ended(entry: EntryId, delivery: Delivery) -> Settlement {
    let fails = delivery.message.bits().is_multiple_of(u128::from(RARE));
    let (status, code) = match fails {
        true => (AttemptStatus::Fail, 500),
        false => (AttemptStatus::Success, 204),
    };
    let record = Attempt {
        id: AttemptId::new(),
        endpoint: delivery.endpoint,
        message: delivery.message,
        generation: Generation(0),
        number: 1,
        url: "https://example.com/hook".into(),
        status,
        outcome: if fails { "server_error".into() } else { "delivered".into() },
        code,
        response: String::new(),
        duration_ms: 12,
        at: Millis::now(),
        trigger: Trigger::Scheduled,
        next: None,
        extra: Default::default(),
    };
    let verdict = match fails {
        true => Verdict::Dead(DeadReason::Exhausted),
        false => Verdict::Delivered,
    };
    Settlement { delivery, place: Place::Stream(entry), attempts: 1, verdict, record: Some(record) }
}
