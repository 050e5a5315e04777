//! What the dispatcher counts. Labels come from closed sets only.

use std::{sync::Arc, time::Duration};

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    core::Collector,
};
use shared::{
    domain::{DeadReason, DisabledReason},
    placement::LANES,
    quota::Quota,
    store::{ErrorKind, Verdict},
};
use tokio::time::Instant;

use crate::{destinations::closed_set, log::Line, operator::Told, outcome::Outcome};

/// Upper bounds in seconds, from 1 ms to the longest timeout.
const SECONDS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

closed_set! {
    /// What was in the way of a delivery.
    Reason {
        /// The endpoint takes no more at once, or others wait before it.
        Window = "window",
        Credits = "credits",
        Breaker = "breaker",
        RetryAfter = "retry_after",
        Limits = "limits",
        /// It is disabled or paused.
        Closed = "closed",
        /// All in an ordered queue, or a replay, waits first.
        Order = "order",
        /// The message says so.
        Delayed = "delayed",
    }
}

closed_set! {
    /// Actors whose mailboxes are measured.
    Mailbox {
        Lane = "lane",
        Fetcher = "fetcher",
        Settler = "settler",
    }
}

/// What became of renewing a lease.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Renewal {
    Renewed,
    Lost,
    Failed,
}

/// The dispatcher's metrics.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    attempts: [IntCounter; Outcome::ALL.len()],
    settled: [IntCounter; VERDICTS.len()],
    dead_letters: [IntCounter; DeadReason::ALL.len()],
    deferred: [IntCounter; Reason::ALL.len()],
    store_errors: IntCounterVec,
    disabled: IntCounterVec,
    /// Lines that were not logged because there were too many of their kind.
    left_out: IntCounterVec,
    quota: Arc<Quota<Line>>,
    swept: IntCounterVec,
    told: IntCounterVec,
    renewals: IntCounterVec,
    gained: IntCounterVec,
    mailbox_wait: [Histogram; Mailbox::ALL.len()],
    /// From when a delivery was due to the start of its first attempt.
    pub(crate) queueing_seconds: Histogram,
    /// From the decision to send until body and route were there.
    pub(crate) fetch_seconds: Histogram,
    /// From the end of an attempt until the store agreed.
    pub(crate) settle_seconds: Histogram,
    /// From the start of an attempt to its end.
    pub(crate) attempt_seconds: Histogram,
    /// From the message's acceptance to the end of the attempt that delivered it.
    pub(crate) delivery_seconds: Histogram,
    /// Attempts that have started and not ended.
    pub(crate) in_flight: IntGauge,
    /// Lanes that this node owns.
    pub(crate) lanes: IntGauge,
    /// Dispatchers that are alive.
    pub(crate) nodes: IntGauge,
    /// Lanes given to other nodes that should have them.
    pub(crate) handed_over: IntCounter,
    /// Deliveries that may have been under way when the owner before ended.
    pub(crate) takeover: IntCounter,
    /// Settlements refused because the lane is another node's.
    pub(crate) settlements_fenced: IntCounter,
    /// Bodies to be read; shown with the other queues.
    pub(crate) to_fetch: IntGauge,
    /// Settlements to be written; likewise.
    pub(crate) to_settle: IntGauge,
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
        gauge("lanes", "Lanes of the installation")?.set(LANES.into());
        let mailbox_wait = HistogramOpts::new(
            "sluicegate_dispatcher_mailbox_wait_seconds",
            "How long a message waited in a mailbox",
        );
        let mailbox_wait = HistogramVec::new(mailbox_wait.buckets(SECONDS.into()), &["actor"])?;
        let mailbox_wait = register(registry, mailbox_wait)?;
        let dead = counters("dead_letters_total", "Deliveries given up, by reason", "reason")?;
        let deferred = counters(
            "deferred_total",
            "Deliveries put back to where they wait, by what was in the way",
            "reason",
        )?;
        let attempts = counters("attempts_total", "Attempts by outcome", "outcome")?;
        let settled = counters("deliveries_settled_total", "Settled by verdict", "verdict")?;
        let metrics = Self {
            attempts: children(&attempts, Outcome::ALL.map(Outcome::name)),
            settled: children(&settled, VERDICTS),
            dead_letters: children(&dead, DeadReason::ALL.map(DeadReason::name)),
            deferred: children(&deferred, Reason::ALL.map(Reason::name)),
            mailbox_wait: Mailbox::ALL.map(|of| mailbox_wait.with_label_values(&[of.name()])),
            renewals: counters("lease_renewals_total", "Renewals of leases, by result", "result")?,
            gained: counters("lanes_gained_total", "Lanes taken", "takeover")?,
            queueing_seconds: seconds("queueing_seconds", "Due to the start of the attempt")?,
            fetch_seconds: seconds("fetch_seconds", "Decision to send until all is there for it")?,
            settle_seconds: seconds("settle_seconds", "End of the attempt until it is settled")?,
            nodes: gauge("nodes", "Dispatchers that are alive, as this one sees it")?,
            handed_over: counter("lanes_handed_over_total", "Lanes given to other nodes")?,
            takeover: counter(
                "takeover_deliveries_total",
                "Deliveries first read after an unclean takeover, which may have been sent before",
            )?,
            settlements_fenced: counter(
                "settlements_fenced_total",
                "Settlements refused because the lane is another node's",
            )?,
            to_fetch: IntGauge::new("to_fetch", "Bodies to be read")?,
            to_settle: IntGauge::new("to_settle", "Settlements to be written")?,
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
        for kind in ErrorKind::ALL {
            metrics.store_errors.with_label_values(&[kind.name()]).inc_by(0);
        }
        for verdict in [Verdict::Dead(DeadReason::Expired), Verdict::Deleted] {
            metrics.swept(&verdict, 0);
        }
        for unclean in [false, true] {
            metrics.gained(unclean, 0);
        }
        for renewal in [Renewal::Renewed, Renewal::Lost, Renewal::Failed] {
            metrics.renewed(renewal, 0);
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
        self.attempts[outcome.index()].inc();
    }

    pub(crate) fn settled(&self, verdict: &Verdict) {
        self.settled[index(verdict)].inc();
        if let Verdict::Dead(reason) = verdict {
            self.dead_letters[*reason as usize].inc();
        }
    }

    /// Deliveries were put back.
    pub(crate) fn deferred(&self, reason: Reason, count: usize) {
        if count > 0 {
            self.deferred[reason as usize].inc_by(count as u64);
        }
    }

    /// A message waited so long in a mailbox.
    pub(crate) fn heard(&self, of: Mailbox, waited: Duration) {
        self.mailbox_wait[of as usize].observe(waited.as_secs_f64());
    }

    pub(crate) fn renewed(&self, result: Renewal, count: usize) {
        let result = match result {
            Renewal::Renewed => "renewed",
            Renewal::Lost => "lost",
            Renewal::Failed => "failed",
        };
        self.renewals.with_label_values(&[result]).inc_by(count as u64);
    }

    pub(crate) fn gained(&self, unclean: bool, count: usize) {
        let takeover = if unclean { "unclean" } else { "clean" };
        self.gained.with_label_values(&[takeover]).inc_by(count as u64);
    }

    pub(crate) fn swept(&self, verdict: &Verdict, count: usize) {
        self.swept.with_label_values(&[VERDICTS[index(verdict)]]).inc_by(count as u64);
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

/// What becomes of deliveries, by [`index`]: first what is no death.
const VERDICTS: [&str; 3 + DeadReason::ALL.len()] = {
    let mut names = ["delivered"; 3 + DeadReason::ALL.len()];
    (names[1], names[2]) = ("retry", "deleted");
    let mut nth = 0;
    while nth < DeadReason::ALL.len() {
        names[3 + nth] = DeadReason::ALL[nth].name();
        nth += 1;
    }
    names
};

/// The name of a verdict in metrics, logs and traces.
pub(crate) const fn name(verdict: &Verdict) -> &'static str {
    VERDICTS[index(verdict)]
}

const fn index(verdict: &Verdict) -> usize {
    match verdict {
        Verdict::Delivered => 0,
        Verdict::Retry { .. } => 1,
        Verdict::Deleted => 2,
        Verdict::Dead(reason) => 3 + *reason as usize,
    }
}

fn children<const N: usize>(of: &IntCounterVec, names: [&'static str; N]) -> [IntCounter; N] {
    names.map(|name| of.with_label_values(&[name]))
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: C,
) -> prometheus::Result<C> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
