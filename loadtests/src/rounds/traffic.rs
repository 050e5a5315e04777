//! What is sent in a round, and to whom.

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};

use crate::{api::Api, rounds::Subject, sink::Sink};

/// Applications that are being created at once.
const CREATING: usize = 32;

/// Messages for some applications in turn.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// Whom the messages are sent to, and with which token.
    pub api: Api,
    /// Ids of the applications.
    pub applications: Vec<String>,
    /// Whether each message has an idempotency key.
    pub keyed: bool,
    /// Over how many channels the messages of an application go in turn; 0 for none.
    pub channels: u64,
    /// Deliveries of each message.
    pub fan_out: usize,
}

impl Traffic {
    /// For a floor with so many targets.
    pub fn floor(subject: &Subject, fan_out: usize) -> Self {
        let applications = vec!["floor".to_owned()];
        Self { api: subject.api().clone(), applications, keyed: false, channels: 0, fan_out }
    }

    /// URLs of so many targets at a sink.
    pub fn targets(sink: &Sink, fan_out: usize) -> Vec<String> {
        (0..fan_out).map(|number| sink.url(&format!("/ok?{number}"))).collect()
    }

    /// All features on: messages with idempotency keys, for `applications` with `fan_out` endpoints
    /// each, which sign, and have limits that are asked and never reached.
    pub async fn full(
        api: &Api,
        sink: &Sink,
        applications: usize,
        fan_out: usize,
    ) -> anyhow::Result<Self> {
        let endpoints = fan_out as u64;
        let mut traffic = Self::to(api, applications, endpoints, |application, number| {
            limited(&sink.url(&format!("/ok?{application}.{number}")))
        })
        .await?;
        (traffic.keyed, traffic.fan_out) = (true, fan_out);
        Ok(traffic)
    }

    /// Messages without keys for `applications` that have `endpoints` each, with a channel for each,
    /// so that one endpoint wants a message.
    pub async fn by_channel(
        api: &Api,
        sink: &Sink,
        applications: usize,
        endpoints: u64,
    ) -> anyhow::Result<Self> {
        let mut traffic = Self::to(api, applications, endpoints, |application, number| {
            let url = sink.url(&format!("/ok?{application}.{number}"));
            json!({ "url": url, "channels": [format!("c{number}")] })
        })
        .await?;
        traffic.channels = endpoints;
        Ok(traffic)
    }

    /// Messages without keys for `applications`, each with so many endpoints, which `endpoint`
    /// describes by the numbers of its application and its own.
    pub async fn to(
        api: &Api,
        applications: usize,
        endpoints: u64,
        endpoint: impl Fn(usize, u64) -> Value,
    ) -> anyhow::Result<Self> {
        let endpoint = &endpoint;
        // One after the other within an application: what changes it at the same time is a conflict.
        let create = |number: usize| async move {
            let id = api.create_application(&format!("load {number}")).await?;
            for one in 0..endpoints {
                api.create_endpoint_with(&id, &endpoint(number, one)).await?;
            }
            anyhow::Ok(id)
        };
        let all = stream::iter((0..applications).map(create));
        let ids = all.buffered(CREATING).try_collect().await?;
        Ok(Self { api: api.clone(), applications: ids, keyed: false, channels: 0, fan_out: 1 })
    }
}

/// An endpoint with limits far above what comes.
pub fn limited(url: &str) -> Value {
    let limits = json!([{ "count": 100_000, "per": "1s" }, { "count": 1_000_000, "per": "10s" }]);
    json!({ "url": url, "sluicegate": { "limits": limits } })
}
