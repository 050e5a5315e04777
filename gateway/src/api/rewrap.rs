//! Rewrapping: what is secret of all endpoints is sealed anew with the first key, page by page, while
//! everything runs. What is sealed with it already is left alone, so it can be repeated at will.

use actix_web::{HttpResponse, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::{
    domain::Endpoint,
    id::{AppId, EndpointId},
    operational,
    store::{Change, Configuration, Cursor, ErrorKind, Order, PageRequest},
};

use super::{Api, may_decide_again, pause};
use crate::error::{ApiError, Result};

/// Applications that one request looks through.
const PAGE: usize = 100;
/// Endpoints that are written at once: each of them wakes its lane.
const WRITTEN_AT_ONCE: usize = 200;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Query {
    /// Where the page before ended.
    iterator: Option<String>,
}

/// What one page of applications came to.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "RewrapOut")]
pub(super) struct Rewrapped {
    /// Endpoints that were looked at.
    endpoints: usize,
    /// Those that were written.
    rewrapped: usize,
    unreadable: Vec<Unreadable>,
    /// Leads to the next page.
    iterator: Option<String>,
    /// Whether nothing comes behind it.
    done: bool,
}

/// An endpoint that stays as it is.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "UnreadableOut")]
struct Unreadable {
    app_id: AppId,
    endpoint_id: EndpointId,
    reason: String,
}

/// What is to become of an application's endpoints.
#[derive(Default)]
struct Plan {
    endpoints: usize,
    changes: Vec<Change>,
    unreadable: Vec<Unreadable>,
}

impl Plan {
    fn of(api: &Api, configuration: &Configuration) -> Self {
        let app = configuration.application.id;
        let mut plan = Self { endpoints: configuration.endpoints.len(), ..Self::default() };
        for endpoint in configuration.endpoints.values() {
            let mut new = Endpoint::clone(endpoint);
            match new.rewrap(app, &api.keys) {
                Ok(false) => {}
                Ok(true) => plan.changes.push(Change::PutEndpoint(new)),
                Err(error) => plan.unreadable.push(Unreadable {
                    app_id: app,
                    endpoint_id: endpoint.id,
                    reason: error.to_string(),
                }),
            }
        }
        plan
    }
}

/// One page of applications; the first one begins with the operator's endpoints.
pub(super) async fn rewrap_page(
    api: web::Data<Api>,
    query: web::Query<Query>,
) -> Result<HttpResponse> {
    if api.keys.keys().is_empty() {
        let detail = "this gateway has no key to encrypt with: set secrets.keys";
        return Err(ApiError::Conflict(detail.to_owned()));
    }
    let mut all = Rewrapped::default();
    let after = query.into_inner().iterator.map(Cursor);
    if after.is_none() {
        api.rewrap(operational::APPLICATION, &mut all).await?;
    }
    let request = PageRequest { after, order: Order::OldestFirst, limit: PAGE };
    let page = api.store.applications(&request).await.map_err(|error| match error.kind() {
        ErrorKind::NoPlace => ApiError::query("iterator", "is not one of a page before"),
        _ => error.into(),
    })?;
    for (Cursor(place), app) in page.entries {
        api.rewrap(app, &mut all).await?;
        all.iterator = Some(place);
    }
    all.done = page.done;
    Ok(HttpResponse::Ok().json(all))
}

impl Api {
    /// Rewraps an application's endpoints. After each write, and whenever somebody else was faster, it
    /// looks again; it ends because what was rewrapped stays so.
    async fn rewrap(&self, app: AppId, all: &mut Rewrapped) -> Result<()> {
        let mut turn = 0;
        loop {
            pause(turn).await;
            let Some(configuration) = self.store.configuration(app).await? else { return Ok(()) };
            let Plan { endpoints, mut changes, unreadable } = Plan::of(self, &configuration);
            if changes.is_empty() {
                all.endpoints += endpoints;
                all.unreadable.extend(unreadable);
                return Ok(());
            }
            changes.truncate(WRITTEN_AT_ONCE);
            match self.store.commit(app, Some(configuration.version), &changes).await {
                Ok(_) => (all.rewrapped, turn) = (all.rewrapped + changes.len(), 0),
                Err(error) if may_decide_again(&error) && turn < super::MAX_TRIES => turn += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}
