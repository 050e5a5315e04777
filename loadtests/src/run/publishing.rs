//! The phases of a load, one after the other.

use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::task::JoinHandle;

use super::{
    deliveries::deliveries,
    knee::{Step, rates},
    progress::Progress,
    registration::Registered,
    usage::{Usage, Watch},
};
use crate::{
    api::Api,
    description::{Description, Phase, Ramp},
    latency::Quantiles,
    ledger::Outcome,
    sender::{Load, Record, Sender},
    sink::Sink,
};

/// Requests in flight at most in a phase with a rate that names no other bound.
const CONCURRENCY: usize = 512;
/// A ramp's step may take this long to be delivered, even if it is shorter.
const SETTLE: Duration = Duration::from_secs(3);

/// How often it is asked whether a phase has sent all.
const TICK: Duration = Duration::from_millis(5);

/// One phase, or one step of a ramp, that has passed.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) name: String,
    /// Messages per second that were to be sent.
    pub(super) rate: Option<f64>,
    pub(super) warm_up: bool,
    /// What it showed, if it was a step of a ramp.
    pub(super) step: Option<Step>,
    /// While it was published.
    pub(super) from: Usage,
    pub(super) until: Usage,
    pub(super) records: Vec<Record>,
}

/// Publishes phases.
#[derive(Debug)]
pub(super) struct Publisher<'a> {
    pub(super) description: &'a Description,
    pub(super) api: &'a Api,
    pub(super) registered: &'a Registered,
    pub(super) sink: &'a Sink,
    pub(super) watch: &'a Watch,
    pub(super) progress: &'a Progress,
}

impl Publisher<'_> {
    /// All phases. Returns when every request of the last one was answered.
    pub(super) async fn publish(&self) -> anyhow::Result<Vec<Passed>> {
        let mut under_way = Vec::new();
        for phase in &self.description.phases {
            match &phase.ramp {
                None => under_way.push(self.phase(phase).await?),
                Some(ramp) => under_way.extend(self.ramp(phase, ramp).await?),
            }
        }
        let mut passed = Vec::with_capacity(under_way.len());
        for phase in under_way {
            passed.push(phase.finish().await?);
        }
        Ok(passed)
    }

    /// Publishes until the phase ends. What is under way then is answered beside the next phase.
    async fn phase(&self, phase: &Phase) -> anyhow::Result<UnderWay> {
        let total = match (phase.rate, phase.duration) {
            (Some(rate), Some(duration)) => Some((rate * duration.as_secs_f64()).ceil() as u64),
            _ => phase.messages,
        };
        self.progress.phase(&phase.name);
        let (from, sender) = self.begin(phase, phase.rate, total)?;
        let ends = phase.duration.map(|duration| from.at + duration);
        while !sender.is_finished() && ends.is_none_or(|ends| Instant::now() < ends) {
            let left = ends.map_or(TICK, |ends| ends.saturating_duration_since(Instant::now()));
            tokio::time::sleep(TICK.min(left)).await;
        }
        Ok(self.end(phase.name.clone(), phase, phase.rate, from, sender))
    }

    fn begin(
        &self,
        phase: &Phase,
        rate: Option<f64>,
        total: Option<u64>,
    ) -> anyhow::Result<(Usage, Sender)> {
        let sizes = phase.payload_bytes.as_ref().unwrap_or(&self.description.payload_bytes);
        let load = Load {
            // The sizes stand beside the load.
            size: 0,
            concurrency: phase.concurrency.unwrap_or(CONCURRENCY),
            rate,
            total,
            keyed: self.description.idempotency_keys,
            channels: self.registered.channels(),
            timed: false,
            ..Load::steady(1.0)
        };
        let applications = self.registered.applications.clone();
        let from = self.watch.look();
        let sender = Sender::start_recorded(self.api.clone(), applications, load, sizes.clone())?;
        Ok((from, sender))
    }

    fn end(
        &self,
        name: String,
        phase: &Phase,
        rate: Option<f64>,
        from: Usage,
        sender: Sender,
    ) -> UnderWay {
        sender.stop();
        let until = self.watch.look();
        let records = tokio::spawn(async move { Ok(sender.finish().await?.records) });
        let warm_up = phase.warm_up;
        let phase = Passed { name, rate, warm_up, step: None, from, until, records: Vec::new() };
        UnderWay::Open { phase, records }
    }

    /// Steps until the server falls behind. Each begins when all of the one before has arrived, or
    /// when it is clear that it does not.
    async fn ramp(&self, phase: &Phase, ramp: &Ramp) -> anyhow::Result<Vec<UnderWay>> {
        let mut steps = Vec::new();
        for rate in rates(ramp) {
            let name = format!("{} {rate:.0}/s", phase.name);
            self.progress.phase(&name);
            let seen = self.sink.ask(|journal| journal.arrivals().len());
            let total = (rate * ramp.step.as_secs_f64()).ceil() as u64;
            let (from, sender) = self.begin(phase, Some(rate), Some(total))?;
            tokio::time::sleep_until((from.at + ramp.step).into()).await;
            let mut passed = self.end(name, phase, Some(rate), from, sender).finish().await?;
            let step = self.judge(&passed, rate, seen, ramp).await?;
            passed.step = Some(step);
            steps.push(UnderWay::Answered(passed));
            if step.fell_behind(ramp).is_some() {
                break;
            }
        }
        Ok(steps)
    }

    /// What a step showed, once all of it has arrived or had the time to.
    async fn judge(
        &self,
        passed: &Passed,
        rate: f64,
        seen: usize,
        ramp: &Ramp,
    ) -> anyhow::Result<Step> {
        let (from, until) = (passed.from.at, passed.until.at);
        let acked = |record: &&Record| matches!(record.outcome, Outcome::Acked { .. });
        let due = |records: &mut dyn Iterator<Item = &Record>| -> usize {
            records.map(|record| self.registered.due(record)).sum()
        };
        let all = due(&mut passed.records.iter().filter(acked));
        let in_time = |record: &&Record| acked(record) && record.answered < until;
        let due_at_end = due(&mut passed.records.iter().filter(in_time));
        let accepted = passed.records.iter().filter(acked).count() as f64;
        let deadline = Instant::now() + ramp.step.max(SETTLE);
        loop {
            let came = self.sink.ask(|journal| {
                deliveries(&passed.records, &journal.arrivals()[seen..], self.registered)
            });
            let complete = came.len() >= all;
            if !complete && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            let before_end = came.iter().filter(|delivery| delivery.at < until).count();
            let seconds = (until - from).as_secs_f64();
            let per_second = all as f64 / seconds;
            let waiting = due_at_end.saturating_sub(before_end) as f64;
            let took = Quantiles::of_all(came.iter().map(|delivery| delivery.took))?;
            return Ok(Step {
                rate,
                accepted: accepted / ramp.step.as_secs_f64(),
                waiting_seconds: if per_second > 0.0 { waiting / per_second } else { 0.0 },
                complete,
                p99_ms: took.p99_ms,
            });
        }
    }
}

/// A phase whose last requests may not be answered yet.
enum UnderWay {
    Answered(Passed),
    Open { phase: Passed, records: JoinHandle<anyhow::Result<Vec<Record>>> },
}

impl UnderWay {
    async fn finish(self) -> anyhow::Result<Passed> {
        match self {
            Self::Answered(passed) => Ok(passed),
            Self::Open { phase, records } => {
                Ok(Passed { records: records.await.context("a sender")??, ..phase })
            }
        }
    }
}
