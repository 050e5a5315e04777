//! Which message each arrival brought, and how long that took.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use super::registration::Registered;
use crate::{journal::Arrival, ledger::Outcome, sender::Record};

/// The first time that an endpoint accepted an acknowledged message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delivery {
    /// Which of the records.
    pub(super) record: usize,
    /// Which behaviour the endpoint has.
    pub(super) behaviour: usize,
    /// When it came.
    pub(super) at: Instant,
    /// From due to then.
    pub(super) took: Duration,
}

/// All deliveries of these messages, in the order in which they came.
pub(super) fn deliveries<'a>(
    records: impl IntoIterator<Item = &'a Record>,
    arrivals: &[Arrival],
    registered: &Registered,
) -> Vec<Delivery> {
    let acked: HashMap<&str, (usize, Instant)> = records
        .into_iter()
        .enumerate()
        .filter_map(|(index, record)| match &record.outcome {
            Outcome::Acked { message } => Some((message.as_str(), (index, record.due))),
            Outcome::Refused { .. } | Outcome::Ambiguous { .. } => None,
        })
        .collect();
    let mut known = HashSet::<(usize, &str)>::new();
    let mut deliveries = Vec::new();
    for arrival in arrivals.iter().filter(|arrival| arrival.accepted()) {
        let Some((record, due)) = acked.get(&*arrival.webhook_id).copied() else { continue };
        let Some(behaviour) = registered.behaviour_at(&arrival.path) else { continue };
        if known.insert((record, &arrival.path)) {
            let at = arrival.received;
            let took = at.saturating_duration_since(due);
            deliveries.push(Delivery { record, behaviour, at, took });
        }
    }
    deliveries
}
