//! Loads that are described in files: run, measured, verified, and drawn.
//!
//! ```text
//! description ─▶ server, sink, registration ─▶ publishing + actions ─▶ drain
//!                                                                       │
//!                        table, JSON, plot ◀─ accounts, measure ◀───────┘
//! ```
//!
//! Sender and sink are parts of one process, so that one clock times a message from the moment when
//! it was due to its arrival.

mod accounts;
mod actions;
mod command;
mod deliveries;
pub mod figures;
pub mod knee;
mod machine;
mod measure;
mod plot;
mod progress;
mod publishing;
mod registration;
mod server;
mod table;
mod usage;

use std::{
    convert::Infallible,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Context;
use shared::time::Millis;

pub use self::{command::Run, plot::draw, server::Target};
use self::{
    figures::Figures,
    machine::Machine,
    measure::Seen,
    progress::Progress,
    publishing::{Passed, Publisher},
    registration::Registered,
    server::Server,
    usage::{Usage, Watch},
};
use crate::{
    description::Description, journal::Journal, ledger::Outcome, report::Report, sink::Sink,
};

/// For so long nothing may come any more before it is over; a killed server repeats what it had
/// under way.
const QUIET: Duration = Duration::from_millis(500);
const QUIET_AFTER_ACTIONS: Duration = Duration::from_secs(3);

/// Where the sink listens, and what the server calls it.
#[derive(Debug, Clone)]
pub struct SinkPlace {
    /// Its address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The URL by which the server reaches it, without a path; by default its address.
    pub url: Option<String>,
}

/// Runs a load and reports what it found. Everything that it starts has ended when it returns.
pub async fn run(
    name: &str,
    description: &Description,
    target: &Target,
    place: &SinkPlace,
) -> anyhow::Result<Report<Figures>> {
    target.can_bear(description)?;
    let began = Millis::now().rfc3339();
    let mut server = Server::start(target, description).await?;
    let sink = Sink::start(place.listen)?;
    let url = place.url.clone().unwrap_or_else(|| sink.url(""));
    let creating = Progress::creating(description.endpoints_in_all())?;
    let (registered, signatures) =
        Registered::create(server.api(), description, url.trim_end_matches('/'), || {
            creating.one_more();
        })
        .await?;
    drop(creating);
    if description.verify_signatures {
        sink.verify_signatures(signatures)?;
    }

    let watch = Watch::default();
    watch.running(server.pids());
    let progress = Progress::publishing(name, description)?;
    let api = server.api().clone();
    let publisher = Publisher {
        description,
        api: &api,
        registered: &registered,
        sink: &sink,
        watch: &watch,
        progress: &progress,
    };
    let started = Instant::now();
    let load = async {
        let actions =
            actions::act(&description.actions, started, &mut server, &sink, &registered, &watch);
        let (phases, actions) = tokio::try_join!(publisher.publish(), actions)?;
        progress.phase("drain");
        let patience = Instant::now() + description.drain;
        drain(description, &registered, &sink, &phases, started, patience).await?;
        anyhow::Ok((phases, actions))
    };
    let mut usage = Vec::new();
    let (phases, actions) = tokio::select! {
        done = load => done?,
        never = look_each_second(&watch, &sink, &progress, &mut usage) => match never {},
    };
    drop(progress);

    let journal = sink.take();
    let seen = Seen {
        description,
        registered: &registered,
        started,
        phases: &phases,
        arrivals: journal.arrivals(),
        usage: &usage,
    };
    let measured = seen.measure()?;
    let published = phases.last().context("nothing was published")?.until.at;
    let steps: Vec<_> = phases.iter().filter_map(|phase| phase.step).collect();
    let drained = measured.last_delivery.map(|last| last.saturating_duration_since(published));
    let figures = Figures {
        on: target.name(),
        began,
        machine: Machine::this(),
        versions: server.versions(),
        description: description.clone(),
        phases: measured.phases,
        knee: description.ramp().and_then(|ramp| knee::knee(&steps, ramp)),
        actions,
        drained_seconds: drained.unwrap_or_default().as_secs_f64(),
        accounts: accounts::settle(description, &phases, &registered, &journal),
        series: measured.series,
    };
    let bounds = accounts::bounds(&description.expect, &figures);
    Ok(Report { scenario: name.to_owned(), figures, bounds })
}

/// Looks at processes and arrivals for as long as it is polled.
async fn look_each_second(
    watch: &Watch,
    sink: &Sink,
    progress: &Progress,
    usage: &mut Vec<Usage>,
) -> Infallible {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    loop {
        seconds.tick().await;
        progress.passed(usage.len() as u64, sink.ask(|journal| journal.delivered()));
        usage.push(watch.look());
    }
}

/// Waits until all that is due has come, or `patience` is over, and then until it is quiet.
async fn drain(
    description: &Description,
    registered: &Registered,
    sink: &Sink,
    phases: &[Passed],
    started: Instant,
    patience: Instant,
) -> anyhow::Result<()> {
    let records = phases.iter().flat_map(|phase| &phase.records);
    let acked = records.filter(|record| matches!(record.outcome, Outcome::Acked { .. }));
    let due: usize = acked.map(|record| registered.due(record)).sum();
    // What was sent and stayed unanswered is counted here too, so this alone does not tell.
    let left = patience.saturating_duration_since(Instant::now());
    let _ = sink.wait_for(due, left).await;
    let missing = || {
        sink.ask(|journal| {
            let arrivals = journal.arrivals();
            let seen = Seen { description, registered, started, phases, arrivals, usage: &[] };
            seen.missing()
        })
    };
    while Instant::now() < patience && missing() > 0 {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let quiet = if description.actions.is_empty() { QUIET } else { QUIET_AFTER_ACTIONS };
    loop {
        // Attempts that fail again and again are no news.
        let accepted = |journal: &Journal| journal.delivered() + journal.duplicates();
        let seen = sink.ask(accepted);
        let more = sink.wait_until(quiet, |journal| accepted(journal) > seen).await;
        if more.is_err() || Instant::now() > patience {
            return Ok(());
        }
    }
}
