//! The few calls of the server's API that the load tests make.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use reqwest::{Client, RequestBuilder, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::time::Millis;

use crate::ledger::Outcome;

/// The type of messages that need no other.
pub const EVENT_TYPE: &str = "load.test";

/// A message to publish.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// Its type.
    pub event_type: &'a str,
    /// Its only channel, if it has one.
    pub channel: Option<&'a str>,
    /// An idempotency key makes repeating it harmless.
    pub key: Option<&'a str>,
    /// Exactly these bytes of JSON.
    pub payload: &'a [u8],
}

/// A client of one server. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    base: String,
    token: String,
}

#[derive(Debug, Deserialize)]
struct Created {
    id: String,
}

#[derive(Debug, Deserialize)]
struct Page {
    data: Vec<Value>,
    done: bool,
    iterator: Option<String>,
}

impl Api {
    /// A client of the server at `base` (`http://host:port`). No call takes longer than `timeout`.
    pub fn new(
        base: impl Into<String>,
        token: impl Into<String>,
        timeout: Duration,
    ) -> anyhow::Result<Self> {
        let client = Client::builder().no_proxy().tcp_nodelay(true).timeout(timeout).build()?;
        Ok(Self { client, base: base.into(), token: token.into() })
    }

    /// The same client with another token.
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: token.into(), ..self.clone() }
    }

    fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.client
            .post(format!("{}{path}", self.base))
            .bearer_auth(&self.token)
            .header("content-type", "application/json")
            .body(body)
    }

    /// Creates an application and gives its id.
    pub async fn create_application(&self, name: &str) -> anyhow::Result<String> {
        let body = json!({ "name": name }).to_string();
        created(self.post("/api/v1/app", body).send().await?).await
    }

    /// Creates an endpoint for every event type and gives its id.
    pub async fn create_endpoint(&self, application: &str, url: &str) -> anyhow::Result<String> {
        self.create_endpoint_with(application, &json!({ "url": url })).await
    }

    /// Creates an endpoint as the API's `EndpointIn` describes it, and gives its id.
    pub async fn create_endpoint_with(
        &self,
        application: &str,
        endpoint: &Value,
    ) -> anyhow::Result<String> {
        let body = endpoint.to_string();
        let path = format!("/api/v1/app/{application}/endpoint");
        created(self.post(&path, body).send().await?).await
    }

    /// Creates an endpoint for the messages of one channel, `c` and its number.
    pub async fn create_subscriber(
        &self,
        application: &str,
        url: &str,
        channel: u64,
    ) -> anyhow::Result<String> {
        let endpoint = json!({ "url": url, "channels": [format!("c{channel}")] });
        self.create_endpoint_with(application, &endpoint).await
    }

    /// Nothing is sent to any endpoint of the application until it is resumed.
    pub async fn pause(&self, application: &str) -> anyhow::Result<()> {
        self.post(&format!("/api/v1/app/{application}/pause"), "")
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    /// Ends a pause.
    pub async fn resume(&self, application: &str) -> anyhow::Result<()> {
        self.post(&format!("/api/v1/app/{application}/resume"), "")
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    /// Defines a limit that endpoints share by naming it.
    pub async fn define_limit(&self, name: &str, limit: &Value) -> anyhow::Result<()> {
        let url = format!("{}/api/v1/sluicegate/limit/{name}", self.base);
        let request = self.client.put(url).bearer_auth(&self.token).json(limit);
        request.send().await?.error_for_status()?;
        Ok(())
    }

    /// Changes what `change` names of an endpoint.
    pub async fn change_endpoint(
        &self,
        application: &str,
        endpoint: &str,
        change: &Value,
    ) -> anyhow::Result<()> {
        let url = format!("{}/api/v1/app/{application}/endpoint/{endpoint}", self.base);
        let request = self.client.patch(url).bearer_auth(&self.token).json(change);
        request.send().await?.error_for_status()?;
        Ok(())
    }

    /// Makes an API key that may publish, for all applications, and gives it.
    pub async fn create_key(&self) -> anyhow::Result<String> {
        let body = json!({ "name": "load", "scope": "publish" }).to_string();
        let answer = self.post("/api/v1/sluicegate/api-key", body).send().await?;
        let key: Value = answer.error_for_status()?.json().await?;
        Ok(key["key"].as_str().context("a new API key without its text")?.to_owned())
    }

    /// Publishes a message.
    pub async fn publish(&self, application: &str, event: Event<'_>) -> Outcome {
        let mut body = Vec::with_capacity(event.payload.len() + 96);
        body.extend_from_slice(format!(r#"{{"eventType":"{}","#, event.event_type).as_bytes());
        if let Some(channel) = event.channel {
            body.extend_from_slice(format!(r#""channels":["{channel}"],"#).as_bytes());
        }
        body.extend_from_slice(br#""payload":"#);
        body.extend_from_slice(event.payload);
        body.push(b'}');
        let path = format!("/api/v1/app/{application}/msg");
        let mut request = self.post(&path, Bytes::from(body));
        if let Some(key) = event.key {
            request = request.header("idempotency-key", key);
        }
        match request.send().await {
            Ok(response) => outcome(response).await,
            // A request that found no connection has not left.
            Err(error) if error.is_connect() => Outcome::Refused { reason: "no connection".into() },
            Err(error) => Outcome::Ambiguous { reason: format!("{:#}", anyhow::Error::new(error)) },
        }
    }

    /// When each recorded attempt at an endpoint started, since the Unix epoch, in order.
    pub async fn attempt_starts(
        &self,
        application: &str,
        endpoint: &str,
    ) -> anyhow::Result<Vec<Duration>> {
        let path = format!("/api/v1/app/{application}/attempt/endpoint/{endpoint}");
        let (mut started, mut iterator) = (Vec::new(), String::new());
        loop {
            let url = format!("{}{path}?limit=250{iterator}", self.base);
            let request = self.client.get(url).bearer_auth(&self.token);
            let page: Page = request.send().await?.error_for_status()?.json().await?;
            for attempt in &page.data {
                let at = attempt["timestamp"].as_str().and_then(Millis::parse);
                started.push(at.context("an attempt without a timestamp")?);
            }
            match page.iterator {
                Some(next) if !page.done => iterator = format!("&iterator={next}"),
                Some(_) | None => break,
            }
        }
        started.sort_unstable();
        Ok(started.iter().map(|at| at.since(Millis::default())).collect())
    }

    /// What the server answers to a GET of this path below `/api/v1/`.
    pub async fn get_json(&self, path: &str) -> anyhow::Result<Value> {
        let request = self.client.get(format!("{}/api/v1/{path}", self.base));
        let answer = request.bearer_auth(&self.token).send().await?.error_for_status()?;
        Ok(answer.json().await?)
    }

    /// How many dead letters an endpoint has, as far as one page holds them.
    pub async fn dead_letters(&self, application: &str, endpoint: &str) -> anyhow::Result<usize> {
        let path = format!("/api/v1/app/{application}/endpoint/{endpoint}/dead-letter?limit=250");
        let request = self.client.get(format!("{}{path}", self.base)).bearer_auth(&self.token);
        let page: Page = request.send().await?.error_for_status()?.json().await?;
        Ok(page.data.len())
    }

    /// The endpoints at which a message has failed for good.
    pub async fn failed_at(&self, application: &str, message: &str) -> anyhow::Result<Vec<String>> {
        const FAILED: u64 = 2;
        let path = format!("/api/v1/app/{application}/msg/{message}/endpoint");
        let request = self.client.get(format!("{}{path}", self.base)).bearer_auth(&self.token);
        let page: Page = request.send().await?.error_for_status()?.json().await?;
        Ok(page
            .data
            .iter()
            .filter(|endpoint| endpoint["status"] == FAILED && endpoint["nextAttempt"].is_null())
            .filter_map(|endpoint| endpoint["id"].as_str().map(Into::into))
            .collect())
    }
}

async fn created(response: Response) -> anyhow::Result<String> {
    let status = response.status();
    let body = response.bytes().await?;
    if !status.is_success() {
        bail!("the server answered {status}: {}", String::from_utf8_lossy(&body));
    }
    Ok(serde_json::from_slice::<Created>(&body).context("an answer without an id")?.id)
}

/// 2xx is a promise and 4xx a definite no, like 503, which the server gives only when nothing was
/// written. Any other 5xx leaves it open.
async fn outcome(response: Response) -> Outcome {
    let status = response.status();
    match status.as_u16() {
        200..300 => match response.json::<Created>().await {
            Ok(created) => Outcome::Acked { message: created.id },
            Err(error) => Outcome::Ambiguous { reason: format!("{status}, then {error}") },
        },
        503 | 400..500 => Outcome::Refused { reason: status.to_string() },
        _ => Outcome::Ambiguous { reason: status.to_string() },
    }
}
