//! All destinations, page by page: what an operator asks for, and the answer.

use actix::{Addr, Message};
use serde::{Deserialize, Serialize};
use shared::placement::Lane;

use super::{Class, Rates, Row, Sort, Sums, Tier, worst_first};
use crate::node::Node;

/// Most destinations on a page.
const MOST: usize = 500;
const DEFAULT: usize = 50;

/// What is asked for.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    #[serde(default)]
    sort: Sort,
    limit: Option<usize>,
    #[serde(default)]
    offset: usize,
}

/// What is wrong with a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Too few or too many.
    #[error("limit: use 1 to {MOST}")]
    Limit,
}

/// Asks a lane for the first of its endpoints in an order.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Surveyed")]
pub(crate) struct Survey {
    pub(crate) sort: Sort,
    pub(crate) most: usize,
}

/// A lane's answer.
#[derive(Debug, Default)]
pub(crate) struct Surveyed {
    /// Not more than were asked for, in order.
    pub(crate) rows: Vec<Row>,
    /// How many it has.
    pub(crate) count: usize,
    /// Of all of them.
    pub(crate) sums: Sums,
}

impl Surveyed {
    pub(crate) fn new(mut rows: Vec<Row>, survey: Survey) -> Self {
        let count = rows.len();
        let mut sums = Sums::default();
        rows.iter().for_each(|row| sums.add(row));
        worst_first(&mut rows, survey.most, survey.sort);
        rows.truncate(survey.most);
        Self { rows, count, sums }
    }
}

/// All lanes of this process are asked.
#[derive(Message)]
#[rtype(result = "Vec<Surveyed>")]
pub(crate) struct SurveyAll(pub(crate) Survey);

/// The way to the lanes of a dispatcher that runs.
#[derive(Clone)]
pub struct Destinations {
    node: Addr<Node>,
    name: String,
}

/// A page of destinations.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    node: String,
    total: usize,
    lanes: usize,
    next: Option<usize>,
    totals: Totals,
    destinations: Vec<Shown>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Totals {
    backlog: u64,
    in_flight: usize,
    per_second: PerSecond,
}

#[derive(Debug, Serialize)]
struct PerSecond {
    delivered: f64,
    refused: f64,
    busy: f64,
    down: f64,
    unknown: f64,
}

impl From<Rates> for PerSecond {
    fn from(rates: Rates) -> Self {
        let of = |class: Class| (rates[class as usize] * 1000.0).round() / 1000.0;
        Self {
            delivered: of(Class::Delivered),
            refused: of(Class::Refused),
            busy: of(Class::Busy),
            down: of(Class::Down),
            unknown: of(Class::Unknown),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    app_id: String,
    endpoint_id: String,
    lane: u16,
    state: &'static str,
    pinned: bool,
    backlog: u64,
    oldest_due_age_seconds: Option<f64>,
    in_flight: usize,
    per_second: PerSecond,
    limiter_wait_seconds: f64,
    next_attempt_seconds: Option<f64>,
}

impl From<Row> for Shown {
    fn from(row: Row) -> Self {
        let seconds = |duration: std::time::Duration| duration.as_millis() as f64 / 1000.0;
        let destination = row.destination;
        Self {
            app_id: destination.app.to_string(),
            endpoint_id: destination.endpoint.to_string(),
            lane: Lane::of(destination.app, destination.endpoint).index(),
            state: row.state.name(),
            pinned: row.tier == Tier::Pinned,
            backlog: row.backlog,
            oldest_due_age_seconds: row.age.map(seconds),
            in_flight: row.in_flight,
            per_second: row.rates.into(),
            limiter_wait_seconds: seconds(row.limiter_wait),
            next_attempt_seconds: row.next_attempt.map(seconds),
        }
    }
}

impl Destinations {
    pub(crate) fn new(node: Addr<Node>, name: String) -> Self {
        Self { node, name }
    }

    /// Asks all lanes; those that end meanwhile are left out.
    pub async fn page(&self, query: Query) -> Result<Page, QueryError> {
        let limit = query.limit.unwrap_or(DEFAULT);
        if !(1..=MOST).contains(&limit) {
            return Err(QueryError::Limit);
        }
        let most = query.offset.saturating_add(limit);
        let survey = SurveyAll(Survey { sort: query.sort, most });
        // A node that has ended has no lanes.
        let lanes = self.node.send(survey).await.unwrap_or_default();
        let (mut rows, mut sums, mut total) = (Vec::new(), Sums::default(), 0);
        let count = lanes.len();
        for Surveyed { rows: found, count, sums: of_lane } in lanes {
            rows.extend(found);
            total += count;
            sums.merge(&of_lane);
        }
        worst_first(&mut rows, most, query.sort);
        Ok(Page {
            node: self.name.clone(),
            total,
            lanes: count,
            next: (most < total).then_some(most),
            totals: Totals {
                backlog: sums.backlog,
                in_flight: sums.in_flight,
                per_second: sums.rates.into(),
            },
            destinations: rows
                .into_iter()
                .skip(query.offset)
                .take(limit)
                .map(Shown::from)
                .collect(),
        })
    }
}
