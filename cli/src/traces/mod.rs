//! Traces: takes the spans that the halves record, and brings them to a collector in batches, by OTLP
//! over HTTP.
//!
//! It never holds up what it tells of: the queue is bounded, and it runs on a thread of its own. What
//! finds no room, or reaches no collector, is dropped and counted.

mod collector;
mod otlp;

use std::time::Duration;

use actix_rt::Arbiter;
use anyhow::Context;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use shared::trace::{Sampling, Span, Spans, Tracer};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout, timeout_at},
};

use self::{collector::Collector, otlp::Resource};
use crate::{arguments::Role, config::TraceSettings, exit::Result};

/// Spans in one request.
const BATCH: usize = 512;
/// How long a batch that is not full waits for more.
const LINGER: Duration = Duration::from_secs(1);

/// How long the last batches may take when the process stops.
const FAREWELL: Duration = Duration::from_secs(3);

/// What exports, for as long as the process runs.
pub(crate) struct Exporter {
    thread: Arbiter,
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

struct Counters {
    exported: IntCounter,
    dropped: IntCounterVec,
}

impl Counters {
    fn register(registry: &Registry) -> prometheus::Result<Self> {
        let exported = IntCounter::new(
            "sluicegate_trace_spans_exported_total",
            "Spans that a collector took",
        )?;
        let opts = Opts::new(
            "sluicegate_trace_spans_dropped_total",
            "Spans that reached no collector, by reason: no room in the queue, or refused",
        );
        let dropped = IntCounterVec::new(opts, &["reason"])?;
        registry.register(Box::new(exported.clone()))?;
        registry.register(Box::new(dropped.clone()))?;
        Ok(Self { exported, dropped })
    }
}

/// What the halves record with, and what exports it if that is configured.
pub(crate) fn start(
    settings: &TraceSettings,
    role: Role,
    registry: &Registry,
) -> Result<(Tracer, Option<Exporter>)> {
    let counters = Counters::register(registry).context("metrics of traces")?;
    let queue_full = counters.dropped.with_label_values(&["queue_full"]);
    let refused = counters.dropped.with_label_values(&["refused"]);
    let tracer = Tracer::new(settings.accept, settings.send);
    let Some(url) = settings.url() else { return Ok((tracer, None)) };
    let sampling = Sampling { ratio: settings.sample_ratio, queue: settings.queue };
    let (tracer, spans) = tracer.recording(sampling, queue_full);
    let collector = Collector::new(url, settings.headers()).context("client of the collector")?;
    let export = Export {
        resource: Resource::new(settings, role),
        collector,
        exported: counters.exported,
        refused,
    };
    let thread = Arbiter::new();
    let ((stop, stopping), (end, ended)) = (oneshot::channel(), oneshot::channel());
    thread.spawn(async move {
        export.run(spans, stopping).await;
        // Who waits for the end may have given up.
        _ = end.send(());
    });
    Ok((tracer, Some(Exporter { thread, stop, ended })))
}

impl Exporter {
    /// Exports what waits, if that takes no longer: a collector that is down holds up no restart.
    pub(crate) async fn stop(self) {
        // It may have ended by itself.
        _ = self.stop.send(());
        if timeout(FAREWELL, self.ended).await.is_err() {
            tracing::warn!("traces.not_exported_in_full");
        }
        self.thread.stop();
    }
}

struct Export {
    resource: Resource,
    collector: Collector,
    exported: IntCounter,
    refused: IntCounter,
}

impl Export {
    async fn run(self, mut spans: Spans, mut stopping: oneshot::Receiver<()>) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                count = spans.recv_many(&mut batch, BATCH) => if count == 0 { return },
                _ = &mut stopping => break,
            }
            let linger = Instant::now() + LINGER;
            while batch.len() < BATCH {
                let room = BATCH - batch.len();
                let more = timeout_at(linger, spans.recv_many(&mut batch, room));
                tokio::select! {
                    more = more => if !matches!(more, Ok(1..)) { break },
                    _ = &mut stopping => break,
                }
            }
            self.send(&mut batch).await;
            if stopping.is_terminated() {
                break;
            }
        }
        spans.close();
        while spans.recv_many(&mut batch, BATCH).await > 0 {
            self.send(&mut batch).await;
        }
    }

    async fn send(&self, batch: &mut Vec<Span>) {
        let count = batch.len() as u64;
        let request = self.resource.request(batch.drain(..));
        match self.collector.send(request).await {
            Ok(rejected) => {
                self.exported.inc_by(count.saturating_sub(rejected));
                self.refused.inc_by(rejected.min(count));
            }
            Err(error) => {
                self.refused.inc_by(count);
                let error = format!("{:#}", anyhow::Error::new(error));
                tracing::warn!(spans = count, error, "traces.not_exported");
            }
        }
    }
}
