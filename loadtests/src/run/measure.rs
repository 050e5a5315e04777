//! Figures from what was seen: the sender's records, the sink's journal, what processes used.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{
    deliveries::{Delivery, deliveries},
    figures::{PhaseFigures, ProcessFigures, Second},
    publishing::Passed,
    registration::Registered,
    usage::Usage,
};
use crate::{
    description::Description, journal::Arrival, latency::Quantiles, ledger::Outcome, sender::Record,
};

/// What was seen of a whole load.
pub(super) struct Seen<'a> {
    pub(super) description: &'a Description,
    pub(super) registered: &'a Registered,
    pub(super) started: Instant,
    pub(super) phases: &'a [Passed],
    pub(super) arrivals: &'a [Arrival],
    /// What processes had used, each second.
    pub(super) usage: &'a [Usage],
}

/// Figures of phases and seconds.
pub(super) struct Measured {
    pub(super) phases: Vec<PhaseFigures>,
    pub(super) series: Vec<Second>,
    /// When the last delivery came.
    pub(super) last_delivery: Option<Instant>,
}

fn is_acked(record: &Record) -> bool {
    matches!(record.outcome, Outcome::Acked { .. })
}

impl Seen<'_> {
    fn records(&self) -> impl Iterator<Item = &Record> {
        self.phases.iter().flat_map(|phase| &phase.records)
    }

    /// Deliveries that are due and have not come.
    pub(super) fn missing(&self) -> usize {
        let acked = self.records().filter(|record| is_acked(record));
        let due: usize = acked.map(|record| self.registered.due(record)).sum();
        due.saturating_sub(deliveries(self.records(), self.arrivals, self.registered).len())
    }

    /// Computes all of it.
    pub(super) fn measure(&self) -> anyhow::Result<Measured> {
        let deliveries = deliveries(self.records(), self.arrivals, self.registered);
        let mut first = 0;
        let mut phases = Vec::with_capacity(self.phases.len());
        for phase in self.phases {
            let records = first..first + phase.records.len();
            first = records.end;
            let own: Vec<&Delivery> =
                deliveries.iter().filter(|one| records.contains(&one.record)).collect();
            phases.push(self.phase(phase, &own, &deliveries)?);
        }
        Ok(Measured {
            phases,
            series: self.series(&deliveries)?,
            last_delivery: deliveries.last().map(|delivery| delivery.at),
        })
    }

    fn since_start(&self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.started)
    }

    fn phase(
        &self,
        phase: &Passed,
        own: &[&Delivery],
        all: &[Delivery],
    ) -> anyhow::Result<PhaseFigures> {
        let (from, until) = (phase.from.at, phase.until.at);
        let seconds = (until - from).as_secs_f64();
        let records = || phase.records.iter();
        let acked = || records().filter(|record| is_acked(record));
        let count = |is: fn(&Outcome) -> bool| records().filter(|one| is(&one.outcome)).count();
        let within = |moment: Instant| (from..until).contains(&moment);
        let acked_within =
            self.records().filter(|one| is_acked(one) && within(one.answered)).count();
        let delivered_within = all.iter().filter(|delivery| within(delivery.at)).count();
        let due_by_end = self.records().filter(|one| is_acked(one) && one.answered < until);
        let due_by_end: usize = due_by_end.map(|record| self.registered.due(record)).sum();
        let delivered_by_end = all.iter().filter(|delivery| delivery.at < until).count();
        let took = |behaviour: Option<usize>| {
            let wanted = own.iter().filter(move |one| behaviour.is_none_or(|b| b == one.behaviour));
            Quantiles::of_all(wanted.map(|delivery| delivery.took))
        };
        let behaviours = self.description.endpoints.behaviours.iter().enumerate();
        let behaviours = behaviours
            .map(|(index, behaving)| Ok((behaving.name.clone(), took(Some(index))?)))
            .collect::<anyhow::Result<_>>()?;
        Ok(PhaseFigures {
            name: phase.name.clone(),
            warm_up: phase.warm_up,
            from_seconds: self.since_start(from).as_secs_f64(),
            until_seconds: self.since_start(until).as_secs_f64(),
            rate: phase.rate,
            sent: phase.records.len(),
            acked: acked().count(),
            refused: count(|outcome| matches!(outcome, Outcome::Refused { .. })),
            ambiguous: count(|outcome| matches!(outcome, Outcome::Ambiguous { .. })),
            acked_per_second: acked_within as f64 / seconds,
            due: acked().map(|record| self.registered.due(record)).sum(),
            delivered: own.len(),
            delivered_per_second: delivered_within as f64 / seconds,
            backlog: due_by_end.saturating_sub(delivered_by_end),
            ack: Quantiles::of_all(acked().map(|record| record.answered - record.due))?,
            end_to_end: took(None)?,
            behaviours,
            processes: processes(phase, acked_within, delivered_within, seconds),
            fell_behind: phase.step.and_then(|step| step.fell_behind(self.description.ramp()?)),
            step: phase.step,
        })
    }

    /// From the start to the last thing that happened.
    fn series(&self, deliveries: &[Delivery]) -> anyhow::Result<Vec<Second>> {
        let index = |moment: Instant| self.since_start(moment).as_secs() as usize;
        let answers = self.records().map(|record| record.answered);
        let last = answers.chain(deliveries.iter().map(|delivery| delivery.at)).max();
        let seconds = last.map_or(0, |last| index(last) + 1);
        let mut series = vec![Second::default(); seconds];
        let mut due = vec![0usize; seconds];
        let mut acks = vec![Vec::new(); seconds];
        let mut ends = vec![Vec::new(); seconds];
        let mut due_in = Vec::with_capacity(deliveries.len());
        for record in self.records() {
            due_in.push(index(record.due));
            series[index(record.sent)].sent += 1;
            let answered = &mut series[index(record.answered)];
            match &record.outcome {
                Outcome::Acked { .. } => {
                    answered.acked += 1;
                    due[index(record.answered)] += self.registered.due(record);
                    acks[index(record.due)].push(record.answered - record.due);
                }
                Outcome::Refused { .. } => answered.refused += 1,
                Outcome::Ambiguous { .. } => answered.ambiguous += 1,
            }
        }
        for delivery in deliveries {
            series[index(delivery.at)].delivered += 1;
            ends[due_in[delivery.record]].push(delivery.took);
        }
        let (mut due_so_far, mut delivered_so_far) = (0, 0);
        for (number, second) in series.iter_mut().enumerate() {
            second.second = number;
            due_so_far += due[number];
            delivered_so_far += second.delivered;
            second.backlog = due_so_far.saturating_sub(delivered_so_far);
            let quantiles = |times: &mut Vec<Duration>| {
                let times = std::mem::take(times);
                (!times.is_empty()).then(|| Quantiles::of_all(times)).transpose()
            };
            second.ack = quantiles(&mut acks[number])?;
            second.end_to_end = quantiles(&mut ends[number])?;
        }
        for pair in self.usage.windows(2) {
            let Some(second) = series.get_mut(index(pair[0].at)) else { break };
            let seconds = (pair[1].at - pair[0].at).as_secs_f64();
            for (name, used) in &pair[1].processes {
                let before = pair[0].processes.get(name).copied().unwrap_or_default();
                let cpu = used.cpu.saturating_sub(before.cpu).as_secs_f64();
                second.cores.insert(name.clone(), cpu / seconds);
                second.memory_bytes.insert(name.clone(), used.memory);
            }
        }
        Ok(series)
    }
}

fn processes(
    phase: &Passed,
    acked: usize,
    delivered: usize,
    seconds: f64,
) -> BTreeMap<String, ProcessFigures> {
    let of_each = |count: usize, cpu: Duration| match count {
        0 => 0.0,
        count => cpu.as_secs_f64() * 1e6 / count as f64,
    };
    let after = phase.until.processes.iter();
    after
        .map(|(name, used)| {
            let before = phase.from.processes.get(name).copied().unwrap_or_default();
            let cpu = used.cpu.saturating_sub(before.cpu);
            let figures = ProcessFigures {
                cpu_micros_per_message: of_each(acked, cpu),
                cpu_micros_per_delivery: of_each(delivered, cpu),
                cores: cpu.as_secs_f64() / seconds,
                memory_bytes: used.memory,
            };
            (name.clone(), figures)
        })
        .collect()
}
