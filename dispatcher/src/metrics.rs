//! What the dispatcher counts. Labels come from closed sets only.

use std::sync::Arc;

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, core::Collector,
};
use shared::{
    domain::DisabledReason,
    quota::Quota,
    store::{ErrorKind, Verdict},
};
use tokio::time::Instant;

use crate::{log::Line, operator::Told, outcome::Outcome};

/// Upper bounds in seconds, from 1 ms to the longest timeout.
const SECONDS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// The dispatcher's metrics.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    attempts: IntCounterVec,
    settled: IntCounterVec,
    store_errors: IntCounterVec,
    disabled: IntCounterVec,
    /// Lines that were not logged because there were too many of their kind.
    left_out: IntCounterVec,
    quota: Arc<Quota<Line>>,
    swept: IntCounterVec,
    told: IntCounterVec,
    /// From the start of an attempt to its end.
    pub(crate) attempt_seconds: Histogram,
    /// From the message's acceptance to the end of the attempt that delivered it.
    pub(crate) delivery_seconds: Histogram,
    /// Attempts that have started and not ended.
    pub(crate) in_flight: IntGauge,
    /// Lanes that this node owns.
    pub(crate) lanes: IntGauge,
    /// Deliveries moved from a stream into a waiting set.
    pub(crate) parked: IntCounter,
    /// Deliveries whose endpoints were chosen here.
    pub(crate) fanned_out: IntCounter,
    /// Filters that could not be evaluated for a message.
    pub(crate) filters_failed: IntCounter,
    /// Fan-outs of messages that are gone: nobody can say whom they were for.
    pub(crate) fan_outs_expired: IntCounter,
    /// Deliveries that tasks added, to be sent again.
    pub(crate) replayed: IntCounter,
    /// Deliveries that only the self-check found.
    pub(crate) found: IntCounter,
    /// Breakers that opened.
    pub(crate) breakers_opened: IntCounter,
    /// Breakers that closed again.
    pub(crate) breakers_closed: IntCounter,
    /// Settlements that came to nothing because the delivery was not where it should have been.
    pub(crate) unmatched: IntCounter,
    /// Cells of shared limits that were granted and not used.
    pub(crate) cells_unused: IntCounter,
    /// Lanes that were lost to another node while they were served.
    pub(crate) fenced: IntCounter,
    /// Loads of endpoints whose secrets cannot be read, so that what is for them waits.
    pub(crate) secrets_unreadable: IntCounter,
}

impl Metrics {
    /// Registers all of them.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str| {
            register(registry, IntCounter::new(format!("sluicegate_dispatcher_{name}"), help)?)
        };
        let gauge = |name: &str, help: &str| {
            register(registry, IntGauge::new(format!("sluicegate_dispatcher_{name}"), help)?)
        };
        let counters = |name: &str, help: &str, label: &str| {
            let opts = Opts::new(format!("sluicegate_dispatcher_{name}"), help);
            register(registry, IntCounterVec::new(opts, &[label])?)
        };
        let seconds = |name: &str, help: &str| {
            let opts = HistogramOpts::new(format!("sluicegate_dispatcher_{name}"), help);
            register(registry, Histogram::with_opts(opts.buckets(SECONDS.into()))?)
        };
        let metrics = Self {
            attempts: counters("attempts_total", "Attempts by outcome", "outcome")?,
            settled: counters("deliveries_settled_total", "Settled by verdict", "verdict")?,
            disabled: counters("endpoints_disabled_total", "Disabled by this node", "reason")?,
            told: counters("operational_events_total", "Told to the operator", "result")?,
            store_errors: counters("store_errors_total", "Failed store calls by kind", "kind")?,
            left_out: counters("log_lines_left_out_total", "Log lines not written", "kind")?,
            quota: Arc::default(),
            swept: counters("deliveries_swept_total", "Ended by maintenance", "verdict")?,
            attempt_seconds: seconds("attempt_seconds", "Duration of attempts")?,
            delivery_seconds: seconds("delivery_seconds", "Acceptance to delivery")?,
            in_flight: gauge("attempts_in_flight", "Attempts in flight")?,
            lanes: gauge("lanes_owned", "Lanes that this node owns")?,
            parked: counter("deliveries_parked_total", "Deliveries moved to a waiting set")?,
            fanned_out: counter("deliveries_fanned_out_total", "Deliveries chosen by lanes")?,
            filters_failed: counter(
                "filters_failed_total",
                "Filters of endpoints that could not be evaluated for a message, which they do not get",
            )?,
            fan_outs_expired: counter("fan_outs_expired_total", "Fan-outs of expired messages")?,
            replayed: counter("deliveries_replayed_total", "Deliveries that tasks sent again")?,
            found: counter("selfcheck_found_total", "Deliveries found by the self-check only")?,
            breakers_opened: counter("breakers_opened_total", "Circuit breakers that opened")?,
            breakers_closed: counter("breakers_closed_total", "Circuit breakers that closed")?,
            unmatched: counter("settlements_unmatched_total", "Settlements that changed nothing")?,
            cells_unused: counter("shared_limit_cells_unused_total", "Cells granted, not used")?,
            fenced: counter("lanes_fenced_total", "Lanes lost while they were served")?,
            secrets_unreadable: counter("secrets_unreadable_total", "Endpoints not readable")?,
        };
        for outcome in Outcome::ALL {
            metrics.attempts.with_label_values(&[outcome.name()]).inc_by(0);
        }
        for told in Told::ALL {
            metrics.told(told, 0);
        }
        for reason in DisabledReason::ALL {
            metrics.disabled.with_label_values(&[reason.name()]).inc_by(0);
        }
        for line in Line::ALL {
            metrics.left_out.with_label_values(&[line.name()]).inc_by(0);
        }
        Ok(metrics)
    }

    pub(crate) fn attempted(&self, outcome: Outcome) {
        self.attempts.with_label_values(&[outcome.name()]).inc();
    }

    pub(crate) fn settled(&self, verdict: &Verdict) {
        self.settled.with_label_values(&[name(verdict)]).inc();
    }

    pub(crate) fn swept(&self, verdict: &Verdict, count: usize) {
        self.swept.with_label_values(&[name(verdict)]).inc_by(count as u64);
    }

    pub(crate) fn disabled(&self, reason: DisabledReason) {
        self.disabled.with_label_values(&[reason.name()]).inc();
    }

    /// Whether a line of this kind may be logged now, and then how many were left out before it.
    pub(crate) fn line(&self, line: Line) -> Option<u64> {
        let taken = self.quota.take(line, Instant::now());
        if taken.is_none() {
            self.left_out.with_label_values(&[line.name()]).inc();
        }
        taken
    }

    /// Counts a line that is not logged for another reason.
    pub(crate) fn leave_out(&self, line: Line) {
        self.quota.leave_out(line);
        self.left_out.with_label_values(&[line.name()]).inc();
    }

    pub(crate) fn told(&self, told: Told, count: usize) {
        self.told.with_label_values(&[told.name()]).inc_by(count as u64);
    }

    pub(crate) fn store_error(&self, kind: ErrorKind) {
        self.store_errors.with_label_values(&[kind.name()]).inc();
    }
}

/// The name of a verdict in metrics, logs and traces.
pub(crate) const fn name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Delivered => "delivered",
        Verdict::Retry { .. } => "retry",
        Verdict::Dead(reason) => reason.name(),
        Verdict::Deleted => "deleted",
    }
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: C,
) -> prometheus::Result<C> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
