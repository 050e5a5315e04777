//! How many messages per second go through from end to end, and at what CPU time, next to the
//! bare pipe in the same run.
//!
//! Rounds of both alternate on one redis-server, because a machine drifts between minutes and only
//! the ratio of neighbours means anything. A round counts what the sink receives while the load is
//! steady. The backlog is bounded, so that what is counted can be sustained, and must drain.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Args;
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::{
    api::{Api, EVENT_TYPE},
    process::{Process, Recipe, Role, Sluicegate, cpu_time},
    redis_server::{Fsync, RedisServer, free_port},
    sender::{Load, Sender},
    sink::Sink,
};

const TOKEN: &str = "loadtests-throughput-token";
const WARM_UP: Duration = Duration::from_secs(2);
const DRAIN: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);

/// What is measured.
#[derive(Debug, Args)]
pub struct Throughput {
    /// The command under test
    #[arg(long, default_value = "target/release/sluicegate")]
    sluicegate: PathBuf,
    /// Rounds of each
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of steady load in a round, after 2 s of warming up
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// Size of a payload, in bytes
    #[arg(long, default_value_t = 1024)]
    size: usize,
    /// Requests that the sender has in flight
    #[arg(long, default_value_t = 96)]
    concurrency: usize,
    /// Applications, each with one endpoint, that messages are spread over
    #[arg(long, default_value_t = 8)]
    applications: usize,
    /// Messages that may be acknowledged and not yet delivered
    #[arg(long, default_value_t = 4096)]
    backlog: usize,
    /// Messages carry an idempotency key
    #[arg(long)]
    keyed: bool,
    /// fsync before each reply of Redis, and the durability `disk`, instead of every second
    #[arg(long)]
    disk: bool,
    /// Only the bare pipe
    #[arg(long)]
    pipe_only: bool,
    /// The figures as JSON
    #[arg(long)]
    json: bool,
}

/// One round, or the median of some.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Figures {
    /// Deliveries per second at the sink while the load was steady.
    pub delivered_per_second: f64,
    /// CPU time for each message, in microseconds.
    pub gateway_micros: f64,
    /// The same of Redis.
    pub redis_micros: f64,
    /// The same of the dispatcher.
    pub dispatcher_micros: f64,
    /// Time until the sender had its acknowledgement, median, in microseconds.
    pub ack_p50_micros: f64,
    /// The same, 99th percentile.
    pub ack_p99_micros: f64,
    /// How long what was left took to be delivered after the last send, in milliseconds.
    pub drain_millis: f64,
}

impl Figures {
    fn cpu_micros(&self) -> f64 {
        self.gateway_micros + self.redis_micros + self.dispatcher_micros
    }

    /// The median of each figure by itself.
    fn median(rounds: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| {
            let mut figures: Vec<_> = rounds.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures.get(figures.len() / 2).copied().unwrap_or_default()
        };
        Self {
            delivered_per_second: of(|round| round.delivered_per_second),
            gateway_micros: of(|round| round.gateway_micros),
            redis_micros: of(|round| round.redis_micros),
            dispatcher_micros: of(|round| round.dispatcher_micros),
            ack_p50_micros: of(|round| round.ack_p50_micros),
            ack_p99_micros: of(|round| round.ack_p99_micros),
            drain_millis: of(|round| round.drain_millis),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>7.0}/s  CPU {:>4.0} µs = gateway {:>3.0} + redis {:>3.0} + dispatcher {:>3.0}  \
             ack p50 {:>5.1} ms p99 {:>5.1} ms  drained in {:>4.0} ms",
            self.delivered_per_second,
            self.cpu_micros(),
            self.gateway_micros,
            self.redis_micros,
            self.dispatcher_micros,
            self.ack_p50_micros / 1e3,
            self.ack_p99_micros / 1e3,
            self.drain_millis,
        )
    }
}

/// All rounds.
#[derive(Debug, Default, Serialize)]
pub struct Comparison {
    /// Rounds of the bare pipe.
    pub pipe: Vec<Figures>,
    /// Rounds of Sluicegate.
    pub sluicegate: Vec<Figures>,
    /// Sluicegate's deliveries per second ÷ the pipe's, medians.
    pub throughput_ratio: Option<f64>,
    /// Sluicegate's CPU time for a message ÷ the pipe's, medians.
    pub cpu_ratio: Option<f64>,
}

impl Throughput {
    /// Measures and prints.
    pub async fn run(&self) -> anyhow::Result<()> {
        let comparison = self.measure().await?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&comparison)?);
            return Ok(());
        }
        println!("pipe        {}", Figures::median(&comparison.pipe));
        if let (Some(throughput), Some(cpu)) = (comparison.throughput_ratio, comparison.cpu_ratio) {
            println!("sluicegate  {}", Figures::median(&comparison.sluicegate));
            println!(
                "medians of {}: throughput {throughput:.2} × pipe, CPU {cpu:.2} × pipe",
                self.rounds
            );
        }
        Ok(())
    }

    /// Measures; tells of each round on standard error.
    pub async fn measure(&self) -> anyhow::Result<Comparison> {
        let directory = tempfile::Builder::new().prefix("sluicegate-throughput").tempdir()?;
        let fsync = if self.disk { Fsync::Always } else { Fsync::EverySecond };
        let redis = RedisServer::start(directory.path(), fsync)?;
        let sink = Arc::new(Sink::start_local()?);
        let mut comparison = Comparison::default();
        for round in 1..=self.rounds {
            let pipe = self.pipe(directory.path(), &redis, &sink).await.context("pipe")?;
            eprintln!("{round} pipe        {pipe}");
            comparison.pipe.push(pipe);
            if self.pipe_only {
                continue;
            }
            let ours = self.ours(directory.path(), &redis, &sink).await.context("sluicegate")?;
            eprintln!("{round} sluicegate  {ours}");
            comparison.sluicegate.push(ours);
        }
        if !self.pipe_only {
            let pipe = Figures::median(&comparison.pipe);
            let ours = Figures::median(&comparison.sluicegate);
            comparison.throughput_ratio =
                Some(ours.delivered_per_second / pipe.delivered_per_second);
            comparison.cpu_ratio = Some(ours.cpu_micros() / pipe.cpu_micros());
        }
        Ok(comparison)
    }

    async fn pipe(
        &self,
        directory: &Path,
        redis: &RedisServer,
        sink: &Arc<Sink>,
    ) -> anyhow::Result<Figures> {
        empty(redis).await?;
        let listen = format!("127.0.0.1:{}", free_port()?);
        let url = redis.url();
        let recipe = |name: &str, arguments: &[&str], ready| -> anyhow::Result<Recipe> {
            Ok(Recipe {
                name: name.into(),
                program: std::env::current_exe()?,
                arguments: arguments.iter().map(ToString::to_string).collect(),
                environment: Vec::new(),
                log: directory.join(format!("{name}.log")),
                ready,
            })
        };
        let gateway = recipe(
            "pipe-gateway",
            &["pipe-gateway", "--listen", &listen, "--redis", &url],
            Some(format!("http://{listen}/readyz")),
        )?;
        let target = sink.url("/ok");
        let dispatcher = recipe(
            "pipe-dispatcher",
            &["pipe-dispatcher", "--redis", &url, "--target", &target],
            None,
        )?;
        let gateway = Process::start(gateway).await?;
        let dispatcher = Process::start(dispatcher).await?;
        let api = Api::new(format!("http://{listen}"), TOKEN, DRAIN)?;
        let servers = Servers { gateway: &gateway, redis, dispatcher: &dispatcher };
        self.round(api, vec!["pipe".into()], sink, &servers).await
    }

    async fn ours(
        &self,
        directory: &Path,
        redis: &RedisServer,
        sink: &Arc<Sink>,
    ) -> anyhow::Result<Figures> {
        empty(redis).await?;
        let sluicegate = Sluicegate {
            program: self.sluicegate.clone(),
            store: redis.url(),
            durability: Some(if self.disk { "disk" } else { "process" }.into()),
            token: TOKEN.into(),
            directory: directory.into(),
            settings: Vec::new(),
        };
        let (gateway, url) = sluicegate.recipe(Role::Gateway)?;
        let (dispatcher, _) = sluicegate.recipe(Role::Dispatcher)?;
        let gateway = Process::start(gateway).await?;
        let dispatcher = Process::start(dispatcher).await?;
        let api = Api::new(url, TOKEN, DRAIN)?;
        let mut applications = Vec::new();
        for number in 0..self.applications {
            let application = api.create_application(&format!("load {number}")).await?;
            api.create_endpoint(&application, &sink.url(&format!("/ok?{number}"))).await?;
            applications.push(application);
        }
        let servers = Servers { gateway: &gateway, redis, dispatcher: &dispatcher };
        let figures = self.round(api, applications, sink, &servers).await?;
        dispatcher.stop(STOP).await?;
        gateway.stop(STOP).await?;
        Ok(figures)
    }

    async fn round(
        &self,
        api: Api,
        applications: Vec<String>,
        sink: &Arc<Sink>,
        servers: &Servers<'_>,
    ) -> anyhow::Result<Figures> {
        sink.take();
        let permits = Arc::new(Semaphore::new(self.backlog));
        let load = Load {
            size: self.size,
            concurrency: self.concurrency,
            rate: None,
            total: None,
            keyed: self.keyed,
            insist: false,
            permits: Some(permits.clone()),
            event_type: EVENT_TYPE,
            channels: 0,
            timed: false,
        };
        let refill = tokio::spawn(refill(sink.clone(), permits));
        let cpu = servers.cpu()?;
        let sender = Sender::start(api, applications, load, None)?;

        tokio::time::sleep(WARM_UP).await;
        let delivered = || sink.ask(|journal| journal.delivered());
        let (began, before) = (Instant::now(), delivered());
        tokio::time::sleep(Duration::from_secs_f64(self.seconds)).await;
        let delivered_per_second = (delivered() - before) as f64 / began.elapsed().as_secs_f64();

        sender.stop();
        let sent = sender.finish().await?;
        refill.abort();
        let draining = Instant::now();
        ensure!(sent.acked > 0, "nothing was acknowledged");
        ensure!(
            sent.refused == 0 && sent.ambiguous == 0,
            "{} refused and {} ambiguous",
            sent.refused,
            sent.ambiguous
        );
        sink.wait_for(sent.acked as usize, DRAIN).await.context("the backlog did not drain")?;
        let drain_millis = draining.elapsed().as_secs_f64() * 1e3;
        let duplicates = sink.ask(|journal| journal.duplicates());
        ensure!(duplicates == 0, "{duplicates} duplicates");
        let cpu = servers.cpu()?.since(&cpu);
        let per_message = |time: Duration| time.as_secs_f64() * 1e6 / sent.acked as f64;
        Ok(Figures {
            delivered_per_second,
            gateway_micros: per_message(cpu.gateway),
            redis_micros: per_message(cpu.redis),
            dispatcher_micros: per_message(cpu.dispatcher),
            ack_p50_micros: sent.latencies.value_at_quantile(0.5) as f64,
            ack_p99_micros: sent.latencies.value_at_quantile(0.99) as f64,
            drain_millis,
        })
    }
}

/// Gives back a permit for each delivery.
async fn refill(sink: Arc<Sink>, permits: Arc<Semaphore>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let mut returned = 0;
    loop {
        ticks.tick().await;
        let delivered = sink.ask(|journal| journal.delivered());
        permits.add_permits(delivered - returned);
        returned = delivered;
    }
}

async fn empty(redis: &RedisServer) -> anyhow::Result<()> {
    let client = redis::Client::open(redis.url())?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    Ok(redis::cmd("FLUSHALL").exec_async(&mut connection).await?)
}

/// The processes whose CPU time counts.
struct Servers<'a> {
    gateway: &'a Process,
    redis: &'a RedisServer,
    dispatcher: &'a Process,
}

#[derive(Debug)]
struct Cpu {
    gateway: Duration,
    redis: Duration,
    dispatcher: Duration,
}

impl Servers<'_> {
    fn cpu(&self) -> anyhow::Result<Cpu> {
        Ok(Cpu {
            gateway: cpu_time(self.gateway.pid())?,
            redis: cpu_time(self.redis.pid())?,
            dispatcher: cpu_time(self.dispatcher.pid())?,
        })
    }
}

impl Cpu {
    fn since(&self, earlier: &Self) -> Self {
        Self {
            gateway: self.gateway - earlier.gateway,
            redis: self.redis - earlier.redis,
            dispatcher: self.dispatcher - earlier.dispatcher,
        }
    }
}
