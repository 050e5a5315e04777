//! The audit log: which changes were made through the API, and by whom. The layer [`record`] writes an
//! entry for each request that changed something; what came in the body is never looked at.

use actix_web::{
    Error, HttpMessage, HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{Method, StatusCode},
    middleware::Next,
    web,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::{
    audit::{self, Entry, Written},
    id::AppId,
    store::Order,
};

use super::{
    Api,
    list::{ListQuery, gather},
    openapi::Time,
};
use crate::{
    access::{Caller, publishes},
    error::{ApiError, Result},
    ingest::REQUEST_ID,
};

const PREFIX: &str = "/api/v1/";

/// A change that was made through the API.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AuditEntryOut")]
pub(super) struct EntryOut<'a> {
    id: String,
    #[schemars(with = "Time")]
    timestamp: String,
    /// The name of the token that was shown.
    actor: &'a str,
    /// What was done, such as `endpoint.create`.
    action: &'a str,
    /// Id or name of what was changed.
    object: Option<&'a str>,
    /// The application that it belongs to.
    app_id: Option<AppId>,
    /// The `x-request-id` of the answer.
    request_id: &'a str,
}

impl<'a> EntryOut<'a> {
    fn new(written: &'a Written) -> Option<Self> {
        let entry = written.entry.as_ref()?;
        Some(Self {
            id: format!("audit_{}", written.id.bare().as_str()),
            timestamp: written.at.rfc3339(),
            actor: &entry.actor,
            action: &entry.action,
            object: entry.object.as_deref(),
            app_id: entry.app,
            request_id: &entry.request_id,
        })
    }
}

pub(super) async fn list(
    api: web::Data<Api>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse> {
    let app = match query.app_id.as_deref() {
        None => None,
        Some(name) => match api.application_id(name).await? {
            // It may have been deleted: its id is still good for asking.
            Some(app) => Some(app),
            None => return Err(ApiError::query("app_id", "there is no such application")),
        },
    };
    let listed = gather(
        &query,
        query.order(Order::NewestFirst),
        async |request| Ok(audit::list(&api.store, &request).await?),
        |written| Some(written.at),
        async |written| {
            let entry = written.entry.as_ref();
            Ok(entry.is_some_and(|entry| app.is_none() || entry.app == app))
        },
    )
    .await?;
    listed.respond(EntryOut::new)
}

impl Api {
    async fn application_id(&self, name: &str) -> Result<Option<AppId>> {
        match name.parse() {
            Ok(id) => Ok(Some(id)),
            Err(_) => Ok(self.store.find_uid(name).await?),
        }
    }
}

/// Writes down what a request has changed, once it has. What is published is no change.
pub(super) async fn record(
    api: web::Data<Api>,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> std::result::Result<ServiceResponse<BoxBody>, Error> {
    let method = request.method().clone();
    let reads = matches!(method, Method::GET | Method::HEAD);
    if reads || publishes(&method, request.path()) || is_dry(request.query_string()) {
        return next.call(request).await;
    }
    let caller = request.extensions().get::<Caller>().cloned();
    // Before it is done: what is deleted has no name any more.
    let app = match named_application(request.path()) {
        Some(name) => api.application_id(name).await.unwrap_or_default(),
        None => None,
    };
    let response = next.call(request).await?;
    let Some(action) = action(&method, &response) else { return Ok(response) };
    let (request, response) = response.into_parts();
    let (response, body) = response.into_parts();
    let made = matches!(response.status(), StatusCode::CREATED);
    let (object, response) = match body.try_into_bytes() {
        Ok(bytes) => {
            let object = if made { made_object(&bytes) } else { None };
            (object, response.set_body(BoxBody::new(bytes)))
        }
        Err(body) => (None, response.set_body(body)),
    };
    let last = request.match_info().iter().last().map(|(_, value)| value.to_owned());
    let object = object.or(last);
    // An application that was just created is named by what it is.
    let app = app.or_else(|| object.as_deref().and_then(|object| object.parse().ok()));
    let id = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let entry = Entry {
        actor: caller.map_or_else(String::new, |caller| caller.name.to_string()),
        action,
        object,
        app,
        request_id: id.unwrap_or_default().to_owned(),
    };
    if let Err(error) = audit::write(&api.store, &entry).await {
        tracing::error!(%error, ?entry, "audit.not_written");
    }
    Ok(ServiceResponse::new(request, response))
}

fn is_dry(query: &str) -> bool {
    query.split('&').any(|part| part == "dryRun=true")
}

/// The application that a path names.
fn named_application(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(PREFIX)?;
    let rest = rest
        .strip_prefix("app/")
        .or_else(|| rest.strip_prefix("auth/app/"))
        .or_else(|| rest.strip_prefix("auth/app-portal-access/"))
        .or_else(|| rest.strip_prefix("auth/dashboard-access/"))?;
    rest.split('/').next()
}

/// What a request has done, from its route: the names in its path, then the verb.
fn action<B>(method: &Method, response: &ServiceResponse<B>) -> Option<String> {
    if !response.status().is_success() {
        return None;
    }
    let pattern = response.request().match_pattern()?;
    action_of(method, pattern.strip_prefix(PREFIX)?, response.status())
}

fn action_of(method: &Method, route: &str, status: StatusCode) -> Option<String> {
    let mut names: Vec<&str> = route.split('/').filter(|part| !part.starts_with('{')).collect();
    // What stands in an application is named without it, but for what is done to the application itself.
    let of_application = matches!(names[..], ["app"] | ["app", "pause" | "resume"]);
    if matches!(names[0], "app" | "sluicegate") && !of_application {
        names.remove(0);
    }
    let is_verb = route.ends_with("/rotate") || route.ends_with("/cancel");
    match *method {
        Method::POST if is_verb => {}
        Method::POST if status == StatusCode::CREATED => names.push("create"),
        // It was there already.
        Method::POST if names.len() == 1 && !route.contains('/') => return None,
        Method::PUT if is_verb => {}
        Method::PUT | Method::PATCH => names.push("update"),
        Method::DELETE => names.push("delete"),
        _ => {}
    }
    Some(names.join("."))
}

#[derive(Deserialize)]
struct Made {
    id: Option<String>,
    name: Option<String>,
}

/// Id or name of what an answer says was made.
fn made_object(body: &[u8]) -> Option<String> {
    let made: Made = serde_json::from_slice(body).ok()?;
    made.id.or(made.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_named_after_their_routes() {
        for (request, status, expected) in [
            ("POST app", 201, Some("app.create")),
            ("POST app", 200, None),
            ("PATCH app/{app}", 200, Some("app.update")),
            ("POST app/{app}/pause", 200, Some("app.pause")),
            ("POST app/{app}/endpoint", 201, Some("endpoint.create")),
            ("DELETE app/{app}/endpoint/{endpoint}", 204, Some("endpoint.delete")),
            (
                "POST app/{app}/endpoint/{endpoint}/secret/rotate",
                200,
                Some("endpoint.secret.rotate"),
            ),
            ("POST app/{app}/endpoint/{endpoint}/recover", 202, Some("endpoint.recover")),
            ("PUT app/{app}/background-task/{task}/cancel", 200, Some("background-task.cancel")),
            ("POST sluicegate/api-key", 201, Some("api-key.create")),
            ("POST sluicegate/api-key/{key}/rotate", 201, Some("api-key.rotate")),
            ("PUT sluicegate/limit/{name}", 200, Some("limit.update")),
            ("POST auth/app-portal-access/{app}", 200, Some("auth.app-portal-access")),
        ] {
            let (method, route) = request.split_once(' ').unwrap();
            let status = StatusCode::from_u16(status).unwrap();
            let found = action_of(&method.parse().unwrap(), route, status);
            assert_eq!(found.as_deref(), expected, "{request}");
        }
    }
}
