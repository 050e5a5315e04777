//! The load tests' command.

use std::{
    collections::HashSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use loadtests::{
    api::Api,
    floor,
    ledger::{Account, Destinations, Flush, Ledger},
    run::Run,
    scenarios::{
        backlog::Backlog,
        breaker::Breaker,
        endpoints::Endpoints,
        fifo::Fifo,
        hot::Hot,
        lanes::Lanes,
        lists::Lists,
        neighbours::Neighbours,
        paused::Paused,
        rates::Rates,
        throughput::{Floor, Throughput},
        torture::Torture,
    },
    sender::{Load, Sender},
    sink::{ArrivalLine, Sink},
    targets::Targets,
    verify::{Delivered, verify},
};
use url::{Position, Url};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(version, about = "Load generator, receiver, verifier and fault tests")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A receiver that behaves as its paths say and writes down every request
    Sink {
        /// Where it listens
        #[arg(long, default_value = "127.0.0.1:9000")]
        listen: SocketAddr,
    },
    /// Publish messages and keep account of them
    Send(Send),
    /// Compare a sender's account with what came to a sink; fails if a promise was broken
    Verify {
        /// The account
        #[arg(long)]
        ledger: PathBuf,
        /// URL of the sink
        #[arg(long, default_value = "http://127.0.0.1:9000")]
        sink: String,
    },
    /// Loads that are described in files, measured, verified and drawn
    Run(Run),
    /// Messages per second and CPU time for each, next to the floor in the same run
    Throughput(Throughput),
    /// The floor alone: the least that a gateway on these libraries and stores can do
    Floor(Floor),
    /// Every performance target, next to what the machine can do; fails if one is missed
    Targets(Targets),
    /// Kill processes under load and account for every message
    Torture(Torture),
    /// Latency of a healthy endpoint alone and beside endpoints in trouble
    Neighbours(Neighbours),
    /// Lanes shared among dispatchers that are killed, join, and are restarted in turn
    Lanes(Lanes),
    /// A dispatcher that stands still for longer than its leases and goes on
    Paused(Paused),
    /// A receiver that dies with thousands of deliveries due, and comes back
    Breaker(Breaker),
    /// Limits of 1, 10, 100 and 1,000 per second: kept, and used
    Rates(Rates),
    /// Deliveries by the hundred thousand for a dead endpoint, and its neighbour in the lane
    Backlog(Backlog),
    /// 100,000 endpoints with one message each next to one endpoint with all of them
    Endpoints(Endpoints),
    /// Messages in order at a receiver that fails at random, and a dispatcher that is killed
    Fifo(Fifo),
    /// Two busy applications over two dispatchers
    Hot(Hot),
    /// Pages of all lists over a long history, and over a tenth of it
    Lists(Lists),
    /// First half of the floor over Redis
    #[command(hide = true)]
    FloorGateway {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        redis: String,
    },
    /// Second half of the floor over Redis
    #[command(hide = true)]
    FloorDispatcher {
        #[arg(long)]
        redis: String,
        #[arg(long = "target")]
        targets: Vec<String>,
        #[arg(long)]
        max_in_flight: usize,
    },
    /// The floor on the embedded store's engine
    #[command(hide = true)]
    FloorEmbedded {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        directory: PathBuf,
        #[arg(long = "target")]
        targets: Vec<String>,
        #[arg(long)]
        max_in_flight: usize,
    },
}

/// What to publish where.
#[derive(Debug, Args)]
struct Send {
    /// URL of the server
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    server: String,
    /// The API's token
    #[arg(long, env = "SLUICEGATE_API_TOKEN", hide_env_values = true)]
    token: String,
    /// URL of the endpoint to create
    #[arg(long, default_value = "http://127.0.0.1:9000/ok")]
    endpoint: String,
    /// Size of a payload, in bytes
    #[arg(long, default_value_t = 1024)]
    size: usize,
    /// Requests in flight
    #[arg(long, default_value_t = 64)]
    concurrency: usize,
    /// Messages per second; without it as fast as they are acknowledged
    #[arg(long)]
    rate: Option<f64>,
    /// How many messages
    #[arg(long, default_value_t = 10_000)]
    total: u64,
    /// File for the account
    #[arg(long, default_value = "ledger.jsonl")]
    ledger: PathBuf,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loadtests: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let many = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match command {
        Command::Sink { listen } => {
            let sink = Sink::start(listen)?;
            println!("listening on {}", sink.address());
            sink.join();
            Ok(())
        }
        Command::Send(send) => many()?.block_on(send.run()),
        Command::Verify { ledger, sink } => many()?.block_on(compare(&ledger, &sink)),
        Command::Run(loads) => many()?.block_on(loads.run()),
        Command::Throughput(throughput) => many()?.block_on(throughput.run()),
        Command::Torture(torture) => many()?.block_on(torture.run()),
        Command::Neighbours(neighbours) => many()?.block_on(neighbours.run()),
        Command::Lanes(lanes) => many()?.block_on(lanes.run()),
        Command::Paused(paused) => many()?.block_on(paused.run()),
        Command::Breaker(breaker) => many()?.block_on(breaker.run()),
        Command::Rates(rates) => many()?.block_on(rates.run()),
        Command::Backlog(backlog) => many()?.block_on(backlog.run()),
        Command::Endpoints(endpoints) => many()?.block_on(endpoints.run()),
        Command::Fifo(fifo) => many()?.block_on(fifo.run()),
        Command::Hot(hot) => many()?.block_on(hot.run()),
        Command::Lists(lists) => many()?.block_on(lists.run()),
        Command::Floor(floor) => many()?.block_on(floor.run()),
        Command::Targets(targets) => many()?.block_on(targets.run()),
        Command::FloorGateway { listen, redis } => floor::redis::serve_gateway(listen, &redis),
        Command::FloorDispatcher { redis, targets, max_in_flight } => {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?
                .block_on(floor::redis::serve_dispatcher(&redis, &targets, max_in_flight))
        }
        Command::FloorEmbedded { listen, directory, targets, max_in_flight } => {
            floor::embedded::serve(listen, &directory, &targets, max_in_flight)
        }
    }
}

impl Send {
    async fn run(self) -> anyhow::Result<()> {
        let api = Api::new(self.server, self.token, Duration::from_secs(30))?;
        let application = api.create_application("load").await?;
        api.create_endpoint(&application, &self.endpoint).await?;
        let path = Url::parse(&self.endpoint)?[Position::BeforePath..].to_owned();
        let destinations = Destinations::from([(application.clone(), vec![path])]);
        let ledger = Ledger::create(&self.ledger, destinations, Flush::System)?;
        let load = Load {
            size: self.size,
            concurrency: self.concurrency,
            rate: self.rate,
            total: Some(self.total),
            keyed: true,
            timed: false,
            ..Load::steady(1.0)
        };
        let sent = Sender::start(api, vec![application], load, Some(ledger))?.finish().await?;
        println!(
            "acked {}, refused {}, ambiguous {} in {:.1} s: {:.0}/s; ack p50 {:.1} ms, p99 {:.1} ms",
            sent.acked,
            sent.refused,
            sent.ambiguous,
            sent.took.as_secs_f64(),
            sent.acked as f64 / sent.took.as_secs_f64(),
            sent.latencies.value_at_quantile(0.5) as f64 / 1e3,
            sent.latencies.value_at_quantile(0.99) as f64 / 1e3,
        );
        Ok(())
    }
}

async fn compare(ledger: &Path, sink: &str) -> anyhow::Result<()> {
    let account = Account::read(ledger)?;
    let lines = reqwest::get(format!("{sink}/_sink/arrivals")).await?.error_for_status()?;
    let mut arrivals = Vec::new();
    for line in lines.text().await?.lines() {
        let line: ArrivalLine = serde_json::from_str(line).context("not a sink's arrival")?;
        arrivals.push(Delivered {
            webhook_id: line.webhook_id,
            path: line.path,
            sha256: line.sha256,
            accepted: (200..300).contains(&line.status),
        });
    }
    let verdict = verify(&account, &arrivals, &HashSet::new());
    println!("{verdict}");
    if !verdict.violations.is_empty() {
        bail!("{} promises were broken", verdict.violations.len());
    }
    Ok(())
}
