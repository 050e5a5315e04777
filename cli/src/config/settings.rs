//! What the settings mean. The names and the documentation of each stand in `default.toml`.

use std::{fmt, net::SocketAddr, num::NonZero, path::PathBuf, thread, time::Duration};

use ipnet::IpNet;
use secrecy::SecretString;
use serde::Deserialize;
use shared::{
    domain::Destination,
    sealing::KeyRing,
    store::{Durability, Lifetimes},
    trace::Tracer,
};
use url::Url;

use super::TraceSettings;

/// All settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) admin_listen: SocketAddr,
    pub(crate) store: StoreChoice,
    pub(crate) data_dir: PathBuf,
    /// Empty where there is none.
    pub(crate) api_token: SecretString,
    /// Empty where there is none.
    pub(crate) api_token_file: PathBuf,
    pub(crate) allow_cidr: Vec<IpNet>,
    pub(crate) durability: Durability,
    /// Empty where there is none.
    pub(crate) apply_at_start: PathBuf,
    #[serde(with = "humantime_serde")]
    pub(crate) shutdown_grace: Duration,
    pub(crate) gateway: GatewaySettings,
    pub(crate) dispatcher: DispatcherSettings,
    pub(crate) lifetimes: LifetimeSettings,
    pub(crate) secrets: SecretSettings,
    pub(crate) log: LogSettings,
    pub(crate) metrics: MetricSettings,
    pub(crate) traces: TraceSettings,
}

/// Section `gateway`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GatewaySettings {
    workers: usize,
    pub(super) body_limit: usize,
    quota_bytes: u64,
    #[serde(with = "humantime_serde")]
    pub(super) body_deadline: Duration,
    #[serde(with = "humantime_serde")]
    secret_overlap: Duration,
    pub(super) issuers: Vec<gateway::Issuer>,
    pub(super) public_url: String,
    publish_limit: u32,
    management_limit: u32,
    pub(super) cors_origins: Vec<String>,
}

/// Section `dispatcher`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DispatcherSettings {
    workers: usize,
    pub(super) max_in_flight: usize,
    pub(super) max_body_bytes: usize,
    pub(super) max_window: usize,
    #[serde(with = "humantime_serde")]
    pub(super) request_timeout: Duration,
    pub(super) retry_schedule: Vec<Delay>,
    #[serde(with = "humantime_serde")]
    pub(super) disable_after: Duration,
    #[serde(with = "humantime_serde")]
    pub(super) lease_ttl: Duration,
    #[serde(with = "humantime_serde")]
    pub(super) lease_renewal: Duration,
}

/// A duration in a list.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(transparent)]
pub(crate) struct Delay(#[serde(with = "humantime_serde")] Duration);

/// Section `lifetimes`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LifetimeSettings {
    #[serde(with = "humantime_serde")]
    pub(super) message: Duration,
    #[serde(with = "humantime_serde")]
    pub(super) retention: Duration,
    #[serde(with = "humantime_serde")]
    pub(super) history: Duration,
    #[serde(with = "humantime_serde")]
    pub(super) longest_retention: Duration,
}

/// Section `secrets`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretSettings {
    pub(crate) at_rest: AtRest,
    pub(crate) keys: Vec<SecretString>,
    /// Empty where there is none.
    pub(crate) keys_file: PathBuf,
}

/// How secrets lie in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AtRest {
    /// Under a key.
    Encrypted,
    /// For everybody who can read the store.
    Plain,
}

/// Section `log`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogSettings {
    pub(crate) level: String,
    pub(crate) format: LogFormat,
    successes: u32,
    pub(super) headers: Vec<String>,
    pub(super) payload_bytes: usize,
}

/// Section `metrics`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetricSettings {
    pub(super) worst_endpoints: usize,
    pub(super) pinned_endpoints: Vec<Pinned>,
}

/// An endpoint that always has metrics of its own: `<application id>/<endpoint id>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Pinned(Destination);

impl TryFrom<String> for Pinned {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let ids = text.split_once('/');
        let read = ids.and_then(|(app, endpoint)| {
            Some(Self(Destination { app: app.parse().ok()?, endpoint: endpoint.parse().ok()? }))
        });
        read.ok_or("expected ids of application and endpoint, such as `app_…/ep_…`")
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For machines: one object per line.
    Json,
}

/// Which engine keeps everything.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum StoreChoice {
    /// In `data_dir`, for one process.
    Embedded,
    /// A server. The URL may hold a password: it shows without it.
    Redis(Url),
}

impl TryFrom<String> for StoreChoice {
    type Error = &'static str;

    /// The error never repeats the text: it may hold a password.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "embedded" {
            return Ok(Self::Embedded);
        }
        match Url::parse(&text) {
            Ok(url) if url.scheme() == "redis" && url.has_host() => Ok(Self::Redis(url)),
            _ => Err("expected `embedded` or `redis://[user:password@]host[:port][/database]`"),
        }
    }
}

impl fmt::Display for StoreChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Redis(url) = self else { return f.write_str("embedded") };
        let mut shown = url.clone();
        // Fails only for URLs without a host, which are not accepted.
        if url.password().is_some() && shown.set_password(Some("***")).is_err() {
            return f.write_str("redis://***");
        }
        shown.set_query(None);
        shown.fmt(f)
    }
}

impl fmt::Debug for StoreChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Settings {
    /// What the gateway wants to know.
    pub(crate) fn gateway(
        &self,
        api_token: SecretString,
        keys: KeyRing,
        tracer: Tracer,
    ) -> gateway::Config {
        gateway::Config {
            listen: self.listen,
            api_token,
            workers: workers(self.gateway.workers),
            body_limit: self.gateway.body_limit,
            body_deadline: self.gateway.body_deadline,
            secret_overlap: self.gateway.secret_overlap,
            retry_schedule: self.retry_schedule(),
            request_timeout: self.dispatcher.request_timeout,
            message_lifetime: self.lifetimes.message,
            quota_bytes: self.gateway.quota_bytes,
            longest_retention: self.lifetimes.longest_retention,
            allow_cidr: self.allow_cidr.clone(),
            keys,
            issuers: self.gateway.issuers.clone(),
            public_url: self.gateway.public_url.clone(),
            publish_limit: self.gateway.publish_limit,
            management_limit: self.gateway.management_limit,
            cors_origins: self.gateway.cors_origins.clone(),
            logged_headers: self.log.headers.clone(),
            tracer,
        }
    }

    /// What the dispatcher wants to know.
    pub(crate) fn dispatcher(&self, keys: KeyRing, tracer: Tracer) -> dispatcher::Config {
        let settings = &self.dispatcher;
        dispatcher::Config {
            workers: workers(settings.workers),
            max_in_flight: settings.max_in_flight,
            max_body_bytes: settings.max_body_bytes,
            max_window: settings.max_window,
            request_timeout: settings.request_timeout,
            retry_schedule: self.retry_schedule(),
            disable_after: settings.disable_after,
            lease_ttl: settings.lease_ttl,
            lease_renewal: settings.lease_renewal,
            allow_cidr: self.allow_cidr.clone(),
            keys,
            worst_endpoints: self.metrics.worst_endpoints,
            pinned_endpoints: self.metrics.pinned_endpoints.iter().map(|pinned| pinned.0).collect(),
            tracer,
            log: dispatcher::LogSettings {
                successes: self.log.successes,
                payload_bytes: self.log.payload_bytes,
            },
        }
    }

    /// The delays between attempts.
    pub(super) fn retry_schedule(&self) -> Vec<Duration> {
        self.dispatcher.retry_schedule.iter().map(|delay| delay.0).collect()
    }

    /// What the store wants to know.
    pub(crate) fn lifetimes(&self) -> Lifetimes {
        let LifetimeSettings { message, retention, history, .. } = self.lifetimes;
        Lifetimes { message, retention, history }
    }
}

/// 0 stands for the number of CPUs.
fn workers(set: usize) -> usize {
    match set {
        0 => thread::available_parallelism().map_or(1, NonZero::get),
        set => set,
    }
}
