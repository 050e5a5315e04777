//! Publishes messages, at a rate or as fast as they are acknowledged, and keeps account of them.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use hdrhistogram::Histogram;
use tokio::{sync::Semaphore, task::JoinHandle};

use crate::{
    api::{Api, EVENT_TYPE, Event},
    journal::BodyHash,
    ledger::{Ledger, Outcome},
    payload::{SMALLEST, Stuff, mix, payload},
};

/// What is sent.
#[derive(Debug, Clone)]
pub struct Load {
    /// Size of each payload, in bytes; at least 64.
    pub size: usize,
    /// What they are made of.
    pub stuff: Stuff,
    /// Requests in flight at most.
    pub concurrency: usize,
    /// Messages per second; none is as fast as they are acknowledged.
    pub rate: Option<f64>,
    /// Messages in all; none is until stopped.
    pub total: Option<u64>,
    /// Whether each message carries an idempotency key.
    pub keyed: bool,
    /// Whether every second message that stayed unanswered is sent again, under its key, until it
    /// is answered. The others stay ambiguous, so that both ways are tested.
    pub insist: bool,
    /// Each message takes a permit, which whoever owns the semaphore gives back: a bound on the
    /// backlog.
    pub permits: Option<Arc<Semaphore>>,
    /// Type of the messages, which endpoints may filter by.
    pub event_type: &'static str,
    /// Over how many channels the messages of an application go in turn, named `c0`, `c1`, …; 0 for
    /// messages without a channel.
    pub channels: u64,
    /// Whether the moment of each acknowledgement is kept.
    pub timed: bool,
}

impl Load {
    /// Small messages at a steady rate until stopped, the moments of their acknowledgement kept.
    pub fn steady(rate: f64) -> Self {
        Self {
            size: 256,
            stuff: Stuff::Orders,
            concurrency: 64,
            rate: Some(rate),
            total: None,
            keyed: false,
            insist: false,
            permits: None,
            event_type: EVENT_TYPE,
            channels: 0,
            timed: true,
        }
    }
}

/// One acknowledgement.
#[derive(Debug, Clone)]
pub struct Ack {
    /// The message's id.
    pub message: String,
    /// Which of the sender's applications it went to.
    pub application: usize,
    /// When the message was to be sent; without a rate, when it was.
    pub due: Instant,
    /// When the sender had it.
    pub at: Instant,
}

/// One message of a recorded load, and what came of it.
#[derive(Debug, Clone)]
pub struct Record {
    /// The sender's own name for it.
    pub key: String,
    /// Which of the sender's applications it went to.
    pub application: usize,
    /// The number of its channel, if the load has channels.
    pub channel: Option<u64>,
    /// Hash of its payload.
    pub sha256: BodyHash,
    /// When it was to be sent. With a rate that is its turn, even if all requests that may be in
    /// flight still were, so that a server which holds up the sender does not hide how long its
    /// messages take; what the sender's own timer was late by is not counted.
    pub due: Instant,
    /// When its first request began.
    pub sent: Instant,
    /// When it was known what came of it.
    pub answered: Instant,
    /// What came of it.
    pub outcome: Outcome,
}

/// Counts of a sender, readable while it runs.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages acknowledged.
    pub acked: AtomicU64,
    /// Messages definitely refused.
    pub refused: AtomicU64,
    /// Messages whose fate the sender does not know.
    pub ambiguous: AtomicU64,
}

impl Counters {
    fn count(&self, outcome: &Outcome) {
        let counter = match outcome {
            Outcome::Acked { .. } => &self.acked,
            Outcome::Refused { .. } => &self.refused,
            Outcome::Ambiguous { .. } => &self.ambiguous,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// A sender of one load, to some applications in turn, at work on the current tokio runtime.
#[derive(Debug)]
pub struct Sender {
    run: Arc<Run>,
    task: JoinHandle<anyhow::Result<Duration>>,
}

/// What a sender did.
#[derive(Debug)]
pub struct Sent {
    /// Messages acknowledged.
    pub acked: u64,
    /// Messages definitely refused.
    pub refused: u64,
    /// Messages whose fate is open.
    pub ambiguous: u64,
    /// From the first send to the last answer.
    pub took: Duration,
    /// Time to an acknowledgement, in microseconds; at a rate, since the message was to be sent, so that
    /// a server that holds the sender up is not spared what waited meanwhile.
    pub latencies: Histogram<u64>,
    /// Each acknowledgement, if the load was timed.
    pub acks: Vec<Ack>,
    /// Each message, if the load was recorded.
    pub records: Vec<Record>,
}

impl Sender {
    /// Begins to send. The account is kept in `ledger`, if there is one.
    pub fn start(
        api: Api,
        applications: Vec<String>,
        load: Load,
        ledger: Option<Ledger>,
    ) -> anyhow::Result<Self> {
        let sizes = vec![load.size];
        Self::begin(api, applications, load, sizes, ledger, None)
    }

    /// Begins to send payloads of these sizes (in bytes), each as often as the others but in no
    /// order, instead of the load's one size; and keeps a [`Record`] of each message.
    pub fn start_recorded(
        api: Api,
        applications: Vec<String>,
        load: Load,
        sizes: Vec<usize>,
    ) -> anyhow::Result<Self> {
        Self::begin(api, applications, load, sizes, None, Some(Mutex::default()))
    }

    fn begin(
        api: Api,
        applications: Vec<String>,
        load: Load,
        sizes: Vec<usize>,
        ledger: Option<Ledger>,
        records: Option<Mutex<Vec<Record>>>,
    ) -> anyhow::Result<Self> {
        anyhow::ensure!(!applications.is_empty(), "nothing is sent without an application");
        anyhow::ensure!(!sizes.is_empty(), "nothing is sent without a size");
        anyhow::ensure!(
            sizes.iter().all(|size| *size >= SMALLEST),
            "a payload must have at least {SMALLEST} bytes"
        );
        anyhow::ensure!(load.concurrency > 0, "nothing is sent without concurrency");
        let run = Arc::new(Run {
            api,
            applications,
            load,
            sizes,
            ledger,
            number: rand::random(),
            next: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            counters: Counters::default(),
            latencies: Mutex::new(Histogram::new_with_bounds(1, 60_000_000, 3)?),
            acks: Mutex::default(),
            records,
        });
        let task = tokio::spawn(run.clone().all());
        Ok(Self { run, task })
    }

    /// Its counts so far.
    pub fn counters(&self) -> &Counters {
        &self.run.counters
    }

    /// Whether all is sent and answered.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Sends nothing more; what is in flight is still answered.
    pub fn stop(&self) {
        self.run.stopped.store(true, Ordering::Relaxed);
        if let Some(permits) = &self.run.load.permits {
            permits.close();
        }
    }

    /// Waits until the total is sent, or the rest answered after [`stop`](Self::stop), and ends
    /// the account.
    pub async fn finish(self) -> anyhow::Result<Sent> {
        let took = self.task.await??;
        let run = Arc::into_inner(self.run).context("the sender is still at work")?;
        run.ledger.map_or(Ok(()), Ledger::close)?;
        Ok(Sent {
            acked: run.counters.acked.into_inner(),
            refused: run.counters.refused.into_inner(),
            ambiguous: run.counters.ambiguous.into_inner(),
            took,
            latencies: run.latencies.into_inner().unwrap_or_else(PoisonError::into_inner),
            acks: run.acks.into_inner().unwrap_or_else(PoisonError::into_inner),
            records: run.records.map_or_else(Vec::new, |records| {
                records.into_inner().unwrap_or_else(PoisonError::into_inner)
            }),
        })
    }
}

#[derive(Debug)]
struct Run {
    api: Api,
    applications: Vec<String>,
    load: Load,
    sizes: Vec<usize>,
    ledger: Option<Ledger>,
    /// Sets the keys of this run apart from those of others.
    number: u64,
    next: AtomicU64,
    stopped: AtomicBool,
    counters: Counters,
    latencies: Mutex<Histogram<u64>>,
    acks: Mutex<Vec<Ack>>,
    records: Option<Mutex<Vec<Record>>>,
}

impl Run {
    async fn all(self: Arc<Self>) -> anyhow::Result<Duration> {
        let started = tokio::time::Instant::now();
        let tasks: Vec<_> = (0..self.load.concurrency)
            .map(|_| {
                let run = self.clone();
                tokio::spawn(async move { run.send_in_turn(started).await })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        Ok(started.elapsed())
    }

    async fn send_in_turn(&self, started: tokio::time::Instant) -> anyhow::Result<()> {
        while !self.stopped.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if self.load.total.is_some_and(|total| number >= total) {
                break;
            }
            let mut overdue = None;
            if let Some(rate) = self.load.rate {
                let due = started + Duration::from_secs_f64(number as f64 / rate);
                overdue = (due < tokio::time::Instant::now()).then(|| due.into_std());
                tokio::time::sleep_until(due).await;
            }
            if let Some(permits) = &self.load.permits {
                match permits.acquire().await {
                    Ok(permit) => permit.forget(),
                    Err(_closed) => break,
                }
            }
            if self.stopped.load(Ordering::Relaxed) {
                break;
            }
            self.send(number, overdue).await?;
        }
        Ok(())
    }

    async fn send(&self, number: u64, overdue: Option<Instant>) -> anyhow::Result<()> {
        let index = number as usize % self.applications.len();
        let application = &self.applications[index];
        let key = format!("{:016x}-{number}", self.number);
        let size = self.sizes[mix(number) as usize % self.sizes.len()];
        let payload = payload(self.load.stuff, &key, size);
        let accounted = self.ledger.is_some() || self.records.is_some();
        let sha256 = accounted.then(|| BodyHash::of(&payload));
        if let (Some(ledger), Some(sha256)) = (&self.ledger, sha256) {
            ledger.intend(&key, application, sha256).await?;
        }
        let began = Instant::now();
        let due = overdue.unwrap_or(began);
        let mut outcome = self.publish(application, number, &key, &payload).await;
        let insist = self.load.insist && number.is_multiple_of(2);
        if insist && matches!(outcome, Outcome::Ambiguous { .. }) {
            // Written at once: if this process dies while it insists, it has not forgotten.
            self.conclude(&key, &outcome)?;
            outcome = self.insist(application, number, &key, &payload).await;
        }
        let answered = Instant::now();
        self.counters.count(&outcome);
        if let Outcome::Acked { message } = &outcome {
            let micros = answered.saturating_duration_since(due).as_micros() as u64;
            let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
            latencies.saturating_record(micros);
            if self.load.timed {
                let ack = Ack { message: message.clone(), application: index, due, at: answered };
                self.acks.lock().unwrap_or_else(PoisonError::into_inner).push(ack);
            }
        } else if let Some(permits) = &self.load.permits {
            permits.add_permits(1);
        }
        self.conclude(&key, &outcome)?;
        if let (Some(records), Some(sha256)) = (&self.records, sha256) {
            let record = Record {
                key,
                application: index,
                channel: self.channel(number),
                sha256,
                due,
                sent: began,
                answered,
                outcome,
            };
            records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
        }
        Ok(())
    }

    fn channel(&self, number: u64) -> Option<u64> {
        (number / self.applications.len() as u64).checked_rem(self.load.channels)
    }

    async fn publish(&self, application: &str, number: u64, key: &str, payload: &[u8]) -> Outcome {
        let channel = self.channel(number).map(|channel| format!("c{channel}"));
        let event = Event {
            event_type: self.load.event_type,
            channel: channel.as_deref(),
            key: self.load.keyed.then_some(key),
            payload,
        };
        self.api.publish(application, event).await
    }

    /// A refusal says nothing about the try before it, so only an acknowledgement ends this early.
    async fn insist(&self, application: &str, number: u64, key: &str, payload: &[u8]) -> Outcome {
        const TRIES: u32 = 100;
        const PAUSE: Duration = Duration::from_millis(100);
        for _ in 0..TRIES {
            tokio::time::sleep(PAUSE).await;
            let outcome = self.publish(application, number, key, payload).await;
            if matches!(outcome, Outcome::Acked { .. }) {
                return outcome;
            }
        }
        Outcome::Ambiguous { reason: format!("no acknowledgement in {TRIES} more tries") }
    }

    fn conclude(&self, key: &str, outcome: &Outcome) -> anyhow::Result<()> {
        match &self.ledger {
            Some(ledger) => ledger.conclude(key, outcome.clone()),
            None => Ok(()),
        }
    }
}
