//! How lanes are shared among dispatchers: the spread over three, one that is killed, one that joins,
//! and a rolling restart of all, under load on every lane.

use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use shared::placement::LANES;

use crate::{
    report::{Bound, Report},
    scenarios::{
        deployment::{Common, Deployment},
        traffic::{Cover, Passed, Traffic},
    },
    sink::Sink,
};

const OWNED: &str = "sluicegate_dispatcher_lanes_owned";
const DISPATCHERS: usize = 3;
const SETTLE_IN: Duration = Duration::from_secs(30);

/// What is done.
#[derive(Debug, Args)]
pub struct Lanes {
    /// Seconds until a dispatcher that is not heard of loses its lanes
    #[arg(long, default_value_t = 3.0)]
    ttl: f64,
    /// Messages per second, each for at least four endpoints
    #[arg(long, default_value_t = 64.0)]
    rate: f64,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Serialize)]
struct Figures {
    /// Lanes that each dispatcher owns.
    spread: Vec<f64>,
    killed: Phase,
    /// From the kill until every lane had delivered something that was published after it.
    served_again_seconds: Option<f64>,
    /// Lanes that each owns after another one joined.
    spread_after_join: Vec<f64>,
    joined: Phase,
    rolled: Phase,
    /// The greatest time from one restart until every lane had delivered.
    rolled_seconds: Vec<Option<f64>>,
}

#[derive(Debug, Serialize)]
struct Phase {
    messages: usize,
    deliveries: usize,
    lost: usize,
    duplicates: usize,
    not_accepted: u64,
}

impl Phase {
    fn of(passed: &Passed) -> Self {
        Self {
            messages: passed.acks.len(),
            deliveries: passed.journal.delivered(),
            lost: passed.lost,
            duplicates: passed.journal.duplicates(),
            not_accepted: passed.not_accepted,
        }
    }

    fn print(&self, name: &str) {
        eprintln!(
            "{name:<7}  {} messages, {} deliveries: lost {}, duplicates {}, not accepted {}",
            self.messages, self.deliveries, self.lost, self.duplicates, self.not_accepted
        );
    }

    fn bounds(&self, name: &str) -> Vec<Bound> {
        vec![
            Bound::at_most(format!("{name}: lost"), self.lost as f64, 0.0),
            Bound::at_most(format!("{name}: not accepted"), self.not_accepted as f64, 0.0),
        ]
    }
}

impl Lanes {
    /// Does it, prints, and fails if a bound is broken.
    pub async fn run(&self) -> anyhow::Result<()> {
        let ttl = Duration::from_secs_f64(self.ttl);
        let (lease, renewal) =
            (format!("{}ms", ttl.as_millis()), format!("{}ms", (ttl / 4).as_millis()));
        let settings = [("lease_ttl", lease.as_str()), ("lease_renewal", renewal.as_str())];
        let mut deployment =
            Deployment::start(&self.common.sluicegate, &settings, DISPATCHERS).await?;
        let (api, sink) = (deployment.api()?, Sink::start_local()?);
        let cover = Cover::create(&api, &sink, "/ok").await?;
        let spread = settled(&deployment, ttl).await?;
        eprintln!("lanes of each: {spread:?}");

        let traffic = Traffic::begin(&api, &cover, &sink, self.rate)?;
        tokio::time::sleep(ttl).await;
        let killed_at = Instant::now();
        deployment.kill()?;
        tokio::time::sleep(ttl * 3).await;
        let passed = traffic.end(&cover, &sink, ttl).await?;
        let killed = Phase::of(&passed);
        let served_again = cover.served_again(&passed, killed_at);
        killed.print("killed");
        eprintln!("every lane served again after {served_again:?}");

        let traffic = Traffic::begin(&api, &cover, &sink, self.rate)?;
        deployment.join().await?;
        let spread_after_join = settled(&deployment, ttl).await?;
        let passed = traffic.end(&cover, &sink, ttl).await?;
        let joined = Phase::of(&passed);
        joined.print("joined");
        eprintln!("lanes of each: {spread_after_join:?}");

        let traffic = Traffic::begin(&api, &cover, &sink, self.rate)?;
        let mut restarts = Vec::new();
        for _ in 0..DISPATCHERS {
            restarts.push(Instant::now());
            deployment.leave().await?;
            deployment.join().await?;
            settled(&deployment, ttl).await?;
        }
        let passed = traffic.end(&cover, &sink, ttl).await?;
        let rolled = Phase::of(&passed);
        rolled.print("rolled");
        let rolled_seconds: Vec<_> = restarts
            .iter()
            .map(|restart| cover.served_again(&passed, *restart).map(|time| time.as_secs_f64()))
            .collect();
        eprintln!("every lane served again after {rolled_seconds:.2?} s");
        deployment.stop().await?;

        let served_again_seconds = served_again.map(|time| time.as_secs_f64());
        let figures = Figures {
            spread,
            killed,
            served_again_seconds,
            spread_after_join,
            joined,
            rolled,
            rolled_seconds,
        };
        Report { scenario: "lanes".into(), bounds: figures.bounds(self.ttl), figures }
            .conclude(self.common.json)
    }
}

impl Figures {
    fn bounds(&self, ttl: f64) -> Vec<Bound> {
        let even = f64::from(LANES) / DISPATCHERS as f64;
        let least = self.spread.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.spread.iter().copied().fold(0.0, f64::max);
        let served = self.served_again_seconds.unwrap_or(f64::INFINITY);
        let mut bounds = vec![
            Bound::at_least("fewest lanes of one dispatcher", least, 0.75 * even),
            Bound::at_most("most lanes of one dispatcher", most, 1.25 * even),
            Bound::at_most("killed: seconds until every lane is served", served, 2.0 * ttl),
        ];
        bounds.extend(self.killed.bounds("killed"));
        for (name, phase) in [("joined", &self.joined), ("rolled", &self.rolled)] {
            bounds.extend(phase.bounds(name));
            let duplicates = phase.duplicates as f64;
            bounds.push(Bound::at_most(format!("{name}: duplicates"), duplicates, 0.0));
        }
        bounds
    }
}

/// Waits until every lane has an owner and nothing has changed for one TTL; gives the lanes of each.
async fn settled(deployment: &Deployment, ttl: Duration) -> anyhow::Result<Vec<f64>> {
    let mut last = (Vec::new(), Instant::now());
    let settled = async |deployment: &Deployment| {
        let owned = deployment.each(OWNED).await?;
        if owned != last.0 {
            last = (owned, Instant::now());
        }
        let all = last.0.iter().sum::<f64>() == f64::from(LANES);
        Ok(all && last.1.elapsed() >= ttl)
    };
    deployment.wait_until("every lane has one owner", SETTLE_IN, settled).await?;
    deployment.each(OWNED).await
}
