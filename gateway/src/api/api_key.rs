//! API keys: made, listed, rotated, deleted. A key's text is in the answer that makes it and nowhere
//! else.

use actix_web::{HttpResponse, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::{
    domain::{ApiKey, Scope},
    store::{ErrorKind, Expect, Kind, StoreError},
    time::Millis,
};

use super::{
    Api, MAX_TRIES,
    list::ListQuery,
    openapi::{Time, Title},
    pause,
    record::{self, Record},
};
use crate::{
    access::Key,
    error::{ApiError, Result},
    ingest::{Body, Faults},
};

const MISSING: ApiError = ApiError::NotFound("API key");

/// A key to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("examples" = [{"name": "checkout service", "scope": "publish", "appId": "acme"}]))]
pub(super) struct ApiKeyIn {
    /// For people.
    #[schemars(with = "Title")]
    name: String,
    scope: Scope,
    /// Id or uid of the only application that it is to be good for.
    app_id: Option<String>,
    #[schemars(with = "Option<Time>")]
    expires_at: Option<String>,
    managed_by: Option<String>,
    /// The key itself, where it was made elsewhere: `sluicegate secrets generate-api-key` prints one.
    key: Option<String>,
}

/// An API key.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiKeyOut<'a> {
    id: &'a str,
    name: &'a str,
    scope: Scope,
    app_id: Option<String>,
    #[schemars(with = "Time")]
    created_at: String,
    #[schemars(with = "Option<Time>")]
    expires_at: Option<String>,
    #[schemars(with = "Option<Time>")]
    last_used_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    managed_by: Option<&'a str>,
    /// The key itself, once.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

impl<'a> ApiKeyOut<'a> {
    fn new(record: &'a ApiKey, key: Option<&'a Key>) -> Self {
        Self {
            id: &record.id,
            name: &record.name,
            scope: record.scope,
            app_id: record.app.map(|app| app.to_string()),
            created_at: record.created_at.rfc3339(),
            expires_at: record.expires_at.map(Millis::rfc3339),
            last_used_at: record.last_used_at.map(Millis::rfc3339),
            managed_by: record.managed_by.as_deref(),
            key: key.map(Key::reveal),
        }
    }
}

impl Record for ApiKey {
    const KIND: Kind = Kind::ApiKey;
    const WHAT: &'static str = "an API key";

    fn document_name(&self) -> &str {
        &self.id
    }
}

pub(super) async fn create(api: web::Data<Api>, body: Body) -> Result<HttpResponse> {
    let input = body.json::<ApiKeyIn>()?;
    let (now, mut faults) = (Millis::now(), Faults::default());
    faults.title("name", &input.name);
    faults.managed_by("managedBy", input.managed_by.as_ref());
    let key = match &input.key {
        None => Key::generate(),
        Some(text) => Key::parse(text.as_bytes()).unwrap_or_else(|| {
            faults
                .add("key", "not an API key: make one with `sluicegate secrets generate-api-key`");
            Key::generate()
        }),
    };
    let expires_at = input.expires_at.as_deref().map(Millis::parse);
    match expires_at {
        Some(None) => faults.add("expiresAt", "expected an RFC 3339 time"),
        Some(Some(end)) if end <= now => faults.add("expiresAt", "is over already"),
        Some(Some(_)) | None => {}
    }
    faults.into_result()?;
    let app = match &input.app_id {
        None => None,
        Some(name) => match api.configuration(name).await {
            Ok(configuration) => Some(configuration.application.id),
            Err(ApiError::NotFound(_)) => {
                return Err(ApiError::field("appId", "there is no such application"));
            }
            Err(error) => return Err(error),
        },
    };
    let record = ApiKey {
        id: key.id().to_owned(),
        name: input.name,
        hash: key.hash(),
        scope: input.scope,
        app,
        created_at: now,
        expires_at: expires_at.flatten(),
        last_used_at: None,
        managed_by: input.managed_by,
        extra: serde_json::Map::new(),
    };
    api.put_record(&record, &Expect::Absent).await?;
    tracing::info!(key = record.id, scope = record.scope.name(), "api_key.created");
    Ok(HttpResponse::Created().json(ApiKeyOut::new(&record, Some(&key))))
}

pub(super) async fn list(
    api: web::Data<Api>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse> {
    let listed = api.list_records(&query, |_: &ApiKey| true).await?;
    listed.respond(|record| ApiKeyOut::new(record, None))
}

pub(super) async fn get(api: web::Data<Api>, path: web::Path<String>) -> Result<HttpResponse> {
    let record: ApiKey = api.record(&path).await?.ok_or(MISSING)?;
    Ok(HttpResponse::Ok().json(ApiKeyOut::new(&record, None)))
}

/// Ends a key; gateways that have just seen it forget it within seconds.
pub(super) async fn delete(api: web::Data<Api>, path: web::Path<String>) -> Result<HttpResponse> {
    let was_there = api.store.delete_document(Kind::ApiKey, &path).await?;
    was_there.then_some(()).ok_or(MISSING)?;
    tracing::info!(key = path.as_str(), "api_key.deleted");
    Ok(HttpResponse::NoContent().finish())
}

/// Makes another key with the same rights, and lets the old one end when secrets that were rotated out
/// do.
pub(super) async fn rotate(api: web::Data<Api>, path: web::Path<String>) -> Result<HttpResponse> {
    let key = Key::generate();
    for turn in 0..MAX_TRIES {
        pause(turn).await;
        let json = api.store.document(Kind::ApiKey, &path).await?.ok_or(MISSING)?;
        let old: ApiKey = record::decode(&json)?;
        let now = Millis::now();
        if !old.is_current(now) {
            return Err(ApiError::Conflict("the key has ended: make a new one".to_owned()));
        }
        let overlap = now.after(api.secret_overlap);
        let end = old.expires_at.map_or(overlap, |end| end.min(overlap));
        let new = ApiKey {
            id: key.id().to_owned(),
            hash: key.hash(),
            created_at: now,
            last_used_at: None,
            ..old.clone()
        };
        // First the new one: if the second write fails, both are good.
        api.put_record(&new, &Expect::Any).await?;
        let old = ApiKey { expires_at: Some(end), ..old };
        match api.put_record(&old, &Expect::Exactly(json)).await {
            Ok(()) => {
                tracing::info!(key = old.id, new = new.id, "api_key.rotated");
                return Ok(HttpResponse::Created().json(ApiKeyOut::new(&new, Some(&key))));
            }
            Err(ApiError::Store(error)) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::new(ErrorKind::Conflict, "the API key changes all the time").into())
}
