//! What a run found, as `<name>.json` holds it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{actions::Done, knee::Step, machine::Machine};
use crate::{description::Description, latency::Quantiles, verify::AtDestination};

/// All of it.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// The store of an own server, or the URL of another one.
    pub on: String,
    /// When it began, by RFC 3339.
    pub began: String,
    /// What it was measured on.
    pub machine: Machine,
    /// The programs' versions, by name.
    pub versions: BTreeMap<String, String>,
    /// What was run, after scaling.
    pub description: Description,
    /// What came of each phase, and of each step of a ramp.
    pub phases: Vec<PhaseFigures>,
    /// The highest rate of a ramp at which the server kept up, in messages per second.
    pub knee: Option<f64>,
    /// What was done meanwhile.
    pub actions: Vec<Done>,
    /// From the end of the last phase until the last delivery came, in seconds.
    pub drained_seconds: f64,
    /// Whether each message came as it should.
    pub accounts: Accounts,
    /// Each second since the first phase began.
    pub series: Vec<Second>,
}

/// One phase, or one step of a ramp.
#[derive(Debug, Serialize)]
pub struct PhaseFigures {
    /// Its name.
    pub name: String,
    /// Whether it only warmed up.
    pub warm_up: bool,
    /// When it began, in seconds since the first one did.
    pub from_seconds: f64,
    /// When it ended.
    pub until_seconds: f64,
    /// Messages per second that were to be sent.
    pub rate: Option<f64>,
    /// Messages sent.
    pub sent: usize,
    /// Messages acknowledged.
    pub acked: usize,
    /// Messages definitely refused.
    pub refused: usize,
    /// Messages whose fate is open.
    pub ambiguous: usize,
    /// Acknowledged messages per second, by the moment of the acknowledgement.
    pub acked_per_second: f64,
    /// Deliveries of its messages that must arrive.
    pub due: usize,
    /// Deliveries of its messages that arrived, whenever.
    pub delivered: usize,
    /// Deliveries per second, by the moment of arrival.
    pub delivered_per_second: f64,
    /// Deliveries that were due and had not arrived at its end.
    pub backlog: usize,
    /// From due to acknowledged.
    pub ack: Quantiles,
    /// From due to delivered.
    pub end_to_end: Quantiles,
    /// The same for each behaviour, by name.
    pub behaviours: BTreeMap<String, Quantiles>,
    /// What its processes used, by name.
    pub processes: BTreeMap<String, ProcessFigures>,
    /// What it showed as a step of a ramp.
    pub step: Option<Step>,
    /// Why the server fell behind in it, if it did.
    pub fell_behind: Option<String>,
}

/// What one process used in a phase.
#[derive(Debug, Serialize)]
pub struct ProcessFigures {
    /// CPU time for each message acknowledged in the phase, in microseconds.
    pub cpu_micros_per_message: f64,
    /// CPU time for each delivery that came in the phase, in microseconds.
    pub cpu_micros_per_delivery: f64,
    /// Cores that it kept busy, on average.
    pub cores: f64,
    /// Memory that it held at the end (its resident set), in bytes.
    pub memory_bytes: u64,
}

/// Whether each message came as it should.
#[derive(Debug, Serialize)]
pub struct Accounts {
    /// Messages acknowledged.
    pub acked: usize,
    /// Messages definitely refused.
    pub refused: usize,
    /// Messages whose fate the sender does not know, and which came.
    pub ambiguous_delivered: usize,
    /// Messages whose fate the sender does not know, and which did not come.
    pub ambiguous_absent: usize,
    /// Counts of all endpoints together.
    pub all: AtDestination,
    /// Requests without a valid signature; none if that was not asked.
    pub badly_signed: Option<usize>,
    /// Promises broken besides lost and altered ones.
    pub otherwise_broken: usize,
    /// Some of what was broken, in words.
    pub violations: Vec<String>,
    /// The endpoints at which something is amiss, by path and query: a hundred at most.
    pub endpoints: BTreeMap<String, Amiss>,
}

/// Counts of an endpoint at which something is amiss.
#[derive(Debug, Default, Serialize)]
pub struct Amiss {
    /// What came there.
    #[serde(flatten)]
    pub counts: AtDestination,
    /// Requests without a valid signature.
    pub badly_signed: usize,
}

/// One second.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Second {
    /// Its number since the first phase began, from 0.
    pub second: usize,
    /// Messages sent.
    pub sent: usize,
    /// Messages acknowledged.
    pub acked: usize,
    /// Messages refused.
    pub refused: usize,
    /// Messages that nobody answered.
    pub ambiguous: usize,
    /// First deliveries that came.
    pub delivered: usize,
    /// Deliveries that were due at its end and had not come.
    pub backlog: usize,
    /// From due to acknowledged, of the messages that were due in it; none if there are none.
    pub ack: Option<Quantiles>,
    /// From due to delivered, of the messages that were due in it and came; none if there are none.
    pub end_to_end: Option<Quantiles>,
    /// Cores that each process kept busy, by name.
    pub cores: BTreeMap<String, f64>,
    /// Memory that each process held, by name, in bytes.
    pub memory_bytes: BTreeMap<String, u64>,
}
