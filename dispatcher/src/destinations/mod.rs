//! Destinations as an operator sees them: which endpoints are worst off, and how all of them are.
//!
//! Each lane looks at its own endpoints once a second and puts the worst and the sums of the rest on the
//! [`Board`]: a scrape reads that and disturbs nobody. Who wants more than the worst asks the lanes
//! ([`Survey`]).

mod board;
mod gauges;
mod page;

use std::{cmp::Reverse, time::Duration};

pub(crate) use board::{Board, Desk};
pub(crate) use gauges::{Alive, Gauges};
pub use page::{Destinations, Page, Query, QueryError};
pub(crate) use page::{Survey, SurveyAll, Surveyed};
use serde::Deserialize;
use shared::domain::Destination;

use crate::outcome::Sign;

macro_rules! closed_set {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name { $($(#[$variant_doc])* $variant),* }

        impl $name {
            /// All of them, in the order of their numbers.
            pub(crate) const ALL: [Self; [$($text),*].len()] = [$(Self::$variant),*];

            /// The name in metrics.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}
pub(crate) use closed_set;

closed_set! {
    /// How an endpoint is being served.
    State {
        /// As it can take it.
        Serving = "serving",
        /// Its limits hold it up.
        Throttled = "throttled",
        /// The receiver asked for nothing before some time.
        Deferred = "deferred",
        /// Its circuit breaker is open…
        Open = "open",
        /// …or lets one attempt through.
        HalfOpen = "half_open",
        /// Paused or disabled, or its application is, or its secrets cannot be read.
        Closed = "closed",
        /// It is gone, and what waits for it ends.
        Deleted = "deleted",
    }
}

impl State {
    /// Whether somebody wants that nothing is sent.
    pub(crate) const fn waits_on_purpose(self) -> bool {
        match self {
            Self::Closed | Self::Deleted => true,
            Self::Serving | Self::Throttled | Self::Deferred | Self::Open | Self::HalfOpen => false,
        }
    }
}

closed_set! {
    /// How attempts end, in a few classes.
    Class {
        Delivered = "delivered",
        Refused = "refused",
        Busy = "busy",
        Down = "down",
        Unknown = "unknown",
    }
}

impl Class {
    pub(crate) const fn of(sign: Sign) -> Self {
        match sign {
            Sign::Good => Self::Delivered,
            Sign::Refusal => Self::Refused,
            Sign::Busy | Sign::BusyUntil(_) => Self::Busy,
            Sign::Down => Self::Down,
            Sign::Unknown => Self::Unknown,
        }
    }
}

closed_set! {
    /// Which endpoints an alert is for.
    Tier {
        Pinned = "pinned",
        Standard = "standard",
    }
}

closed_set! {
    /// Where deliveries, or queues and endpoints for them, wait in a lane.
    Stage {
        Held = "held",
        Ready = "ready",
        Park = "park",
        Look = "look",
        Credit = "credit",
    }
}

/// Attempts per second, of each class.
pub(crate) type Rates = [f64; Class::ALL.len()];

/// One endpoint.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) destination: Destination,
    pub(crate) tier: Tier,
    pub(crate) state: State,
    /// Deliveries that wait, due or not.
    pub(crate) backlog: u64,
    /// How long the oldest has been due; `None` if none is.
    pub(crate) age: Option<Duration>,
    pub(crate) in_flight: usize,
    pub(crate) rates: Rates,
    pub(crate) limiter_wait: Duration,
    /// Until the next attempt, as far as is known.
    pub(crate) next_attempt: Option<Duration>,
}

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    /// What has been due longest; last what waits on purpose.
    #[default]
    Age,
    /// What has the most deliveries waiting.
    Backlog,
    /// What has the most attempts per second.
    Rate,
}

impl Row {
    /// An endpoint without work.
    pub(crate) fn idle(destination: Destination, tier: Tier) -> Self {
        Self {
            destination,
            tier,
            state: State::Serving,
            backlog: 0,
            age: None,
            in_flight: 0,
            rates: Rates::default(),
            limiter_wait: Duration::ZERO,
            next_attempt: None,
        }
    }

    /// Less is worse.
    fn place(&self, sort: Sort) -> impl Ord + use<> {
        let age = self.age.map_or(0, |age| age.as_millis() as u64);
        let (first, second) = match sort {
            Sort::Age if self.state.waits_on_purpose() => (0, self.backlog),
            Sort::Age => (age + 1, self.backlog),
            Sort::Backlog => (self.backlog, age),
            Sort::Rate => ((self.rates.iter().sum::<f64>() * 1000.0) as u64, self.backlog),
        };
        (Reverse((first, second)), self.destination)
    }
}

/// The worst of them in order, at most so many; the others behind, in any order.
pub(crate) fn worst_first(rows: &mut [Row], most: usize, sort: Sort) {
    let worst = match most {
        0 => return,
        most if most < rows.len() => {
            rows.select_nth_unstable_by_key(most - 1, |row| row.place(sort));
            &mut rows[..most]
        }
        _ => rows,
    };
    worst.sort_unstable_by_key(|row| row.place(sort));
}

/// Of several endpoints: sums, and the greatest.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sums {
    pub(crate) backlog: u64,
    pub(crate) in_flight: usize,
    pub(crate) rates: Rates,
    pub(crate) age: Duration,
    pub(crate) limiter_wait: Duration,
}

impl Sums {
    pub(crate) fn add(&mut self, row: &Row) {
        self.merge(&Self {
            backlog: row.backlog,
            in_flight: row.in_flight,
            rates: row.rates,
            age: row.age.filter(|_| !row.state.waits_on_purpose()).unwrap_or_default(),
            limiter_wait: row.limiter_wait,
        });
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.backlog += other.backlog;
        self.in_flight += other.in_flight;
        self.rates.iter_mut().zip(other.rates).for_each(|(sum, rate)| *sum += rate);
        self.age = self.age.max(other.age);
        self.limiter_wait = self.limiter_wait.max(other.limiter_wait);
    }
}

/// What a lane knows of its endpoints at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Report {
    /// Those that are pinned.
    pub(crate) pinned: Vec<Row>,
    /// The worst of all others, in order.
    pub(crate) worst: Vec<Row>,
    /// All that stand in neither.
    pub(crate) rest: Sums,
    pub(crate) states: [usize; State::ALL.len()],
    pub(crate) stages: [usize; Stage::ALL.len()],
}

impl Report {
    /// Of all endpoints of a lane; `most` of them are shown singly.
    pub(crate) fn new(mut rows: Vec<Row>, most: usize) -> Self {
        let mut report = Self::default();
        rows.iter().for_each(|row| report.states[row.state as usize] += 1);
        report.pinned = rows.extract_if(.., |row| row.tier == Tier::Pinned).collect();
        worst_first(&mut rows, most, Sort::Age);
        for row in rows.drain(most.min(rows.len())..) {
            report.rest.add(&row);
        }
        report.worst = rows;
        report
    }
}

#[cfg(test)]
mod tests {
    use shared::id::{AppId, EndpointId};

    use super::*;

    pub(super) fn row(tier: Tier, seconds: u64, backlog: u64) -> Row {
        let destination = Destination { app: AppId::new(), endpoint: EndpointId::new() };
        let age = Some(Duration::from_secs(seconds)).filter(|age| !age.is_zero());
        Row { age, backlog, in_flight: 1, ..Row::idle(destination, tier) }
    }

    #[test]
    fn the_worst_wait_longest_and_last_come_those_that_nobody_wants_served() {
        let mut rows = [
            Row { state: State::Closed, ..row(Tier::Standard, 9000, 9) },
            row(Tier::Standard, 0, 50),
            row(Tier::Standard, 7, 1),
            row(Tier::Standard, 7, 2),
            row(Tier::Standard, 8, 0),
        ];
        worst_first(&mut rows, 5, Sort::Age);
        let order = rows.each_ref().map(|row| row.backlog);
        assert_eq!(order, [0, 2, 1, 50, 9]);
        worst_first(&mut rows, 2, Sort::Backlog);
        assert_eq!([rows[0].backlog, rows[1].backlog], [50, 9]);
        worst_first(&mut rows, 0, Sort::Rate);
    }

    #[test]
    fn a_report_has_the_pinned_the_worst_and_the_sums_of_the_rest() {
        let rows = vec![
            row(Tier::Standard, 1, 10),
            row(Tier::Pinned, 0, 0),
            row(Tier::Standard, 3, 30),
            row(Tier::Standard, 2, 20),
        ];
        let report = Report::new(rows.clone(), 1);
        assert_eq!((&report.pinned[..], &report.worst[..]), (&rows[1..2], &rows[2..3]));
        let rest =
            Sums { backlog: 30, in_flight: 2, age: Duration::from_secs(2), ..Sums::default() };
        assert_eq!(report.rest, rest);
        assert_eq!(report.states[State::Serving as usize], 4);
        assert_eq!(Report::new(rows, 9).rest, Sums::default());
    }
}
