//! What dispatchers say of their destinations, as one list.

use std::{cmp::Ordering, collections::HashSet};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sort {
    /// What has been due longest.
    Age,
    /// What has most deliveries waiting.
    #[default]
    Backlog,
    /// What is attempted most often.
    Rate,
}

impl Sort {
    /// As dispatchers know it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Backlog => "backlog",
            Self::Rate => "rate",
        }
    }
}

/// Attempts per second that ended, by class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct PerSecond {
    pub(super) delivered: f64,
    pub(super) refused: f64,
    pub(super) busy: f64,
    pub(super) down: f64,
    pub(super) unknown: f64,
}

impl PerSecond {
    pub(super) fn failed(&self) -> f64 {
        self.refused + self.busy + self.down + self.unknown
    }

    fn all(&self) -> f64 {
        self.delivered + self.failed()
    }

    fn add(&mut self, more: &Self) {
        self.delivered += more.delivered;
        self.refused += more.refused;
        self.busy += more.busy;
        self.down += more.down;
        self.unknown += more.unknown;
    }
}

/// Sums over all endpoints, those too that are not listed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Totals {
    pub(super) backlog: u64,
    pub(super) in_flight: u64,
    pub(super) per_second: PerSecond,
}

/// An endpoint with work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) app_id: String,
    pub(super) endpoint_id: String,
    pub(super) lane: u16,
    pub(super) state: String,
    #[serde(default)]
    pub(super) pinned: bool,
    pub(super) backlog: u64,
    pub(super) oldest_due_age_seconds: Option<f64>,
    pub(super) in_flight: u64,
    pub(super) per_second: PerSecond,
    #[serde(default)]
    pub(super) limiter_wait_seconds: f64,
    pub(super) next_attempt_seconds: Option<f64>,
}

impl Row {
    /// Whether somebody wants that nothing is sent.
    fn waits_on_purpose(&self) -> bool {
        matches!(self.state.as_str(), "closed" | "deleted")
    }

    /// What comes first is less.
    fn compare(&self, other: &Self, sort: Sort) -> Ordering {
        let age = |row: &Self| row.oldest_due_age_seconds.unwrap_or(-1.0);
        let by_age = age(other).total_cmp(&age(self));
        let by_backlog = other.backlog.cmp(&self.backlog);
        let by_purpose = self.waits_on_purpose().cmp(&other.waits_on_purpose());
        let by_rate = other.per_second.all().total_cmp(&self.per_second.all());
        let order = match sort {
            Sort::Age => by_purpose.then(by_age).then(by_backlog),
            Sort::Backlog => by_backlog.then(by_age),
            Sort::Rate => by_rate.then(by_backlog),
        };
        order.then_with(|| self.endpoint_id.cmp(&other.endpoint_id))
    }
}

/// What one dispatcher answered.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Page {
    pub(super) node: String,
    /// Endpoints with work, those too that are not listed.
    pub(super) total: usize,
    /// Lanes that it owns.
    pub(super) lanes: u16,
    #[serde(default)]
    pub(super) totals: Totals,
    pub(super) destinations: Vec<Row>,
}

/// A dispatcher that was asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Asked {
    /// Without a password.
    pub(super) url: String,
    /// Its name; empty if it did not answer.
    pub(super) node: String,
    pub(super) lanes: u16,
    /// Why there is nothing of it.
    pub(super) error: Option<String>,
}

/// What all of them said.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Board {
    pub(super) sort: Sort,
    pub(super) dispatchers: Vec<Asked>,
    /// Endpoints with work, those too that are not listed.
    pub(super) total: usize,
    pub(super) totals: Totals,
    pub(super) destinations: Vec<Row>,
}

impl Board {
    /// The answers as one list of at most so many.
    pub(super) fn of(
        answers: Vec<(String, Result<Page, String>)>,
        sort: Sort,
        limit: usize,
    ) -> Self {
        let mut board = Self { sort, ..Self::default() };
        let mut nodes = HashSet::new();
        for (url, answer) in answers {
            let mut asked = Asked { url, node: String::new(), lanes: 0, error: None };
            match answer {
                Ok(page) if !nodes.insert(page.node.clone()) => {
                    // Two addresses of the same one count once.
                    asked.node = page.node;
                }
                Ok(page) => {
                    (asked.node, asked.lanes) = (page.node, page.lanes);
                    board.total += page.total;
                    board.totals.backlog += page.totals.backlog;
                    board.totals.in_flight += page.totals.in_flight;
                    board.totals.per_second.add(&page.totals.per_second);
                    board.destinations.extend(page.destinations);
                }
                Err(why) => asked.error = Some(why),
            }
            board.dispatchers.push(asked);
        }
        board.sort_by(sort);
        board.destinations.truncate(limit);
        board
    }

    pub(super) fn sort_by(&mut self, sort: Sort) {
        self.sort = sort;
        self.destinations.sort_by(|one, other| one.compare(other, sort));
    }

    /// How many dispatchers did not answer.
    pub(super) fn silent(&self) -> usize {
        self.dispatchers.iter().filter(|asked| asked.error.is_some()).count()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub(in crate::top) fn row(
        name: &str,
        state: &str,
        backlog: u64,
        age: Option<f64>,
        rate: f64,
    ) -> Row {
        serde_json::from_value(json!({
            "appId": "app_1", "endpointId": name, "lane": 1, "state": state, "pinned": false,
            "backlog": backlog, "oldestDueAgeSeconds": age, "inFlight": 1,
            "perSecond": {"delivered": rate, "refused": 0.0, "busy": 0.0, "down": 0.5, "unknown": 0.0},
            "limiterWaitSeconds": 0.0, "nextAttemptSeconds": null, "ofANewerVersion": 1,
        }))
        .unwrap()
    }

    pub(in crate::top) fn page(node: &str, destinations: Vec<Row>) -> Page {
        let totals =
            json!({"backlog": 10, "inFlight": 2, "perSecond": {"delivered": 1.5, "down": 1.0}});
        let totals = serde_json::from_value(totals).unwrap();
        Page { node: node.to_owned(), total: 7, lanes: 32, totals, destinations }
    }

    pub(in crate::top) fn url(port: u16) -> String {
        format!("http://127.0.0.1:{port}/")
    }

    fn names(board: &Board) -> Vec<&str> {
        board.destinations.iter().map(|row| row.endpoint_id.as_str()).collect()
    }

    #[test]
    fn answers_become_one_list() {
        let one = page(
            "a",
            vec![row("late", "open", 5, Some(60.0), 0.0), row("fast", "serving", 1, None, 90.0)],
        );
        let other = page(
            "b",
            vec![
                row("paused", "closed", 900, Some(4_000.0), 0.0),
                row("deep", "serving", 500, Some(2.0), 7.0),
            ],
        );
        let answers = |limit, sort| {
            let failed = (url(3), Err("no answer".to_owned()));
            let all = [(url(1), Ok(one.clone())), (url(2), Ok(other.clone())), failed];
            Board::of(all.to_vec(), sort, limit)
        };
        let board = answers(50, Sort::Age);
        assert_eq!(names(&board), ["late", "deep", "fast", "paused"]);
        assert_eq!(names(&answers(2, Sort::Backlog)), ["paused", "deep"]);
        assert_eq!(names(&answers(50, Sort::Rate)), ["fast", "deep", "paused", "late"]);
        assert_eq!((board.silent(), board.total, board.totals.backlog), (1, 14, 20));
        assert!((board.totals.per_second.delivered - 3.0).abs() < 1e-9);
        assert!((board.totals.per_second.failed() - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_dispatcher_that_is_asked_twice_counts_once() {
        let one = page("a", vec![row("one", "serving", 1, None, 1.0)]);
        let all = vec![(url(1), Ok(one.clone())), (url(2), Ok(one))];
        let board = Board::of(all, Sort::Age, 50);
        assert_eq!((board.total, board.destinations.len(), board.silent()), (7, 1, 0));
    }
}
