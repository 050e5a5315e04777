//! Metrics of the process: what it is, whether it is ready, and what it logs.

use prometheus::{
    GaugeVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    core::{Collector, Desc},
    process_collector::ProcessCollector,
    proto::MetricFamily,
};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{Layer, layer::Context};

use crate::{
    arguments::Role,
    config::{Settings, StoreChoice},
    readiness::Readiness,
};

/// Registers them. Fails if they are registered already.
pub(crate) fn register(
    registry: &Registry,
    settings: &Settings,
    role: Role,
    readiness: Readiness,
) -> prometheus::Result<()> {
    registry.register(Box::new(ProcessCollector::for_self()))?;
    let role = match role {
        Role::AllInOne => "all-in-one",
        Role::Gateway => "gateway",
        Role::Dispatcher => "dispatcher",
    };
    let store = match settings.store {
        StoreChoice::Embedded => "embedded",
        StoreChoice::Redis(_) => "redis",
    };
    let build = Opts::new("sluicegate_build_info", "What this process is; always 1")
        .const_label("version", env!("CARGO_PKG_VERSION"))
        .const_label("role", role)
        .const_label("store", store)
        .const_label("durability", settings.durability.name());
    let build = IntGauge::with_opts(build)?;
    build.set(1);
    registry.register(Box::new(build))?;
    registry.register(Box::new(Wellness::new(readiness)?))
}

/// Whether the process is ready, asked at each scrape.
struct Wellness {
    readiness: Readiness,
    ready: IntGauge,
    parts: GaugeVec,
}

impl Wellness {
    fn new(readiness: Readiness) -> prometheus::Result<Self> {
        let parts = Opts::new("sluicegate_part_alive", "Whether this part of the process is well");
        Ok(Self {
            readiness,
            ready: IntGauge::new("sluicegate_ready", "Whether the process is ready")?,
            parts: GaugeVec::new(parts, &["part"])?,
        })
    }
}

impl Collector for Wellness {
    fn desc(&self) -> Vec<&Desc> {
        self.ready.desc().into_iter().chain(self.parts.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.ready.set(i64::from(self.readiness.wrong().is_empty()));
        for (part, well) in self.readiness.parts() {
            self.parts.with_label_values(&[&part]).set(f64::from(u8::from(well)));
        }
        self.ready.collect().into_iter().chain(self.parts.collect()).collect()
    }
}

/// Counts log lines.
pub(crate) struct LogLines([IntCounter; 5]);

impl LogLines {
    /// Registers the counters.
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let opts = Opts::new("sluicegate_log_lines_total", "Lines written to the log, by level");
        let lines = IntCounterVec::new(opts, &["level"])?;
        registry.register(Box::new(lines.clone()))?;
        let levels = ["error", "warn", "info", "debug", "trace"];
        Ok(Self(levels.map(|level| lines.with_label_values(&[level]))))
    }
}

impl<S: Subscriber> Layer<S> for LogLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let nth = match *event.metadata().level() {
            Level::ERROR => 0,
            Level::WARN => 1,
            Level::INFO => 2,
            Level::DEBUG => 3,
            Level::TRACE => 4,
        };
        self.0[nth].inc();
    }
}
