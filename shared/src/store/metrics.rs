//! What every process measures of the store: each call with its duration, and how the engine is.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::Mutex;
use prometheus::{
    Counter, Gauge, Histogram, HistogramOpts, HistogramVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::{Result, SharedStore, Vital, Vitals};
use crate::time::Millis;

/// How often the engine is asked how it is.
const ASK_EVERY: Duration = Duration::from_secs(10);
/// Upper bounds in seconds.
const SECONDS: [f64; 13] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
const ITEMS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

macro_rules! operations {
    ($($name:ident = $text:literal),* $(,)?) => {
        /// A call of the store.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Operation { $($name),* }

        impl Operation {
            const COUNT: usize = [$($text),*].len();

            const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

operations! {
    Publish = "publish", Resend = "resend", Expunge = "expunge",
    Reader = "reader", Read = "read", Page = "page", Fetch = "fetch", Park = "park",
    Forget = "forget", Expand = "expand", Due = "due", Settle = "settle", Agenda = "agenda",
    States = "states", Heads = "heads", Front = "front", Waiting = "waiting", Depths = "depths",
    Heartbeat = "heartbeat", ForgetNode = "forget_node", Leases = "leases", Acquire = "acquire",
    Renew = "renew", Release = "release", Take = "take", Next = "next",
    Configuration = "configuration", Application = "application", Version = "version", Commit = "commit",
    Index = "index", Claim = "claim", Unindex = "unindex", FindUid = "find_uid",
    Applications = "applications", Document = "document", Documents = "documents",
    PutDocument = "put_document", DeleteDocument = "delete_document", Message = "message",
    Records = "records", FindKey = "find_key", Messages = "messages",
    EndpointAttempts = "endpoint_attempts", MessageAttempts = "message_attempts",
    ExpungeResponses = "expunge_responses", DeadLetters = "dead_letters",
    DeadLetter = "dead_letter", PurgeDeadLetters = "purge_dead_letters", Tally = "tally",
    BeginTask = "begin_task", Task = "task", Tasks = "tasks", CancelTask = "cancel_task",
    OpenTasks = "open_tasks", Remind = "remind", Waits = "waits", AdvanceTask = "advance_task",
    Ready = "ready", Incarnation = "incarnation", Sweep = "sweep", Vitals = "vitals",
}

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Metrics {
    seconds: HistogramVec,
    items: HistogramVec,
    /// The child of each operation that went well, once there is one: nearly all calls do.
    well: Arc<[OnceLock<Histogram>; Operation::COUNT]>,
    batches: Arc<[OnceLock<Histogram>; Operation::COUNT]>,
}

impl Metrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let seconds = HistogramOpts::new(
            "sluicegate_store_operation_duration_seconds",
            "Calls of the store by operation and result, with their duration",
        );
        let seconds = HistogramVec::new(seconds.buckets(SECONDS.into()), &["operation", "result"])?;
        let items = HistogramOpts::new(
            "sluicegate_store_batch_items",
            "Items that one call of the store carried",
        );
        let items = HistogramVec::new(items.buckets(ITEMS.into()), &["operation"])?;
        registry.register(Box::new(seconds.clone()))?;
        registry.register(Box::new(items.clone()))?;
        let none = || Arc::new(std::array::from_fn(|_| OnceLock::new()));
        Ok(Self { seconds, items, well: none(), batches: none() })
    }

    pub(super) fn called<T>(&self, operation: Operation, result: &Result<T>, took: Duration) {
        let child = |result| self.seconds.with_label_values(&[operation.name(), result]);
        let took = took.as_secs_f64();
        match result {
            Ok(_) => self.well[operation as usize].get_or_init(|| child("ok")).observe(took),
            Err(error) => child(error.kind().name()).observe(took),
        }
    }

    pub(super) fn carried(&self, operation: Operation, items: usize) {
        let child = || self.items.with_label_values(&[operation.name()]);
        self.batches[operation as usize].get_or_init(child).observe(items as f64);
    }
}

/// Shows what the engine told last.
#[derive(Clone)]
struct Shown {
    told: Arc<Mutex<Vec<Vital>>>,
    up: Gauge,
    skew: Gauge,
}

impl Shown {
    fn new() -> prometheus::Result<Self> {
        let gauge = |name, help| Gauge::new(name, help);
        Ok(Self {
            told: Arc::default(),
            up: gauge(
                "sluicegate_store_up",
                "Whether the store answered when it was last asked how it is",
            )?,
            skew: gauge(
                "sluicegate_store_clock_skew_seconds",
                "The store's clock less that of this machine",
            )?,
        })
    }

    fn tell(&self, told: Result<Vitals>, asked: Millis, answered: Millis) {
        self.up.set(f64::from(u8::from(told.is_ok())));
        // What is not known any more is not shown.
        let Vitals { clock, vitals } = told.unwrap_or_default();
        if let Some(clock) = clock {
            let ours = u64::midpoint(asked.0, answered.0);
            self.skew.set((clock.0 as f64 - ours as f64) / 1000.0);
        }
        *self.told.lock() = vitals;
    }
}

impl Collector for Shown {
    fn desc(&self) -> Vec<&Desc> {
        self.up.desc().into_iter().chain(self.skew.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let told = self.told.lock();
        let families = told.iter().filter_map(|vital| family(vital).ok()).flatten();
        families.chain(self.up.collect()).chain(self.skew.collect()).collect()
    }
}

fn family(vital: &Vital) -> prometheus::Result<Vec<MetricFamily>> {
    let mut opts = Opts::new(vital.name, vital.help);
    if let Some((name, value)) = vital.label {
        opts = opts.const_label(name, value);
    }
    Ok(match vital.counts {
        true => {
            let counter = Counter::with_opts(opts)?;
            counter.inc_by(vital.value);
            counter.collect()
        }
        false => {
            let gauge = Gauge::with_opts(opts)?;
            gauge.set(vital.value);
            gauge.collect()
        }
    })
}

/// Asks the engine how it is, for as long as anybody has it. Ends when the runtime does.
pub(super) fn watch(store: &SharedStore, registry: &Registry) -> prometheus::Result<()> {
    let shown = Shown::new()?;
    registry.register(Box::new(shown.clone()))?;
    let store = Arc::downgrade(store);
    tokio::spawn(async move {
        while let Some(store) = store.upgrade() {
            let asked = Millis::now();
            let told = store.vitals().await;
            shown.tell(told, asked, Millis::now());
            drop(store);
            tokio::time::sleep(ASK_EVERY).await;
        }
    });
    Ok(())
}
