//! How long messages took from their acknowledgement to the sink.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::{journal::Journal, sender::Ack};

/// Quantiles of some latencies, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// How many there were.
    pub count: u64,
    /// The median.
    pub p50_ms: f64,
    /// The 90th percentile.
    pub p90_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The 99.9th percentile.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Quantiles {
    /// Quantiles of some times.
    pub fn of_all(times: impl IntoIterator<Item = Duration>) -> anyhow::Result<Self> {
        let mut micros = histogram()?;
        for time in times {
            micros.saturating_record(time.as_micros() as u64);
        }
        Ok(Self::of(&micros))
    }

    /// Quantiles of a histogram in microseconds.
    pub fn of(micros: &Histogram<u64>) -> Self {
        Self {
            count: micros.len(),
            p50_ms: micros.value_at_quantile(0.5) as f64 / 1e3,
            p90_ms: micros.value_at_quantile(0.9) as f64 / 1e3,
            p99_ms: micros.value_at_quantile(0.99) as f64 / 1e3,
            p999_ms: micros.value_at_quantile(0.999) as f64 / 1e3,
            max_ms: micros.max() as f64 / 1e3,
        }
    }
}

/// Of microseconds up to ten minutes; what takes longer counts as that.
fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 600_000_000, 3)?)
}

/// From acknowledgement to first arrival, of all messages acknowledged in `from..until`.
///
/// One that arrives before its sender has read the acknowledgement counts as 0. A message that has
/// not arrived is not counted: the caller waits for all of them first.
pub fn end_to_end(
    acks: &[Ack],
    journal: &Journal,
    from: Instant,
    until: Instant,
) -> anyhow::Result<Quantiles> {
    since(acks, journal, from, until, |ack| ack.at)
}

/// The same from the moment when a message was to be sent, of those that were to be in `from..until`.
pub fn from_due(
    acks: &[Ack],
    journal: &Journal,
    from: Instant,
    until: Instant,
) -> anyhow::Result<Quantiles> {
    since(acks, journal, from, until, |ack| ack.due)
}

/// From the moment when a message was to be sent to its acknowledgement, of those that were to be in
/// `from..until`.
pub fn acknowledged(acks: &[Ack], from: Instant, until: Instant) -> anyhow::Result<Quantiles> {
    let mut micros = histogram()?;
    for ack in acks.iter().filter(|ack| (from..until).contains(&ack.due)) {
        micros.saturating_record(ack.at.saturating_duration_since(ack.due).as_micros() as u64);
    }
    Ok(Quantiles::of(&micros))
}

fn since(
    acks: &[Ack],
    journal: &Journal,
    from: Instant,
    until: Instant,
    began: impl Fn(&Ack) -> Instant,
) -> anyhow::Result<Quantiles> {
    let mut arrived = HashMap::<&str, Instant>::new();
    for arrival in journal.arrivals() {
        arrived.entry(&arrival.webhook_id).or_insert(arrival.received);
    }
    let mut micros = histogram()?;
    for ack in acks {
        let began = began(ack);
        if let Some(received) = arrived.get(ack.message.as_str())
            && (from..until).contains(&began)
        {
            let took = received.saturating_duration_since(began);
            micros.saturating_record(took.as_micros() as u64);
        }
    }
    Ok(Quantiles::of(&micros))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::journal::BodyHash;

    #[test]
    fn latency_ends_with_the_first_arrival() {
        let mut journal = Journal::default();
        let started = Instant::now();
        let ack = |message: &str, at| {
            let due = at - Duration::from_millis(100);
            Ack { message: message.into(), application: 0, due, at }
        };
        journal.record("msg_1", "/ok", BodyHash::of(b""), |_| 200);
        journal.record("msg_2", "/ok", BodyHash::of(b""), |_| 200);
        let first = journal.arrivals()[0].received;
        std::thread::sleep(Duration::from_millis(2));
        journal.record("msg_1", "/ok", BodyHash::of(b""), |_| 200);
        let late = first + Duration::from_secs(1);
        let acks = [
            ack("msg_1", first - Duration::from_millis(500)),
            ack("msg_2", late),
            ack("msg_3", started),
        ];
        let from = first - Duration::from_secs(1);
        let all = end_to_end(&acks, &journal, from, late + Duration::from_secs(1)).unwrap();
        assert_eq!(all.count, 2);
        assert!((499.0..502.0).contains(&all.max_ms), "{all:?}");
        let early = end_to_end(&acks, &journal, from, late).unwrap();
        assert_eq!(early.count, 1);
        let acknowledged = acknowledged(&acks, from, late).unwrap();
        assert_eq!(acknowledged.count, 3);
        assert!((99.0..102.0).contains(&acknowledged.p50_ms), "{acknowledged:?}");
        let from_due = from_due(&acks, &journal, from, late).unwrap();
        assert_eq!(from_due.count, 2);
        assert!((599.0..602.0).contains(&from_due.max_ms), "{from_due:?}");
    }
}
