//! What the board tells, as metrics: made at each scrape, from what stands on the board by then.

use std::sync::Arc;

use prometheus::{
    GaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::{Board, Class, Report, Row, Sort, Stage, State, Sums, Tier, worst_first};
use crate::{credits::Credits, metrics::Metrics};

/// The collector.
pub(crate) struct Gauges {
    board: Arc<Board>,
    credits: Credits,
    metrics: Metrics,
    alive: Vec<(&'static str, Alive)>,
    /// How many endpoints are shown singly, those that are pinned aside.
    most: usize,
    described: Shown,
}

/// Whether an actor lives.
pub(crate) type Alive = Box<dyn Fn() -> bool + Send + Sync>;

impl Gauges {
    pub(crate) fn new(
        board: Arc<Board>,
        credits: Credits,
        metrics: Metrics,
        alive: Vec<(&'static str, Alive)>,
        most: usize,
    ) -> prometheus::Result<Self> {
        Ok(Self { board, credits, metrics, alive, most, described: Shown::new()? })
    }
}

impl Collector for Gauges {
    fn desc(&self) -> Vec<&Desc> {
        self.described.all().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // Made anew each time: what is not there any more leaves no trace.
        let Ok(shown) = Shown::new() else { return Vec::new() };
        let reports = self.board.reports();
        shown.endpoints(&reports, self.most);
        shown.credits(&self.credits);
        for (stage, depth) in
            [("fetch", &self.metrics.to_fetch), ("settle", &self.metrics.to_settle)]
        {
            shown.queue_depth.with_label_values(&[stage]).set(depth.get() as f64);
        }
        shown.actors.with_label_values(&["lane"]).set(reports.len() as f64);
        for (name, alive) in &self.alive {
            shown.actors.with_label_values(&[name]).add(f64::from(u8::from(alive())));
        }
        shown.all().into_iter().flat_map(Collector::collect).collect()
    }
}

/// The families.
struct Shown {
    endpoints: GaugeVec,
    oldest_due: GaugeVec,
    backlog: GaugeVec,
    queue_depth: GaugeVec,
    credits: GaugeVec,
    body_bytes: GaugeVec,
    actors: GaugeVec,
    age: GaugeVec,
    depth: GaugeVec,
    in_flight: GaugeVec,
    per_second: GaugeVec,
    limiter_wait: GaugeVec,
    state: GaugeVec,
}

impl Shown {
    fn new() -> prometheus::Result<Self> {
        let of = |name: &str, help: &str, labels: &[&str]| {
            GaugeVec::new(Opts::new(format!("sluicegate_{name}"), help), labels)
        };
        let one = ["application", "endpoint", "tier"];
        let and = |more| [one[0], one[1], one[2], more];
        Ok(Self {
            endpoints: of("dispatcher_endpoints", "Endpoints with work, by state", &["state"])?,
            oldest_due: of(
                "dispatcher_oldest_due_age_seconds",
                "How long the oldest delivery of any endpoint has been due",
                &["tier"],
            )?,
            backlog: of("dispatcher_backlog_deliveries", "Deliveries that wait", &["tier"])?,
            queue_depth: of(
                "dispatcher_queue_depth",
                "What waits in this process, by stage",
                &["stage"],
            )?,
            credits: of("dispatcher_credits", "The right to hold a delivery", &["state"])?,
            body_bytes: of("dispatcher_body_bytes", "Room for bodies", &["state"])?,
            actors: of("dispatcher_actors", "Actors alive", &["actor"])?,
            age: of(
                "endpoint_oldest_due_age_seconds",
                "How long the endpoint's oldest delivery has been due",
                &one,
            )?,
            depth: of(
                "endpoint_backlog_deliveries",
                "Deliveries that wait for the endpoint",
                &one,
            )?,
            in_flight: of("endpoint_attempts_in_flight", "Attempts under way", &one)?,
            per_second: of(
                "endpoint_attempts_per_second",
                "Attempts that ended, by class, smoothed over 5 s",
                &and("class"),
            )?,
            limiter_wait: of(
                "endpoint_limiter_wait_seconds",
                "How long the endpoint's limits hold up its next attempt",
                &one,
            )?,
            state: of("endpoint_state", "1 for the state that the endpoint is in", &and("state"))?,
        })
    }

    fn all(&self) -> [&GaugeVec; 13] {
        [
            &self.endpoints,
            &self.oldest_due,
            &self.backlog,
            &self.queue_depth,
            &self.credits,
            &self.body_bytes,
            &self.actors,
            &self.age,
            &self.depth,
            &self.in_flight,
            &self.per_second,
            &self.limiter_wait,
            &self.state,
        ]
    }

    fn credits(&self, credits: &Credits) {
        let stock = credits.stock();
        for (gauge, [free, held]) in
            [(&self.credits, stock.deliveries), (&self.body_bytes, stock.bytes)]
        {
            gauge.with_label_values(&["free"]).set(free as f64);
            gauge.with_label_values(&["held"]).set(held as f64);
        }
    }

    fn endpoints(&self, reports: &[Arc<Report>], most: usize) {
        let mut states = [0; State::ALL.len()];
        let mut stages = [0; Stage::ALL.len()];
        let (mut rows, mut rest, mut pinned) = (Vec::new(), Sums::default(), Sums::default());
        for report in reports {
            states.iter_mut().zip(report.states).for_each(|(sum, count)| *sum += count);
            stages.iter_mut().zip(report.stages).for_each(|(sum, count)| *sum += count);
            rows.extend(report.worst.iter().cloned());
            rest.merge(&report.rest);
            for row in &report.pinned {
                pinned.add(row);
                self.endpoint(row);
            }
        }
        for (state, count) in State::ALL.into_iter().zip(states) {
            self.endpoints.with_label_values(&[state.name()]).set(count as f64);
        }
        for (stage, count) in Stage::ALL.into_iter().zip(stages) {
            self.queue_depth.with_label_values(&[stage.name()]).set(count as f64);
        }
        worst_first(&mut rows, most, Sort::Age);
        let mut standard = rest.clone();
        for (nth, row) in rows.iter().enumerate() {
            standard.add(row);
            if nth < most {
                self.endpoint(row);
            } else {
                rest.add(row);
            }
        }
        self.one(["other", "other", Tier::Standard.name()], &rest);
        for (tier, sums) in Tier::ALL.into_iter().zip([pinned, standard]) {
            self.oldest_due.with_label_values(&[tier.name()]).set(sums.age.as_secs_f64());
            self.backlog.with_label_values(&[tier.name()]).set(sums.backlog as f64);
        }
    }

    fn endpoint(&self, row: &Row) {
        let (app, endpoint) =
            (row.destination.app.to_string(), row.destination.endpoint.to_string());
        let one = [app.as_str(), endpoint.as_str(), row.tier.name()];
        let mut sums = Sums::default();
        sums.add(row);
        // Here it is told also of what waits on purpose.
        sums.age = row.age.unwrap_or_default();
        self.one(one, &sums);
        self.state.with_label_values(&[one[0], one[1], one[2], row.state.name()]).set(1.0);
    }

    fn one(&self, one: [&str; 3], sums: &Sums) {
        self.age.with_label_values(&one).set(sums.age.as_secs_f64());
        self.depth.with_label_values(&one).set(sums.backlog as f64);
        self.in_flight.with_label_values(&one).set(sums.in_flight as f64);
        self.limiter_wait.with_label_values(&one).set(sums.limiter_wait.as_secs_f64());
        for (class, rate) in Class::ALL.into_iter().zip(sums.rates) {
            self.per_second.with_label_values(&[one[0], one[1], one[2], class.name()]).set(rate);
        }
    }
}
