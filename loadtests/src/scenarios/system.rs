//! A whole Sluicegate as child processes, parts of which can be killed and started again.

use std::{path::Path, time::Duration};

use anyhow::Context;
use clap::ValueEnum;

use crate::{
    process::{Process, Role, Sluicegate},
    redis_server::{Fsync, RedisServer},
};

/// The API's token.
pub const TOKEN: &str = "loadtests-torture-token";

/// Which store it runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// All in one process, on a directory.
    Embedded,
    /// A gateway and a dispatcher, on a Redis that fsyncs every second.
    RedisProcess,
    /// A gateway and a dispatcher, on a Redis that fsyncs before it replies.
    #[value(alias = "redis")]
    RedisDisk,
}

impl Engine {
    /// How its Redis writes, if it has one.
    fn fsync(self) -> Option<Fsync> {
        match self {
            Self::Embedded => None,
            Self::RedisProcess => Some(Fsync::EverySecond),
            Self::RedisDisk => Some(Fsync::Always),
        }
    }
}

/// A part that can be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The one process of the engine `embedded`.
    AllInOne,
    /// The API.
    Gateway,
    /// The deliveries.
    Dispatcher,
    /// The store.
    Redis,
}

impl Part {
    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::AllInOne => "all in one",
            Self::Gateway => "gateway",
            Self::Dispatcher => "dispatcher",
            Self::Redis => "redis",
        }
    }

    /// Whether killing it may leave attempts unsettled.
    pub fn settles(self) -> bool {
        self != Self::Gateway
    }
}

/// A running system.
#[derive(Debug)]
pub struct System {
    api: String,
    processes: Vec<(Part, Process)>,
    // Dropped last: the others are killed before their store is.
    redis: Option<RedisServer>,
}

impl System {
    /// Starts all of it, with its data and logs in `directory`.
    pub async fn start(
        engine: Engine,
        program: &Path,
        directory: &Path,
        settings: Vec<(String, String)>,
    ) -> anyhow::Result<Self> {
        let redis = match engine.fsync() {
            None => None,
            Some(fsync) => {
                let data = directory.join("redis");
                std::fs::create_dir_all(&data)?;
                Some(RedisServer::start(&data, fsync)?)
            }
        };
        let sluicegate = Sluicegate {
            program: program.into(),
            store: redis.as_ref().map_or("embedded".into(), RedisServer::url),
            durability: (engine == Engine::RedisProcess).then(|| "process".into()),
            token: TOKEN.into(),
            directory: directory.into(),
            settings,
        };
        let roles: &[_] = match engine {
            Engine::Embedded => &[(Part::AllInOne, Role::AllInOne)],
            Engine::RedisProcess | Engine::RedisDisk => {
                &[(Part::Gateway, Role::Gateway), (Part::Dispatcher, Role::Dispatcher)]
            }
        };
        let (mut api, mut processes) = (String::new(), Vec::new());
        for (part, role) in roles {
            let (recipe, url) = sluicegate.recipe(*role)?;
            if *role != Role::Dispatcher {
                api = url;
            }
            processes.push((*part, Process::start(recipe).await?));
        }
        Ok(Self { api, processes, redis })
    }

    /// The URL of its API.
    pub fn api(&self) -> &str {
        &self.api
    }

    /// Kills a part with SIGKILL and returns when it is dead.
    pub fn kill(&mut self, part: Part) -> anyhow::Result<()> {
        match part {
            Part::Redis => self.redis.as_mut().context("there is no Redis")?.kill(),
            _ => self.process(part)?.kill(),
        }
    }

    /// Stops a part with SIGTERM and returns when it has ended.
    pub async fn terminate(&mut self, part: Part, patience: Duration) -> anyhow::Result<()> {
        match part {
            Part::Redis => {
                let redis = self.redis.as_mut().context("there is no Redis")?;
                tokio::task::block_in_place(|| redis.terminate(patience))
            }
            _ => self.process(part)?.terminate(patience).await,
        }
    }

    /// Names and process ids of all that run.
    pub fn pids(&self) -> Vec<(String, u32)> {
        let redis = self.redis.iter().map(|redis| ("redis".to_owned(), redis.pid()));
        let processes =
            self.processes.iter().map(|(part, process)| (part.name().to_owned(), process.pid()));
        processes.chain(redis).collect()
    }

    /// Starts a killed part again and returns when it is ready.
    pub async fn restart(&mut self, part: Part) -> anyhow::Result<()> {
        match part {
            Part::Redis => {
                let redis = self.redis.as_mut().context("there is no Redis")?;
                tokio::task::block_in_place(|| redis.restart())
            }
            _ => self.process(part)?.restart().await,
        }
    }

    /// Stops its processes with SIGTERM.
    pub async fn stop(self, patience: Duration) -> anyhow::Result<()> {
        for (_, process) in self.processes {
            process.stop(patience).await?;
        }
        Ok(())
    }

    fn process(&mut self, part: Part) -> anyhow::Result<&mut Process> {
        let found = self.processes.iter_mut().find(|(is, _)| *is == part);
        found.map(|(_, process)| process).with_context(|| format!("there is no {}", part.name()))
    }
}
