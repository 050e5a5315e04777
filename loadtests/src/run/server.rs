//! The server under load: an own Sluicegate, or any that speaks Svix's API.

use std::{collections::BTreeMap, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, ensure};
use clap::ValueEnum;
use tempfile::TempDir;

use crate::{
    api::Api,
    description::{Deed, Description, PartName},
    scenarios::system::{Engine, Part, System, TOKEN},
};

/// No request of the sender's takes longer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Which server is loaded.
#[derive(Debug, Clone)]
pub enum Target {
    /// Processes of its own.
    Own {
        /// On which store.
        engine: Engine,
        /// The command `sluicegate`.
        program: PathBuf,
    },
    /// One that runs already.
    Url {
        /// Such as `https://host:port`.
        url: String,
        /// The API's token.
        token: String,
    },
}

impl Target {
    /// What it is, for people.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Own { engine, .. } => engine
                .to_possible_value()
                .map_or_else(String::new, |value| value.get_name().to_owned()),
            Self::Url { url, .. } => url.clone(),
        }
    }

    /// The part of the server that a description means.
    fn part(&self, name: PartName) -> Part {
        match (self, name) {
            (
                Self::Own { engine: Engine::Embedded, .. },
                PartName::Gateway | PartName::Dispatcher,
            ) => Part::AllInOne,
            (_, PartName::Gateway) => Part::Gateway,
            (_, PartName::Dispatcher) => Part::Dispatcher,
            (_, PartName::Redis) => Part::Redis,
        }
    }

    /// Fails if the description asks for what this server has not.
    pub(super) fn can_bear(&self, description: &Description) -> anyhow::Result<()> {
        match self {
            Self::Url { .. } => {
                let needs = description.needs_own_server();
                ensure!(
                    needs.is_none(),
                    "this load {}: leave out --server, so that it starts its own",
                    needs.unwrap_or_default()
                );
            }
            Self::Own { engine: Engine::Embedded, .. } => {
                let of_redis = |deed| {
                    matches!(deed, Deed::Kill(PartName::Redis) | Deed::Terminate(PartName::Redis))
                };
                ensure!(
                    !description.actions.iter().filter_map(|action| action.deed()).any(of_redis),
                    "this load stops Redis, which `--on embedded` has not: use `--on redis-disk`"
                );
            }
            Self::Own { .. } => {}
        }
        Ok(())
    }
}

/// A server that is ready.
#[derive(Debug)]
pub(super) struct Server {
    target: Target,
    system: Option<System>,
    api: Api,
    // Dropped last, when nobody writes there any more.
    _directory: Option<TempDir>,
}

impl Server {
    /// Starts it, if it is an own one.
    pub(super) async fn start(target: &Target, description: &Description) -> anyhow::Result<Self> {
        let target = target.clone();
        let (program, engine) = match &target {
            Target::Url { url, token } => {
                let api = Api::new(url.trim_end_matches('/'), token, TIMEOUT)?;
                return Ok(Self { target, system: None, api, _directory: None });
            }
            Target::Own { engine, program } => (program, *engine),
        };
        let directory = tempfile::Builder::new().prefix("sluicegate-load").tempdir()?;
        let settings = description.settings.iter().map(|(name, value)| {
            let name = name.to_uppercase().replace('.', "__");
            (format!("SLUICEGATE_{name}"), value.clone())
        });
        let system = System::start(engine, program, directory.path(), settings.collect()).await?;
        let api = Api::new(system.api(), TOKEN, TIMEOUT)?;
        Ok(Self { target, system: Some(system), api, _directory: Some(directory) })
    }

    /// A client of its API.
    pub(super) fn api(&self) -> &Api {
        &self.api
    }

    /// Its own processes.
    pub(super) fn pids(&self) -> Vec<(String, u32)> {
        self.system.as_ref().map(System::pids).unwrap_or_default()
    }

    /// SIGKILL to a part.
    pub(super) fn kill(&mut self, part: PartName) -> anyhow::Result<()> {
        let part = self.target.part(part);
        self.system()?.kill(part)
    }

    /// SIGTERM to a part; returns when it has ended.
    pub(super) async fn terminate(&mut self, part: PartName) -> anyhow::Result<()> {
        const PATIENCE: Duration = Duration::from_secs(60);
        let part = self.target.part(part);
        self.system()?.terminate(part, PATIENCE).await
    }

    /// Starts a part again and returns when it is ready.
    pub(super) async fn restart(&mut self, part: PartName) -> anyhow::Result<()> {
        let part = self.target.part(part);
        self.system()?.restart(part).await
    }

    fn system(&mut self) -> anyhow::Result<&mut System> {
        self.system.as_mut().context("the server is not an own one")
    }

    /// What the programs under load say of themselves, by name.
    pub(super) fn versions(&self) -> BTreeMap<String, String> {
        let mut versions =
            BTreeMap::from([("loadtests".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]);
        if let Target::Own { engine, program } = &self.target {
            let mut ask = |name: &str, program: &PathBuf| {
                if let Ok(output) = Command::new(program).arg("--version").output() {
                    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                    versions.insert(name.to_owned(), version);
                }
            };
            ask("sluicegate", program);
            if *engine != Engine::Embedded {
                ask("redis", &"redis-server".into());
            }
        }
        versions
    }
}
