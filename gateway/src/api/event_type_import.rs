//! Making event types of the webhooks that an OpenAPI document describes.

use std::collections::BTreeSet;

use actix_web::{HttpResponse, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::{domain::EventType, store::Kind, time::Millis};

use super::{
    Api,
    event_type::{FEATURE_FLAGS, empty},
    openapi_webhooks::{Webhook, webhooks},
    record,
};
use crate::{
    error::{ApiError, Result},
    ingest::{Body, Faults},
    schema,
};

/// Most events and repetitions by aliases that are read of YAML: a short text can stand for a long one.
const MAX_EVENTS: usize = 500_000;
const MAX_REPEATED: usize = 50_000;

/// An OpenAPI document: either `spec` or `specRaw`.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EventTypeImportOpenApiIn")]
pub(super) struct ImportIn {
    /// Only say what would be done.
    dry_run: Option<bool>,
    /// Archive all event types that are not in it.
    replace_all: Option<bool>,
    /// The document itself.
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    spec: Option<Value>,
    /// The document as a text, YAML or JSON.
    spec_raw: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EventTypeImportOpenApiOut")]
pub(super) struct ImportOut {
    data: DataOut,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EventTypeImportOpenApiOutData")]
struct DataOut {
    /// The names of those that were created, changed, brought back or archived.
    modified: Vec<String>,
    /// What a dry run would create or change.
    to_modify: Option<Vec<WebhookOut>>,
}

/// The event type that a webhook would make.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EventTypeFromOpenApi")]
struct WebhookOut {
    name: String,
    description: String,
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    schemas: Option<Value>,
    deprecated: bool,
    group_name: Option<String>,
    #[schemars(with = "Option<Vec<String>>")]
    feature_flags: Option<Value>,
}

impl ImportIn {
    fn spec(self) -> Result<(&'static str, Value)> {
        match (self.spec, self.spec_raw) {
            (Some(spec), None) => Ok(("spec", spec)),
            (None, Some(text)) => {
                let options = serde_saphyr::options! {
                    budget: serde_saphyr::budget! { max_events: MAX_EVENTS },
                    alias_limits: serde_saphyr::alias_limits! {
                        max_total_replayed_events: MAX_REPEATED,
                    },
                };
                let spec = serde_saphyr::from_str_with_options(&text, options);
                let malformed = |error| {
                    let text: String = format!("{error}").chars().take(512).collect();
                    ApiError::Malformed(format!("specRaw is neither YAML nor JSON: {text}"))
                };
                spec.map(|spec| ("specRaw", spec)).map_err(malformed)
            }
            (None, None) | (Some(_), Some(_)) => {
                Err(ApiError::Malformed("give either spec or specRaw".to_owned()))
            }
        }
    }
}

impl Webhook {
    fn schemas(&self) -> Option<Value> {
        self.schema.as_ref().map(|schema| json!({"1": schema}))
    }

    /// The event type that it makes of the one there is.
    fn apply(&self, old: Option<EventType>) -> Result<EventType> {
        let mut new = old.unwrap_or_else(|| empty(&self.name));
        new.description.clone_from(&self.description);
        new.deprecated = self.deprecated;
        new.archived = false;
        new.schemas = self.schemas();
        if self.group_name.is_some() {
            new.group_name.clone_from(&self.group_name);
        }
        schema::check(&new)?;
        Ok(new)
    }
}

/// Creates or changes an event type for each webhook; `replaceAll` archives all others.
pub(super) async fn import(api: web::Data<Api>, body: Body) -> Result<HttpResponse> {
    let input: ImportIn = body.json()?;
    let dry_run = input.dry_run.unwrap_or(false);
    let replace_all = input.replace_all.unwrap_or(false);
    let (field, spec) = input.spec()?;
    let found = webhooks(&spec).map_err(|(path, msg)| {
        let mut faults = Faults::default();
        faults.within(field, path, msg);
        ApiError::Invalid(faults.into_list())
    })?;
    let mut old = std::collections::BTreeMap::new();
    for document in api.store.documents(Kind::EventType).await? {
        let event_type: EventType = record::decode(&document.json)?;
        old.insert(document.name, event_type);
    }
    // All are checked before the first one is written.
    let mut changed = Vec::new();
    for webhook in &found {
        let before = old.get(&webhook.name);
        let after =
            webhook.apply(before.cloned()).map_err(|error| within(error, field, webhook))?;
        if before.is_none_or(|before| *before != after) {
            changed.push((webhook, after));
        }
    }
    let names: BTreeSet<&str> = found.iter().map(|webhook| webhook.name.as_str()).collect();
    let others = old
        .values()
        .filter(|other| replace_all && !other.archived && !names.contains(other.name.as_str()));
    let mut data = DataOut { modified: Vec::new(), to_modify: None };
    if dry_run {
        data.to_modify = Some(changed.into_iter().map(|(_, after)| shown(after)).collect());
        return Ok(HttpResponse::Ok().json(ImportOut { data }));
    }
    for (webhook, _) in changed {
        api.write_event_type(&webhook.name, async |old| {
            let new = webhook.apply(old)?;
            Ok(EventType { updated_at: Millis::now(), ..new })
        })
        .await?;
        data.modified.push(webhook.name.clone());
    }
    for other in others {
        api.write_event_type(&other.name, async |old| {
            let old = old.ok_or(ApiError::NotFound("event type"))?;
            Ok(EventType { archived: true, updated_at: Millis::now(), ..old })
        })
        .await?;
        data.modified.push(other.name.clone());
    }
    Ok(HttpResponse::Ok().json(ImportOut { data }))
}

/// The same faults, at the place of a webhook.
fn within(error: ApiError, field: &'static str, webhook: &Webhook) -> ApiError {
    let ApiError::Invalid(mut faults) = error else { return error };
    for fault in &mut faults {
        let mut loc = vec!["body".into(), field.into(), webhook.name.clone().into()];
        loc.extend(fault.loc.drain(..).skip(1));
        fault.loc = loc;
    }
    ApiError::Invalid(faults)
}

fn shown(event_type: EventType) -> WebhookOut {
    WebhookOut {
        feature_flags: event_type.extra.get(FEATURE_FLAGS).cloned(),
        name: event_type.name,
        description: event_type.description,
        schemas: event_type.schemas,
        deprecated: event_type.deprecated,
        group_name: event_type.group_name,
    }
}
