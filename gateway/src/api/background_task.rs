//! Background tasks: what sends many messages again, and how far it is. Whoever is bound to one
//! application sees its tasks under that application.

use actix_web::{HttpResponse, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::{
    domain::{TaskStatus, TrackedTask},
    id::{AppId, EndpointId, TaskId},
    store::Order,
    time::Millis,
};

use super::{
    Api,
    list::{ListQuery, MAX_LIMIT, Ordering, gather},
    openapi::Time,
};
use crate::error::{ApiError, Result};

/// A task that sends many messages again.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "BackgroundTaskOut")]
pub(super) struct TaskOut {
    id: TaskId,
    #[schemars(extend("enum" = STATUSES))]
    status: &'static str,
    task: &'static str,
    #[schemars(with = "Time")]
    updated_at: String,
    data: DataOut,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
struct DataOut {
    messages_sent: u64,
    sluicegate: ProgressOut,
}

/// What the API has beyond that of Svix.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
struct ProgressOut {
    app_id: AppId,
    endpoint_id: EndpointId,
    #[schemars(with = "Time")]
    created_at: String,
    /// How many messages were looked at…
    done: u64,
    /// …of how many; `null` until they were counted.
    of: Option<u64>,
    /// How many cannot be sent, because their bodies are gone.
    gone: u64,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// The three states that SDKs know.
const STATUSES: [&str; 3] = ["running", "finished", "failed"];

fn status(status: TaskStatus) -> &'static str {
    match status {
        TaskStatus::Running => "running",
        TaskStatus::Finished => "finished",
        TaskStatus::Cancelled | TaskStatus::EndpointDeleted => "failed",
    }
}

impl From<&TrackedTask> for TaskOut {
    fn from(TrackedTask { task, progress }: &TrackedTask) -> Self {
        let reason = match progress.status {
            TaskStatus::Running | TaskStatus::Finished => None,
            TaskStatus::Cancelled | TaskStatus::EndpointDeleted => Some(progress.status.name()),
        };
        Self {
            id: task.id,
            status: status(progress.status),
            task: task.kind.name(),
            updated_at: progress.updated_at.rfc3339(),
            data: DataOut {
                messages_sent: progress.sent,
                sluicegate: ProgressOut {
                    app_id: task.app,
                    endpoint_id: task.endpoint,
                    created_at: task.created_at.rfc3339(),
                    done: progress.looked_at,
                    of: progress.total,
                    gone: progress.gone,
                    reason,
                },
            },
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct TaskQuery {
    #[schemars(range(min = 1, max = MAX_LIMIT))]
    limit: Option<usize>,
    /// What a page named as its `iterator` or `prevIterator`.
    #[schemars(length(min = 1))]
    iterator: Option<String>,
    order: Option<Ordering>,
    #[schemars(extend("enum" = STATUSES))]
    status: Option<String>,
    /// The kind of task, such as `endpoint.recover`.
    task: Option<String>,
}

impl TaskQuery {
    /// A filter that names what no task can be is a fault; a kind that we never run is not.
    fn check(&self) -> Result<()> {
        match &self.status {
            Some(status) if !STATUSES.contains(&status.as_str()) => {
                Err(ApiError::query("status", format!("expected one of: {}", STATUSES.join(", "))))
            }
            _ => Ok(()),
        }
    }

    fn fits(&self, TrackedTask { task, progress }: &TrackedTask) -> bool {
        self.status.as_ref().is_none_or(|wanted| wanted == status(progress.status))
            && self.task.as_ref().is_none_or(|wanted| wanted == task.kind.name())
    }
}

impl Api {
    async fn list_tasks(&self, query: TaskQuery, app: Option<AppId>) -> Result<HttpResponse> {
        query.check()?;
        let page = ListQuery::of_page(query.limit, query.iterator.clone(), query.order);
        let listed =
            gather(
                &page,
                page.order(Order::NewestFirst),
                async |request| Ok(self.store.tasks(&request).await?),
                |_| None::<Millis>,
                async |tracked| {
                    Ok(app.is_none_or(|app| app == tracked.task.app) && query.fits(tracked))
                },
            )
            .await?;
        listed.respond(TaskOut::from)
    }

    async fn find_task(&self, name: &str, app: Option<AppId>) -> Result<TrackedTask> {
        let missing = || ApiError::NotFound("task");
        let id: TaskId = name.parse().map_err(|_| missing())?;
        let found = self.store.task(id).await?;
        found.filter(|it| app.is_none_or(|app| app == it.task.app)).ok_or_else(missing)
    }

    async fn cancel(&self, name: &str, app: Option<AppId>) -> Result<HttpResponse> {
        let id = self.find_task(name, app).await?.task.id;
        let cancelled = self.store.cancel_task(id).await?.ok_or(ApiError::NotFound("task"))?;
        Ok(HttpResponse::Ok().json(TaskOut::from(&cancelled)))
    }
}

pub(super) async fn list(
    api: web::Data<Api>,
    query: web::Query<TaskQuery>,
) -> Result<HttpResponse> {
    api.list_tasks(query.into_inner(), None).await
}

pub(super) async fn get(api: web::Data<Api>, path: web::Path<String>) -> Result<HttpResponse> {
    Ok(HttpResponse::Ok().json(TaskOut::from(&api.find_task(&path, None).await?)))
}

pub(super) async fn cancel(api: web::Data<Api>, path: web::Path<String>) -> Result<HttpResponse> {
    api.cancel(&path, None).await
}

pub(super) async fn list_of_app(
    api: web::Data<Api>,
    path: web::Path<String>,
    query: web::Query<TaskQuery>,
) -> Result<HttpResponse> {
    let app = api.configuration(&path).await?.application.id;
    api.list_tasks(query.into_inner(), Some(app)).await
}

pub(super) async fn get_of_app(
    api: web::Data<Api>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse> {
    let app = api.configuration(&path.0).await?.application.id;
    Ok(HttpResponse::Ok().json(TaskOut::from(&api.find_task(&path.1, Some(app)).await?)))
}

pub(super) async fn cancel_of_app(
    api: web::Data<Api>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse> {
    let app = api.configuration(&path.0).await?.application.id;
    api.cancel(&path.1, Some(app)).await
}
