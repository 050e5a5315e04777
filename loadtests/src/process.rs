//! Servers under test as child processes: started until they say they are ready, killed, started
//! again, and their CPU time read.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::redis_server::free_port;

/// How long a server may take to become ready.
const PATIENCE: Duration = Duration::from_secs(30);
/// Encrypts what is secret in Redis.
const SECRETS_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// How to start a process, and start it again with the same ports and data.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What it is, for people.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Environment variables besides the inherited ones.
    pub environment: Vec<(String, String)>,
    /// Where its output is appended.
    pub log: PathBuf,
    /// A URL that answers 2xx when it is ready; none: ready when it runs.
    pub ready: Option<String>,
}

/// A child process; killed when dropped.
#[derive(Debug)]
pub struct Process {
    recipe: Recipe,
    child: Child,
    ready_after: Duration,
}

impl Process {
    /// Starts it and waits until it is ready. An error shows the end of its output.
    pub async fn start(recipe: Recipe) -> anyhow::Result<Self> {
        let began = Instant::now();
        let child = spawn(&recipe)?;
        let mut process = Self { recipe, child, ready_after: Duration::ZERO };
        process.wait_until_ready().await?;
        process.ready_after = began.elapsed();
        Ok(process)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How long it took from its start until it said that it was ready.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// What it is.
    pub fn name(&self) -> &str {
        &self.recipe.name
    }

    /// Kills it with SIGKILL and waits for its end.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Stops it with SIGSTOP, as a machine that hangs would.
    pub fn pause(&self) -> anyhow::Result<()> {
        Ok(kill_process(self.process_id()?, Signal::STOP)?)
    }

    /// Lets it go on after [`pause`](Self::pause).
    pub fn resume(&self) -> anyhow::Result<()> {
        Ok(kill_process(self.process_id()?, Signal::CONT)?)
    }

    fn process_id(&self) -> anyhow::Result<Pid> {
        i32::try_from(self.pid()).ok().and_then(Pid::from_raw).context("no pid")
    }

    /// Starts it again and waits until it is ready.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.child = spawn(&self.recipe)?;
        self.wait_until_ready().await
    }

    /// Asks it to stop with SIGTERM and waits; kills it when `patience` is over.
    pub async fn stop(mut self, patience: Duration) -> anyhow::Result<()> {
        self.terminate(patience).await
    }

    /// Asks it to stop with SIGTERM and waits until it has ended; fails when `patience` is over.
    pub async fn terminate(&mut self, patience: Duration) -> anyhow::Result<()> {
        kill_process(self.process_id()?, Signal::TERM)?;
        let deadline = Instant::now() + patience;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("{} did not stop within {patience:?}", self.recipe.name);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let Some(ready) = &self.recipe.ready else {
            return Ok(());
        };
        let client =
            reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let answer = client.get(ready).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}:\n{}", self.recipe.name, self.last_output());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("{} is not ready after {PATIENCE:?}:\n{}", self.recipe.name, self.last_output())
    }

    fn last_output(&self) -> String {
        let text = fs::read_to_string(&self.recipe.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

fn spawn(recipe: &Recipe) -> anyhow::Result<Child> {
    let log = File::options().create(true).append(true).open(&recipe.log)?;
    Command::new(&recipe.program)
        .args(&recipe.arguments)
        .envs(recipe.environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("{} does not start", recipe.program.display()))
}

/// CPU time that a process has used so far, user and system, all threads.
pub fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field, the name, may hold anything but ends with the last parenthesis.
    let (_, fields) = stat.rsplit_once(')').context("/proc/<pid>/stat has no name")?;
    let mut times = fields.split_ascii_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let (Some(Ok(user)), Some(Ok(system))) = (times.next(), times.next()) else {
        bail!("/proc/{pid}/stat has no times");
    };
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64((user + system) as f64 / ticks_per_second as f64))
}

/// Memory that a process holds now (its resident set), in bytes.
pub fn memory(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")).map(str::trim);
    let kibibytes: u64 = kibibytes.context("/proc/<pid>/status has no VmRSS")?.parse()?;
    Ok(kibibytes * 1024)
}

/// The parts of Sluicegate that run as processes of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Both halves in one process.
    AllInOne,
    /// The HTTP API.
    Gateway,
    /// Deliveries.
    Dispatcher,
}

/// What the processes of one Sluicegate have in common.
#[derive(Debug, Clone)]
pub struct Sluicegate {
    /// The program.
    pub program: PathBuf,
    /// `embedded`, or the URL of a Redis.
    pub store: String,
    /// The durability level; none is the program's default.
    pub durability: Option<String>,
    /// The API's token.
    pub token: String,
    /// For data and logs.
    pub directory: PathBuf,
    /// Settings by environment, such as `SLUICEGATE_DISPATCHER__LEASE_TTL`.
    pub settings: Vec<(String, String)>,
}

impl Sluicegate {
    /// How to start one of its processes, and the URL of its API (of no use for a dispatcher).
    pub fn recipe(&self, role: Role) -> anyhow::Result<(Recipe, String)> {
        let (name, subcommand) = match role {
            Role::AllInOne => ("sluicegate", None),
            Role::Gateway => ("gateway", Some("gateway")),
            Role::Dispatcher => ("dispatcher", Some("dispatcher")),
        };
        let listen = format!("127.0.0.1:{}", free_port()?);
        let admin = format!("127.0.0.1:{}", free_port()?);
        let mut arguments: Vec<String> = subcommand.into_iter().map(Into::into).collect();
        let mut set = |flag: &str, value: &str| {
            arguments.extend([format!("--{flag}"), value.to_owned()]);
        };
        if role != Role::Dispatcher {
            set("listen", &listen);
            set("api-token", &self.token);
        }
        set("admin-listen", &admin);
        set("store", &self.store);
        set("data-dir", &path_text(&self.directory.join("data"))?);
        set("allow-cidr", "127.0.0.0/8");
        if let Some(durability) = &self.durability {
            set("durability", durability);
        }
        let recipe = Recipe {
            name: name.into(),
            program: self.program.clone(),
            arguments,
            environment: self.environment(),
            log: self.directory.join(format!("{name}.log")),
            ready: Some(format!("http://{admin}/readyz")),
        };
        Ok((recipe, format!("http://{listen}")))
    }
}

impl Sluicegate {
    /// The settings, and what Redis needs besides.
    fn environment(&self) -> Vec<(String, String)> {
        let key = ("SLUICEGATE_SECRETS__KEYS".to_owned(), SECRETS_KEY.to_owned());
        let needed = (self.store != "embedded").then_some(key);
        self.settings.iter().cloned().chain(needed).collect()
    }
}

fn path_text(path: &Path) -> anyhow::Result<String> {
    Ok(path.to_str().context("a path that is not UTF-8")?.to_owned())
}
