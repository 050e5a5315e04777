//! One measured round: a system is loaded from end to end, and what it delivers is counted while the
//! load is steady, together with the CPU time of its processes.
//!
//! Absolute figures drift with the machine by a fifth between minutes. Whoever compares takes rounds
//! in turns and looks at ratios.

mod series;
mod subject;
mod traffic;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde::Serialize;
use tokio::{sync::Semaphore, task::JoinHandle};

pub use self::{
    series::{Series, Side},
    subject::{Store, Subject},
    traffic::{Traffic, limited},
};
use crate::{
    latency::{self, Quantiles},
    sender::{Load, Sender, Sent},
    sink::Sink,
};

const DRAIN: Duration = Duration::from_secs(120);
const CONCURRENCY: usize = 96;
const BACKLOG: usize = 4096;

/// How messages come.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// As fast as they are delivered: the backlog is bounded, so that what is counted can be
    /// sustained.
    Saturating {
        /// Requests that the sender has in flight.
        concurrency: usize,
        /// Deliveries between sender and sink.
        backlog: usize,
    },
    /// So many per second, whatever becomes of them (an open loop): who is slow is late.
    Rate(f64),
}

impl Pace {
    /// What saturates the machine, and not more.
    pub const SATURATING: Self = Self::Saturating { concurrency: CONCURRENCY, backlog: BACKLOG };
}

/// How a round is made.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// How messages come.
    pub pace: Pace,
    /// Size of a payload, in bytes.
    pub size: usize,
    /// How long the load runs before anything is counted.
    pub warm_up: Duration,
    /// How long is counted.
    pub steady: Duration,
}

/// What a round found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Figures {
    /// Deliveries per second at the sink.
    pub delivered_per_second: f64,
    /// CPU time of all servers for each delivery, in microseconds.
    pub cpu_micros: f64,
    /// The same of each of them.
    pub cpu_micros_of: BTreeMap<String, f64>,
    /// Time until the sender had its acknowledgement; at a rate, since the message was to be sent.
    pub acknowledged: Quantiles,
    /// At a rate: time from when a message was to be sent to its arrival.
    pub end_to_end: Option<Quantiles>,
    /// How long what was left took to be delivered after the last send, in milliseconds.
    pub drain_millis: f64,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>7.0}/s  CPU {:>4.0} µs =", self.delivered_per_second, self.cpu_micros)?;
        for (number, (name, micros)) in self.cpu_micros_of.iter().enumerate() {
            let plus = if number == 0 { "" } else { " +" };
            write!(f, "{plus} {name} {micros:.0}")?;
        }
        let Quantiles { p50_ms, p99_ms, .. } = self.acknowledged;
        write!(f, "  ack p50 {p50_ms:.1} ms p99 {p99_ms:.1} ms")?;
        if let Some(Quantiles { p50_ms, p99_ms, .. }) = self.end_to_end {
            write!(f, "  end to end p50 {p50_ms:.1} ms p99 {p99_ms:.1} ms")?;
        }
        write!(f, "  drained in {:.0} ms", self.drain_millis)
    }
}

impl Round {
    /// A round at saturation of so many seconds, with payloads of 1 KiB.
    pub fn saturating(seconds: f64) -> Self {
        Self {
            pace: Pace::SATURATING,
            size: 1024,
            warm_up: Duration::from_secs(2),
            steady: Duration::from_secs_f64(seconds),
        }
    }

    /// Loads `subject` and measures. Fails if anything is refused, lost or delivered twice.
    pub async fn run(
        &self,
        subject: &Subject,
        traffic: &Traffic,
        sink: &Arc<Sink>,
    ) -> anyhow::Result<Figures> {
        sink.take();
        let permits = match self.pace {
            Pace::Saturating { backlog, .. } => Some(permits(backlog, traffic.fan_out)),
            Pace::Rate(_) => None,
        };
        let refill = permits.as_ref().map(|permits| Refill::start(sink, permits, traffic.fan_out));
        let (api, applications) = (traffic.api.clone(), traffic.applications.clone());
        let sender = Sender::start(api, applications, self.load(traffic, permits), None)?;

        tokio::time::sleep(self.warm_up).await;
        let delivered = || sink.ask(|journal| journal.delivered());
        let (from, before, cpu_before) = (Instant::now(), delivered(), subject.cpu()?);
        tokio::time::sleep(self.steady).await;
        let (until, after, cpu_after) = (Instant::now(), delivered(), subject.cpu()?);

        sender.stop();
        let sent = sender.finish().await?;
        let draining = Instant::now();
        arrived(&sent, traffic, sink).await?;
        let drain_millis = draining.elapsed().as_secs_f64() * 1e3;
        drop(refill);
        let deliveries = (after - before) as f64;
        ensure!(deliveries > 0.0, "nothing was delivered while the load was steady");

        let cpu_micros_of: BTreeMap<_, _> = cpu_after
            .into_iter()
            .map(|(name, time)| {
                let used = time.saturating_sub(cpu_before.get(&name).copied().unwrap_or_default());
                (name, used.as_secs_f64() * 1e6 / deliveries)
            })
            .collect();
        let (acknowledged, end_to_end) = match self.pace {
            Pace::Saturating { .. } => (Quantiles::of(&sent.latencies), None),
            Pace::Rate(_) => (
                latency::acknowledged(&sent.acks, from, until)?,
                Some(sink.ask(|journal| latency::from_due(&sent.acks, journal, from, until))?),
            ),
        };
        Ok(Figures {
            delivered_per_second: deliveries / (until - from).as_secs_f64(),
            cpu_micros: cpu_micros_of.values().sum(),
            cpu_micros_of,
            acknowledged,
            end_to_end,
            drain_millis,
        })
    }

    fn load(&self, traffic: &Traffic, permits: Option<Arc<Semaphore>>) -> Load {
        let (concurrency, rate) = match self.pace {
            Pace::Saturating { concurrency, .. } => (concurrency, None),
            // As many as no server under test leaves unanswered, so that the loop stays open.
            Pace::Rate(rate) => (1024, Some(rate)),
        };
        Load {
            size: self.size,
            concurrency,
            rate,
            keyed: traffic.keyed,
            permits,
            channels: traffic.channels,
            timed: rate.is_some(),
            ..Load::steady(1.0)
        }
    }
}

/// Sends so many messages of 1 KiB, as fast as they are delivered, and tells how long it took from the
/// first send to the last delivery. Fails if anything is refused, lost or delivered twice.
pub async fn through(
    traffic: &Traffic,
    sink: &Arc<Sink>,
    messages: u64,
) -> anyhow::Result<Duration> {
    sink.take();
    let permits = permits(BACKLOG, traffic.fan_out);
    let refill = Refill::start(sink, &permits, traffic.fan_out);
    let load = Round::saturating(0.0).load(traffic, Some(permits));
    let load = Load { total: Some(messages), ..load };
    let (api, applications) = (traffic.api.clone(), traffic.applications.clone());
    let began = Instant::now();
    let sent = Sender::start(api, applications, load, None)?.finish().await?;
    arrived(&sent, traffic, sink).await?;
    let took = began.elapsed();
    drop(refill);
    ensure!(sent.acked == messages, "{} of {messages} were accepted", sent.acked);
    Ok(took)
}

/// Waits until all that was acknowledged has arrived; fails if anything was refused, or came twice.
async fn arrived(sent: &Sent, traffic: &Traffic, sink: &Sink) -> anyhow::Result<()> {
    let Sent { acked, refused, ambiguous, .. } = sent;
    ensure!(*refused == 0 && *ambiguous == 0, "{refused} refused and {ambiguous} ambiguous");
    let expected = *acked as usize * traffic.fan_out;
    sink.wait_for(expected, DRAIN).await.context("the backlog did not drain")?;
    let duplicates = sink.ask(|journal| journal.duplicates());
    ensure!(duplicates == 0, "{duplicates} duplicates");
    Ok(())
}

/// One for each message whose deliveries fit into the backlog.
fn permits(backlog: usize, fan_out: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new((backlog / fan_out).max(1)))
}

/// Gives back a permit for each message whose deliveries have arrived, until it is dropped.
struct Refill(JoinHandle<()>);

impl Refill {
    fn start(sink: &Arc<Sink>, permits: &Arc<Semaphore>, fan_out: usize) -> Self {
        Self(tokio::spawn(refill(sink.clone(), permits.clone(), fan_out)))
    }
}

impl Drop for Refill {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn refill(sink: Arc<Sink>, permits: Arc<Semaphore>, fan_out: usize) {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let mut returned = 0;
    loop {
        ticks.tick().await;
        let delivered = sink.ask(|journal| journal.delivered()) / fan_out;
        permits.add_permits(delivered - returned);
        returned = delivered;
    }
}
