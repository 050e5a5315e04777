//! A load as a file describes it: who subscribes to what, what is published when, what happens
//! meanwhile, and what must hold.

mod check;
mod scale;

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::behaviour::Behaviour;

/// A whole load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// What it shows, in one sentence.
    pub summary: String,
    /// Applications, which messages go to in turn.
    #[serde(default = "one")]
    pub applications: usize,
    /// The endpoints of each application.
    #[serde(default)]
    pub endpoints: Endpoints,
    /// Sizes of payloads; each is as frequent as the others.
    #[serde(default = "one_kibibyte")]
    pub payload_bytes: Vec<usize>,
    /// Whether each message carries an idempotency key.
    #[serde(default)]
    pub idempotency_keys: bool,
    /// Whether the sink verifies the signature of every request.
    #[serde(default)]
    pub verify_signatures: bool,
    /// How long, after the last phase, deliveries may take to arrive before they count as lost.
    #[serde(default = "one_minute", with = "humantime_serde")]
    pub drain: Duration,
    /// Settings of the server by their names in its file, such as `dispatcher.request_timeout`. A
    /// server that is given by its URL does not get them.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// What is published, one after the other.
    pub phases: Vec<Phase>,
    /// What happens meanwhile, in the order of time.
    #[serde(default)]
    pub actions: Vec<Action>,
    /// What must hold in the end.
    #[serde(default)]
    pub expect: Expectations,
}

/// The endpoints of each application.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Endpoints {
    /// How many there are in each application.
    pub per_application: usize,
    /// Which messages they want.
    pub subscribe: Subscribe,
    /// How the sink behaves towards them. Shares are of all endpoints.
    pub behaviours: Vec<Behaving>,
}

impl Default for Endpoints {
    fn default() -> Self {
        let ok = Behaving {
            name: "ok".into(),
            path: "/ok".into(),
            share: 1.0,
            rate_limit: None,
            ordered: false,
        };
        Self { per_application: 1, subscribe: Subscribe::All, behaviours: vec![ok] }
    }
}

/// Which messages of their application endpoints want.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subscribe {
    /// Each endpoint gets every message.
    All,
    /// Each message goes to one endpoint, which has a channel of its own; to all in turn.
    One,
}

/// A share of the endpoints that the sink treats alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behaving {
    /// A name for the results.
    pub name: String,
    /// A path of the sink's (see `loadtests::behaviour`), or `refused` for a port where nobody
    /// listens.
    pub path: String,
    /// Share of all endpoints; all shares together are 1.
    #[serde(default = "all")]
    pub share: f64,
    /// The endpoint's limit, in deliveries per second.
    #[serde(default)]
    pub rate_limit: Option<u32>,
    /// Whether the endpoint gets its messages in order, which only Sluicegate knows.
    #[serde(default)]
    pub ordered: bool,
}

/// The path that stands for a port where nobody listens.
pub const REFUSED: &str = "refused";

impl Behaving {
    /// Whether every message arrives in the end, so that one that does not is lost.
    pub fn delivers(&self) -> bool {
        Behaviour::of(&self.path).is_some_and(Behaviour::delivers)
    }
}

/// A stretch of publishing. It has either a `rate`, a `concurrency`, or a `ramp`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// A name for the results.
    pub name: String,
    /// How long it lasts; a ramp's steps say it themselves.
    #[serde(default, with = "humantime_serde")]
    pub duration: Option<Duration>,
    /// Messages per second, whatever the server does.
    #[serde(default)]
    pub rate: Option<f64>,
    /// Requests in flight, each sent as soon as the one before is answered. With a rate the most
    /// that may be in flight.
    #[serde(default)]
    pub concurrency: Option<usize>,
    /// With `concurrency` alone: ends after so many messages.
    #[serde(default)]
    pub messages: Option<u64>,
    /// Rates that rise step by step until the server keeps up no longer.
    #[serde(default)]
    pub ramp: Option<Ramp>,
    /// Sizes of payloads instead of the description's.
    #[serde(default)]
    pub payload_bytes: Option<Vec<usize>>,
    /// Whether it only warms up: expectations of latency leave it out.
    #[serde(default)]
    pub warm_up: bool,
}

/// Rates that rise until the server keeps up no longer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ramp {
    /// The first step's rate, in messages per second.
    pub from: f64,
    /// No step has a higher rate.
    pub to: f64,
    /// Each step's rate is that of the one before times this.
    #[serde(default = "half_more")]
    pub factor: f64,
    /// How long each step publishes.
    #[serde(with = "humantime_serde")]
    pub step: Duration,
    /// A step keeps up if its 99th percentile from due to delivered is no longer than this.
    #[serde(default = "half_a_second", with = "humantime_serde")]
    pub p99: Duration,
    /// A step keeps up if at its end no more is waiting than it brings within this time.
    #[serde(default = "half_a_second", with = "humantime_serde")]
    pub backlog: Duration,
}

/// Something that happens at a time: exactly one of its last four fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// When it begins, since the first phase began.
    #[serde(with = "humantime_serde")]
    pub at: Duration,
    /// How long it lasts. A killed part is started again after it.
    #[serde(with = "humantime_serde")]
    pub lasts: Duration,
    /// SIGKILL to this part.
    #[serde(default)]
    pub kill: Option<PartName>,
    /// SIGTERM to this part; the time begins when it has ended.
    #[serde(default)]
    pub terminate: Option<PartName>,
    /// The sink answers every request with this status.
    #[serde(default)]
    pub outage: Option<u16>,
    /// Nothing is delivered: all applications are paused, which only Sluicegate knows.
    #[serde(default)]
    pub pause: bool,
}

/// A part of the server that can be killed. On the embedded store gateway and dispatcher are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartName {
    /// The API.
    Gateway,
    /// The deliveries.
    Dispatcher,
    /// The store.
    Redis,
}

/// What an action does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// SIGKILL.
    Kill(PartName),
    /// SIGTERM.
    Terminate(PartName),
    /// The sink answers so.
    Outage(u16),
    /// Nothing is delivered.
    Pause,
}

impl Action {
    /// What it does; none if it names nothing, or more than one thing.
    pub fn deed(&self) -> Option<Deed> {
        let named = [
            self.kill.map(Deed::Kill),
            self.terminate.map(Deed::Terminate),
            self.outage.map(Deed::Outage),
            self.pause.then_some(Deed::Pause),
        ];
        let mut named = named.into_iter().flatten();
        named.next().filter(|_| named.next().is_none())
    }
}

/// What must hold in the end. Bounds of latency hold for each phase by itself, except those that warm
/// up and ramps; there are none but those that the file gives.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expectations {
    /// Acknowledged deliveries that never came, at most.
    pub lost: u64,
    /// Acceptances beyond the first of a delivery, at most.
    pub duplicates: u64,
    /// Messages that were definitely refused, at most; without it any number.
    pub refused: Option<u64>,
    /// Messages whose fate the sender does not know, at most; without it any number.
    pub ambiguous: Option<u64>,
    /// Deliveries in another order than they were acknowledged in, at most; without it any number.
    pub out_of_order: Option<u64>,
    /// The behaviour whose deliveries the bounds `end_to_end_…` are for; without it all that arrive.
    pub of: Option<String>,
    /// Median from due to acknowledged.
    #[serde(with = "humantime_serde")]
    pub ack_p50: Option<Duration>,
    /// 99th percentile from due to acknowledged.
    #[serde(with = "humantime_serde")]
    pub ack_p99: Option<Duration>,
    /// Median from due to delivered.
    #[serde(with = "humantime_serde")]
    pub end_to_end_p50: Option<Duration>,
    /// 99th percentile from due to delivered.
    #[serde(with = "humantime_serde")]
    pub end_to_end_p99: Option<Duration>,
    /// The least rate, in messages per second, that a ramp's knee must have.
    pub knee: Option<f64>,
}

impl Description {
    /// Reads a file. An error says where it is wrong and what to write instead.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    /// Parses a file's text and checks that it makes sense as a whole.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let description: Self = toml::from_str(text)?;
        let wrong = description.wrong();
        if !wrong.is_empty() {
            bail!("{}", wrong.join("\n"));
        }
        Ok(description)
    }

    /// How many endpoints there are in all applications.
    pub fn endpoints_in_all(&self) -> usize {
        self.applications * self.endpoints.per_application
    }

    /// Which behaviour each endpoint has, by its number in all: spread so that any run of
    /// endpoints, such as those of one application, has about the same shares.
    pub fn behaviour_of_each(&self) -> Vec<usize> {
        let behaviours = &self.endpoints.behaviours;
        let mut given = vec![0.0; behaviours.len()];
        let mut each = Vec::with_capacity(self.endpoints_in_all());
        for number in 1..=self.endpoints_in_all() {
            let wants = |index: usize| behaviours[index].share * number as f64 - given[index];
            let neediest = (0..behaviours.len()).max_by(|a, b| wants(*a).total_cmp(&wants(*b)));
            let neediest = neediest.unwrap_or_default();
            given[neediest] += 1.0;
            each.push(neediest);
        }
        each
    }
}

fn one() -> usize {
    1
}

fn all() -> f64 {
    1.0
}

fn one_kibibyte() -> Vec<usize> {
    vec![1024]
}

fn one_minute() -> Duration {
    Duration::from_secs(60)
}

fn half_a_second() -> Duration {
    Duration::from_millis(500)
}

fn half_more() -> f64 {
    1.5
}
