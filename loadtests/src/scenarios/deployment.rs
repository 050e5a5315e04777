//! One Redis, one gateway and some dispatchers as processes, in a directory that goes with them.
//!
//! Dispatchers are started, killed, paused and stopped one by one; the first one started is 0.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use tempfile::TempDir;

use crate::{
    api::Api,
    metrics::Metrics,
    process::{Process, Role, Sluicegate, cpu_time},
    redis_server::{Fsync, RedisServer},
};

const TOKEN: &str = "loadtests-scenario-token";
const STOP: Duration = Duration::from_secs(40);

/// Flags that every scenario has.
#[derive(Debug, Args)]
pub struct Common {
    /// The command under test
    #[arg(long, default_value = "target/release/sluicegate")]
    pub sluicegate: PathBuf,
    /// The figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// One dispatcher.
#[derive(Debug)]
pub struct Dispatcher {
    /// Its process.
    pub process: Process,
    metrics: String,
}

impl Dispatcher {
    /// Its metrics now. The names that scenarios ask for have the prefix
    /// `sluicegate_dispatcher_`.
    pub async fn metrics(&self) -> anyhow::Result<Metrics> {
        Metrics::fetch(&self.metrics).await.with_context(|| self.process.name().to_owned())
    }
}

/// All processes; killed when dropped.
#[derive(Debug)]
pub struct Deployment {
    /// Those that were started and not taken out.
    pub dispatchers: Vec<Dispatcher>,
    gateway: Process,
    gateway_url: String,
    redis: RedisServer,
    sluicegate: Sluicegate,
    started: usize,
    // Dropped last, when nobody writes there any more.
    _directory: TempDir,
}

impl Deployment {
    /// Starts all of it. `settings` are names of `[dispatcher]` settings and their values.
    ///
    /// Redis fsyncs every second: a disk's moods are not what scenarios measure.
    pub async fn start(
        program: &Path,
        settings: &[(&str, &str)],
        dispatchers: usize,
    ) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("sluicegate-scenario").tempdir()?;
        let redis = RedisServer::start(directory.path(), Fsync::EverySecond)?;
        let settings = settings.iter().map(|(name, value)| {
            let name = format!("SLUICEGATE_DISPATCHER__{}", name.to_uppercase());
            (name, (*value).to_owned())
        });
        let sluicegate = Sluicegate {
            program: program.into(),
            store: redis.url(),
            durability: Some("process".into()),
            token: TOKEN.into(),
            directory: directory.path().into(),
            settings: settings.collect(),
        };
        let (gateway, gateway_url) = sluicegate.recipe(Role::Gateway)?;
        let gateway = Process::start(gateway).await?;
        let mut deployment = Self {
            dispatchers: Vec::new(),
            gateway,
            gateway_url,
            redis,
            sluicegate,
            started: 0,
            _directory: directory,
        };
        for _ in 0..dispatchers {
            deployment.join().await?;
        }
        Ok(deployment)
    }

    /// Starts one more dispatcher and waits until it is ready.
    pub async fn join(&mut self) -> anyhow::Result<()> {
        let (mut recipe, _) = self.sluicegate.recipe(Role::Dispatcher)?;
        recipe.name = format!("dispatcher-{}", self.started);
        recipe.log = self.sluicegate.directory.join(format!("{}.log", recipe.name));
        let ready = recipe.ready.as_deref().unwrap_or_default();
        let metrics = ready.replace("/readyz", "/metrics");
        self.started += 1;
        let process = Process::start(recipe).await?;
        self.dispatchers.push(Dispatcher { process, metrics });
        Ok(())
    }

    /// Stops the dispatcher that has run longest, with SIGTERM, and returns when it has ended.
    pub async fn leave(&mut self) -> anyhow::Result<()> {
        self.dispatchers.remove(0).process.stop(STOP).await
    }

    /// Kills the dispatcher that has run longest, with SIGKILL.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.dispatchers.remove(0).process.kill()
    }

    /// A client of its API.
    pub fn api(&self) -> anyhow::Result<Api> {
        Api::new(self.gateway_url.as_str(), TOKEN, Duration::from_secs(30))
    }

    /// Where its Redis is.
    pub fn redis_url(&self) -> String {
        self.redis.url()
    }

    /// CPU time of Redis, and of all dispatchers together, so far.
    pub fn cpu(&self) -> anyhow::Result<(Duration, Duration)> {
        let mut dispatchers = Duration::ZERO;
        for dispatcher in &self.dispatchers {
            dispatchers += cpu_time(dispatcher.process.pid())?;
        }
        Ok((cpu_time(self.redis.pid())?, dispatchers))
    }

    async fn redis_connection(&self) -> anyhow::Result<redis::aio::MultiplexedConnection> {
        let client = redis::Client::open(self.redis.url())?;
        Ok(client.get_multiplexed_async_connection().await?)
    }

    /// Bytes that Redis uses for all that it holds.
    pub async fn redis_memory(&self) -> anyhow::Result<u64> {
        let mut connection = self.redis_connection().await?;
        let info: redis::InfoDict =
            redis::cmd("INFO").arg("memory").query_async(&mut connection).await?;
        info.get("used_memory").context("redis does not say how much memory it uses")
    }

    /// How many entries are in the streams of all lanes.
    pub async fn streaming(&self) -> anyhow::Result<u64> {
        let mut connection = self.redis_connection().await?;
        let lanes: Vec<String> =
            redis::cmd("KEYS").arg("*:lane:*").query_async(&mut connection).await?;
        let mut lengths = redis::pipe();
        for lane in &lanes {
            lengths.cmd("XLEN").arg(lane);
        }
        let lengths: Vec<u64> = lengths.query_async(&mut connection).await?;
        Ok(lengths.iter().sum())
    }

    /// A metric, summed over its labels, of each dispatcher.
    pub async fn each(&self, metric: &str) -> anyhow::Result<Vec<f64>> {
        let mut values = Vec::with_capacity(self.dispatchers.len());
        for dispatcher in &self.dispatchers {
            values.push(dispatcher.metrics().await?.sum(metric));
        }
        Ok(values)
    }

    /// A metric, summed over its labels and all dispatchers.
    pub async fn total(&self, metric: &str) -> anyhow::Result<f64> {
        Ok(self.each(metric).await?.iter().sum())
    }

    /// Waits until the processes answer a question with yes; an error names it when `patience` is
    /// over.
    pub async fn wait_until(
        &self,
        what: &str,
        patience: Duration,
        mut holds: impl AsyncFnMut(&Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let asking = async {
            while !holds(self).await? {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        };
        let answer = tokio::time::timeout(patience, asking).await;
        answer.with_context(|| format!("after {patience:?} still not: {what}"))?
    }

    /// Stops all of it with SIGTERM.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        while !self.dispatchers.is_empty() {
            self.leave().await?;
        }
        self.gateway.stop(STOP).await
    }
}
