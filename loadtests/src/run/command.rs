//! The subcommand `run`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use clap::Args;

use super::{SinkPlace, Target, draw, run};
use crate::{
    description::Description,
    scenarios::{deployment::Common, system::Engine},
};

/// Which loads are run, and against what.
#[derive(Debug, Args)]
pub struct Run {
    /// Descriptions of loads, such as loadtests/scenarios/steady.toml
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The store of an own server
    #[arg(long, value_enum, default_value_t = Engine::Embedded)]
    on: Engine,
    /// URL of a server that runs already and speaks Svix's API
    #[arg(long, conflicts_with = "on", requires = "token")]
    server: Option<String>,
    /// That server's token
    #[arg(long, env = "SLUICEGATE_API_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Where the sink listens; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    sink_listen: SocketAddr,
    /// URL by which the server reaches the sink; by default where it listens
    #[arg(long)]
    sink_url: Option<String>,
    /// Directory for figures and plots
    #[arg(long, default_value = "target/loadtests")]
    out: PathBuf,
    /// Multiplies times and counts: 0.1 shows quickly whether a load works
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    #[command(flatten)]
    common: Common,
}

impl Run {
    /// Runs one load after the other; fails in the end if what must hold did not in one of them.
    pub async fn run(self) -> anyhow::Result<()> {
        ensure!(self.scale > 0.0 && self.scale.is_finite(), "--scale must be greater than 0");
        let target = match (self.server, self.token) {
            (Some(url), Some(token)) => Target::Url { url, token },
            _ => Target::Own { engine: self.on, program: self.common.sluicegate },
        };
        let place = SinkPlace { listen: self.sink_listen, url: self.sink_url };
        // All are read first, so that a mistake in the last one does not show after an hour.
        let mut loads = Vec::with_capacity(self.files.len());
        for file in &self.files {
            let description = Description::read(file)?.scaled(self.scale);
            target.can_bear(&description).with_context(|| file.display().to_string())?;
            loads.push((name_of(file)?, description));
        }
        std::fs::create_dir_all(&self.out)?;
        let mut failed = Vec::new();
        for (name, description) in &loads {
            if matches!(target, Target::Url { .. }) && !description.settings.is_empty() {
                eprintln!("{name}: the server is not given the description's `settings`");
            }
            let report = run(name, description, &target, &place).await.context(name.clone())?;
            let file = |extension: &str| self.out.join(format!("{name}.{extension}"));
            std::fs::write(file("json"), serde_json::to_vec_pretty(&report)?)?;
            std::fs::write(file("svg"), draw(name, &report.figures)?)?;
            if !self.common.json {
                println!("== {name}: {}", report.figures);
            }
            if let Err(broken) = report.conclude(self.common.json) {
                eprintln!("{broken}");
                failed.push(name.as_str());
            }
            eprintln!("written: {}, {}", file("json").display(), file("svg").display());
        }
        if !failed.is_empty() {
            bail!("what must hold did not in: {}", failed.join(", "));
        }
        Ok(())
    }
}

fn name_of(file: &Path) -> anyhow::Result<String> {
    let name = file.file_stem().and_then(|name| name.to_str());
    Ok(name.with_context(|| format!("{} has no name", file.display()))?.to_owned())
}
