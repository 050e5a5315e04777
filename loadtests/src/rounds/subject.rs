//! What a round measures: a whole system between sender and sink, as processes.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;
use tempfile::TempDir;

use crate::{
    api::Api,
    process::{Process, Recipe, Role, Sluicegate, cpu_time},
    redis_server::{Fsync, RedisServer, free_port},
};

const TOKEN: &str = "loadtests-rounds-token";
const CALL: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);
/// What the floor has in flight at most.
const FLOOR_IN_FLIGHT: usize = 256;

/// Where messages lie, and what a 202 stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Store {
    /// Redis that fsyncs every second: the durability `process`.
    RedisEverySecond,
    /// Redis that fsyncs before each reply: the durability `disk`.
    RedisAlways,
    /// The embedded store, fsync before the 202: the durability `disk`.
    Embedded,
}

impl Store {
    fn durability(self) -> &'static str {
        match self {
            Self::RedisEverySecond => "process",
            Self::RedisAlways | Self::Embedded => "disk",
        }
    }

    fn start(self, directory: &Path) -> anyhow::Result<Option<RedisServer>> {
        let fsync = match self {
            Self::RedisEverySecond => Fsync::EverySecond,
            Self::RedisAlways => Fsync::Always,
            Self::Embedded => return Ok(None),
        };
        RedisServer::start(directory, fsync).map(Some)
    }
}

/// A running system with a store of its own; killed, and its directory removed, when dropped.
#[derive(Debug)]
pub struct Subject {
    api: Api,
    processes: Vec<Process>,
    redis: Option<RedisServer>,
    // Dropped last, when nobody writes there any more.
    directory: TempDir,
}

impl Subject {
    /// Starts the floor, which posts each body to all of `targets`.
    pub async fn floor(store: Store, targets: &[String]) -> anyhow::Result<Self> {
        let directory = directory()?;
        let redis = store.start(directory.path())?;
        let listen = format!("127.0.0.1:{}", free_port()?);
        let recipe = |name: &str, arguments: &[&str], targets: &[String], ready| {
            anyhow::Ok(Recipe {
                name: name.into(),
                program: std::env::current_exe()?,
                arguments: [
                    arguments,
                    &targets.iter().flat_map(|url| ["--target", url]).collect::<Vec<_>>(),
                ]
                .concat()
                .into_iter()
                .map(Into::into)
                .collect(),
                environment: Vec::new(),
                log: directory.path().join(format!("{name}.log")),
                ready,
            })
        };
        let ready = Some(format!("http://{listen}/readyz"));
        let in_flight = FLOOR_IN_FLIGHT.to_string();
        let recipes = match &redis {
            Some(redis) => {
                let url = redis.url();
                let gateway = ["floor-gateway", "--listen", &listen, "--redis", &url];
                let dispatcher =
                    ["floor-dispatcher", "--redis", &url, "--max-in-flight", &in_flight];
                vec![
                    recipe("gateway", &gateway, &[], ready)?,
                    recipe("dispatcher", &dispatcher, targets, None)?,
                ]
            }
            None => {
                let data = directory.path().join("data");
                let data = data.to_string_lossy();
                let arguments = [
                    "floor-embedded",
                    "--listen",
                    &listen,
                    "--directory",
                    &data,
                    "--max-in-flight",
                    &in_flight,
                ];
                vec![recipe("floor", &arguments, targets, ready)?]
            }
        };
        let api = Api::new(format!("http://{listen}"), TOKEN, CALL)?;
        Ok(Self { api, processes: start(recipes).await?, redis, directory })
    }

    /// Starts Sluicegate: over Redis a gateway and a dispatcher, embedded all in one. `settings` are
    /// environment variables and their values.
    pub async fn sluicegate(
        program: &Path,
        store: Store,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let directory = directory()?;
        let redis = store.start(directory.path())?;
        let sluicegate = Sluicegate {
            program: program.into(),
            store: redis.as_ref().map_or("embedded".into(), RedisServer::url),
            durability: Some(store.durability().into()),
            token: TOKEN.into(),
            directory: directory.path().into(),
            settings: settings
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
        };
        let (first, url) = match store {
            Store::Embedded => sluicegate.recipe(Role::AllInOne)?,
            Store::RedisEverySecond | Store::RedisAlways => sluicegate.recipe(Role::Gateway)?,
        };
        let mut recipes = vec![first];
        if store != Store::Embedded {
            recipes.push(sluicegate.recipe(Role::Dispatcher)?.0);
        }
        let api = Api::new(url, TOKEN, CALL)?;
        Ok(Self { api, processes: start(recipes).await?, redis, directory })
    }

    /// A client of its API.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Its processes but Redis.
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    /// Where an embedded store lies.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// CPU time that each of its processes has used so far, by name; `redis` is one of them.
    pub fn cpu(&self) -> anyhow::Result<BTreeMap<String, Duration>> {
        let mut times = BTreeMap::new();
        for process in &self.processes {
            times.insert(process.name().to_owned(), cpu_time(process.pid())?);
        }
        if let Some(redis) = &self.redis {
            times.insert("redis".to_owned(), cpu_time(redis.pid())?);
        }
        Ok(times)
    }

    /// Stops its processes with SIGTERM. The floor's know no better than to be killed.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        while let Some(process) = self.processes.pop() {
            process.stop(STOP).await?;
        }
        Ok(())
    }
}

async fn start(recipes: Vec<Recipe>) -> anyhow::Result<Vec<Process>> {
    let mut processes = Vec::with_capacity(recipes.len());
    for recipe in recipes {
        processes.push(Process::start(recipe).await?);
    }
    Ok(processes)
}

/// In the system's directory for temporary files (`TMPDIR`), which must lie on a disk.
fn directory() -> anyhow::Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("sluicegate-round").tempdir()?)
}
