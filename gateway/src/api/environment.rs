//! The environment as one document: what all applications share, to be kept or taken elsewhere.

use actix_web::{HttpResponse, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::{domain::EventType, time::Millis};

use super::{
    Api,
    event_type::{EventTypeIn, EventTypeOut},
    openapi::Time,
    record::{Record, decode},
};
use crate::{
    error::{ApiError, Result},
    ingest::{Body, is_name},
};

/// The form of the document.
const VERSION: u8 = 1;
/// How many event types one request may bring.
const MAX_EVENT_TYPES: usize = 1_000;

/// What all applications share.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EnvironmentOut<'a> {
    version: u8,
    #[schemars(with = "Time")]
    created_at: String,
    /// With those that are archived.
    event_types: Vec<EventTypeOut<'a>>,
    /// There are none.
    settings: Option<Value>,
    /// There are none.
    connectors: [Value; 0],
}

/// What all applications are to share.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EnvironmentIn {
    /// Each with its name.
    #[schemars(length(max = MAX_EVENT_TYPES))]
    event_types: Option<Vec<EventTypeIn>>,
    /// There are none: to be left out, or empty.
    #[schemars(extend("maxProperties" = 0))]
    settings: Option<serde_json::Map<String, Value>>,
    /// There are none: to be left out, or empty.
    #[schemars(length(max = 0))]
    connectors: Option<Vec<Value>>,
}

pub(super) async fn export(api: web::Data<Api>) -> Result<HttpResponse> {
    let documents = api.store.documents(EventType::KIND).await?;
    let event_types = documents.iter().map(|document| decode(&document.json));
    let event_types: Vec<EventType> = event_types.collect::<Result<_>>()?;
    Ok(HttpResponse::Ok().json(EnvironmentOut {
        version: VERSION,
        created_at: Millis::now().rfc3339(),
        event_types: event_types.iter().map(|it| EventTypeOut::new(it, true)).collect(),
        settings: None,
        connectors: [],
    }))
}

/// Replaces or creates each event type that it brings; others stay. All are checked before the first is
/// written; a request that failed later can be repeated.
pub(super) async fn import(api: web::Data<Api>, body: Body) -> Result<HttpResponse> {
    let input: EnvironmentIn = body.json()?;
    if input.settings.is_some_and(|settings| !settings.is_empty()) {
        return Err(ApiError::field("settings", "there are no settings here: leave them out"));
    }
    if input.connectors.is_some_and(|connectors| !connectors.is_empty()) {
        return Err(ApiError::field("connectors", "there are no connectors here: leave them out"));
    }
    let event_types = input.event_types.unwrap_or_default();
    if event_types.len() > MAX_EVENT_TYPES {
        return Err(ApiError::field("eventTypes", format!("more than {MAX_EVENT_TYPES}")));
    }
    let mut named = Vec::with_capacity(event_types.len());
    for event_type in event_types {
        let event_type = event_type.whole();
        event_type.check()?;
        let name = event_type.name.value().filter(|name| is_name(name)).cloned();
        let missing =
            || ApiError::field("eventTypes", "each must have a name of a-z A-Z 0-9 - _ .");
        named.push((name.ok_or_else(missing)?, event_type));
    }
    for (name, event_type) in &named {
        api.put_event_type(name, event_type).await?;
    }
    Ok(HttpResponse::NoContent().finish())
}
