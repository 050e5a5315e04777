//! Sending many messages again: recover, replay missing, bulk replay, and all dead letters. Each begins a
//! task, or says with `?dryRun=true` how much one would send.

use actix_web::{HttpResponse, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::{
    domain::{AttemptStatus, DeadReason, Endpoint, Limit, Selection, Task, TaskKind, TrackedTask},
    id::TaskId,
    selection::Selecting,
    store::{Begun, Configuration},
    time::Millis,
};

use super::{
    Api,
    attempt::Status,
    background_task::TaskOut,
    find_endpoint,
    list::parse_time,
    openapi::{Name, Time},
};
use crate::{
    error::{ApiError, Result},
    ingest::{Body, Faults},
};

/// A dry run looks at so many messages, or a few more.
const MOST_LOOKED_AT: u64 = 5_000;
/// Tasks of one endpoint that run side by side.
const MOST_RUNNING: usize = 16;
const MAX_EVENT_TYPES: usize = 64;

/// Which messages are to be sent again.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ReplayIn", extend("examples" = [{"since": "2026-01-01T00:00:00Z"}]))]
pub(super) struct SelectionIn {
    /// From when on.
    #[schemars(with = "Time")]
    since: Option<String>,
    /// Now, where it is not given.
    #[schemars(with = "Option<Time>")]
    until: Option<String>,
    #[schemars(with = "Option<Vec<Name>>", length(max = MAX_EVENT_TYPES))]
    event_types: Option<Vec<String>>,
    channel: Option<String>,
    tag: Option<String>,
    /// For bulk-replay: those that succeeded (0) or failed (2).
    #[schemars(extend("enum" = [0, 2, null]))]
    status: Option<u8>,
    /// For bulk-replay: those whose last answer was of this class.
    #[schemars(extend("enum" = [0, 100, 200, 300, 400, 500, null]))]
    status_code_class: Option<u16>,
    /// For dead letters.
    reason: Option<DeadReason>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DryRun {
    /// Say how many messages it would be, and begin nothing.
    dry_run: Option<bool>,
}

impl SelectionIn {
    /// What is to be sent. A task never looks at what comes after its beginning: it would meet what it
    /// sends itself.
    fn selection(&self, kind: TaskKind, now: Millis, since_needed: bool) -> Result<Selection> {
        let mut faults = Faults::default();
        if kind != TaskKind::Recover && self.reason.is_some() {
            faults.add("reason", "only dead letters have one: leave it out");
        }
        if kind != TaskKind::BulkReplay && self.status.is_some() {
            faults.add("status", "for bulk-replay only: leave it out");
        }
        if kind != TaskKind::BulkReplay && self.status_code_class.is_some() {
            faults.add("statusCodeClass", "for bulk-replay only: leave it out");
        }
        let mut time = |name, text: Option<&String>| {
            let time = text.map(|text| (text, parse_time(text)));
            if let Some((text, None)) = time {
                faults.add(name, format!("expected an RFC 3339 time, not `{text}`"));
            }
            time.and_then(|(_, time)| time)
        };
        let (since, until) =
            (time("since", self.since.as_ref()), time("until", self.until.as_ref()));
        if since_needed && self.since.is_none() {
            faults.add("since", "say from when on");
        }
        let (since, until) = (since.unwrap_or_default(), until.unwrap_or(now).min(now));
        if since >= until {
            faults.add("since", "nothing lies between it and now, or `until`");
        }
        let event_types = self.event_types.clone().unwrap_or_default();
        faults.names("eventTypes", &event_types, MAX_EVENT_TYPES);
        let status = match self.status {
            None => None,
            Some(status) if status == Status::Success.number() => Some(AttemptStatus::Success),
            Some(status) if status == Status::Fail.number() => Some(AttemptStatus::Fail),
            Some(_) => {
                faults.add("status", "expected 0 (success) or 2 (fail): others are under way");
                None
            }
        };
        if self.status_code_class.is_some_and(|class| class % 100 != 0 || class > 500) {
            faults.add("statusCodeClass", "expected 0, 100, 200, 300, 400 or 500");
        }
        faults.into_result()?;
        Ok(Selection {
            since,
            until,
            event_types,
            channel: self.channel.clone(),
            tag: self.tag.clone(),
            reason: self.reason,
            status,
            code_class: self.status_code_class,
        })
    }
}

/// What a task would do.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DryRunOut {
    dry_run: bool,
    task: &'static str,
    /// How many messages it would send, if their bodies still live.
    messages: u64,
    /// Whether all was looked at; if not, there are more.
    complete: bool,
    /// How long the endpoint's and the application's rate limits make it last at least, in seconds.
    at_least_seconds: f64,
}

pub(super) async fn recover(
    api: web::Data<Api>,
    path: web::Path<(String, String)>,
    query: web::Query<DryRun>,
    body: Body,
) -> Result<HttpResponse> {
    api.begin(TaskKind::Recover, &path, &query, &body.json()?, true).await
}

pub(super) async fn replay_missing(
    api: web::Data<Api>,
    path: web::Path<(String, String)>,
    query: web::Query<DryRun>,
    body: Body,
) -> Result<HttpResponse> {
    api.begin(TaskKind::ReplayMissing, &path, &query, &body.json()?, true).await
}

pub(super) async fn bulk_replay(
    api: web::Data<Api>,
    path: web::Path<(String, String)>,
    query: web::Query<DryRun>,
    body: Body,
) -> Result<HttpResponse> {
    api.begin(TaskKind::BulkReplay, &path, &query, &body.json()?, true).await
}

/// As recover, from the oldest dead letter on unless the body says otherwise.
pub(super) async fn dead_letters(
    api: web::Data<Api>,
    path: web::Path<(String, String)>,
    query: web::Query<DryRun>,
    body: Body,
) -> Result<HttpResponse> {
    api.begin(TaskKind::Recover, &path, &query, &body.json_or_default()?, false).await
}

impl Api {
    async fn begin(
        &self,
        kind: TaskKind,
        (app, endpoint): &(String, String),
        query: &DryRun,
        input: &SelectionIn,
        since_needed: bool,
    ) -> Result<HttpResponse> {
        let now = Millis::now();
        let selection = input.selection(kind, now, since_needed)?;
        let configuration = self.configuration(app).await?;
        let endpoint = find_endpoint(&configuration, endpoint)?;
        let task = Task {
            id: TaskId::new(),
            app: configuration.application.id,
            endpoint: endpoint.id,
            kind,
            selection,
            created_at: now,
            extra: serde_json::Map::new(),
        };
        if query.dry_run.unwrap_or(false) {
            return self.dry_run(&task, endpoint, &configuration).await;
        }
        let tracked = match self.like(&task, input.until.is_some()).await? {
            Some(running) => running,
            None => match self.store.begin_task(&task).await? {
                Begun::Begun => {
                    self.store.task(task.id).await?.ok_or(ApiError::NotFound("task"))?
                }
                Begun::NoEndpoint => return Err(ApiError::NotFound("endpoint")),
            },
        };
        Ok(HttpResponse::Accepted().json(TaskOut::from(&tracked)))
    }

    /// A task that runs and does what this one would do: a request that is repeated, because its answer
    /// was lost, sends nothing twice. Refuses a task too many.
    async fn like(&self, task: &Task, until_named: bool) -> Result<Option<TrackedTask>> {
        let mut running = self.store.open_tasks(task.queue().lane()).await?;
        running.retain(|other| other.task.destination() == task.destination());
        let count = running.len();
        let like = running.into_iter().find(|TrackedTask { task: other, .. }| {
            let until = if until_named { task.selection.until } else { other.selection.until };
            other.kind == task.kind
                && other.selection == Selection { until, ..task.selection.clone() }
        });
        match like {
            None if count >= MOST_RUNNING => Err(ApiError::Conflict(format!(
                "{count} tasks of this endpoint run: wait until one has finished, or cancel one"
            ))),
            like => Ok(like),
        }
    }

    async fn dry_run(
        &self,
        task: &Task,
        endpoint: &Endpoint,
        configuration: &Configuration,
    ) -> Result<HttpResponse> {
        let selecting = Selecting { store: &self.store, task, endpoint };
        let (mut messages, mut looked_at, mut place) = (0, 0, String::new());
        let complete = loop {
            let picked = selecting.pick(&place, &Default::default()).await?;
            messages += picked.again.len() as u64;
            looked_at += picked.looked_at;
            if picked.done || looked_at >= MOST_LOOKED_AT {
                break picked.done;
            }
            place = picked.place;
        };
        let per_second = [endpoint.rate_limit, configuration.application.rate_limit];
        let per_second = per_second.into_iter().flatten().map(f64::from);
        let own = endpoint.settings.limits.iter().map(rate);
        let slowest = per_second.chain(own).fold(f64::INFINITY, f64::min);
        Ok(HttpResponse::Ok().json(DryRunOut {
            dry_run: true,
            task: task.kind.name(),
            messages,
            complete,
            at_least_seconds: messages as f64 / slowest,
        }))
    }
}

/// Attempts per second.
fn rate(limit: &Limit) -> f64 {
    f64::from(limit.count.get()) / limit.per.as_secs_f64()
}
