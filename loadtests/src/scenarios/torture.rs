//! Kills processes of ours (and Redis) under load, and accounts for every message.
//!
//! A SIGKILL may leave attempts whose outcome was not settled, and those are made again: at least
//! once. Exactly that is allowed. Nothing acknowledged is lost; nothing refused is delivered; a
//! message that was sent again under its key exists once; and each duplicate repeats an attempt
//! that a kill left unsettled, as [`super::duplicates`] measures it.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::{Args, ValueEnum};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    api::Api,
    journal::Journal,
    ledger::{Account, Destinations, Flush, Ledger, Outcome},
    scenarios::{
        duplicates::{self, Attribution, Kill},
        system::{Engine, Part, System, TOKEN},
    },
    sender::{Load, Sender},
    sink::Sink,
    verify::{Verdict, Violation, delivered, verify},
};

/// Attempts in flight in the dispatcher: the hard bound for the duplicates of one kill.
const MAX_IN_FLIGHT: usize = 64;
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
const RESUME: Duration = Duration::from_secs(30);
const DRAIN: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);
/// Longer than a lease and than the first retry delay: whatever still comes, comes within it.
const QUIET: Duration = Duration::from_secs(3);
/// An endpoint of each application: one answers, one is slow, one fails at times.
const BEHAVIOURS: [&str; 3] = ["/ok", "/slow/20", "/flaky/10"];

/// What is killed on the engine `redis`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Victim {
    /// Always the gateway.
    Gateway,
    /// Always the dispatcher.
    Dispatcher,
    /// Always Redis.
    Redis,
    /// Dispatcher and gateway in turn.
    Both,
    /// Any of the three, at random.
    All,
}

/// What is done.
#[derive(Debug, Args)]
pub struct Torture {
    /// The store
    #[arg(long, value_enum, default_value_t = Engine::Embedded)]
    engine: Engine,
    /// What is killed; with the engine `embedded` always its one process
    #[arg(long, value_enum, default_value_t = Victim::Both)]
    victim: Victim,
    /// How often
    #[arg(long, default_value_t = 10)]
    kills: usize,
    /// Messages per second; each goes to three endpoints
    #[arg(long, default_value_t = 250.0)]
    rate: f64,
    /// Applications that messages are spread over
    #[arg(long, default_value_t = 4)]
    applications: usize,
    /// Size of a payload, in bytes
    #[arg(long, default_value_t = 512)]
    size: usize,
    /// Chooses victims and moments
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The command under test
    #[arg(long, default_value = "target/release/sluicegate")]
    sluicegate: PathBuf,
    /// Keep data, logs and ledger in this directory
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug)]
struct Result {
    kills: Vec<Kill>,
    attribution: Attribution,
    verdict: Verdict,
    took: Duration,
}

impl Torture {
    /// Does it, prints the table, and fails if a promise was broken.
    pub async fn run(&self) -> anyhow::Result<()> {
        let temporary = tempfile::Builder::new().prefix("sluicegate-torture").tempdir()?;
        let directory = match &self.keep {
            Some(keep) => {
                std::fs::create_dir_all(keep)?;
                keep.as_path()
            }
            None => temporary.path(),
        };
        let result = self.torture(directory).await?;
        result.print();
        let unexplained = result.unexplained();
        for duplicate in &unexplained {
            println!("  VIOLATION {duplicate}");
        }
        let broken = result.verdict.violations.len() + unexplained.len();
        anyhow::ensure!(broken == 0, "{broken} promises were broken");
        Ok(())
    }

    async fn torture(&self, directory: &Path) -> anyhow::Result<Result> {
        let began = Instant::now();
        let sink = Sink::start_local()?;
        let mut system =
            System::start(self.engine, &self.sluicegate, directory, settings()).await?;
        let api = Api::new(system.api(), TOKEN, SEND_TIMEOUT)?;
        let registered = Registered::create(&api, &sink, self.applications).await?;

        let path = directory.join("ledger.jsonl");
        let ledger = Ledger::create(&path, registered.destinations.clone(), Flush::Disk)?;
        let applications = registered.destinations.keys().cloned().collect();
        let sender = Sender::start(api.clone(), applications, self.load(), Some(ledger))?;
        let kills = self.kill_in_turn(&mut system, &sink).await?;
        sender.stop();
        sender.finish().await?;

        let account = Account::read(&path)?;
        let mut outstanding = Outstanding::of(&account);
        // Whatever is missing when patience ends is named by the verdict.
        let _ = sink.wait_until(DRAIN, |journal| outstanding.is_empty_after(journal)).await;
        quiet(&sink).await;
        let verdict = self.verdict(&account, &sink, &api, &registered).await?;
        system.stop(STOP).await?;
        let attribution = sink.ask(|journal| duplicates::attribute(journal.arrivals(), &kills));
        Ok(Result { kills, attribution, verdict, took: began.elapsed() })
    }

    fn load(&self) -> Load {
        Load { size: self.size, keyed: true, insist: true, timed: false, ..Load::steady(self.rate) }
    }

    async fn kill_in_turn(&self, system: &mut System, sink: &Sink) -> anyhow::Result<Vec<Kill>> {
        let mut random = StdRng::seed_from_u64(self.seed);
        let mut kills = Vec::with_capacity(self.kills);
        sink.wait_for(100, RESUME).await.context("before the first kill")?;
        for number in 0..self.kills {
            let part = self.victim(number, &mut random);
            tokio::time::sleep(Duration::from_millis(random.random_range(300..1500))).await;
            let in_flight = sink.in_flight();
            let at = Instant::now();
            system.kill(part)?;
            // What the dead process had sent reaches the sink's records before it lives again.
            tokio::time::sleep(Duration::from_millis(random.random_range(50..300))).await;
            let restarted = Instant::now();
            system.restart(part).await.with_context(|| format!("after kill {}", number + 1))?;
            let ready = Instant::now();
            let since =
                |journal: &Journal| journal.arrivals().last().map(|arrival| arrival.received);
            let resumed = |journal: &Journal| since(journal).is_some_and(|last| last > ready);
            let seen = sink.wait_until(RESUME, resumed).await;
            seen.with_context(|| format!("nothing is delivered after kill {}", number + 1))?;
            kills.push(Kill {
                victim: part.name().into(),
                explains: part.settles(),
                at,
                restarted,
                in_flight,
                resumed_after: sink.ask(|journal| first_after(journal, restarted)) - at,
            });
        }
        Ok(kills)
    }

    fn victim(&self, number: usize, random: &mut StdRng) -> Part {
        match (self.engine, self.victim) {
            (Engine::Embedded, _) => Part::AllInOne,
            (_, Victim::Gateway) => Part::Gateway,
            (_, Victim::Dispatcher) => Part::Dispatcher,
            (_, Victim::Redis) => Part::Redis,
            (_, Victim::Both) => [Part::Dispatcher, Part::Gateway][number % 2],
            (_, Victim::All) => {
                [Part::Dispatcher, Part::Gateway, Part::Redis][random.random_range(0..3)]
            }
        }
    }

    /// Verifies, after asking the server about each message that seems lost whether it is parked.
    async fn verdict(
        &self,
        account: &Account,
        sink: &Sink,
        api: &Api,
        registered: &Registered,
    ) -> anyhow::Result<Verdict> {
        let arrivals = sink.ask(delivered);
        let first = verify(account, &arrivals, &HashSet::new());
        let applications: HashMap<_, _> =
            account.entries.iter().map(|entry| (&entry.key, &entry.application)).collect();
        let mut parked = HashSet::new();
        for violation in &first.violations {
            if let Violation::Lost { key, message, destination } = violation {
                let failed = api.failed_at(applications[key], message).await.unwrap_or_default();
                if failed.iter().any(|id| registered.endpoints.get(id) == Some(destination)) {
                    parked.insert((message.clone(), destination.clone()));
                }
            }
        }
        Ok(verify(account, &arrivals, &parked))
    }
}

fn settings() -> Vec<(String, String)> {
    let max_in_flight = MAX_IN_FLIGHT.to_string();
    [
        ("MAX_IN_FLIGHT", max_in_flight.as_str()),
        ("LEASE_TTL", "1500ms"),
        ("LEASE_RENEWAL", "400ms"),
        ("RETRY_SCHEDULE", "1s,1s,2s,4s"),
    ]
    .map(|(name, value)| (format!("SLUICEGATE_DISPATCHER__{name}"), value.to_owned()))
    .into()
}

/// The first arrival at or after `moment`; `moment` itself if there is none.
fn first_after(journal: &Journal, moment: Instant) -> Instant {
    let index = journal.arrivals().partition_point(|arrival| arrival.received < moment);
    journal.arrivals().get(index).map_or(moment, |arrival| arrival.received)
}

/// Returns when nothing has come for [`QUIET`], or things come for ever.
async fn quiet(sink: &Sink) {
    let deadline = Instant::now() + DRAIN;
    loop {
        let seen = sink.ask(|journal| journal.arrivals().len());
        let more = sink.wait_until(QUIET, |journal| journal.arrivals().len() > seen).await;
        if more.is_err() || Instant::now() > deadline {
            return;
        }
    }
}

/// What was created through the API.
struct Registered {
    destinations: Destinations,
    /// Paths at the sink by endpoint id.
    endpoints: HashMap<String, String>,
}

impl Registered {
    async fn create(api: &Api, sink: &Sink, applications: usize) -> anyhow::Result<Self> {
        let mut registered = Self { destinations: Destinations::new(), endpoints: HashMap::new() };
        for number in 0..applications {
            let application = api.create_application(&format!("torture {number}")).await?;
            for behaviour in BEHAVIOURS {
                let path = format!("{behaviour}?{number}");
                let endpoint = api.create_endpoint(&application, &sink.url(&path)).await?;
                registered.endpoints.insert(endpoint, path.clone());
                registered.destinations.entry(application.clone()).or_default().push(path);
            }
        }
        Ok(registered)
    }
}

/// Deliveries of acknowledged messages that have not come.
struct Outstanding {
    deliveries: HashSet<(String, String)>,
    /// Arrivals that were looked at.
    looked: usize,
}

impl Outstanding {
    fn of(account: &Account) -> Self {
        let mut deliveries = HashSet::new();
        for entry in &account.entries {
            if let Outcome::Acked { message } = &entry.outcome {
                let paths = account.destinations.get(&entry.application).into_iter().flatten();
                deliveries.extend(paths.map(|path| (message.clone(), path.clone())));
            }
        }
        Self { deliveries, looked: 0 }
    }

    fn is_empty_after(&mut self, journal: &Journal) -> bool {
        for arrival in &journal.arrivals()[self.looked..] {
            if arrival.accepted() {
                let delivery = (arrival.webhook_id.to_string(), arrival.path.to_string());
                self.deliveries.remove(&delivery);
            }
        }
        self.looked = journal.arrivals().len();
        self.deliveries.is_empty()
    }
}

impl Result {
    fn print(&self) {
        println!("kill  victim      in flight  duplicates (≤ {MAX_IN_FLIGHT})  oldest     resumed");
        for (number, kill) in self.kills.iter().enumerate() {
            let repeated = self.attribution.by_kill[number];
            println!(
                "{:>4}  {:<10}  {:>9}  {:>17}  {:>5} ms  {:>5} ms",
                number + 1,
                kill.victim,
                kill.in_flight,
                repeated.count,
                repeated.oldest.as_millis(),
                kill.resumed_after.as_millis(),
            );
        }
        println!("{}", self.verdict);
        println!("{} kills in {:.0} s", self.kills.len(), self.took.as_secs_f64());
    }

    /// Duplicates that no kill explains, or too many for one kill.
    fn unexplained(&self) -> Vec<String> {
        let alone = self.attribution.unexplained.iter();
        let alone = alone.map(|(id, path)| format!("{id} at {path}: repeated without a kill"));
        let counts = self.attribution.by_kill.iter().enumerate();
        let many = counts.filter(|(_, repeated)| repeated.count > MAX_IN_FLIGHT);
        let many = many.map(|(number, repeated)| {
            format!("kill {}: {} duplicates, bound {MAX_IN_FLIGHT}", number + 1, repeated.count)
        });
        alone.chain(many).collect()
    }
}
