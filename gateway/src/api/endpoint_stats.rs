//! How an endpoint does, in numbers. Read from counts by the hour, so it costs the same however much was
//! delivered.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::{
    domain::{Destination, Queue, Strand, Tally},
    store::Head,
    time::Millis,
};

use super::{Api, list::parse_time, openapi::Time};
use crate::error::{ApiError, Result};

/// How far back is looked unless the client says otherwise; history lives for less, mostly.
const WINDOW: Duration = Duration::from_secs(28 * 86_400);

/// The hours that count: those of both times with all between.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct WindowQuery {
    /// From the hour of this time on; 28 days before `until`, if it is left out.
    #[schemars(with = "Option<Time>")]
    since: Option<String>,
    /// To the hour of this time; now, if it is left out.
    #[schemars(with = "Option<Time>")]
    until: Option<String>,
}

impl WindowQuery {
    fn read(&self) -> Result<(Millis, Millis)> {
        let time = |text: &Option<String>, name| {
            let time = text.as_deref().map(|text| {
                parse_time(text).ok_or_else(|| ApiError::query(name, "expected an RFC 3339 time"))
            });
            time.transpose()
        };
        let until = time(&self.until, "until")?.unwrap_or_else(Millis::now);
        let since = time(&self.since, "since")?;
        let since = since.unwrap_or(Millis(until.0.saturating_sub(WINDOW.as_millis() as u64)));
        if since > until {
            return Err(ApiError::query("since", "must not lie after `until`"));
        }
        Ok((since, until))
    }
}

/// Deliveries by how they ended, each in the hour when it did.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EndpointStatsOut")]
pub(super) struct StatsOut {
    success: u64,
    /// What waits now, whenever it was published.
    pending: u64,
    /// Always 0: what is under way counts as nothing until it has ended.
    sending: u64,
    /// What became a dead letter.
    fail: u64,
    /// Always 0: nothing is cancelled one by one.
    canceled: u64,
}

/// Attempts by how they ended.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EndpointAttemptStatsOut")]
pub(super) struct AttemptStatsOut {
    success: u64,
    fail: u64,
    /// Always 0: no attempt is cancelled.
    canceled: u64,
}

impl Api {
    /// How many deliveries wait in all queues of an endpoint, and the fronts of its ordered ones.
    pub(super) async fn waiting(&self, of: Destination) -> Result<(u64, Vec<Head>)> {
        let heads = self.store.heads(of).await?;
        let mut waiting: u64 = heads.iter().map(|head| head.waiting).sum();
        for strand in [Strand::Live, Strand::Replay] {
            waiting += self.store.waiting(of.queue(strand)).await?;
        }
        Ok((waiting, heads))
    }

    async fn tally(&self, path: &(String, String), window: &WindowQuery) -> Result<(Queue, Tally)> {
        let (since, until) = window.read()?;
        let queue = self.queue(&path.0, &path.1).await?;
        Ok((queue, self.store.tally(queue.destination(), since, until).await?))
    }
}

pub(super) async fn deliveries(
    api: web::Data<Api>,
    path: web::Path<(String, String)>,
    window: web::Query<WindowQuery>,
) -> Result<HttpResponse> {
    let (queue, tally) = api.tally(&path, &window).await?;
    let (pending, _) = api.waiting(queue.destination()).await?;
    Ok(HttpResponse::Ok().json(StatsOut {
        success: tally.delivered,
        pending,
        sending: 0,
        fail: tally.given_up,
        canceled: 0,
    }))
}

pub(super) async fn attempts(
    api: web::Data<Api>,
    path: web::Path<(String, String)>,
    window: web::Query<WindowQuery>,
) -> Result<HttpResponse> {
    let (_, tally) = api.tally(&path, &window).await?;
    Ok(HttpResponse::Ok().json(AttemptStatsOut {
        success: tally.delivered,
        fail: tally.failed,
        canceled: 0,
    }))
}
